"""Timers: what will fall due for a request, and when; read by the one scheduler.

A timer is a pending due time: of a request that nobody accepts or pays for (expiry),
of a claim (lease), and of the limits that staff are warned of, before and after. A row
goes when the office has moved on, or when the act that it calls for has happened.

What was taken over from elsewhere sets no timer: an import tells a life that has been
lived, line by line, and its acts must not be overtaken by limits long past.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg2.extensions

from domain.acts import ActorKind
from domain.requests import Limit, WarnedWhen
from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.requests import PREFIX
from projections.versioned import Change, VersionedTable

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


_LIMITS = {
    Limit.FIRST_ANSWER: TimerKind.FIRST_ANSWER,
    Limit.COMPLETION: TimerKind.COMPLETION,
}
_TABLE = VersionedTable(
    name="timers",
    key=("request_id", "kind"),
    values=("due_at", "is_before", "is_running", "token", "set_by"),
    casts={
        "request_id": "uuid",
        "due_at": "timestamptz",
        "is_before": "boolean",
        "is_running": "boolean",
        "token": "integer",
        "set_by": "integer",
    },
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
CREATE UNIQUE INDEX timers_current ON timers (request_id, kind)
    WHERE valid_to IS NULL;
CREATE INDEX timers_due ON timers (is_before, due_at, request_id, kind)
    WHERE valid_to IS NULL AND is_running;
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
    version = 2
    tables = ("timers",)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [fact for fact in facts if fact.topic.startswith(PREFIX)]
        keys = [(fact.key, kind) for fact in ours for kind in TimerKind]
        rows: dict[tuple[str, str], dict[str, Any]] = {
            (str(request_id), kind): row
            for (request_id, kind), row in _TABLE.load(cursor, keys).items()
        }
        changes = []
        for fact in ours:
            pending = {
                kind: row for kind in TimerKind if (row := rows.get((fact.key, kind)))
            }
            for kind, row in _after(pending, fact).items():
                key = (fact.key, str(kind))
                if row == rows.get(key):
                    continue
                if row is None:
                    del rows[key]
                else:
                    rows[key] = row
                changes.append(Change(position=fact.position, key=key, row=row))
        _TABLE.write(cursor, changes)


_Row = dict[str, Any]
_Changed = dict[TimerKind, _Row | None]
_NONE: _Changed = dict.fromkeys(TimerKind)


def _after(pending: Mapping[TimerKind, _Row], fact: Fact) -> _Changed:  # noqa: C901, PLR0911, PLR0912 -- one case an event
    """The timers that one fact sets, and as None those that it ends."""
    data = fact.data
    match fact.topic.removeprefix(PREFIX).rpartition(".v")[0]:
        case "submitted":
            return {TimerKind.EXPIRY: _at(fact, data.get("expires_at"))}
        case "accepted":
            terms = data["terms"]
            return {
                TimerKind.EXPIRY: _at(fact, terms.get("payment_due_at")),
                TimerKind.COMPLETION: _limit(fact, terms["due_at"]),
            }
        case "fee-paid":
            return {TimerKind.EXPIRY: None}
        case "claimed":
            lease = _at(fact, data["lease_until"], token=data["token"])
            return {TimerKind.LEASE: lease}
        case "assigned" | "released":
            return {TimerKind.LEASE: None}
        case "forwarded":
            return {TimerKind.FIRST_ANSWER: _limit(fact, data["answer_due_at"])}
        case "agency-responded":
            # Each answer says anew whether a fee falls due with it.
            expiry = _at(fact, data.get("payment_due_at"))
            return {TimerKind.FIRST_ANSWER: None, TimerKind.EXPIRY: expiry}
        case "stamped":
            return _payment(fact)
        case "information-requested":
            return {
                kind: {**row, "is_running": False}
                for kind, row in pending.items()
                if kind in _LIMITS.values()
            }
        case "information-supplied":
            return {
                kind: _resumed(fact, pending.get(kind), data.get(name))
                for kind, name in _RESUMED.items()
            }
        case "warned":
            return _warned(pending, data)
        case (
            "not-accepted"
            | "mailed"
            | "handed-over"
            | "result-told"
            | "withdrawn"
            | "expired"
        ):
            return dict(_NONE)
        case _:
            return {}


_RESUMED = {TimerKind.FIRST_ANSWER: "answer_due_at", TimerKind.COMPLETION: "due_at"}


def _resumed(fact: Fact, row: _Row | None, due_at: str | None) -> _Row | None:
    """A limit whose clock goes on: at its new time, or in the step that it stood at.

    A limit that had passed before the clock stopped keeps its time; where its warning
    was given already there is no row, and none comes back.
    """
    new = _limit(fact, due_at)
    is_same = new is None or (row is not None and new["due_at"] == row["due_at"])
    if is_same:
        return None if row is None else {**row, "is_running": True}
    if new is not None and row is None and new["due_at"] <= fact.effective_at:
        return None
    return new


def _payment(fact: Fact) -> _Changed:
    """The fee that fell due with this step, where one did."""
    due_at = fact.data.get("payment_due_at")
    return {} if due_at is None else {TimerKind.EXPIRY: _at(fact, due_at)}


def _warned(pending: Mapping[TimerKind, _Row], data: Mapping[str, Any]) -> _Changed:
    """The limit's next step: after the warning before, the one after; then nothing."""
    kind = _LIMITS[Limit(data["limit"])]
    row = pending.get(kind)
    if row is None or row["due_at"] != datetime.fromisoformat(data["due_at"]):
        return {}
    is_more = data["when"] == WarnedWhen.BEFORE
    return {kind: {**row, "is_before": False} if is_more else None}


def _at(fact: Fact, due_at: str | None, *, token: int | None = None) -> _Row | None:
    """The row of a due time; None where there is none, or the act was taken over."""
    if due_at is None or fact.body["actor"]["kind"] == ActorKind.IMPORT:
        return None
    return {
        "due_at": datetime.fromisoformat(due_at),
        "is_before": False,
        "is_running": True,
        "token": token,
        "set_by": fact.entry.version,
    }


def _limit(fact: Fact, due_at: str | None) -> _Row | None:
    row = _at(fact, due_at)
    if row is None:
        return None
    ahead = row["due_at"] - fact.effective_at
    return {**row, "is_before": ahead >= SHORTEST_WARNED}


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
