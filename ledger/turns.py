"""Turns: what one process of an installation does at a time, while others stand by."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import Self

import psycopg2
import psycopg2.extensions

from ledger.names import Lock
from ledger.persistence.datastore import PostgresDatastore


class Turn:
    """A turn that one process has, until it gives it back or ends.

    The lock goes with its connection, so a killed holder holds up nobody.
    """

    def __init__(self, datastore: PostgresDatastore, lock: Lock) -> None:
        self._datastore = datastore
        self._lock = lock
        self._connection: psycopg2.extensions.connection | None = None
        self._is_held = False

    def take(self) -> bool:
        """Whether the turn is ours, asked for if it was not."""
        if self.is_ours():
            return True
        if self._connection is None:
            self._connection = self._datastore.own_connection()
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_lock(%s)", (self._lock.value,))
                row = cursor.fetchone()
        except psycopg2.Error:
            self.close()
            return False
        self._is_held = row is not None and bool(row[0])
        return self._is_held

    def is_ours(self) -> bool:
        """Whether we have it still: a lost connection has lost it."""
        if self._connection is None or not self._is_held:
            return False
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except psycopg2.Error:
            self.close()
        return self._is_held

    def close(self) -> None:
        """Give it back."""
        if self._connection is not None:
            # Said, not left to the closing, which the server notices in its own time.
            with suppress(psycopg2.Error), self._connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock_all()")
            self._connection.close()
        self._connection, self._is_held = None, False

    def __enter__(self) -> Self:
        """The turn itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give it back."""
        self.close()
