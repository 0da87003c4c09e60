"""What moved between two positions: the rows of the view, read again as they stand."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from domain.access import Scope
from domain.stages import Stage
from ledger.persistence.datastore import PostgresDatastore

_BETWEEN = """
SELECT position, governorate, centre, agency, service, stage_left, stage_entered
FROM governorate_moves WHERE position > %s AND position <= %s ORDER BY position
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One request at one place: the stage it left there and the one it entered."""

    governorate: str
    centre: str
    agency: str
    service: str
    left: Stage | None
    entered: Stage | None

    def is_for(self, scope: Scope) -> bool:
        """Whether it counts for this asker, as in the counts themselves."""
        return (
            scope.parties is None
            and scope.governorate in {None, self.governorate}
            and scope.centre in {None, self.centre}
            and scope.agency in {None, self.agency}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What one entry moved: at two places where a request changed its agency."""

    position: int
    moves: tuple[Move, ...]


class GovernorateMovesQueries:
    """What can be asked of the moves."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def between(self, *, after: int, until: int) -> list[Moves]:
        """What moved above ``after`` up to ``until``, in order."""
        with self._datastore.autocommit() as cursor:
            cursor.execute(_BETWEEN, (after, until))
            rows = cursor.fetchall()
        return [
            Moves(
                position=position,
                moves=tuple(
                    Move(
                        governorate=row[1],
                        centre=row[2],
                        agency=row[3],
                        service=row[4],
                        left=None if row[5] is None else Stage(row[5]),
                        entered=None if row[6] is None else Stage(row[6]),
                    )
                    for row in of_one
                ),
            )
            for position, of_one in groupby(rows, key=itemgetter(0))
        ]
