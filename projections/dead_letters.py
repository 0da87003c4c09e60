"""DeadLetters: messages from outside that could not be used, and what became of them.

The view says where a message stands and why it was set aside, never what is in it: the
content is on the dead-letter topic of its group alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg2.extensions

from domain.dead_letters import DeadBecause, SettledBecause
from ledger.persistence.datastore import PostgresDatastore
from projections.facts import Fact
from projections.pages import DEFAULT_PAGE, Page, decode_cursor, page_size, paged
from projections.sorting import Column, Order, both_ways
from projections.versioned import Change, VersionedTable, valid

_DEAD = "sijil.message.dead-lettered.v1"
_REPLAYED = "sijil.message.replayed.v1"
_SETTLED = "sijil.message.settled.v1"
_OURS = frozenset({_DEAD, _REPLAYED, _SETTLED})
_VALUES = (
    "consumer_group",
    "origin_topic",
    "origin_partition",
    "origin_offset",
    "cause",
    "code",
    "attempts",
    "sender",
    "replay_of",
    "kept_partition",
    "kept_offset",
    "sent_at",
    "set_aside_at",
    "state",
    "replays",
    "replayed_at",
    "replayed_partition",
    "replayed_offset",
    "settled_at",
    "settled_because",
    "version",
)
_TABLE = VersionedTable(
    name="dead_letters",
    key=("letter_id",),
    values=_VALUES,
    casts={"letter_id": "uuid"},
)
_DDL = """
CREATE TABLE dead_letters (
    letter_id uuid NOT NULL,
    consumer_group text COLLATE "C" NOT NULL,
    origin_topic text NOT NULL,
    origin_partition integer NOT NULL,
    origin_offset bigint NOT NULL,
    cause text COLLATE "C" NOT NULL,
    code text,
    attempts integer NOT NULL,
    sender text,
    replay_of uuid,
    kept_partition integer NOT NULL,
    kept_offset bigint NOT NULL,
    -- The message's own time, and when the ledger learnt that it was set aside.
    sent_at timestamptz NOT NULL,
    set_aside_at timestamptz NOT NULL,
    state text NOT NULL,
    replays integer NOT NULL,
    replayed_at timestamptz,
    replayed_partition integer,
    replayed_offset bigint,
    settled_at timestamptz,
    settled_because text,
    version integer NOT NULL,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (letter_id, valid_from)
);
CREATE UNIQUE INDEX dead_letters_current ON dead_letters (letter_id)
    WHERE valid_to IS NULL;
CREATE INDEX dead_letters_by_time ON dead_letters (set_aside_at, letter_id);
CREATE INDEX dead_letters_open ON dead_letters (set_aside_at, letter_id)
    WHERE state = 'open' AND valid_to IS NULL;
"""
_PAGE = f"""
SELECT letter_id::text, {", ".join(_VALUES)}, valid_from
FROM dead_letters
WHERE {{valid}}
    AND (%(state)s::text IS NULL OR state = %(state)s)
    AND (%(cause)s::text IS NULL OR cause = %(cause)s)
    AND (%(group)s::text IS NULL OR consumer_group = %(group)s)
    AND (%(topic)s::text IS NULL OR origin_topic = %(topic)s)
    AND (%(sender)s::text IS NULL OR sender = %(sender)s)
    AND (%(since)s::timestamptz IS NULL OR set_aside_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR set_aside_at < %(until)s)
    AND {{after}}
ORDER BY {{by}} LIMIT %(limit)s
"""
_TOTALS = """
SELECT
    consumer_group, cause,
    count(*) FILTER (WHERE state = 'open'),
    count(*) FILTER (WHERE state = 'replayed'),
    count(*) FILTER (WHERE state = 'settled'),
    min(set_aside_at) FILTER (WHERE state = 'open')
FROM dead_letters
WHERE {valid} AND (consumer_group, cause) > (%(after_group)s, %(after_cause)s)
GROUP BY consumer_group, cause ORDER BY consumer_group, cause LIMIT %(limit)s
"""


class LetterState(StrEnum):
    """What became of a dead letter."""

    OPEN = "open"
    REPLAYED = "replayed"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterRow:
    """One message that could not be used.

    ``sent_at`` is the message's own time; ``set_aside_at`` is when the ledger learnt
    of it. ``kept_partition`` and ``kept_offset`` are its place on the dead-letter
    topic of ``group``. ``position`` is the entry that made the row what it is.
    """

    id: UUID
    group: str
    topic: str
    partition: int
    offset: int
    cause: DeadBecause
    code: str | None
    attempts: int
    sender: str | None
    replay_of: UUID | None
    kept_partition: int
    kept_offset: int
    sent_at: datetime
    set_aside_at: datetime
    state: LetterState
    replays: int
    replayed_at: datetime | None
    replayed_partition: int | None
    replayed_offset: int | None
    settled_at: datetime | None
    settled_because: SettledBecause | None
    version: int
    position: int

    def age_s(self, now: datetime) -> int:
        """Whole seconds that it was open: until now, or until somebody dealt with it.

        One that was replayed and settled after was open until it was settled.
        """
        ended = self.settled_at or self.replayed_at or now
        return max(0, int((ended - self.set_aside_at).total_seconds()))


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which letters a list has: those that every given part holds for.

    ``since`` and ``until`` bound when they were set aside, the later one exclusive.
    """

    state: LetterState | None = None
    cause: DeadBecause | None = None
    group: str | None = None
    topic: str | None = None
    sender: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_ALL = LetterFilter()


class LetterSort(StrEnum):
    """The orders of the list of dead letters."""

    OLDEST = "set_aside_at"
    NEWEST = "-set_aside_at"


