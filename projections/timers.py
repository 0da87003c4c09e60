"""Timers: what will fall due for a request, and when; read by the one scheduler.

A timer is a pending due time: of a request that nobody accepts or pays for (expiry),
of a claim (lease), and of the limits that staff are warned of, before and after. A row
goes when the office has moved on, or when the act that it calls for has happened.

What was taken over from elsewhere sets no timer: an import tells a life that has been
lived, line by line, and its acts must not be overtaken by limits long past.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import psycopg2.extensions

from domain.acts import ActorKind
from domain.requests import Limit, WarnedWhen
from ledger.copying import NOTHING
from ledger.persistence.datastore import PostgresDatastore
from projections.copying import array_of
from projections.facts import Fact
from projections.requests import PREFIX, SUBMITTED, rfc3339_sql
from projections.succession import SucceedingRows

SHORTEST_WARNED = timedelta(hours=24)
"""A limit set for less than a day ahead has no warning before it.

The clerk who set it has just seen it; the warning would come with the limit.
"""
BATCH = 200
"""Timers read at a time: a page holds no more memory, and being stopped comes soon."""


class TimerKind(StrEnum):
    """What falls due. A request has at most one timer of each kind."""

    EXPIRY = "expiry"
    LEASE = "lease"
    FIRST_ANSWER = "first_answer"
    COMPLETION = "completion"


# Plain texts: a member of an enumeration costs ten times as much to hash.
_EXPIRY = TimerKind.EXPIRY.value
_LEASE = TimerKind.LEASE.value
_FIRST_ANSWER = TimerKind.FIRST_ANSWER.value
_COMPLETION = TimerKind.COMPLETION.value
_LIMITS = {
    Limit.FIRST_ANSWER.value: _FIRST_ANSWER,
    Limit.COMPLETION.value: _COMPLETION,
}
_TABLE = SucceedingRows(
    name="timers",
    key={"request_id": "uuid", "kind": "text"},
    columns=(
        "request_id",
        "kind",
        "due_at",
        "is_before",
        "is_running",
        "token",
        "set_by",
        "valid_from",
    ),
)
_DDL = """
CREATE TABLE timers (
    request_id uuid NOT NULL,
    kind text NOT NULL,
    due_at timestamptz NOT NULL,
    -- Whether the warning before the limit is still to come.
    is_before boolean NOT NULL,
    -- Whether its clock runs: it stands still while the citizen is asked.
    is_running boolean NOT NULL,
    -- Of a lease: the claim's token.
    token integer,
    -- The version of the request that set the due time.
    set_by integer NOT NULL,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (request_id, kind, valid_from)
);
CREATE INDEX timers_due ON timers (is_before, due_at, request_id, kind)
    WHERE valid_to IS NULL AND is_running;
"""
_LOAD = f"""
SELECT request_id::text, kind, valid_from,
    {rfc3339_sql("due_at")}, is_before, is_running, token, set_by
FROM timers WHERE request_id = ANY(%s::uuid[]) AND valid_to IS NULL
"""
_DUE = """
SELECT request_id::text, kind, due_at, is_before, token, set_by
FROM timers
WHERE valid_to IS NULL AND is_running
    AND is_before = %(is_before)s AND due_at <= %(until)s
    AND (due_at, request_id, kind)
        > (%(due_at)s::timestamptz, %(request_id)s::uuid, %(kind)s)
