"""SupervisorDesk: what a supervisor has to look at in the centre.

Approvals and refused attempts are rows of its own. The load of each clerk is read from
the queue and the roster: what is next is decided in one fold, and a second one beside
it could say otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import psycopg2.extensions
from psycopg2.extras import execute_values

from domain.access import Scope
from domain.acts import ActorKind
from ledger.persistence.datastore import PostgresDatastore
from projections.clerk_queue import held_work
from projections.copying import append_rows
from projections.facts import Fact
from projections.lasting import held_params
from projections.pages import DEFAULT_PAGE, Page, decode_cursor, page_size, paged
from projections.scope import condition
from projections.sorting import Column, Order
from projections.versioned import valid

_REFUSED = "sijil.attempt.refused.v1"
_APPROVED_BY = b'"approved_by"'
"""Only bodies that hold these bytes are worth reading: one in a thousand."""
_LAST = 2**63 - 1
_APPROVAL_COLUMNS = (
    "position",
    "command_id",
    "aggregate_id",
    "topic",
    "centre",
    "approved_by",
    "actor_kind",
    "actor_id",
    "effective_at",
    "recorded_at",
)
_ATTEMPT_COLUMNS = (
    "position",
    "centre",
    "attempted",
    "target",
    "target_version",
    "code",
    "reason",
    "holder",
    "actor_kind",
    "actor_id",
    "effective_at",
    "recorded_at",
)
_DDL = """
CREATE TABLE approvals (
    position bigint PRIMARY KEY,
    command_id uuid NOT NULL UNIQUE,
    aggregate_id uuid NOT NULL,
    topic text NOT NULL,
    centre text NOT NULL,
    approved_by text NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX approvals_of_centre ON approvals (centre, position);
CREATE TABLE refused_attempts (
    position bigint PRIMARY KEY,
    centre text NOT NULL,
    attempted text NOT NULL,
    target uuid NOT NULL,
    target_version integer NOT NULL,
    code text NOT NULL,
    reason text,
    holder text,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX refused_attempts_of_centre ON refused_attempts (centre, position);
"""
# An act is one row, by its first event, wherever a batch ended.
_APPROVE = f"""
INSERT INTO approvals ({", ".join(_APPROVAL_COLUMNS)}) VALUES %s
ON CONFLICT (command_id) DO NOTHING
"""
APPROVAL_SHOWN = ", ".join(
    f"{name}::text" if name.endswith("_id") else name for name in _APPROVAL_COLUMNS
)
"""The columns that ``approval_of`` reads."""
ATTEMPT_SHOWN = ", ".join(
    "target::text" if name == "target" else name for name in _ATTEMPT_COLUMNS
)
"""The columns that ``attempt_of`` reads."""
_APPROVALS = f"""
SELECT {APPROVAL_SHOWN} FROM approvals
WHERE position <= %(last)s AND {{scope}}
    AND (%(centre)s::text IS NULL OR centre = %(centre)s)
    AND (%(approved_by)s::text IS NULL OR approved_by = %(approved_by)s)
    AND (%(actor)s::text IS NULL OR actor_id = %(actor)s)
    AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s)
    AND {{after}}
ORDER BY {{by}} LIMIT %(limit)s
"""
_ATTEMPTS = f"""
SELECT {ATTEMPT_SHOWN} FROM refused_attempts
WHERE position <= %(last)s AND {{scope}}
    AND (%(centre)s::text IS NULL OR centre = %(centre)s)
    AND (%(attempted)s::text IS NULL OR attempted = %(attempted)s)
    AND (%(code)s::text IS NULL OR code = %(code)s)
    AND (%(actor)s::text IS NULL OR actor_id = %(actor)s)
    AND (%(since)s::timestamptz IS NULL OR recorded_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR recorded_at < %(until)s)
    AND {{after}}
ORDER BY {{by}} LIMIT %(limit)s
"""
_LOAD = """
SELECT
    coalesce(r.centre, w.centre) AS at_centre, coalesce(r.code, w.clerk) AS code,
    r.code IS NOT NULL, coalesce(r.agencies, '{{}}'),
    coalesce(r.left_on <= %(day)s::date, false),
    EXISTS (
        SELECT FROM unnest(r.away_first, r.away_last) AS away (first, last)
        WHERE away.first <= %(day)s::date
            AND (away.last IS NULL OR away.last >= %(day)s::date)
    ),
    coalesce(w.to_move, 0), coalesce(w.overdue, 0), coalesce(w.for_agency, 0),
    coalesce(w.for_citizen, 0), w.oldest
FROM (
    SELECT * FROM roster
    WHERE {valid} AND {scope} AND (%(centre)s::text IS NULL OR centre = %(centre)s)
) AS r
FULL JOIN (
    SELECT
        centre, clerk,
        count(*) FILTER (WHERE waiting_for = 'clerk') AS to_move,
        count(*) FILTER (WHERE waiting_for = 'clerk' AND until < %(now)s) AS overdue,
        count(*) FILTER (WHERE waiting_for = 'agency') AS for_agency,
        count(*) FILTER (WHERE waiting_for = 'citizen') AS for_citizen,
        min(since) FILTER (WHERE waiting_for = 'clerk') AS oldest
    FROM ({work}) AS work
    GROUP BY centre, clerk
) AS w ON w.centre = r.centre AND w.clerk = r.code
WHERE (coalesce(r.centre, w.centre), coalesce(r.code, w.clerk))
    > (%(after_centre)s, %(after_code)s)
ORDER BY at_centre, code LIMIT %(limit)s
"""


_WORK_COLUMNS = "centre, clerk, waiting_for, until, since"
_WORK = (
    f"SELECT {_WORK_COLUMNS} FROM clerk_queue WHERE valid_to IS NULL AND {{conditions}}"
)
_IS_WORK = "clerk IS NOT NULL AND waiting_for <> 'post'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One act that a supervisor allowed. ``topic`` is its first event's.

    A supervisor's own act that needed a word has the same code twice.
    """

    position: int
    command_id: UUID
    aggregate_id: UUID
    topic: str
    centre: str
    approved_by: str
    actor_kind: ActorKind
    actor_id: str
    effective_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedAttempt:
    """One attempt that a rule refused, on the ``target`` as it stood."""

    position: int
    centre: str
    attempted: str
    target: UUID
    target_version: int
    code: str
    reason: str | None
    holder: str | None
    actor_kind: ActorKind
    actor_id: str
    effective_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class ClerkLoad:
    """What one clerk has at one centre; those without work and those away too.

    ``is_here``: whether the roster has the clerk at this centre. ``oldest`` is since
    when the oldest item has waited for the clerk.
    """

    centre: str
    code: str
    is_here: bool
    agencies: list[str]
    has_left: bool
    is_away: bool
    to_move: int
    overdue: int
    waiting_for_agency: int
    waiting_for_citizen: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalFilter:
    """Which approvals a list has; ``since`` and ``until`` bound the recorded time."""

    centre: str | None = None
    approved_by: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFilter:
    """Which attempts a list has; ``since`` and ``until`` bound the recorded time."""

    centre: str | None = None
    attempted: str | None = None
    code: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_ALL_APPROVALS = ApprovalFilter()
_ALL_ATTEMPTS = AttemptFilter()
_NEWEST = (Column("position", "bigint", int),)
_APPROVALS_NEWEST: Order[Approval] = Order(
    name="-position", columns=_NEWEST, key=lambda row: (row.position,)
)
_ATTEMPTS_NEWEST: Order[RefusedAttempt] = Order(
    name="-position", columns=_NEWEST, key=lambda row: (row.position,)
)


class SupervisorDesk:
    """The view: a row for each approved act, and for each refused attempt."""

    name = "supervisor_desk"
    version = 1
    tables = ("approvals", "refused_attempts")
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        approved: dict[str, tuple[Any, ...]] = {}
        attempts = []
        for fact in facts:
            if fact.topic == _REFUSED:
                attempts.append(_attempt(fact))
            if _APPROVED_BY in fact.stored and "approved_by" in fact.body:
                approved.setdefault(fact.body["command_id"], _approval(fact))
        append_rows(cursor, "refused_attempts", _ATTEMPT_COLUMNS, attempts)
        if approved:
            rows = list(approved.values())
            execute_values(cursor, _APPROVE, rows, page_size=len(rows))


def _approval(fact: Fact) -> tuple[Any, ...]:
    body = fact.body
    actor = body["actor"]
    return (
        fact.position,
        body["command_id"],
        fact.key,
        fact.topic,
        # Only who belongs to a centre can be given an approval: it is that centre's.
        actor["place"],
        body["approved_by"],
        actor["kind"],
        actor["id"],
        fact.effective_text,
        fact.recorded_at,
    )


def _attempt(fact: Fact) -> tuple[Any, ...]:
    data, actor = fact.data, fact.actor
    return (
        fact.position,
        data["centre"],
        data["attempted"],
        data["target"],
        data["target_version"],
        data["code"],
        data.get("reason"),
        data.get("holder"),
        actor["kind"],
        actor["id"],
        fact.effective_text,
        fact.recorded_at,
    )


class SupervisorDeskQueries:
    """What can be asked at the supervisor's desk."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def approvals(
        self,
        scope: Scope,
        *,
        only: ApprovalFilter = _ALL_APPROVALS,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[Approval]:
        """Acts that a supervisor allowed, the newest first."""
        asked = {name: getattr(only, name) for name in only.__slots__}
        further = _APPROVALS_NEWEST.after(after)
        rows = self._newest(
            _APPROVALS, scope, asked, further=further, limit=limit, as_of=as_of
        )
        return _APPROVALS_NEWEST.page([approval_of(row) for row in rows], limit)

    def attempts(
        self,
        scope: Scope,
        *,
        only: AttemptFilter = _ALL_ATTEMPTS,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[RefusedAttempt]:
        """Attempts at the centre that a rule refused, the newest first."""
        asked = {name: getattr(only, name) for name in only.__slots__}
        further = _ATTEMPTS_NEWEST.after(after)
        rows = self._newest(
            _ATTEMPTS, scope, asked, further=further, limit=limit, as_of=as_of
        )
        return _ATTEMPTS_NEWEST.page([attempt_of(row) for row in rows], limit)

    def load(
        self,
        scope: Scope,
        *,
        now: datetime,
        day: date,
        centre: str | None = None,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[ClerkLoad]:
        """What each clerk has, by centre and code. InvalidValueError: a bad cursor.

        ``now`` decides what is overdue and ``day`` who is away. From the queue and the
        roster, which MUST both have been folded to ``as_of``.
        """
        place = decode_cursor(after, str, str) or ("", "")
        scoped, params = condition(scope)
        conditions = f"{scoped} AND {_IS_WORK}"
        if centre is not None:
            conditions += " AND centre = %(centre)s"
        work = _WORK.format(conditions=conditions)
        if as_of is not None:
            work = held_work(_WORK_COLUMNS, conditions)
            params |= held_params(as_of)
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _LOAD.format(valid=valid(as_of), scope=scoped, work=work),
                {
                    **params,
                    "now": now,
                    "day": day,
                    "centre": centre,
                    "after_centre": place[0],
                    "after_code": place[1],
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [ClerkLoad(*row) for row in cursor.fetchall()]
        return paged(rows, limit, lambda row: (row.centre, row.code))

    def _newest(
        self,
        query: str,
        scope: Scope,
        asked: dict[str, Any],
        *,
        further: tuple[str, dict[str, Any]],
        limit: int,
        as_of: int | None,
    ) -> list[tuple[Any, ...]]:
        scoped, params = condition(scope)
        after, place = further
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                query.format(scope=scoped, after=after, by="position DESC"),
                {
                    **params,
                    **place,
                    **asked,
                    "last": _LAST if as_of is None else as_of,
                    "limit": page_size(limit) + 1,
                },
            )
            return cursor.fetchall()


def approval_of(row: tuple[Any, ...]) -> Approval:
    """The approval of a row of ``APPROVAL_SHOWN``."""
    told = dict(zip(_APPROVAL_COLUMNS, row, strict=True))
    told["actor_kind"] = ActorKind(told["actor_kind"])
    for name in ("command_id", "aggregate_id"):
        told[name] = UUID(told[name])
    return Approval(**told)


def attempt_of(row: tuple[Any, ...]) -> RefusedAttempt:
    """The attempt of a row of ``ATTEMPT_SHOWN``."""
    told = dict(zip(_ATTEMPT_COLUMNS, row, strict=True))
    told["actor_kind"] = ActorKind(told["actor_kind"])
    told["target"] = UUID(told["target"])
    return RefusedAttempt(**told)
