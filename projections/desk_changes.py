"""What one entry did to a supervisor's desk: to its work, or as an act noted there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ledger.persistence.datastore import PostgresDatastore
from projections.queue_changes import QueueChange, QueueChangesQueries
from projections.supervisor_desk import (
    APPROVAL_SHOWN,
    ATTEMPT_SHOWN,
    Approval,
    RefusedAttempt,
    approval_of,
    attempt_of,
)

_APPROVED = f"""
SELECT {APPROVAL_SHOWN} FROM approvals
WHERE position > %(after)s AND position <= %(until)s
"""
_REFUSED = f"""
SELECT {ATTEMPT_SHOWN} FROM refused_attempts
WHERE position > %(after)s AND position <= %(until)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskChange:
    """What one entry did: at least one of the three.

    An act that a supervisor allowed is both an approval and a change of the work.
    """

    position: int
    work: QueueChange | None = None
    approval: Approval | None = None
    attempt: RefusedAttempt | None = None


class DeskChangesQueries:
    """What can be asked of the changes of desks."""

    def __init__(
        self, datastore: PostgresDatastore, queue: QueueChangesQueries
    ) -> None:
        self._datastore = datastore
        self._queue = queue

    def between(
        self, requests: Iterable[UUID], *, after: int, until: int
    ) -> list[DeskChange]:
        """The changes above ``after`` up to ``until``, one an entry, in order.

        ``requests`` as for the changes of the queue.
        """
        work = self._queue.between(requests, after=after, until=until)
        found: dict[int, dict[str, Any]] = {
            change.position: {"work": change} for change in work
        }
        span = {"after": after, "until": until}
        with self._datastore.autocommit() as cursor:
            cursor.execute(_APPROVED, span)
            for approval in map(approval_of, cursor.fetchall()):
                found.setdefault(approval.position, {})["approval"] = approval
            cursor.execute(_REFUSED, span)
            for attempt in map(attempt_of, cursor.fetchall()):
                found.setdefault(attempt.position, {})["attempt"] = attempt
        return [
            DeskChange(position=position, **told)
            for position, told in sorted(found.items())
        ]