ORDER BY due_at, request_id, kind
LIMIT %(limit)s
"""
_FIRST = {
    "due_at": "0001-01-01T00:00:00+00:00",
    "request_id": "00000000-0000-0000-0000-000000000000",
    "kind": "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """One pending due time (UTC) of one request.

    ``is_before`` says that the warning before the limit has not been given.
    ``token`` is that of the claim whose lease it is. ``set_by`` is the version of the
    request that set the time.
    """

    request_id: UUID
    kind: TimerKind
    due_at: datetime
    is_before: bool
    token: int | None
    set_by: int


class Timers:
    """The view: one current row for every pending due time."""

    name = "timers"
    version = 3
    tables = ("timers",)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [fact for fact in facts if fact.topic in _AFTER]
        pending, current = _load(cursor, ours)
        rows = _TABLE.begin()
        for fact in ours:
            key, position = fact.key, fact.position
            before = pending.get(key, _NOTHING)
            changes = _AFTER[fact.topic](before, fact)
            if not changes:
                continue
            after = pending.setdefault(key, {})
            for kind, row in changes.items():
                if row == after.get(kind):
                    continue
                of_kind = (key, kind)
                since = current.pop(of_kind, None)
                if row is None:
                    del after[kind]
                    rows.put(of_kind, since, position, None)
                else:
                    after[kind] = row
                    rows.put(of_kind, since, position, _line(of_kind, row, position))
        rows.write(cursor)


class _Row(NamedTuple):
    """A pending due time as the fold has it; ``due_at`` is the body's text."""

    due_at: str
    is_before: bool
    is_running: bool
    token: int | None
    set_by: int


def _line(of_kind: tuple[str, str], row: _Row, position: int) -> str:
    key, kind = of_kind
    due_at, is_before, is_running, token, set_by = row
    return (
        f"{key}\t{kind}\t{due_at}\t{is_before}\t{is_running}"
        f"\t{NOTHING if token is None else token}\t{set_by}\t{position}"
    )


_Pending = Mapping[str, _Row]
_Changed = Mapping[str, _Row | None]
_NOTHING: dict[str, _Row] = {}
_ALL_END: _Changed = dict.fromkeys((_EXPIRY, _LEASE, _FIRST_ANSWER, _COMPLETION))


def _load(
    cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]
) -> tuple[dict[str, dict[str, _Row]], dict[Any, int]]:
    """What is pending for the requests of the facts, and since when."""
    pending: dict[str, dict[str, _Row]] = {}
    current: dict[Any, int] = {}
    new = {fact.key for fact in facts if fact.topic == SUBMITTED}
    known = {fact.key for fact in facts} - new
    if known:
        cursor.execute(_LOAD, (array_of(known),))
        for key, kind, valid_from, *row in cursor.fetchall():
            pending.setdefault(key, {})[kind] = _Row(*row)
            current[key, kind] = valid_from
    return pending, current


def _submitted(_: _Pending, fact: Fact) -> _Changed:
    return {_EXPIRY: _at(fact, fact.copied_data.get("expires_at"))}


def _accepted(_: _Pending, fact: Fact) -> _Changed:
    terms = fact.copied_data["terms"]
    return {
        _EXPIRY: _at(fact, terms.get("payment_due_at")),
        _COMPLETION: _limit(fact, terms["due_at"]),
    }


def _fee_paid(_: _Pending, __: Fact) -> _Changed:
    return {_EXPIRY: None}


def _claimed(_: _Pending, fact: Fact) -> _Changed:
    data = fact.copied_data
    return {_LEASE: _at(fact, data["lease_until"], token=data["token"])}


def _given_away(_: _Pending, __: Fact) -> _Changed:
    return {_LEASE: None}


def _forwarded(_: _Pending, fact: Fact) -> _Changed:
    return {_FIRST_ANSWER: _limit(fact, fact.copied_data["answer_due_at"])}


def _responded(_: _Pending, fact: Fact) -> _Changed:
    # Each answer says anew whether a fee falls due with it.
    expiry = _at(fact, fact.copied_data.get("payment_due_at"))
    return {_FIRST_ANSWER: None, _EXPIRY: expiry}


def _stamped(_: _Pending, fact: Fact) -> _Changed:
    """The fee that fell due with this step, where one did."""
    due_at = fact.copied_data.get("payment_due_at")
    return {} if due_at is None else {_EXPIRY: _at(fact, due_at)}


def _information_requested(pending: _Pending, _: Fact) -> _Changed:
    return {
        kind: row._replace(is_running=False)
        for kind, row in pending.items()
        if kind in _LIMITS.values()
    }


