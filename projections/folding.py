"""Folding one view in one schema: a batch, its progress, and what stops it.

The schema is that of the connections: the views' own when they follow the ledger, one
beside it when a view is made anew. Rows and progress are one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from threading import Lock
from time import perf_counter
from typing import Protocol
from uuid import UUID

import psycopg2.extensions

from domain.errors import SijilError
from domain.views import FollowedView
from ledger.bodies import read_body
from ledger.persistence.datastore import is_away
from ledger.reader import Head, LedgerReader
from projections.facts import OURS, Fact
from projections.views import Plans, Remembers, View, Write

# A fold asks for rows by their keys alone. Tables that grew since the planner last
# looked would be read whole for some hundred of them, batch for batch.
# Rows of a view are made from events that are safe already: a server that falls
# takes the last of them and the progress that says so together. It gives the number of
# such a transaction to another afterwards, so a number alone names none: with the time
# of the clock it does.
_ADVANCE = """
SET LOCAL synchronous_commit = off;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
UPDATE progress p SET
    ledger_id = %(ledger_id)s::uuid, incarnation = %(incarnation)s,
    position = %(last)s, error = NULL, failed_position = NULL, failed_code = NULL,
    updated_at = clock_timestamp()
FROM (SELECT *, xmin FROM progress WHERE view = %(view)s FOR UPDATE) old
WHERE p.view = old.view
RETURNING old.ledger_id::text, old.incarnation, old.position, old.version,
    concat_ws(' ', old.xmin, old.updated_at),
    concat_ws(' ', pg_current_xact_id()::xid, p.updated_at)
"""


class FollowerForkError(RuntimeError):
    """The ledger is not the one this view has followed; it must be made anew."""

    code = "follower-fork"


class ViewVersionError(RuntimeError):
    """The view's tables are of another version; ``sijil migrate`` makes them anew."""

    code = "view-version"


class Transactions(Protocol):
    """Where a view's rows are: it gives transactions in their schema."""

    def transaction(self) -> AbstractContextManager[psycopg2.extensions.cursor]:
        """A cursor in a transaction: committed at the end, undone by an error."""


class CannotFoldError(RuntimeError):
    """A view cannot go on. ``code`` names the failure and holds no value.

    ``position`` is the entry that it cannot fold; None where no entry is to blame.
    """

    def __init__(self, code: str, position: int | None) -> None:
        super().__init__(code)
        self.code = code
        self.position = position


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The facts above ``after`` up to ``last``: all of Sijil's own there are."""

    after: int
    last: int
    facts: Sequence[Fact]

    def topics_read(self, known: Collection[str]) -> set[str]:
        """The topics, but for those known, of which a view has looked into bodies."""
        return {
            fact.topic
            for fact in self.facts
            if fact.topic not in known and fact.is_read
        }

    def read_bodies(self, topics: Collection[str]) -> None:
        """Parse the bodies of some topics before a view asks for them."""
        for fact in self.facts:
            if fact.topic in topics:
                with suppress(ValueError):
                    # One that is no JSON is for the view to stumble over that wants it.
                    fact.read()


def read_batch(
    reader: LedgerReader, *, after: int, until: int, size: int
) -> Batch | None:
    """The next batch, read once for all views; None when there is none."""
    rows = reader.rows(after=after, limit=size, until=until)
    if not rows:
        return None
    # Whose topic is not Sijil's own is of the library's contract, not of the office.
    facts = [Fact(row) for row in rows if row[4].startswith(OURS)]
    return Batch(after=after, last=rows[-1][0], facts=facts)


def skipped_positions(reader: LedgerReader, view: View) -> frozenset[int]:
    """The positions that this version of a view passes over, because events say so."""
    entries = reader.aggregate(FollowedView.id_of(view.name))
    said = (read_body(entry.body)["data"] for entry in entries)
    return frozenset(
        data["position"] for data in said if data["view_version"] == view.version
    )


HasFollowed = Callable[[UUID, int, int], bool]
"""Whether who came so far (ledger, incarnation, position) saw what the ledger still is.
"""


