"""Who says nothing for too long is ended, and nobody else."""

from __future__ import annotations

from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from consumers import cli
from consumers.relay import Relay
from consumers.silence import Silence
from consumers.topics import Topic
from tests.consumers.conftest import Book, Running, until


def test_a_silent_one_is_ended_and_it_is_told_where_it_stood(
    capfd: pytest.CaptureFixture[str],
) -> None:
    ended = Event()
    with Silence(ended.set, limit_s=0.1):
        assert ended.wait(30)
    assert "test_a_silent_one_is_ended" in capfd.readouterr().err


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is, to be put forward."""
    now = [0.0]
    told = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("consumers.silence.time", told)
    return now


def test_one_that_is_heard_is_not_and_is_once_it_is_silent(clock: list[float]) -> None:
    ended = Event()
    with Silence(ended.set, limit_s=1.0) as silence:
        for _ in range(5):
            clock[0] += 0.9
            # It looks several times meanwhile, and finds nothing wrong.
            assert not ended.wait(0.2)
            silence.broken()
        clock[0] += 1.1
        assert ended.wait(30)


def test_a_program_that_hung_ends_with_two_and_says_why(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.silence._LOOKS", 10_000)
    ends: list[tuple[str, int]] = []
    monkeypatch.setattr(cli, "end_at_once", lambda *end: ends.append(end))
    with cli.never_silent("worker"):
        clock[0] += 181
        until(lambda: bool(ends))
    assert ends == [("the worker ends, because it was silent for 180 s", 2)]


def test_a_relay_gives_signs_of_life_while_nothing_happens_and_with_each_step(
    options: dict[str, Any], topic: Topic, book: Book, running: list[Running]
) -> None:
    heard: list[int] = []
    book.add(5)
    relay = Relay(book.reader, options, topic=topic, at_work=lambda: heard.append(1))
    running.append(Running(relay))
    until(lambda: len(heard) > 4)
    # It has all there is; the ledger's pulse comes all the same.
    before = len(heard)
    until(lambda: len(heard) > before + 1)
    assert running[0].error is None
