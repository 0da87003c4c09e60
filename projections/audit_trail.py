"""AuditTrail: every event in words: who, what, when it happened, when it was recorded.

Each row carries its position and leaf hash, so that it can be checked against the
ledger's entries by anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import psycopg2.extensions

from domain.acts import ActorKind
from ledger.bodies import canonical, read_body
from ledger.bundles import recorded_text
from ledger.copying import copied_text
from ledger.entries import leaf_hash_of
from ledger.names import LEDGER_SCHEMA
from ledger.persistence.datastore import PostgresDatastore
from projections.codes import Words
from projections.copying import copied, copy_lines
from projections.facts import Fact
from projections.pages import DEFAULT_PAGE, Page, page_size
from projections.sorting import Column, PositionSort, both_ways
from projections.views import Write
from projections.words import in_words

_TABLE = "audit_trail"
_COLUMNS = (
    "position",
    "recorded_at",
    "effective_at",
    "subject",
    "topic",
    "actor_kind",
    "actor_id",
    "actor_place",
    "command_id",
    "leaf_hash",
)
_DDL = """
CREATE TABLE audit_trail (
    position bigint PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    subject uuid NOT NULL,
    command_id uuid NOT NULL,
    topic text NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor_place text NOT NULL,
    -- Hexadecimal, as it is shown.
    leaf_hash text NOT NULL
);
CREATE INDEX audit_trail_of ON audit_trail (subject, position);
CREATE INDEX audit_trail_by_actor ON audit_trail (actor_id, position);
CREATE INDEX audit_trail_by_topic ON audit_trail (topic, position);
-- What happened is recorded soon after, but for what an import takes over.
CREATE INDEX audit_trail_by_time ON audit_trail USING brin (effective_at);
"""
_PAGE = f"""
SELECT
    position, recorded_at, effective_at, aggregate_id::text, version, topic,
    actor_kind, actor_id, actor_place, command_id::text, leaf_hash, body
FROM (
    SELECT * FROM audit_trail
    WHERE {{only}} AND {{after}} ORDER BY {{by}} LIMIT %(limit)s
) AS shown
JOIN (
    SELECT position AS stored_at, aggregate_id, version, body
    FROM {LEDGER_SCHEMA}.events
) AS stored ON stored_at = position
ORDER BY {{by}}
"""
"""The facts of an event stand in the ledger alone: the view says where."""
_CONDITIONS = {
    "subject": "subject = %(subject)s::uuid",
    "actor_kind": "actor_kind = %(actor_kind)s",
    "actor": "actor_id = %(actor)s",
    "topic": "topic = %(topic)s",
    "above": "position > %(above)s",
    "up_to": "position <= %(up_to)s",
    "effective_since": "effective_at >= %(effective_since)s",
    "effective_until": "effective_at < %(effective_until)s",
}
"""Only those that are asked for stand in a query, so that each finds its index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailRow:
    """One event in words. ``data`` is its own facts as canonical JSON."""

    position: int
    recorded_at: datetime
    effective_at: datetime
    aggregate_id: UUID
    version: int
    topic: str
    actor_kind: str
    actor_id: str
    actor_place: str
    command_id: UUID
    correlation_id: UUID
    causation_id: str | None
    approved_by: str | None
    data: str
    leaf_hash: bytes

    @property
    def words_ar(self) -> str:
        """What happened, in Arabic."""
        return self._words[0]

    @property
    def words_en(self) -> str:
        """What happened, in English."""
        return self._words[1]

    @property
    def _words(self) -> Words:
        return in_words(self.topic, read_body(self.data.encode()))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailFilter:
    """Which rows of the trail: those that every given part holds for.

    ``above`` (exclusive) and ``up_to`` bound positions, and so recorded times, which
    rise with them; ``effective_until`` is exclusive.
    """

    subject: UUID | None = None
    actor_kind: ActorKind | None = None
    actor: str | None = None
    topic: str | None = None
    above: int | None = None
    up_to: int | None = None
    effective_since: datetime | None = None
    effective_until: datetime | None = None

    def conditions(self) -> tuple[str, dict[str, Any]]:
        """The condition and its parameters."""
        given = {name: getattr(self, name) for name in _CONDITIONS}
        params = {
            name: str(value) if isinstance(value, UUID) else value
            for name, value in given.items()
            if value is not None
        }
        return " AND ".join(_CONDITIONS[name] for name in params) or "true", params


