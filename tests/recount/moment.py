"""One moment of the ledger laid out for counting, and who asks about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg2.extensions
from psycopg2.extras import RealDictCursor

from tests.recount.money import FEES, ITEMS
from tests.recount.standing import INBOX, STANDS, WORK
from tests.recount.tables import AGES, BODIES, DAYS, DONE, LIFE, SPANS, TOLD
from tests.recount.things import ROSTER, SAID, STAMPED

NEVER = datetime.max.replace(tzinfo=UTC)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Somebody with a login: the role, and the place that bounds what is seen."""

    role: str
    code: str
    centre: str | None = None
    agency: str | None = None
    governorate: str | None = None

    def sees(self, *, places_only: bool = False) -> tuple[str, Row]:
        """The condition on what this asker sees, and its parameters."""
        parts = [
            f"{name} = %(asker_{name})s"
            for name in ("centre", "agency", "governorate")
            if getattr(self, name) is not None
        ]
        narrowed = {"agency": "is_forwarded", "post": "is_mailed"}
        narrowed["bank"] = "is_fee_outstanding"
        if not places_only and self.role in narrowed:
            parts.append(narrowed[self.role])
        return " AND ".join(parts) or "true", {
            f"asker_{name}": getattr(self, name)
            for name in ("centre", "agency", "governorate")
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question: of whom, about what thing, narrowed how, told for which time."""

    operation: str
    asker: Asker
    thing: str | None = None
    params: Row = field(default_factory=dict)
    now: datetime = NEVER

    def by(self, *usual: str) -> list[str]:
        """What is grouped by."""
        if self.params.get("total"):
            return []
        return list(dict.fromkeys(self.params.get("by") or usual))


class Moment:
    """What was known at a position, of what had happened before a time."""

    def __init__(
        self,
        connection: psycopg2.extensions.connection,
        *,
        position: int,
        before: datetime | None = None,
    ) -> None:
        self.position = position
        self.before = before
        self._aged_to: datetime | None = None
        self._cursor = connection.cursor(cursor_factory=RealDictCursor)
        asked = {"position": position, "before": before or NEVER}
        made = [TOLD, LIFE, DAYS, SPANS, DONE]
        if before is None:
            # What had happened by a time is asked of counts and times alone.
            made += [STANDS, WORK, INBOX, FEES, ITEMS, ROSTER, SAID, STAMPED]
        for statement in made:
            self._cursor.execute(statement, asked)

    def rows(self, query: str, **asked: Any) -> list[Row]:
        """The rows of a question, by the names of their columns."""
        self._cursor.execute(query, {"position": self.position, **asked})
        return [dict(row) for row in self._cursor.fetchall()]

    def grow_to(self, now: datetime) -> None:
        """Let what is open be as old as at a time; minutes are all that count."""
        minute = now.replace(second=0, microsecond=0)
        if minute != self._aged_to:
            self._cursor.execute(AGES, {"now": now})
            self._aged_to = minute

    def recorded_at(self, position: int | None = None) -> datetime:
        """When an entry was recorded: that of the moment, or another."""
        (row,) = self.rows(
            "SELECT recorded_at FROM bodies WHERE position = %(at)s",
            at=self.position if position is None else position,
        )
        at: datetime = row["recorded_at"]
        return at


def laid_out(connection: psycopg2.extensions.connection) -> None:
    """Read every body of the ledger; moments are made of them."""
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
        cursor.execute(BODIES)
