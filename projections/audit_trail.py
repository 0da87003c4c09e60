"""AuditTrail: every event in words: who, what, when it happened, when it was recorded.

Each row carries its position and leaf hash, so that it can be checked against the
ledger's entries by anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg2.extensions
from psycopg2.extras import execute_values

from domain.acts import ActorKind
from ledger.bodies import canonical
from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.pages import DEFAULT_PAGE, Page, page_size
from projections.sorting import Column, PositionSort, both_ways
from projections.versioned import ROWS_A_STATEMENT

WORDS: dict[str, tuple[str, str]] = {
    "sijil.request.submitted.v1": ("تقديم الطلب", "Request submitted"),
    "sijil.request.accepted.v1": ("قبول الطلب", "Request accepted"),
    "sijil.request.not-accepted.v1": ("عدم قبول الطلب", "Request not accepted"),
    "sijil.request.assigned.v1": ("إسناد الطلب إلى موظف", "Assigned to a clerk"),
    "sijil.request.claimed.v1": ("تولّي الطلب", "Taken in hand by a clerk"),
    "sijil.request.released.v1": ("انتهاء تولّي الطلب", "Let go by a clerk"),
    "sijil.request.fee-paid.v1": ("دفع الرسم", "Fee paid"),
    "sijil.request.fee-refunded.v1": ("إعادة الرسم", "Fee refunded"),
    "sijil.request.forwarded.v1": ("إحالة الطلب إلى الجهة", "Forwarded to the agency"),
    "sijil.request.agency-responded.v1": ("ورود رد الجهة", "Agency responded"),
    "sijil.request.information-requested.v1": (
        "طلب استكمال المعلومات",
        "Missing information requested",
    ),
    "sijil.request.information-supplied.v1": (
        "استكمال المعلومات",
        "Missing information supplied",
    ),
    "sijil.request.stamped.v1": ("ختم الوثيقة", "Document stamped"),
    "sijil.request.mailed.v1": ("إرسال الوثيقة بالبريد", "Document mailed"),
    "sijil.request.delivered.v1": ("تسليم البعيثة البريدية", "Postal item delivered"),
    "sijil.request.collected.v1": (
        "استلام البعيثة من مكتب البريد",
        "Postal item collected at the post office",
    ),
    "sijil.request.returned.v1": ("عودة البعيثة إلى المركز", "Postal item returned"),
    "sijil.request.handed-over.v1": (
        "تسليم الوثيقة في المركز",
        "Handed over at the counter",
    ),
    "sijil.request.result-told.v1": ("إبلاغ المواطن بالنتيجة", "Result told"),
    "sijil.request.informed.v1": ("إعلام المواطن", "Citizen informed"),
    "sijil.request.warned.v1": ("تنبيه إلى مهلة", "Limit warned of"),
    "sijil.request.withdrawn.v1": ("سحب الطلب", "Request withdrawn"),
    "sijil.request.expired.v1": ("انقضاء مهلة الطلب", "Request expired"),
    "sijil.request.corrected.v1": ("تصحيح بيان في الطلب", "Request corrected"),
    "sijil.attempt.refused.v1": ("محاولة مرفوضة", "Attempt refused"),
    "sijil.person.merged.v1": (
        "ضمّ سجلّين لشخص واحد",
        "Two records of one person merged",
    ),
    "sijil.read.looked.v1": ("الاطلاع على بيانات طرف", "Values of a party looked at"),
    "sijil.service.published.v1": ("نشر الخدمة", "Service published"),
    "sijil.agency.published.v1": ("نشر الجهة", "Agency published"),
    "sijil.centre.opened.v1": ("افتتاح المركز", "Centre opened"),
    "sijil.clerk.appointed.v1": ("تعيين الموظف", "Clerk appointed"),
    "sijil.clerk.made-responsible.v1": (
        "تكليف الموظف بجهة",
        "Clerk made responsible for an agency",
    ),
    "sijil.stamp.issued.v1": ("إصدار الختم", "Stamp issued"),
    "sijil.calendar.published.v1": ("نشر التقويم الرسمي", "Calendar published"),
    "sijil.service.suspended.v1": ("إيقاف الخدمة مؤقتاً", "Service suspended"),
    "sijil.service.resumed.v1": ("استئناف الخدمة", "Service resumed"),
    "sijil.agency.closed.v1": ("إغلاق الجهة", "Agency closed"),
    "sijil.centre.closed.v1": ("إغلاق المركز", "Centre closed"),
    "sijil.clerk.relieved.v1": (
        "إنهاء تكليف الموظف بجهة",
        "Clerk relieved of an agency",
    ),
    "sijil.clerk.away.v1": ("غياب الموظف", "Clerk away"),
    "sijil.clerk.back.v1": ("عودة الموظف إلى العمل", "Clerk back"),
    "sijil.clerk.left.v1": ("انتهاء عمل الموظف", "Clerk left"),
    "sijil.stamp.withdrawn.v1": ("سحب الختم", "Stamp withdrawn"),
    "sijil.view.skipped.v1": (
        "تجاوز قيد في عرض البيانات",
        "Entry passed over by a view",
    ),
}
"""What each event is called, in Arabic and in English."""

_DDL = """
CREATE TABLE audit_trail (
    position bigint PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    aggregate_id uuid NOT NULL,
    version integer NOT NULL,
    topic text NOT NULL,
    subject uuid NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor_place text NOT NULL,
    command_id uuid NOT NULL,
    correlation_id uuid NOT NULL,
    causation_id text,
    approved_by text,
    data text NOT NULL,
    leaf_hash bytea NOT NULL
);
CREATE INDEX audit_trail_of ON audit_trail (subject, position);
CREATE INDEX audit_trail_by_actor ON audit_trail (actor_kind, actor_id, position);
"""
_INSERT = "INSERT INTO audit_trail VALUES %s"
_ROW = (
    "(%s, %s, %s, %s::uuid, %s, %s, %s::uuid, %s, %s, %s, %s::uuid, %s::uuid, %s, %s,"
    " %s, %s)"
)
_PAGE = """
SELECT
    position, recorded_at, effective_at, aggregate_id::text, version, topic,
    actor_kind, actor_id, actor_place, command_id::text, correlation_id::text,
    causation_id, approved_by, data, leaf_hash