_ORDERS: dict[LetterSort, Order[DeadLetterRow]] = both_ways(
    LetterSort.OLDEST,
    LetterSort.NEWEST,
    (
        Column("set_aside_at", "timestamptz", datetime),
        Column("letter_id", "uuid", UUID),
    ),
    lambda row: (row.set_aside_at.isoformat(), str(row.id)),
)


@dataclass(frozen=True, slots=True)
class LetterTotals:
    """How many letters of a group have one cause, by what became of them."""

    group: str
    cause: DeadBecause
    open: int
    replayed: int
    settled: int
    oldest_open_at: datetime | None


class DeadLetters:
    """The view: one current row a dead letter."""

    name = "dead_letters"
    version = 1
    tables = (_TABLE.name,)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [fact for fact in facts if fact.topic in _OURS]
        if not ours:
            return
        rows = _TABLE.load(cursor, [(fact.key,) for fact in ours])
        current = {str(key): row for (key,), row in rows.items()}
        changes = []
        for fact in ours:
            current[fact.key] = _after(current.get(fact.key, {}), fact)
            changes.append(
                Change(position=fact.position, key=(fact.key,), row=current[fact.key])
            )
        _TABLE.write(cursor, changes)


def _after(row: dict[str, Any], fact: Fact) -> dict[str, Any]:
    """The row as a fact leaves it."""
    data = fact.data
    row = {**row, "version": fact.version}
    if fact.topic == _REPLAYED:
        return {
            **row,
            "state": "replayed",
            "replays": data["replay"],
            "replayed_at": fact.effective_text,
            "replayed_partition": data["partition"],
            "replayed_offset": data["offset"],
        }
    if fact.topic == _SETTLED:
        return {
            **row,
            "state": "settled",
            "settled_at": fact.effective_text,
            "settled_because": data["reason"],
        }
    return {
        **dict.fromkeys(_VALUES),
        **row,
        "consumer_group": data["group"],
        "origin_topic": data["topic"],
        "origin_partition": data["partition"],
        "origin_offset": data["offset"],
        "cause": data["cause"],
        "code": data.get("code"),
        "attempts": data["attempts"],
        "sender": data.get("sender"),
        "replay_of": data.get("replay_of"),
        "kept_partition": data["kept_partition"],
        "kept_offset": data["kept_offset"],
        "sent_at": fact.effective_text,
        "set_aside_at": fact.recorded_at,
        "state": "open",
        "replays": 0,
    }


def letter_from(facts: Iterable[Fact]) -> DeadLetterRow | None:
    """The dead letter of one aggregate's facts, as the view would have it.

    None where they are no dead letter's, or there are none.
    """
    row: dict[str, Any] = {}
    last: Fact | None = None
    for fact in facts:
        if fact.topic not in _OURS:
            return None
        row, last = _after(row, fact), fact
    if last is None:
        return None
    for name in ("sent_at", "replayed_at", "settled_at"):
        if row[name] is not None:
            row[name] = datetime.fromisoformat(row[name])
    return _letter(last.key, row, last.position)


class DeadLettersQueries:
    """What can be asked of dead letters."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    def page(
        self,
        *,
        only: LetterFilter = _ALL,
        sort: LetterSort = LetterSort.NEWEST,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[DeadLetterRow]:
        """Dead letters, the newest first. InvalidValueError for a bad cursor.

        Who may ask is decided before: nobody sees a part of them.
        """
        order = _ORDERS[sort]
        further, place = order.after(after)
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _PAGE.format(valid=valid(as_of), after=further, by=order.by),
                {
                    **place,
                    **{name: getattr(only, name) for name in only.__slots__},
                    "as_of": as_of,
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [
                _letter(letter_id, dict(zip(_VALUES, values, strict=True)), position)
                for letter_id, *values, position in cursor.fetchall()
            ]
        return order.page(rows, limit)

    def totals(
        self,
        *,
        after: str | None = None,
        limit: int = DEFAULT_PAGE,
        as_of: int | None = None,
    ) -> Page[LetterTotals]:
        """How many letters each group has of each cause."""
        place = decode_cursor(after, str, str) or ("", "")
        with self._datastore.autocommit() as cursor:
            cursor.execute(
                _TOTALS.format(valid=valid(as_of)),
                {
                    "as_of": as_of,
                    "after_group": place[0],
                    "after_cause": place[1],
                    "limit": page_size(limit) + 1,
                },
            )
            rows = [
                LetterTotals(group, DeadBecause(cause), *counts)
                for group, cause, *counts in cursor.fetchall()
            ]
        return paged(rows, limit, lambda row: (row.group, row.cause))


def _letter(letter_id: str, row: dict[str, Any], position: int) -> DeadLetterRow:
    replay_of, settled = row["replay_of"], row["settled_because"]
    return DeadLetterRow(
        id=UUID(letter_id),
        group=row["consumer_group"],
        topic=row["origin_topic"],
        partition=row["origin_partition"],
        offset=row["origin_offset"],
        cause=DeadBecause(row["cause"]),
        code=row["code"],
        attempts=row["attempts"],
        sender=row["sender"],
        replay_of=None if replay_of is None else UUID(str(replay_of)),
        kept_partition=row["kept_partition"],
        kept_offset=row["kept_offset"],
        sent_at=row["sent_at"],
        set_aside_at=row["set_aside_at"],
        state=LetterState(row["state"]),
        replays=row["replays"],
        replayed_at=row["replayed_at"],
        replayed_partition=row["replayed_partition"],
        replayed_offset=row["replayed_offset"],
        settled_at=row["settled_at"],
        settled_because=None if settled is None else SettledBecause(settled),
        version=row["version"],
        position=position,
    )