def _information_supplied(pending: _Pending, fact: Fact) -> _Changed:
    return {
        kind: _resumed(fact, pending.get(kind), fact.copied_data.get(name))
        for kind, name in _RESUMED.items()
    }


def _warned(pending: _Pending, fact: Fact) -> _Changed:
    """The limit's next step: after the warning before, the one after; then nothing."""
    data = fact.copied_data
    kind = _LIMITS[data["limit"]]
    row = pending.get(kind)
    if row is None or row.due_at != data["due_at"]:
        return {}
    is_more = data["when"] == _BEFORE
    return {kind: row._replace(is_before=False) if is_more else None}


def _ended(_: _Pending, __: Fact) -> _Changed:
    return _ALL_END


_BEFORE = WarnedWhen.BEFORE.value
_IMPORT = ActorKind.IMPORT.value
_RESUMED = {_FIRST_ANSWER: "answer_due_at", _COMPLETION: "due_at"}
_AFTER: dict[str, Callable[[_Pending, Fact], _Changed]] = {
    f"{PREFIX}{name}.v1": after
    for name, after in {
        "submitted": _submitted,
        "accepted": _accepted,
        "fee-paid": _fee_paid,
        "claimed": _claimed,
        "assigned": _given_away,
        "released": _given_away,
        "forwarded": _forwarded,
        "agency-responded": _responded,
        "stamped": _stamped,
        "information-requested": _information_requested,
        "information-supplied": _information_supplied,
        "warned": _warned,
        "not-accepted": _ended,
        "mailed": _ended,
        "handed-over": _ended,
        "result-told": _ended,
        "withdrawn": _ended,
        "expired": _ended,
    }.items()
}
"""The timers that an event sets, and as None those that it ends."""


def _resumed(fact: Fact, row: _Row | None, due_at: str | None) -> _Row | None:
    """A limit whose clock goes on: at its new time, or in the step that it stood at.

    A limit that had passed before the clock stopped keeps its time; where its warning
    was given already there is no row, and none comes back. Times are texts of one
    form, so that the earlier is the smaller.
    """
    new = _limit(fact, due_at)
    is_same = new is None or (row is not None and new.due_at == row.due_at)
    if is_same:
        return None if row is None else row._replace(is_running=True)
    if new is not None and row is None and new.due_at <= fact.effective_text:
        return None
    return new


def _at(fact: Fact, due_at: str | None, *, token: int | None = None) -> _Row | None:
    """The row of a due time; None where there is none, or the act was taken over."""
    if due_at is None or fact.actor["kind"] == _IMPORT:
        return None
    return _Row(due_at, False, True, token, fact.version)


def _limit(fact: Fact, due_at: str | None) -> _Row | None:
    row = _at(fact, due_at)
    if row is None:
        return None
    ahead = datetime.fromisoformat(row.due_at) - fact.effective_at
    return row._replace(is_before=ahead >= SHORTEST_WARNED)


class TimersQueries:
    """What the scheduler asks."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def due(self, *, now: datetime, horizon: datetime) -> Iterator[Timer]:
        """Every timer that has come, in the order of time, read page by page.

        A limit whose warning before is still to come has come at ``horizon`` already.
        """
        yield from self._until(now, is_before=False)
        yield from self._until(horizon, is_before=True)

    def _until(self, until: datetime, *, is_before: bool) -> Iterator[Timer]:
        after: dict[str, Any] = _FIRST
        while True:
            with self._datastore.autocommit() as cursor:
                cursor.execute(
                    _DUE,
                    {**after, "is_before": is_before, "until": until, "limit": BATCH},
                )
                page = [_timer(row) for row in cursor.fetchall()]
            yield from page
            if len(page) < BATCH:
                return
            last = page[-1]
            after = {
                "due_at": last.due_at,
                "request_id": str(last.request_id),
                "kind": last.kind,
            }


def _timer(row: tuple[Any, ...]) -> Timer:
    return Timer(
        request_id=UUID(row[0]),
        kind=TimerKind(row[1]),
        due_at=row[2],
        is_before=row[3],
        token=row[4],
        set_by=row[5],
    )
