"""Acts by the thousand: one row of arrays, in COPY's binary format, is a batch.

The server judges it when all of it is there, as the append function does, in the one
statement that brings it (migration 0005); the answer is fetched from the session after
the commit. A binary array is what the server would make of a literal, made by us:
nothing is quoted, doubled as digits or parsed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg2.extensions
from eventsourcing.persistence import DataError, ProgrammingError

from ledger.copying import copy_in
from ledger.persistence.append import ActToAppend, Appended, Outcome
from ledger.persistence.columns import columns, only_uuid

FEWEST_ACTS = 50
"""From how many acts on a batch is brought by COPY: below, its second round trip costs
more than the literals of the ordinary way."""
LARGEST_BATCH_BYTES = 256 << 20
"""What one batch may have: the server holds it in memory a few times over."""

_COPY = "COPY intake FROM STDIN (FORMAT binary)"
_ANSWER = "SELECT current_setting('sijil.taken_in'), tidy_intake()"

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_COLUMNS = struct.pack(">h", 11)
_TRAILER = struct.pack(">h", -1)
_NULL = struct.pack(">i", -1)
_BYTEA, _INT8, _INT4, _TEXT, _UUID = 17, 20, 23, 25, 2950
"""Built-in types by their fixed numbers (src/include/catalog/pg_type.dat)."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SERVERS_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_size = struct.Struct(">i").pack
_integer = struct.Struct(">ii").pack
_long = struct.Struct(">iq").pack
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}


@dataclass(frozen=True, slots=True)
class PackedActs:
    """Acts as they are sent, but for the clock of whoever sends them, and when."""

    acts: Sequence[ActToAppend]
    fields: bytes

    def at(self, clock: datetime) -> bytes:
        """The batch as COPY takes it."""
        clock_us = (clock - _SERVERS_EPOCH) // _MICROSECOND
        return b"".join([_SIGNATURE, _COLUMNS, _long(8, clock_us), self.fields])


def packed(acts: Sequence[ActToAppend]) -> PackedActs:
    """The acts, ready to be sent.

    Raises ProgrammingError and DataError for what has no place in the ledger's columns.
    """
    try:
        fields = _fields(acts)
    except (AttributeError, TypeError, ValueError, struct.error) as error:
        # The ordinary way says what is wrong, and of which kind it is.
        for act in acts:
            columns(act)
        raise DataError("a number is larger than its column") from error
    size_bytes = sum(map(len, fields))
    if size_bytes > LARGEST_BATCH_BYTES:
        raise ProgrammingError(f"a batch of {size_bytes} bytes is too large")
    parts = [part for field in fields for part in (_size(len(field)), field)]
    return PackedActs(acts, b"".join([*parts, _TRAILER]))


def bring(
    cursor: psycopg2.extensions.cursor,
    batch: PackedActs,
    clock: datetime | None = None,
) -> list[Appended]:
    """Append a batch on a connection in autocommit; one outcome an act, durable.

    Raises the driver's errors. When the connection is lost, only the command ids tell.
    """
    copy_in(cursor, _COPY, batch.at(clock or datetime.now(UTC)))
    cursor.execute(_ANSWER)
    (said, _) = cursor.fetchone() or ("", False)
    return _outcomes(said, batch.acts)


def _fields(acts: Sequence[ActToAppend]) -> list[bytes]:
    """The columns of the table after that of the clock, in their order."""
    commands = [act.command for act in acts]
    tracking = [act.tracking for act in acts]
    events = [event for act in acts for event in act.events]
    text = _Texts()
    return [
        _array(_UUID, [_NULL if c is None else _sized(c.id.bytes) for c in commands]),
        _array(_TEXT, [_NULL if c is None else text[c.actor] for c in commands]),
        _array(_BYTEA, [_NULL if c is None else _sized(c.digest) for c in commands]),
        _array(
            _TEXT, [_NULL if t is None else text[t.application_name] for t in tracking]
        ),
        _array(
            _INT8,
            [_NULL if t is None else _long(8, t.notification_id) for t in tracking],
        ),
        _array(_INT4, [_integer(4, len(act.events)) for act in acts]),
        _array(_UUID, [_sized(only_uuid(e.originator_id).bytes) for e in events]),
        _array(_INT4, [_integer(4, e.originator_version) for e in events]),
        _array(_TEXT, [text[e.topic] for e in events]),
        _array(_BYTEA, [_sized(e.state) for e in events]),
    ]


class _Texts(dict[str, bytes]):
    """Texts as elements of an array. A batch has few different ones."""

    def __missing__(self, value: str) -> bytes:
        written = self[value] = _sized(value.encode())
        return written


def _sized(value: bytes) -> bytes:
    """A value as an element of an array."""
    return _size(len(value)) + value


def _array(kind: int, elements: Sequence[bytes]) -> bytes:
    """A binary array: dimensions, if there are NULLs, type, length, first index."""
    if not elements:
        return struct.pack(">iii", 0, 0, kind)
    head = struct.pack(">iiiii", 1, _NULL in elements, kind, len(elements), 1)
    return head + b"".join(elements)


def _outcomes(said: str, acts: Sequence[ActToAppend]) -> list[Appended]:
    """What the server's answer says of each act."""
    lines = [line.split(" ") for line in said.split("\n")]
    if lines[0][0].isdigit():
        position, at_us = map(int, lines[0])
        return list(_all_appended(acts, position, at_us))
    return [
        Appended(
            outcome=_OUTCOMES[outcome],
            first_position=None if first == "-" else int(first),
            last_position=None if last == "-" else int(last),
            recorded_at=None if at == "-" else _EPOCH + int(at) * _MICROSECOND,
        )
        for outcome, first, last, at in lines
    ]


def _all_appended(
    acts: Iterable[ActToAppend], position: int, at_us: int
) -> Iterable[Appended]:
    """The outcomes of acts that were all stored, above a position, from a time on."""
    at = _EPOCH + at_us * _MICROSECOND
    until = 0
    for act in acts:
        events = len(act.events)
        until += events
        yield Appended(
            outcome=Outcome.APPENDED,
            first_position=position + until - events + 1 if events else None,
            last_position=position + until if events else None,
            recorded_at=at + max(until - 1, 0) * _MICROSECOND,
        )
