"""A committer's own connection: it sends batches and says how sure a failure is."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import psycopg2
import psycopg2.extensions
from eventsourcing.persistence import OperationalError, PersistenceError

from ledger.persistence.append import (
    Appended,
    ClockSkewError,
    LedgerSuspendedError,
)
from ledger.persistence.columns import (
    ANSWER,
    IN_ORDER,
    TYPES,
    Columns,
    answers,
    arguments,
)
from ledger.persistence.datastore import (
    PostgresDatastore,
    is_alive,
    is_away,
    is_refused,
    translated,
)

_PREPARE = (
    f"PREPARE sijil_append ({TYPES}) AS {ANSWER}"
    "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    f" {IN_ORDER}"
)
_EXECUTE = "EXECUTE sijil_append"


class Failure(Enum):
    """What is known after a batch got no outcomes."""

    NOTHING_STORED_NOW = "the server is away or busy: nothing was stored, try again"
    NOTHING_STORED = "nothing was stored, and the same batch will never be"
    NOBODY_APPENDS = "nothing was stored, and no other batch would be"
    UNKNOWN = "sent, and the connection was lost before the answer"


class BatchError(Exception):
    """A batch got no outcomes; ``cause`` is the library's error."""

    def __init__(self, failure: Failure, cause: PersistenceError) -> None:
        super().__init__(failure.value)
        self.failure = failure
        self.cause = cause


class Lane:
    """One batch at a time on one connection, opened when it is needed and kept.

    MUST be used by one thread at a time.
    """

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore
        self._connection: psycopg2.extensions.connection | None = None

    def send(self, written: Sequence[Columns]) -> list[Appended]:
        """One outcome an act, durable. Raises BatchError, and nothing else."""
        try:
            connection = self._live()
        except PersistenceError as error:
            raise BatchError(_before_sending(error), error) from error
        try:
            with connection.cursor() as cursor:
                cursor.execute(_EXECUTE + arguments(written))
                return answers(cursor.fetchall())
        except psycopg2.Error as error:
            is_lost = connection.closed != 0
            cause = (
                OperationalError("the connection was lost")
                if is_lost
                else translated(error)
            )
            cause.__cause__ = error
            failure = _after_sending(cause, is_lost=is_lost)
            if failure in {Failure.UNKNOWN, Failure.NOTHING_STORED_NOW}:
                # A server that has become a standby keeps our connection: another may
                # lead to the one that took its place.
                self.close()
            raise BatchError(failure, cause) from error

    def _live(self) -> psycopg2.extensions.connection:
        kept = self._connection
        if kept is not None and kept.closed == 0 and is_alive(kept):
            return kept
        self.close()
        opened = self._datastore.own_connection()
        try:
            with opened.cursor() as cursor:
                cursor.execute(_PREPARE)
        except psycopg2.Error as error:
            opened.close()
            raise translated(error) from error
        self._connection = opened
        return opened

    def close(self) -> None:
        """Close the connection; the next batch opens another."""
        kept, self._connection = self._connection, None
        if kept is not None:
            kept.close()


def _before_sending(error: PersistenceError) -> Failure:
    if is_away(error) and not is_refused(error):
        return Failure.NOTHING_STORED_NOW
    return Failure.NOBODY_APPENDS


def _after_sending(error: PersistenceError, *, is_lost: bool) -> Failure:
    """A server that answers with an error on a living connection has undone the batch.

    On a lost one the error may be about the farewell: the commit may have come first.
    """
    if is_lost:
        return Failure.UNKNOWN
    if isinstance(error, (ClockSkewError, LedgerSuspendedError)):
        return Failure.NOBODY_APPENDS
    if isinstance(error, OperationalError) and is_away(error):
        return Failure.NOTHING_STORED_NOW
    return Failure.NOTHING_STORED