_ALL = TrailFilter()


def _position(row: TrailRow) -> tuple[int]:
    return (row.position,)


_ORDERS = both_ways(
    PositionSort.OLDEST,
    PositionSort.NEWEST,
    (Column("position", "bigint", int),),
    _position,
)


class AuditTrail:
    """The view: one row an event. Attempts stand under the thing they were made on."""

    name = "audit_trail"
    version = 2
    tables = (_TABLE,)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        self.plan(facts)(cursor)

    def plan(self, facts: Sequence[Fact]) -> Write:
        """The rows of a batch: the facts alone tell them."""
        lines = [_line(fact) for fact in facts]
        return partial(copy_lines, table=_TABLE, columns=_COLUMNS, lines=lines)


def _line(fact: Fact) -> str:
    key, topic, position = fact.key, fact.topic, fact.position
    actor = fact.actor
    if b"\\" in fact.stored:
        actor = copied(actor)
    recorded_at = recorded_text(fact.recorded_us)
    leaf_hash = leaf_hash_of(
        position, recorded_at, key, fact.version, topic, fact.stored
    )
    subject = key
    if topic in _SUBJECTS:
        subject = fact.data.get(_SUBJECTS[topic], key)
    return (
        f"{position}\t{recorded_at}\t{fact.effective_text}\t{subject}"
        f"\t{copied_text(topic)}\t{actor['kind']}\t{actor['id']}\t{actor['place']}"
        f"\t{fact.command_id}\t{leaf_hash.hex()}"
    )


_SUBJECTS = {
    "sijil.attempt.refused.v1": "target",
    "sijil.payment.settled.v1": "request",
    "sijil.payment.unmatched.v1": "request",
    "sijil.read.looked.v1": "request",
}
"""Attempts and looks stand under what they were made on, a payment under the request
that it was reported for, and its settlement under the one whose fee it was taken as."""


class AuditTrailQueries:
    """What can be asked of the trail."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def page(
        self,
        *,
        subject: UUID | None = None,
        only: TrailFilter = _ALL,
        sort: PositionSort = PositionSort.OLDEST,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[TrailRow]:
        """The trail of one thing, or of everything, in the order of the ledger.

        Who may ask is decided before: a trail is of a thing the asker may see.
        """
        bounds = [only.up_to, as_of]
        only = replace(
            only,
            subject=subject or only.subject,
            up_to=min((each for each in bounds if each is not None), default=None),
        )
        order = _ORDERS[sort]
        further, place = order.after(after)
        narrowed, params = only.conditions()
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _PAGE.format(only=narrowed, after=further, by=order.by),
                {**params, **place, "limit": page_size(limit) + 1},
            )
            rows = [_trail_row(row) for row in cursor.fetchall()]
        return order.page(rows, limit)


def _trail_row(row: tuple[Any, ...]) -> TrailRow:
    body = read_body(row[11])
    return TrailRow(
        position=row[0],
        recorded_at=row[1],
        effective_at=row[2],
        aggregate_id=UUID(row[3]),
        version=row[4],
        topic=row[5],
        actor_kind=row[6],
        actor_id=row[7],
        actor_place=row[8],
        command_id=UUID(row[9]),
        correlation_id=UUID(body["correlation_id"]),
        causation_id=body.get("causation_id"),
        approved_by=body.get("approved_by"),
        data=canonical(body["data"]).decode(),
        leaf_hash=bytes.fromhex(row[10]),
    )
