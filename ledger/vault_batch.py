"""The vault for many requests at once: their parties are opened in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import psycopg2
import psycopg2.extensions

from ledger.persistence.datastore import PostgresDatastore, translated
from ledger.sealing import VaultKeys
from ledger.vault import Vault


class VaultBatch(Vault):
    """A vault whose new parties wait for ``commit``. One thread's own.

    ``commit`` MUST come before the events that name the parties are appended.
    """

    def __init__(self, datastore: PostgresDatastore, keys: VaultKeys) -> None:
        super().__init__(datastore, keys)
        self._open = ExitStack()
        self._cursor: psycopg2.extensions.cursor | None = None

    def commit(self) -> None:
        """Make the parties durable that were opened since the last time."""
        self._cursor = None
        self._open.close()

    def abandon(self) -> None:
        """Forget them: who opened them failed."""
        self._cursor = None
        opened, self._open = self._open.pop_all(), ExitStack()
        opened.__exit__(_Abandoned, _Abandoned(), None)

    def _writing(self) -> AbstractContextManager[psycopg2.extensions.cursor]:
        if self._cursor is None:
            self._open.enter_context(_unless_abandoned())
            self._cursor = self._open.enter_context(self.datastore.transaction())
        return _lent(self._cursor)


class _Abandoned(Exception):  # noqa: N818 -- no error: how a transaction is told
    """Ends the transaction without its commit."""


@contextmanager
def _unless_abandoned() -> Iterator[None]:
    try:
        yield
    except _Abandoned:
        return


@contextmanager
def _lent(
    cursor: psycopg2.extensions.cursor,
) -> Iterator[psycopg2.extensions.cursor]:
    # The transaction translates what goes wrong at its own end only.
    try:
        yield cursor
    except psycopg2.Error as error:
        raise translated(error) from error
