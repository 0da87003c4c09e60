"""Acts sent by threads of their own, and who has the head meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg2
from eventsourcing.persistence import (
    StoredEvent,
)

from ledger.names import Role
from ledger.persistence.append import (
    ActToAppend,
    Appended,
    Command,
    Outcome,
)
from ledger.persistence.committer import CommitterLimits
from ledger.persistence.recorders import PostgresProcessRecorder
from tests.conftest import Database
from tests.ledger.test_lost_answers import held_head, wait_until, waiting

LONG_S = 30.0


def recorder_of(
    database: Database, limits: CommitterLimits | None = None, **more: Any
) -> PostgresProcessRecorder:
    return PostgresProcessRecorder(database.datastore(Role.APP, **more), limits=limits)


def command(**changes: Any) -> Command:
    facts: dict[str, Any] = {"id": uuid4(), "actor": "clerk:1", "digest": b"\x01" * 32}
    return Command(**{**facts, **changes})


def act(aggregate: UUID | None = None, version: int = 1, **changes: Any) -> ActToAppend:
    facts = {"topic": "sijil.test.happened.v1", "state": b"{}"}
    facts |= {key: changes.pop(key) for key in list(changes) if key in facts}
    event = StoredEvent(aggregate or uuid4(), version, **facts)
    return ActToAppend(
        events=[event], command=changes.pop("command", command()), **changes
    )


class Caller(threading.Thread):
    """One act sent by a thread of its own, and what came of it."""

    def __init__(self, recorder: PostgresProcessRecorder, each: ActToAppend) -> None:
        super().__init__(daemon=True)
        self.act = each
        self.appended: Appended | None = None
        self.error: BaseException | None = None
        self._recorder = recorder

    def run(self) -> None:
        try:
            self.appended = self._recorder.commit(self.act)
        except BaseException as error:  # noqa: BLE001 -- told to the test
            self.error = error

    def end(self) -> Caller:
        self.join(LONG_S)
        assert not self.is_alive()
        return self

    @property
    def is_appended(self) -> bool:
        return self.appended is not None and (self.appended.outcome is Outcome.APPENDED)


def started(recorder: PostgresProcessRecorder, *acts: ActToAppend) -> list[Caller]:
    callers = [Caller(recorder, each) for each in acts]
    for caller in callers:
        caller.start()
    return callers


@contextmanager
def one_at_the_head(
    database: Database, recorder: PostgresProcessRecorder
) -> Iterator[Caller]:
    """A caller whose batch waits for the head; who comes now has to queue.

    The head is let go at the end.
    """
    with held_head(database) as other:
        (first,) = started(recorder, act())
        wait_until(lambda: len(waiting(database)) == 1)
        yield first
        other.rollback()


def queued(recorder: PostgresProcessRecorder) -> int:
    return len(recorder._committer._queue)


def together(
    database: Database, recorder: PostgresProcessRecorder, *acts: ActToAppend
) -> list[Caller]:
    """Callers whose acts are sent as one batch, in any order."""
    with one_at_the_head(database, recorder):
        callers = started(recorder, *acts)
        wait_until(lambda: queued(recorder) == len(acts))
    return [caller.end() for caller in callers]


def as_superuser(database: Database, statement: str) -> None:
    connection = psycopg2.connect(**database.superuser_dsn())
    connection.autocommit = True
    connection.cursor().execute(statement)
    connection.close()
