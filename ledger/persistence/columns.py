"""Acts as the text that the append function takes: one array literal a column.

The driver would quote and cast every element of a list by itself, which costs more than
the server's work. Here each act is written once, by the thread that sends it, and a
batch only joins what is written. ``standard_conforming_strings`` MUST be in force, as
the datastore sees to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from eventsourcing.persistence import DataError, ProgrammingError

from ledger.persistence.append import ActToAppend, Appended, Outcome

Columns = tuple[str, str, str, str, str, str, str, str, str, str]
"""An act's part of every array but the first parameter, the caller's clock."""

ANSWER = "SELECT outcome, first_position, last_position, recorded_at FROM append"
ANSWER_WHOLE = f"{ANSWER}_whole"
IN_ORDER = "ORDER BY act"
TYPES = (
    "timestamptz, uuid[], text[], bytea[], text[], bigint[], integer[], uuid[],"
    " integer[], text[], bytea[]"
)
_NOTHING = "NULL"
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}


def columns(act: ActToAppend) -> Columns:
    """The act as text. Raises ProgrammingError and DataError for what has no text."""
    command, tracking, events = act.command, act.tracking, act.events
    try:
        return (
            _NOTHING if command is None else command.id.hex,
            _NOTHING if command is None else _text(command.actor),
            _NOTHING if command is None else _bytes(command.digest),
            _NOTHING if tracking is None else _text(tracking.application_name),
            _NOTHING if tracking is None else format(tracking.notification_id, "d"),
            str(len(events)),
            ",".join([only_uuid(event.originator_id).hex for event in events]),
            ",".join([format(event.originator_version, "d") for event in events]),
            ",".join([_text(event.topic) for event in events]),
            ",".join([_bytes(event.state) for event in events]),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise ProgrammingError(
            "a field of the act has not the type it needs"
        ) from error


def arguments(written: Iterable[Columns], clock: datetime | None = None) -> str:
    """The arguments of the append function for acts in their order."""
    arrays = [
        "'{" + ",".join(filter(None, column)) + "}'"
        for column in zip(*written, strict=True)
    ]
    now = (clock or datetime.now(UTC)).isoformat()
    return f"('{now}', {', '.join(arrays)})"


def whole_arguments(
    written: Iterable[Columns],
    marks: Mapping[str, int | None],
    clock: datetime | None = None,
) -> str:
    """Those of the function for acts that only count together."""
    names = ",".join(map(_text, marks))
    places = ",".join(
        _NOTHING if place is None else format(place, "d") for place in marks.values()
    )
    others = arguments(written, clock).removesuffix(")")
    return f"{others}, '{{{names}}}', '{{{places}}}')"


def answers(rows: Sequence[tuple[Any, ...]]) -> list[Appended]:
    """What the function said of each act."""
    return [
        Appended(
            outcome=_OUTCOMES[outcome],
            first_position=first,
            last_position=last,
            recorded_at=recorded_at,
        )
        for outcome, first, last, recorded_at in rows
    ]


def only_uuid(originator_id: UUID | str) -> UUID:
    """The id itself; ids of any other kind are not supported."""
    if not isinstance(originator_id, UUID):
        raise ProgrammingError("this store keeps aggregates under UUIDs only")
    return originator_id


def _text(value: str) -> str:
    """An element of a text array, inside a string literal."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise DataError("a text has characters that UTF-8 has not") from error
    if "\0" in value:
        raise DataError("a text has a zero character")
    if "\\" in value or '"' in value or "'" in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"').replace("'", "''")
    return f'"{value}"'


def _bytes(value: bytes) -> str:
    """An element of a bytea array: its backslash is the array's to unquote."""
    return "\\\\x" + value.hex()
