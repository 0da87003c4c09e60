"""AgencyInbox: what was forwarded to an agency, and what it has answered.

Unanswered work stands by its first-answer limit, overdue first; what waits for
information from the citizen stands apart, because its clock stands still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg2.extensions

from domain.access import Scope
from domain.requests import Answer
from ledger.copying import NOTHING
from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.lasting import LEVEL, held, held_params
from projections.memory import Remembering
from projections.origins import SUBMITTED, Origin, Origins
from projections.pages import DEFAULT_PAGE, Page, decode_cursor, page_size, paged
from projections.scope import condition
from projections.sorting import Column, Order
from projections.succession import SucceedingRows

_REQUEST = "sijil.request."
_FORWARDED = f"{_REQUEST}forwarded.v1"
_RESPONDED = f"{_REQUEST}agency-responded.v1"
_ASKED = f"{_REQUEST}information-requested.v1"
_SUPPLIED = f"{_REQUEST}information-supplied.v1"
_CALLED_OFF = frozenset({f"{_REQUEST}withdrawn.v1", f"{_REQUEST}expired.v1"})
_LATER = frozenset({_RESPONDED, _ASKED, _SUPPLIED, *_CALLED_OFF})
_INFORMATION_NEEDED = Answer.INFORMATION_NEEDED.value
_OURS = _LATER | {_FORWARDED, SUBMITTED}
_ORIGINS = Origins("inbox_origins")
_VALUES = (
    "agency",
    "governorate",
    "centre",
    "service",
    "tracking_number",
    "agency_reference",
    "forwarded_at",
    "answer_due_at",
    "state",
    "since",
    "outcome",
    "reason",
)
_TABLE = SucceedingRows(
    name="agency_inbox",
    key={"request_id": "uuid"},
    columns=("request_id", *_VALUES, "valid_from"),
    times=frozenset({"forwarded_at", "answer_due_at", "since"}),
)
_DDL = f"""
{_ORIGINS.ddl}
CREATE TABLE agency_inbox (
    request_id uuid NOT NULL,
    agency text NOT NULL,
    governorate text NOT NULL,
    centre text NOT NULL,
    service text NOT NULL,
    tracking_number text NOT NULL,
    agency_reference text,
    forwarded_at timestamptz NOT NULL,
    answer_due_at timestamptz NOT NULL,
    state text NOT NULL,
    since timestamptz NOT NULL,
    outcome text,
    reason text,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (request_id, valid_from)
);
CREATE INDEX agency_inbox_open ON agency_inbox (
    agency, governorate, answer_due_at, request_id
) WHERE valid_to IS NULL AND state <> 'answered';
CREATE INDEX agency_inbox_answered ON agency_inbox (agency, since, request_id)
    WHERE valid_to IS NULL AND state = 'answered';
CREATE INDEX agency_inbox_answered_at ON agency_inbox (centre, since, request_id)
    WHERE valid_to IS NULL AND state = 'answered';
CREATE INDEX agency_inbox_answered_by_all ON agency_inbox (since, request_id)
    WHERE valid_to IS NULL AND state = 'answered';
-- What held long ago: see lasting.py. Whoever asks, it is found by these columns alone.
CREATE INDEX agency_inbox_ended ON agency_inbox (
    ({LEVEL}), valid_to, valid_from, state, agency, governorate, centre
) WHERE valid_to IS NOT NULL;
"""
ITEM = f"request_id::text, {', '.join(_VALUES)}, valid_from"
"""The columns that ``inbox_item`` reads."""
_SHOWN = f"request_id, {', '.join(_VALUES)}, valid_from"
_IS_SHOWN = """
state = %(state)s
    AND (%(agency)s::text IS NULL OR agency = %(agency)s)
    AND (%(governorate)s::text IS NULL OR governorate = %(governorate)s)
    AND (%(centre)s::text IS NULL OR centre = %(centre)s)
    AND (%(service)s::text IS NULL OR service = %(service)s)
    AND (%(overdue_at)s::timestamptz IS NULL
        OR state = 'unanswered' AND answer_due_at < %(overdue_at)s)
    AND (%(known_by)s::timestamptz IS NULL OR since <= %(known_by)s)
"""
_PAGE = f"SELECT {ITEM} FROM ({{rows}}) AS shown ORDER BY {{by}} LIMIT %(limit)s"
_COUNTED = "agency, governorate, state, answer_due_at, forwarded_at"
_IS_COUNTED = """
state IN ('unanswered', 'waiting')
    AND (%(agency)s::text IS NULL OR agency = %(agency)s)
    AND (%(governorate)s::text IS NULL OR governorate = %(governorate)s)
    AND (agency, governorate) > (%(after_agency)s, %(after_governorate)s)
