"""Processes that write to a ledger and that read it, made to be killed at any moment.

What each was told goes line by line to a diary of its own, a file: what a process wrote
there before its death is there after it, and nobody else's lock is held for ever.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.persistence import PersistenceError, StoredEvent

from ledger.names import LEDGER_SCHEMA
from ledger.persistence.append import (
    ActToAppend,
    Command,
    CommandRepeatedError,
    Outcome,
    VersionConflictError,
)
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.ledger.order import Acknowledged

SHARED = [UUID(int=number) for number in range(1, 6)]
"""Aggregates that all writers fight over, so that acts lose on purpose."""
TOPIC = "sijil.test.happened.v1"
MOST_SENT_AGAIN = 200
"""Acts that a thread keeps to send some of them once more."""
AWAY_S = 0.05


class Diary:
    """Lines of one process, each written by one call.

    A kill in the middle of it may leave part of a line: that says nothing, and is taken
    away before the next one is written.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)

    def note(self, *lines: str) -> None:
        """Add lines."""
        os.write(self._file, "".join(f"{line}\n" for line in lines).encode())


@dataclass
class Told:
    """What all diaries of a folder say."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    tails: dict[str, list[int]] = field(default_factory=dict)


def lines_of(path: Path) -> list[str]:
    """What a diary has so far, without the line that is being written."""
    return path.read_text().split("\n")[:-1] if path.exists() else []


def last_seen(path: Path) -> int:
    """How far a reader has come, by its diary."""
    lines = lines_of(path)
    return int(lines[-1].split()[-1]) if lines else 0


def told(folder: Path) -> Told:
    """Read all diaries."""
    found = Told()
    for path in sorted(folder.iterdir()):
        for line in lines_of(path):
            word, _, rest = line.partition(" ")
            match word:
                case "sent":
                    found.sent.add(rest)
                case "stored":
                    command, first, last = rest.split()
                    found.acknowledged.append((command, int(first), int(last)))
                case "refused":
                    found.refused.add(rest)
                case "unknown":
                    found.unknown.add(rest)
                case "saw":
                    tail = found.tails.setdefault(path.name, [])
                    tail += map(int, rest.split())
    return found


def write(
    dsn: dict[str, Any], folder: str, number: int, threads: int, fresh_share: float
) -> None:
    """The body of a writing process: its threads share one recorder, until killed."""
    store = PostgresDatastore(dsn, schema=LEDGER_SCHEMA, pool_size=threads)
    recorder = PostgresProcessRecorder(store)
    diary = Diary(Path(folder) / f"writer-{number}")
    for each in range(threads):
        chance = random.Random(number * 1_000 + each)  # noqa: S311 -- a test's dice
        writer = _Writer(recorder, diary, chance, fresh_share)
        threading.Thread(target=writer.run, daemon=True).start()
    threading.Event().wait()


@dataclass
class _Writer:
    """Random acts on shared and own aggregates; some twice, some batches."""

    recorder: PostgresProcessRecorder
    diary: Diary
    chance: random.Random
    fresh_share: float
    again: list[ActToAppend] = field(default_factory=list)

    def run(self) -> None:
        while True:
            try:
                if self.chance.random() < 0.2:
                    self._batch([self._act() for _ in range(4)])
                elif self.again and self.chance.random() < 0.1:
                    self._one(self.chance.choice(self.again))
                else:
                    self._one(self._act())
            except PersistenceError:
                time.sleep(AWAY_S)

    def _act(self) -> ActToAppend:
        command = Command(id=uuid4(), actor="writer", digest=b"d")
        size = self.chance.choice((1, 1, 2, 3))
        body = f"{command.id}/{size}".encode()
        if self.chance.random() < self.fresh_share:
            aggregate, version = uuid4(), 0
        else:
            aggregate = self.chance.choice(SHARED)
            last = self.recorder.select_events(aggregate, desc=True, limit=1)
            version = last[0].originator_version if last else 0
        events = [
            StoredEvent(aggregate, version + 1 + n, TOPIC, body) for n in range(size)
        ]
        return ActToAppend(events=events, command=command)

    def _one(self, act: ActToAppend) -> None:
        """One act by the way that single acts take, until what became of it is known.

        Half of those of unknown outcome are left so: their senders gave up.
        """
        command = _id(act)
        self.diary.note(f"sent {command}")
        while True:
            try:
                positions = self.recorder.insert_events(act.events, command=act.command)
                assert positions is not None
                self.diary.note(f"stored {command} {positions[0]} {positions[-1]}")
            except CommandRepeatedError as repeated:
                done = repeated.appended
                self.diary.note(
                    f"stored {command} {done.first_position} {done.last_position}"
                )
            except VersionConflictError:
                self.diary.note(f"refused {command}")
            except PersistenceError:
                self.diary.note(f"unknown {command}")
                if self.chance.random() < 0.5:
                    return
                time.sleep(AWAY_S)
                continue
            self._keep([act])
            return

    def _batch(self, acts: list[ActToAppend]) -> None:
        self.diary.note(*(f"sent {_id(act)}" for act in acts))
        for act, done in zip(acts, self.recorder.append(acts), strict=True):
            if done.outcome in {Outcome.APPENDED, Outcome.REPEATED}:
                self.diary.note(
                    f"stored {_id(act)} {done.first_position} {done.last_position}"
                )
            else:
                self.diary.note(f"refused {_id(act)}")
        self._keep(acts)

    def _keep(self, acts: list[ActToAppend]) -> None:
        self.again = [*self.again, *acts][-MOST_SENT_AGAIN:]


def _id(act: ActToAppend) -> UUID:
    assert act.command is not None
    return act.command.id


def tail(dsn: dict[str, Any], folder: str, name: str, way: str) -> None:
    """The body of a reading process: goes on after the last that its diary has.

    ``way`` is ``follow``, our reader's, or ``subscribe``, the library's.
    """
    store = PostgresDatastore(dsn, schema=LEDGER_SCHEMA, pool_size=1)
    path = Path(folder) / name
    after = last_seen(path)
    diary = Diary(path)
    if way == "follow":
        never = threading.Event()
        for batch in LedgerReader(store).follow(after=after, stop=never, batch_size=50):
            diary.note(_saw(entry.position for entry in batch))
    else:
        with PostgresProcessRecorder(store).subscribe(gt=after) as subscription:
            for notification in subscription:
                diary.note(_saw([notification.id]))


def _saw(positions: Iterable[int]) -> str:
    return "saw " + " ".join(map(str, positions))
