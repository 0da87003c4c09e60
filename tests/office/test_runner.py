"""The runner: what falls takes nothing with it, and is started again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from threading import Event

import pytest

import office.runner
from office.runner import keep_running, run
from projections.shares import Share
from tests.office.scene import Scene

WITHIN_S = 30.0


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Resting(Event):
    """An event that remembers how long it was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.rests: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.rests.append(timeout)
        return super().wait(timeout)


def test_a_part_that_falls_takes_no_other_and_is_started_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(office.runner, "FIRST_REST_S", 0.01)
    stop = Resting()
    falls: list[float] = []
    steady: list[str] = []

    def fall(_: Event) -> None:
        falls.append(time.monotonic())
        raise ValueError("01000099887")

    def stand(stop: Event) -> None:
        steady.append("started")
        stop.wait()

    thread = threading.Thread(
        target=keep_running, args=({"fall": fall, "stand": stand}, stop)
    )
    thread.start()
    wait_until(lambda: len(falls) >= 4)
    stop.set()
    thread.join()
    assert steady == ["started"]
    rested = [rest for rest in stop.rests if rest]
    assert rested[:3] == [0.01, 0.02, 0.04]
    said = "".join(capsys.readouterr())
    assert "runner.part_fell" in said
    assert "01000099887" not in said


def test_a_new_request_is_assigned_and_seen_without_anybodys_hand(
    scene: Scene,
) -> None:
    stop = Event()
    thread = threading.Thread(target=run, args=(scene.house, stop))
    thread.start()
    try:
        request_id = scene.submit()
        wait_until(lambda: scene.get(request_id).clerk == "clk-DI-1")
        head = scene.house.ledger.reader.head().position
        assert scene.house.queries.progress.wait_for(
            ("clerk_queue", "tracking"), head, timeout_s=WITHIN_S
        )
    finally:
        stop.set()
        thread.join()
    found = scene.house.queries.tracking.by_id(request_id)
    assert found is not None
    assert found.state.clerk == "clk-DI-1"


def test_only_the_first_of_several_runners_does_more_than_fold(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[set[str]] = []
    monkeypatch.setattr(
        office.runner, "keep_running", lambda given, _: parts.append(set(given))
    )
    for number in (1, 2):
        run(scene.house, Event(), Share(number=number, of=2))
    first, second = parts
    assert second == {"views"}
    assert first > second
