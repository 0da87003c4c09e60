"""Telling killed at random moments: each message goes out, and is recorded once."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event
from uuid import UUID

from ledger.settings import LedgerSettings
from office.house import House
from office.telling_settings import TellingSettings
from tests.forks import forks
from tests.office.gateways import KEY, Gateway
from tests.office.scene import Scene

AHEAD = 20
"""Messages that wait when a life begins: far more than it is let to tell of, so that
few die with nothing to do, however late the kill comes.
"""
KILLS = 20
MOST_IN_A_LIFE = 3
"""Messages recorded before a kill: lives are measured in work, because a busy machine
does nothing in a tenth of a second."""
LONGEST_WAIT_S = 0.02
"""Between the last of them and the kill, so that it strikes anywhere in the next."""
FINISH_S = 60.0
SEED = 20261124
"""Moments are random, but the same ones in every run."""
# Forked from a server that has imported everything: a life begins at once.
_FORKED = forks("office.house", __name__)


def _tell(
    settings: LedgerSettings, telling: TellingSettings, parent: Connection
) -> None:
    with House(settings) as house:
        made = house.telling(telling)
        parent.send("ready")
        made.run(Event())


@contextmanager
def two_telling(settings: LedgerSettings, telling: TellingSettings) -> Iterator[None]:
    """Two processes at once, ended by SIGKILL."""
    children: list[tuple[BaseProcess, Connection]] = []
    try:
        for _ in range(2):
            ours, theirs = _FORKED.Pipe()
            child = _FORKED.Process(
                target=_tell, args=(settings, telling, theirs), daemon=True
            )
            child.start()
            children.append((child, ours))
        for _, ours in children:
            assert ours.poll(FINISH_S)
        yield
    finally:
        for child, ours in children:
            child.kill()
            child.join()
            child.close()
            ours.close()


def informed(scene: Scene) -> list[str]:
    """The command ids of what was recorded, one a record."""
    return [
        json.loads(entry.body)["command_id"]
        for entry in scene.entries()
        if entry.topic.endswith(".informed.v1")
    ]


def told_of(scene: Scene) -> int:
    """How many messages are at their end."""
    return sum(e.count for e in scene.house.outbox.tally() if e.state == "told")


def die_again_and_again(scene: Scene, telling: TellingSettings) -> None:
    """Submit requests, kill whoever tells of them, and let one finish."""
    moments = random.Random(SEED)  # noqa: S311 -- moments of a test
    first = scene.house.telling(telling)
    first.catch_up(Event())
    first.close()
    requests: set[UUID] = set()
    struck_at_work = 0
    for _ in range(KILLS):
        before = told_of(scene)
        requests |= {scene.submit() for _ in range(before + AHEAD - len(requests))}
        wanted = before + moments.randint(1, MOST_IN_A_LIFE)
        with two_telling(scene.database.settings, telling):
            deadline = time.monotonic() + FINISH_S
            while told_of(scene) < wanted:
                assert time.monotonic() < deadline
                time.sleep(0.002)
            time.sleep(moments.uniform(0, LONGEST_WAIT_S))
        struck_at_work += told_of(scene) < len(requests)
    assert struck_at_work > KILLS // 2, "few struck at work"
    last = scene.house.telling(telling)
    deadline = time.monotonic() + FINISH_S
    while {each.state for each in scene.house.outbox.tally()} != {"told"}:
        assert time.monotonic() < deadline
        last.catch_up(Event())
    last.close()
    (counted,) = scene.house.outbox.tally()
    assert (counted.state, counted.count) == ("told", len(requests))
    told = Counter(
        entry.aggregate_id
        for entry in scene.entries()
        if entry.topic.endswith(".informed.v1")
    )
    assert told == dict.fromkeys(requests, 1)


def test_in_the_spool_each_message_is_one_file(scene: Scene, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    die_again_and_again(
        scene, TellingSettings(telling="spool", spool=spool, telling_per_minute=60_000)
    )
    files = [json.loads(path.read_text("utf-8")) for path in spool.glob("*.json")]
    assert sorted(file["id"] for file in files) == sorted(informed(scene))


def test_a_gateway_that_keeps_ids_sends_each_message_once(
    scene: Scene, gateway: tuple[type[Gateway], str]
) -> None:
    kind, url = gateway
    die_again_and_again(
        scene,
        TellingSettings(
            telling="webhook",
            sms_webhook_url=url,
            sms_webhook_key=KEY.hex(),
            telling_per_minute=60_000,
        ),
    )
    assert sorted(message["id"] for message in kind.taken) == sorted(informed(scene))
    # A death repeats one message at most: the one that was under way.
    assert len(kind.taken) <= len(kind.seen) <= len(kind.taken) + KILLS
