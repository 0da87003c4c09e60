"""Telling killed at random moments: each message one file, each recorded once."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event

from ledger.settings import LedgerSettings
from office.house import House
from office.telling_settings import TellingSettings
from tests.office.scene import Scene

REQUESTS = 60
KILLS = 20
SHORTEST_LIFE_S = 0.01
LONGEST_LIFE_S = 0.12
FINISH_S = 60.0
SEED = 20261124
"""Moments are random, but the same ones in every run."""
# Forked from a server that has imported everything: a life begins at once.
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["office.house", __name__])


def settings_of(spool: Path) -> TellingSettings:
    return TellingSettings(telling="spool", spool=spool, telling_per_minute=60_000)


def _tell(settings: LedgerSettings, spool: Path, parent: Connection) -> None:
    with House(settings) as house:
        telling = house.telling(settings_of(spool))
        parent.send("ready")
        telling.run(Event())


def live_for(settings: LedgerSettings, spool: Path, seconds: float) -> None:
    """One life of the process, ended by SIGKILL."""
    ours, theirs = _FORKED.Pipe()
    child = _FORKED.Process(target=_tell, args=(settings, spool, theirs), daemon=True)
    child.start()
    try:
        assert ours.poll(FINISH_S)
        time.sleep(seconds)
    finally:
        child.kill()
        child.join()
        child.close()
        ours.close()


def test_each_message_is_one_file_and_each_is_recorded_once(
    scene: Scene, tmp_path: Path
) -> None:
    moments = random.Random(SEED)  # noqa: S311 -- moments of a test
    spool = tmp_path / "spool"
    telling = scene.house.telling(settings_of(spool))
    telling.catch_up(Event())
    telling.close()
    requests = {str(scene.submit()) for _ in range(REQUESTS)}
    seen = []
    for _ in range(KILLS):
        seconds = moments.uniform(SHORTEST_LIFE_S, LONGEST_LIFE_S)
        live_for(scene.database.settings, spool, seconds)
        with suppress(FileNotFoundError):
            seen.append(len(list(spool.glob("*.json"))))
    assert any(0 < count < REQUESTS for count in seen), "no kill struck at work"
    finish(scene, spool)
    files = [json.loads(path.read_text("utf-8")) for path in spool.glob("*.json")]
    informed = [e for e in scene.entries() if e.topic.endswith(".informed.v1")]
    assert len(files) == len(informed) == REQUESTS
    assert {str(e.aggregate_id) for e in informed} == requests
    recorded = {json.loads(e.body)["command_id"] for e in informed}
    assert recorded == {file["id"] for file in files}
    (counted,) = scene.house.outbox.tally()
    assert (counted.state, counted.count) == ("told", REQUESTS)


def finish(scene: Scene, spool: Path) -> None:
    """Let one process live until nothing is on its way."""
    telling = scene.house.telling(settings_of(spool))
    deadline = time.monotonic() + FINISH_S
    try:
        while {each.state for each in scene.house.outbox.tally()} != {"told"}:
            assert time.monotonic() < deadline
            telling.catch_up(Event())
    finally:
        telling.close()
