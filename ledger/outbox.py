"""The outbox: which messages to citizens are on their way, and how far each is.

It stands beside the vault, not in the ledger: a row is work to do and is swept. It
holds no address and no text. States: ``waiting``, ``sending`` (an attempt is under way,
or was when its process ended), ``sent`` (gone, not recorded yet), ``told`` (recorded),
``overtaken``, ``unreachable``, ``given_up``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from ledger.names import Lock
from ledger.persistence.datastore import PostgresDatastore
from ledger.turns import Turn


class OutboxState(StrEnum):
    """How far a message is."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    TOLD = "told"
    OVERTAKEN = "overtaken"
    UNREACHABLE = "unreachable"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxItem:
    """One message on its way. ``id`` is the command that will record it."""

    id: UUID
    request_id: UUID
    cause_version: int
    cause_position: int
    cause_at: datetime
    message: str
    state: OutboxState = OutboxState.WAITING
    attempts: int = 0
    means: str | None = None
    failure: str | None = None

    @property
    def cause(self) -> str:
        """``<request>/<version>``, as causation ids name an event."""
        return f"{self.request_id}/{self.cause_version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxCount:
    """How many messages of one kind are in one state for one reason."""

    state: str
    message: str
    failure: str | None
    count: int
    since: datetime


_COLUMNS = """
id::text, request_id::text, cause_version, cause_position, cause_at, message, state,
attempts, means, failure
"""
# The cause was taken again, so the ledger is an earlier one than we knew: what was told
# is not told again, but is recorded again if that went missing.
_ADD = """
INSERT INTO outbox
    (id, request_id, cause_version, cause_position, cause_at, message)
VALUES (%s::uuid, %s::uuid, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET state = 'sent', next_try_at = clock_timestamp()
WHERE outbox.state = 'told'
"""
_DUE = f"""
SELECT {_COLUMNS} FROM outbox
WHERE state IN ('waiting', 'sent') AND next_try_at <= clock_timestamp()
ORDER BY next_try_at, cause_position LIMIT %s
"""
_START = """
UPDATE outbox SET state = 'sending', attempts = attempts + 1, failure = NULL,
    changed_at = clock_timestamp()
WHERE id = %s::uuid AND state = 'waiting' AND attempts = %s
"""
_SENT = """
UPDATE outbox SET state = 'sent', means = %s, next_try_at = clock_timestamp(),
    changed_at = clock_timestamp()
WHERE id = %s::uuid
"""
_END = """
UPDATE outbox SET state = %s, failure = %s, changed_at = clock_timestamp()
WHERE id = %s::uuid
"""
_LATER = """
UPDATE outbox SET state = CASE state WHEN 'sending' THEN 'waiting' ELSE state END,
    next_try_at = clock_timestamp() + %s, failure = coalesce(%s, failure),
    changed_at = clock_timestamp()
WHERE id = %s::uuid
"""
_RECOVER = """
UPDATE outbox SET state = CASE WHEN attempts < %s THEN 'waiting' ELSE 'given_up' END,
    failure = 'interrupted', changed_at = clock_timestamp()
WHERE state = 'sending'
"""
_RETRY = """
UPDATE outbox SET state = 'waiting', attempts = 0, next_try_at = clock_timestamp(),
    failure = NULL, changed_at = clock_timestamp()
WHERE id = %s::uuid AND state IN ('given_up', 'unreachable')
"""
_TALLY = """
SELECT state, message, failure, count(*), min(changed_at) FROM outbox
GROUP BY state, message, failure ORDER BY state, message, failure
"""
_STUCK = f"""
SELECT {_COLUMNS} FROM outbox WHERE state IN ('given_up', 'unreachable')
ORDER BY changed_at, id LIMIT %s
"""
_SWEEP = """
DELETE FROM outbox WHERE changed_at < clock_timestamp() - %s
    AND state IN ('told', 'overtaken', 'unreachable', 'given_up')
"""


class Outbox:
    """The messages on their way, in the vault's database."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def turn(self) -> Turn:
        """The turn to send, not taken yet."""
        return Turn(self._datastore, Lock.TELLING)

    # Coming in and going out ----------------------------------------------------

    def add(self, items: Sequence[OutboxItem]) -> None:
        """Take messages in. One that is known already is not sent again."""
        if not items:
            return
        with self._datastore.transaction() as cursor:
            for item in items:
                cursor.execute(
                    _ADD,
                    (
                        str(item.id),
                        str(item.request_id),
                        item.cause_version,
                        item.cause_position,
                        item.cause_at,
                        item.message,
                    ),
                )

    def due(self, *, limit: int) -> list[OutboxItem]:
        """What is to be sent or recorded now, the longest waiting first."""
        return self._items(_DUE, limit)

    def start(self, item: OutboxItem) -> bool:
        """Count an attempt before it is made; False when somebody else began one."""
        return self._changed(_START, str(item.id), item.attempts)

    def sent(self, item_id: UUID, *, means: str) -> None:
        """It has gone: from here on it is only recorded, never sent again."""
        self._changed(_SENT, means, str(item_id))

    def end(
        self, item_id: UUID, state: OutboxState, *, failure: str | None = None
    ) -> None:
        """Nothing is left to do for it."""
        self._changed(_END, state, failure, str(item_id))

    def later(
        self, item_id: UUID, *, pause: timedelta, failure: str | None = None
    ) -> None:
        """Try again after a pause."""
        self._changed(_LATER, pause, failure, str(item_id))

    def recover(self, *, most_attempts: int) -> int:
        """Let what was under way when its process ended be tried again; how many."""
        with self._datastore.transaction() as cursor:
            cursor.execute(_RECOVER, (most_attempts,))
            return cursor.rowcount

    def sweep(self, *, older_than: timedelta) -> int:
        """Remove what ended long ago; how many."""
        with self._datastore.transaction() as cursor:
            cursor.execute(_SWEEP, (older_than,))
            return cursor.rowcount

    # For its operator -----------------------------------------------------------

    def retry(self, item_id: UUID) -> bool:
        """Let one that was given up, or had no address, be tried from the beginning."""
        return self._changed(_RETRY, str(item_id))

    def tally(self) -> list[OutboxCount]:
        """How many stand where."""
        with self._datastore.transaction(commit=False) as cursor:
            cursor.execute(_TALLY)
            return [
                OutboxCount(
                    state=row[0],
                    message=row[1],
                    failure=row[2],
                    count=row[3],
                    since=row[4],
                )
                for row in cursor.fetchall()
            ]

    def stuck(self, *, limit: int) -> list[OutboxItem]:
        """What was given up or could reach nobody, the oldest first."""
        return self._items(_STUCK, limit)

    def _items(self, statement: str, limit: int) -> list[OutboxItem]:
        with self._datastore.transaction(commit=False) as cursor:
            cursor.execute(statement, (limit,))
            return [_item(row) for row in cursor.fetchall()]

    def _changed(self, statement: str, *values: Any) -> bool:
        with self._datastore.transaction() as cursor:
            cursor.execute(statement, values)
            return bool(cursor.rowcount)


def _item(row: Sequence[Any]) -> OutboxItem:
    return OutboxItem(
        id=UUID(row[0]),
        request_id=UUID(row[1]),
        cause_version=row[2],
        cause_position=row[3],
        cause_at=row[4],
        message=row[5],
        state=OutboxState(row[6]),
        attempts=row[7],
        means=row[8],
        failure=row[9],
    )
