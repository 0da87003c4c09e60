"""How far each view has come, and waiting for one to come far enough."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from ledger.persistence.datastore import PostgresDatastore

_LEVELS = """
SELECT view, version, ledger_id::text, incarnation, position, error,
    failed_position, failed_code
FROM progress ORDER BY view
"""
_LOWEST = "SELECT min(position) FROM progress WHERE view = ANY(%s)"
LOOK_EVERY_S = 0.01
"""How often a waiting read looks again: a fold of one event takes about as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Where a view stands. ``error`` says why it stopped, without any value.

    ``failed_position`` is the entry that it could not fold, ``failed_code`` what the
    failure is called.
    """

    view: str
    version: int
    ledger_id: UUID | None
    incarnation: int | None
    position: int
    error: str | None
    failed_position: int | None
    failed_code: str | None


class ProgressQueries:
    """What can be asked of the views' progress."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def levels(self) -> tuple[Level, ...]:
        """Every view's level, by name."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(_LEVELS)
            return tuple(
                Level(
                    view=view,
                    version=version,
                    ledger_id=None if ledger_id is None else UUID(ledger_id),
                    incarnation=incarnation,
                    position=position,
                    error=error,
                    failed_position=failed_position,
                    failed_code=failed_code,
                )
                for (
                    view,
                    version,
                    ledger_id,
                    incarnation,
                    position,
                    error,
                    failed_position,
                    failed_code,
                ) in cursor.fetchall()
            )

    def wait_for(
        self, views: Iterable[str], position: int, *, timeout_s: float
    ) -> bool:
        """Whether the views reach a position in time."""
        wanted = list(views)
        deadline = time.monotonic() + timeout_s
        while True:
            with self._datastore.autocommit() as cursor:
                cursor.execute(_LOWEST, (wanted,))
                row = cursor.fetchone()
            if row is not None and row[0] is not None and row[0] >= position:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK_EVERY_S)
