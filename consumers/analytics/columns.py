"""What a row of a Parquet file says: one entry, flat, with its body beside it.

No row rests on another: which stage a request left, or where it was submitted, is asked
of the rows together (``questions/``). So nothing has to be kept in memory, and a file
never depends on the order in which files were written.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import orjson
import pyarrow as pa

from consumers.envelope import Enveloped
from domain.calendars import OFFICE_ZONE
from projections.stages import ENTERED, stage_told

LARGEST_MEMORY_BYTES = 64 * 2**20
"""Of bodies in one file's rows: they may be 60,000 bytes each, and mostly are 400."""

SCHEMA = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("recorded_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("effective_at", pa.timestamp("us", tz="UTC")),
        # The office's own day and hour: not every reader has the zones of the world.
        pa.field("effective_day", pa.date32()),
        pa.field("effective_hour", pa.timestamp("s")),
        pa.field("aggregate_id", pa.string(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("actor_kind", pa.string()),
        pa.field("place", pa.string()),
        pa.field("governorate", pa.string()),
        pa.field("centre", pa.string()),
        pa.field("agency", pa.string()),
        pa.field("service", pa.string()),
        pa.field("stage", pa.string()),
        pa.field("route", pa.string()),
        pa.field("outcome", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("leaf_hash", pa.binary(32), nullable=False),
        pa.field("body", pa.string()),
    ]
)
"""The columns; docs/reference/analytics.md says what each is."""
_OURS = "sijil."
_REFUSED = "sijil.attempt.refused.v1"


class Rows:
    """Rows on their way into a file: all of one recorded day, positions side by side.

    ``size_bytes`` is that of the bodies.
    """

    def __init__(self) -> None:
        self._columns: list[list[Any]] = [[] for _ in SCHEMA]
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._columns[0])

    @property
    def first(self) -> int:
        """The first position."""
        position: int = self._columns[0][0]
        return position

    @property
    def last(self) -> int:
        """The last position."""
        position: int = self._columns[0][-1]
        return position

    @property
    def last_leaf_hash(self) -> bytes:
        """The leaf hash of the last entry."""
        leaf_hash: bytes = self._columns[SCHEMA.get_field_index("leaf_hash")][-1]
        return leaf_hash

    @property
    def day(self) -> date:
        """The recorded day of all of them, in UTC."""
        recorded_at: datetime = self._columns[1][0]
        return recorded_at.date()

    def takes(self, told: Enveloped) -> bool:
        """Whether the next entry may stand in the same file."""
        return not len(self) or (
            told.recorded_at.startswith(self.day.isoformat())
            and self.size_bytes < LARGEST_MEMORY_BYTES
        )

    def add(self, told: Enveloped) -> None:
        """Take the next entry in."""
        for column, value in zip(self._columns, row_of(told), strict=True):
            column.append(value)
        self.size_bytes += len(told.body)

    def table(self) -> pa.Table:
        """The rows as Arrow has them."""
        return pa.table(
            [
                pa.array(column, type=field.type)
                for column, field in zip(self._columns, SCHEMA, strict=True)
            ],
            schema=SCHEMA,
        )


def row_of(told: Enveloped) -> tuple[Any, ...]:
    """The values of an entry's row, in the order of SCHEMA."""
    topic = told.topic
    body, text = _read(told.body) if topic.startswith(_OURS) else ({}, None)
    data = _object(body, "data")
    actor = _object(body, "actor")
    effective_at, day, hour = _effective(_text(body, "effective_at"))
    is_attempt = topic == _REFUSED
    return (
        told.position,
        datetime.fromisoformat(told.recorded_at),
        effective_at,
        day,
        hour,
        told.aggregate_id,
        told.version,
        topic,
        _text(actor, "kind"),
        _text(actor, "place"),
        _text(data, "governorate"),
        _text(data, "centre"),
        # What holds from an acceptance on is the agency of its terms.
        _text(_object(data, "terms"), "agency") or _text(data, "agency"),
        _text(data, "service"),
        stage_of(topic, data),
        _text(data, "by"),
        _text(data, "outcome"),
        _text(data, "code" if is_attempt else "reason"),
        told.leaf_hash,
        text,
    )


def stage_of(topic: str, data: dict[str, Any]) -> str | None:
    """The stage that an event moves its request to; None for all other events."""
    if topic not in ENTERED:
        return None
    try:
        return ENTERED[topic] or stage_told(data)
    except KeyError:
        # A body that is none of ours.
        return None


def _read(stored: bytes) -> tuple[dict[str, Any], str | None]:
    """A body as an object and as text; nothing of what is neither."""
    try:
        read = orjson.loads(stored)
    except orjson.JSONDecodeError:
        return {}, None
    return (read if isinstance(read, dict) else {}), stored.decode()


def _object(of: dict[str, Any], key: str) -> dict[str, Any]:
    found = of.get(key)
    return found if isinstance(found, dict) else {}


def _text(of: dict[str, Any], key: str) -> str | None:
    found = of.get(key)
    return found if isinstance(found, str) else None


def _effective(
    text: str | None,
) -> tuple[datetime | None, date | None, datetime | None]:
    """When it happened: in UTC, and on which day and in which hour of the office."""
    if text is None:
        return None, None, None
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
        hour = _office_hour(text[:13])
    except (ValueError, OverflowError):
        return None, None, None
    return at, hour.date(), hour


@lru_cache(maxsize=4096)
def _office_hour(utc_hour: str) -> datetime:
    """An hour of UTC as the clocks of Damascus showed it: they differ by whole ones."""
    begun = datetime.fromisoformat(f"{utc_hour}:00:00+00:00")
    return begun.astimezone(OFFICE_ZONE).replace(tzinfo=None)
