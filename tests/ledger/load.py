"""Work on a store while it is in trouble, and the judge of what came of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Self
from uuid import uuid4

from eventsourcing.persistence import (
    PersistenceError,
    StoredEvent,
)

from ledger.names import Role
from ledger.persistence.append import (
    Command,
    CommandRepeatedError,
)
from ledger.persistence.committer import CommitterLimits
from ledger.persistence.datastore import is_away
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from tests.conftest import Database
from tests.ledger.order import observe, violations

LONG_S = 60.0
"""A bound no healthy machine comes near."""
WRITERS = 6


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def stored(
    recorder: PostgresProcessRecorder, events: Sequence[StoredEvent], command: Command
) -> tuple[int, int]:
    """The first and last position of an act, which may have been stored before."""
    try:
        positions = recorder.insert_events(events, command=command)
    except CommandRepeatedError as repeated:
        done = repeated.appended
        assert done.first_position is not None
        assert done.last_position is not None
        return done.first_position, done.last_position
    assert positions is not None
    return positions[0], positions[-1]


class Load:
    """Writers of one recorder, each act sent until it is known, and two followers.

    ``patience_s`` is how long the store tries what failed and may be tried again.
    """

    def __init__(self, database: Database, *, patience_s: float = LONG_S) -> None:
        store = database.datastore(
            Role.APP, pool_size=WRITERS, connect_wait_s=patience_s
        )
        limits = CommitterLimits(retry_s=patience_s, wait_s=2 * LONG_S)
        self._recorder = PostgresProcessRecorder(store, limits=limits)
        self._reader = LedgerReader(database.datastore(Role.READER))
        self._superuser = database.superuser_dsn()
        self._over = threading.Event()
        self.acknowledged: list[tuple[str, int, int]] = []
        self.followed: list[int] = []
        self.subscribed: list[int] = []
        self.failures: list[PersistenceError] = []
        self._subscription = self._recorder.subscribe(gt=0)
        self._writers = [threading.Thread(target=self._write) for _ in range(WRITERS)]
        self._followers = [
            threading.Thread(target=self._follow),
            threading.Thread(target=self._subscribe),
        ]

    def __enter__(self) -> Self:
        self._subscription.__enter__()
        for thread in (*self._followers, *self._writers):
            thread.start()
        self.wait_for_more()
        return self

    def __exit__(self, *args: object) -> None:
        self._over.set()
        self._subscription.stop()
        for thread in (*self._writers, *self._followers):
            thread.join()
        self._subscription.__exit__()

    def _write(self) -> None:
        while not self._over.is_set():
            command = Command(id=uuid4(), actor="writer", digest=b"d")
            body = f"{command.id}/1".encode()
            event = StoredEvent(uuid4(), 1, "t", body)
            while not self._over.is_set():
                try:
                    told = stored(self._recorder, [event], command)
                except PersistenceError as error:
                    self.failures.append(error)
                    self._over.wait(0.02)
                    continue
                self.acknowledged.append((str(command.id), *told))
                break

    def _follow(self) -> None:
        for batch in self._reader.follow(after=0, stop=self._over):
            self.followed.extend(entry.position for entry in batch)

    def _subscribe(self) -> None:
        self.subscribed.extend(each.id for each in self._subscription)

    def wait_for_more(self, number: int = 20) -> None:
        """Until so many more acts are acknowledged, and followed."""
        before = len(self.acknowledged)
        wait_until(lambda: len(self.acknowledged) >= before + number)
        level = len(self.acknowledged)
        wait_until(lambda: min(len(self.followed), len(self.subscribed)) >= level)

    def must_be_sound(self) -> None:
        """Stop writing, let the followers come to the head, and judge."""
        for thread in self._writers:
            self._over.set()
            thread.join()
        seen = observe(
            self._superuser, self.acknowledged, [self.followed, self.subscribed]
        )
        assert violations(seen) == []
        assert all(is_away(failure) for failure in self.failures)