def _has_not(_ledger_id: UUID, _incarnation: int, _position: int) -> bool:
    """Nobody followed another incarnation who is made anew in the midst of one."""
    return False


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written of a batch, and the state of the folder it rests on."""

    write: Write
    course: int


class Folder:
    """One view on its way through the ledger. ``spent_s`` is what it took so far.

    ``has_followed`` is asked where the ledger has become another incarnation.

    A batch may be planned while the one before is written, by one thread at a time. The
    memory is then ahead of the rows: whatever keeps the one before from being written
    as it was planned changes the ``course``, and no plan made on another one is used.
    """

    def __init__(
        self,
        view: View,
        datastore: Transactions,
        skipped: frozenset[int],
        has_followed: HasFollowed = _has_not,
    ) -> None:
        self.view = view
        self._has_followed = has_followed
        self.spent_s = 0.0
        self._remembering = view.remembering() if isinstance(view, Remembers) else None
        # The transaction that wrote the progress which the memory stands at.
        self._wrote: str | None = None
        self._datastore = datastore
        self._skipped = skipped
        self._mutex = Lock()
        self._course = 0
        self._is_astray = False

    def plan(self, batch: Batch) -> Plan | None:
        """The rows of a batch whose predecessor is planned or folded.

        None where they cannot be told before that is written.
        """
        view = self._remembering or self.view
        if not isinstance(view, Plans):
            return None
        started = perf_counter()
        with self._mutex:
            if self._is_astray:
                return None
            try:
                write = view.plan(self._to_fold(batch.facts))
            except Exception:  # noqa: BLE001 -- the fold itself says what is wrong
                # Some of it is remembered already, as if it were written.
                self._leave_course()
                self._is_astray = False
                return None
            finally:
                self.spent_s += perf_counter() - started
            return None if write is None else Plan(write, self._course)

    def fold(self, batch: Batch, head: Head, plan: Plan | None = None) -> int:
        """Take a batch in, as planned if it can be; the position that was reached.

        Raises CannotFoldError after everything before the entry to blame is folded,
        and the database's own error when that is away.
        """
        started = perf_counter()
        try:
            return self._take(batch, head, plan)
        except (FollowerForkError, ViewVersionError) as error:
            raise CannotFoldError(error.code, None) from error
        except Exception as error:
            if is_away(error):
                raise
            self._go_astray()
            return self._up_to_the_fault(batch, head)
        finally:
            self._is_astray = False
            self.spent_s += perf_counter() - started

    def _go_astray(self) -> None:
        """Have nothing planned until this batch is folded."""
        with self._mutex:
            self._leave_course()

    def _leave_course(self) -> None:
        self._course += 1
        self._is_astray = True
        if self._remembering is not None:
            self._remembering.forget()

    def _take(self, batch: Batch, head: Head, plan: Plan | None = None) -> int:
        """Fold a batch with its progress in one transaction; the position reached."""
        wrote, self._wrote = self._wrote, None
        with self._datastore.transaction() as cursor:
            cursor.execute(
                _ADVANCE,
                {
                    "view": self.view.name,
                    "ledger_id": str(head.ledger_id),
                    "incarnation": head.incarnation,
                    "last": batch.last,
                },
            )
            row = cursor.fetchone()
            if row is None or row[3] != self.view.version:
                raise ViewVersionError
            position = int(row[2])
            # What was above the head when both were asked is of a longer ledger. What
            # has come above it since was brought there by somebody with a newer head.
            is_above = position > head.position and batch.after > head.position
            self._must_be_the_same(head, row[0], row[1], position, is_above=is_above)
            if not batch.after <= position < batch.last:
                # Another runner was here, or the view was made anew meanwhile.
                cursor.connection.rollback()
                return position
            # Nobody but this folder has written since it did, or nothing is known.
            is_known = wrote == row[4]
            if plan is not None:
                is_known &= plan.course == self._course and position == batch.after
            if not is_known:
                self._go_astray()
            write = None if plan is None or not is_known else plan.write
            self._fold_new(cursor, batch.facts, position, write)
        # What was remembered holds from the commit on, and from no other moment.
        self._wrote = row[5]
        return batch.last

    def _must_be_the_same(
        self,
        head: Head,
        ledger_id: str | None,
        incarnation: int | None,
        position: int,
        *,
        is_above: bool,
    ) -> None:
        """A view follows one ledger; an earlier head is a fork.

        So is another incarnation, but for a view that saw no more than came back.
        """
        if ledger_id is None or incarnation is None:
            return
        if ledger_id != str(head.ledger_id) or is_above:
            raise FollowerForkError
        if incarnation != head.incarnation and not self._has_followed(
            head.ledger_id, incarnation, position
        ):
            raise FollowerForkError

    def _fold_new(
        self,
        cursor: psycopg2.extensions.cursor,
        facts: Sequence[Fact],
        position: int,
        write: Write | None,
    ) -> None:
        if write is not None:
            write(cursor)
            return
        if facts and facts[0].position <= position:
            facts = [fact for fact in facts if fact.position > position]
        if facts := self._to_fold(facts):
            (self._remembering or self.view).fold(cursor, facts)

    def _to_fold(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        if not self._skipped:
            return facts
        return [fact for fact in facts if fact.position not in self._skipped]

    def _up_to_the_fault(self, batch: Batch, head: Head) -> int:
        """Fold all before the first fact that cannot be folded, found by halves."""
        facts, low, high, after = batch.facts, 0, len(batch.facts), batch.after
        while low < high:
            middle = max(low + 1, (low + high) // 2)
            last = facts[middle - 1].position
            part = Batch(after=after, last=last, facts=facts[low:middle])
            try:
                after = self._take(part, head)
            except Exception as error:
                if is_away(error):
                    raise
                if middle - low == 1:
                    raise CannotFoldError(code_of(error), last) from error
                high = middle
            else:
                low = middle
        # It failed as a whole and not in its parts: the rest comes with the next batch.
        return after


def code_of(error: BaseException) -> str:
    """What a failure is called; its words may hold a value, its name cannot."""
    if isinstance(error, SijilError):
        return error.code
    cause = error.__cause__
    named = cause if getattr(cause, "pgcode", None) else error
    return type(named).__name__