FROM audit_trail
WHERE {only} AND {after} ORDER BY {by} LIMIT %(limit)s
"""
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
        return WORDS.get(self.topic, (self.topic, self.topic))[0]

    @property
    def words_en(self) -> str:
        """What happened, in English."""
        return WORDS.get(self.topic, (self.topic, self.topic))[1]


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
    version = 1
    tables = ("audit_trail",)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        rows = [_row(fact) for fact in facts]
        if rows:
            execute_values(
                cursor, _INSERT, rows, template=_ROW, page_size=ROWS_A_STATEMENT
            )


def _row(fact: Fact) -> tuple[Any, ...]:
    entry, body, actor = fact.entry, fact.body, fact.body["actor"]
    return (
        entry.position,
        entry.recorded_at,
        fact.effective_at,
        fact.key,
        entry.version,
        entry.topic,
        _subject(fact),
        actor["kind"],
        actor["id"],
        actor["place"],
        body["command_id"],
        body["correlation_id"],
        body.get("causation_id"),
        body.get("approved_by"),
        canonical(fact.data).decode(),
        entry.leaf_hash(),
    )


def _subject(fact: Fact) -> Any:
    """What a row stands under: attempts and looks under what they were made on."""
    if fact.topic.startswith("sijil.attempt."):
        return fact.data.get("target", fact.key)
    if fact.topic.startswith("sijil.read."):
        return fact.data.get("request", fact.key)
    return fact.key


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
        correlation_id=UUID(row[10]),
        causation_id=row[11],
        approved_by=row[12],
        data=row[13],
        leaf_hash=bytes(row[14]),
    )