"""
_TOTALS = """
SELECT
    agency, governorate,
    count(*) FILTER (WHERE state = 'unanswered'),
    count(*) FILTER (WHERE state = 'unanswered' AND answer_due_at < %(now)s),
    count(*) FILTER (WHERE state = 'waiting'),
    min(forwarded_at) FILTER (WHERE state = 'unanswered')
FROM ({rows}) AS counted
GROUP BY agency, governorate ORDER BY agency, governorate LIMIT %(limit)s
"""


class InboxState(StrEnum):
    """Who has to move: the agency, the citizen through the centre, or nobody."""

    UNANSWERED = "unanswered"
    WAITING = "waiting"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxItem:
    """One forwarded request. ``since`` is when its present state began.

    ``outcome`` is the last answer that holds; ``reason`` its code.
    """

    request_id: UUID
    agency: str
    governorate: str
    centre: str
    service: str
    tracking_number: str
    agency_reference: str | None
    forwarded_at: datetime
    answer_due_at: datetime
    state: InboxState
    since: datetime
    outcome: Answer | None
    reason: str | None
    is_overdue: bool
    position: int


@dataclass(frozen=True, slots=True)
class InboxTotals:
    """What one agency has to answer in one governorate."""

    agency: str
    governorate: str
    unanswered: int
    overdue: int
    waiting: int
    oldest_forwarded_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxFilter:
    """Which items a list has: those that every given part holds for.

    ``overdue_at`` keeps what was unanswered and due before it.
    """

    state: InboxState = InboxState.UNANSWERED
    agency: str | None = None
    governorate: str | None = None
    centre: str | None = None
    service: str | None = None
    overdue_at: datetime | None = None

    def includes(self, item: InboxItem) -> bool:
        """The same rule over an item in memory."""
        is_late = item.state is InboxState.UNANSWERED and (
            self.overdue_at is None or item.answer_due_at < self.overdue_at
        )
        return (
            item.state is self.state
            and all(
                getattr(self, name) in {None, getattr(item, name)} for name in _EQUAL
            )
            and (self.overdue_at is None or is_late)
        )


_EQUAL = ("agency", "governorate", "centre", "service")
_ALL = InboxFilter()


def _ordered(name: str, column: str) -> Order[InboxItem]:
    return Order(
        name=name,
        columns=(
            Column(column, "timestamptz", datetime),
            Column("request_id", "uuid", UUID),
        ),
        key=lambda item: (getattr(item, column).isoformat(), str(item.request_id)),
    )


_ORDERS = {
    InboxState.UNANSWERED: _ordered("answer_due_at", "answer_due_at"),
    InboxState.WAITING: _ordered("since", "since"),
    InboxState.ANSWERED: _ordered("-since", "since"),
}
"""Due first; longest waiting first; the newest answer first."""


_Row = dict[str, Any]


class AgencyInbox(Remembering[_Row]):
    """The view: one current row for each request that was forwarded.

    Who withdraws before the answer takes the request out of the inbox.
    """

    name = "agency_inbox"
    version = 3
    tables = ("agency_inbox", _ORIGINS.table)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [fact for fact in facts if fact.topic in _OURS]
        forwarded = {fact.key for fact in ours if fact.topic == _FORWARDED}
        origins = _ORIGINS.take_in(cursor, ours, forwarded)
        memory = self.memory()
        # A request is forwarded once: what is forwarded here has no row yet.
        missing = memory.unknown({fact.key for fact in ours if fact.topic in _LATER})
        missing -= forwarded
        memory.young |= dict.fromkeys(missing, _NONE)
        for row in _TABLE.load(cursor, missing):
            memory.young[row["request_id"]] = row
        rows = _TABLE.begin()
        for fact in ours:
            key = fact.key
            before = memory.young.get(key) or None
            if fact.topic == _FORWARDED:
                after: _Row | None = _forwarded(origins[key], fact)
            elif before is None or fact.topic not in _LATER:
                continue
            else:
                after = _after(before, fact)
            if after is not before:
                memory.young[key] = _NONE if after is None else after
                rows.put_row(key, before, fact.position, after)
        rows.write(cursor)


_NONE: _Row = {}
"""Remembered of a request that has no row: so it is not looked for again."""


def _forwarded(origin: Origin, fact: Fact) -> _Row:
    data, at = fact.copied_data, fact.effective_text
    return {
        "request_id": fact.key,
        "agency": data["agency"],
        "governorate": origin.governorate,
        "centre": origin.centre,
        "service": origin.service,
        "tracking_number": origin.tracking_number,
        "agency_reference": data.get("agency_reference", NOTHING),
        "forwarded_at": at,
        "answer_due_at": data["answer_due_at"],
        "state": "unanswered",
        "since": at,
        "outcome": NOTHING,
        "reason": NOTHING,
    }


def _after(row: _Row, fact: Fact) -> _Row | None:
    """The row after a later fact: itself where nothing changes, None where it goes."""
    topic, is_answered = fact.topic, row["state"] == "answered"
    if topic in _CALLED_OFF:
        return row if is_answered else None
    data, since = fact.copied_data, fact.effective_text
    if topic == _RESPONDED:
        is_more_needed = data["outcome"] == _INFORMATION_NEEDED
        return {
            **row,
            "state": "waiting" if is_more_needed else "answered",
            "since": since,
            "outcome": data["outcome"],
            "reason": data.get("reason", NOTHING),
            "agency_reference": data.get("agency_reference", row["agency_reference"]),
        }
    if is_answered:
        return row
    if topic == _ASKED:
        # It may wait already, for the centre to ask: then it waits since it said so.
        is_waiting = row["state"] == "waiting"
        return row if is_waiting else {**row, "state": "waiting", "since": since}
    return {
        **row,
        "state": "unanswered",
        "since": since,
        "answer_due_at": data.get("answer_due_at") or row["answer_due_at"],
        "outcome": NOTHING,
        "reason": NOTHING,
    }


class AgencyInboxQueries:
    """What can be asked of the inbox."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def page(
        self,
        scope: Scope,
        *,
        now: datetime,
        only: InboxFilter = _ALL,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
        known_by: datetime | None = None,
    ) -> Page[InboxItem]:
        """Items of one state, in its order. InvalidValueError for a bad cursor.

        ``known_by`` is a time that nothing recorded up to ``as_of`` was effective
        after: with it, what was answered since is passed over unread.
        """
        order = _ORDERS[only.state]
        further, place = order.after(after)
        scoped, params = _forwarded_of(scope)
        conditions = f"{scoped} AND {_IS_SHOWN} AND {further}"
        first = f"ORDER BY {order.by} LIMIT %(limit)s"
        shown = _rows(_SHOWN, conditions, as_of, first=first)
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _PAGE.format(rows=shown, by=order.by),
                {
                    **params,
                    **place,
                    **{name: getattr(only, name) for name in only.__slots__},
                    **({} if as_of is None else held_params(as_of)),
                    "known_by": known_by,
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [inbox_item(row, now) for row in cursor.fetchall()]
        return order.page(rows, limit)

    def totals(
        self,
        scope: Scope,
        *,
        now: datetime,
        agency: str | None = None,
        governorate: str | None = None,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[InboxTotals]:
        """What each agency has to answer, by governorate."""
        place = decode_cursor(after, str, str) or ("", "")
        scoped, params = _forwarded_of(scope)
        conditions = f"{scoped} AND {_IS_COUNTED}"
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _TOTALS.format(rows=_rows(_COUNTED, conditions, as_of)),
                {
                    **params,
                    **({} if as_of is None else held_params(as_of)),
                    "now": now,
                    "agency": agency,
                    "governorate": governorate,
                    "after_agency": place[0],
                    "after_governorate": place[1],
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [InboxTotals(*row) for row in cursor.fetchall()]
        return paged(rows, limit, lambda row: (row.agency, row.governorate))


def _forwarded_of(scope: Scope) -> tuple[str, dict[str, Any]]:
    """The scope's condition over rows that are all of what was forwarded."""
    return condition(replace(scope, only_forwarded=False))


def _rows(columns: str, conditions: str, as_of: int | None, *, first: str = "") -> str:
    """A query for the rows that hold, or that held; at least the first of them."""
    if as_of is not None:
        return held("agency_inbox", columns, conditions, first=first)
    return f"SELECT {columns} FROM agency_inbox WHERE valid_to IS NULL AND {conditions}"


def inbox_item(row: tuple[Any, ...], now: datetime) -> InboxItem:
    """The item of a row of ``ITEM``, as it is at a time."""
    request_id, *values, position = row
    told = dict(zip(_VALUES, values, strict=True))
    told["state"] = InboxState(told["state"])
    if told["outcome"] is not None:
        told["outcome"] = Answer(told["outcome"])
    is_open = told["state"] is InboxState.UNANSWERED
    return InboxItem(
        request_id=UUID(request_id),
        position=position,
        is_overdue=is_open and told["answer_due_at"] < now,
        **told,
    )
