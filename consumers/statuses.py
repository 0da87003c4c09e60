"""The public status of each request: the stage it is in, and since when.

It follows from the event that entered the stage, and from nothing else, so whoever
publishes it needs no memory. It has no more than that, because anybody may read it:
no reason, no place and no service, by which somebody could be told from others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from consumers import envelope
from consumers.schemas import (
    TIME_PATTERN,
    URN,
    UUID_PATTERN,
    Schema,
    document,
    record_headers,
)
from consumers.topics import REQUEST_STATUS
from domain.stages import Stage
from ledger.bodies import canonical, read_body
from ledger.bundles import BareRow
from ledger.reader import LedgerReader
from projections.requests import PREFIX
from projections.stages import ENTERED, stage_told

LEAVES: Final = (f"{PREFIX}mailed.v1", f"{PREFIX}handed-over.v1")
"""What came back may leave again, and was completed all the same: only the first of
these enters the stage."""
ID_BEGINS: Final = b"status/"
STATUS_HEADERS: Final = "status-headers"
_TOLD = {
    "ce_type": REQUEST_STATUS.name.encode(),
    "ce_dataschema": f"{URN}{REQUEST_STATUS.name}".encode(),
}

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where a request stands, for anybody. ``since`` is an effective time, as text."""

    request_id: str
    stage: Stage
    since: str

    def to_bytes(self) -> bytes:
        """The record's value."""
        return canonical(
            {
                "request_id": self.request_id,
                "since": self.since,
                "stage": self.stage.value,
            }
        )


def status_of(request_id: str, topic: str, body: bytes) -> Status | None:
    """The status that an event leads to; None where it enters no stage.

    None too for a body that is none of ours: nothing can be said of it, and no reader
    of other requests has to wait for it.
    """
    if topic not in ENTERED:
        return None
    try:
        said = read_body(body)
        stage = Stage(ENTERED[topic] or stage_told(said["data"]))
        return Status(request_id=request_id, stage=stage, since=said["effective_at"])
    except (ValueError, KeyError, TypeError):
        _log.warning("statuses.body_unreadable", request=request_id, topic=topic)
        return None


def first_leaves(
    reader: LedgerReader, things: Iterable[tuple[str, str]]
) -> dict[str, int]:
    """The version at which each request's paper first left.

    ``things`` are ids with topics; only those whose paper leaves are asked for.
    """
    leaving = {thing for thing, topic in things if topic in LEAVES}
    first: dict[str, int] = {}
    if leaving:
        rows = reader.kinds(sorted(leaving), topics=LEAVES, until=2**63 - 1)
        for thing, version, _, _ in rows:
            first.setdefault(thing, version)
    return first


class Statuses:
    """What the relay sends of the ledger's rows to the topic of statuses."""

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader

    def picked(self, rows: Sequence[BareRow]) -> Iterable[tuple[BareRow, bytes]]:
        """The rows that enter a stage, with the record's value, in order.

        Of each request only the last: a topic that keeps the last of a key would drop
        the others, and a transaction shows them all at once.
        """
        first = first_leaves(self._reader, ((row[2], row[4]) for row in rows))
        last: dict[str, tuple[BareRow, bytes]] = {}
        for row in rows:
            _, _, thing, version, topic, body = row
            if topic not in ENTERED or first.get(thing, version) < version:
                continue
            status = status_of(thing, topic, body)
            if status is not None:
                # To the end: positions rise within a partition.
                last.pop(thing, None)
                last[thing] = (row, status.to_bytes())
        return last.values()

    def headers(self, row: BareRow, source: bytes) -> envelope.Headers:
        """The headers of a status: its own type, and the entry it follows from."""
        return headers_of(row, source)


def headers_of(row: BareRow, source: bytes) -> envelope.Headers:
    """The headers of the status that follows from an entry's bare row."""
    told = envelope.headers_of(row, source)
    # The event has an id of its own, and a source never has one twice.
    own = {**_TOLD, "ce_id": ID_BEGINS + dict(told)["ce_id"]}
    return [(name, own.get(name, text)) for name, text in told]


def status_headers() -> Schema:
    """The schema of a status's headers."""
    return record_headers(
        STATUS_HEADERS,
        carried="a request's status",
        type_pattern=re.escape(REQUEST_STATUS.name),
        id_begins=ID_BEGINS.decode(),
    )


def status_schema() -> Schema:
    """The schema of a record's value."""
    stages: dict[str, Any] = {
        "type": "string",
        "anyOf": [
            {"enum": [stage.value for stage in Stage]},
            {"pattern": "^[a-z_]{1,100}$"},
        ],
        "description": "The stage that the request is in.",
    }
    return document(
        REQUEST_STATUS.name,
        description="Where one request stands, for anybody. The key is its id.",
        properties={
            "request_id": {
                "type": "string",
                "format": "uuid",
                "pattern": UUID_PATTERN,
            },
            "stage": stages,
            "since": {
                "type": "string",
                "format": "date-time",
                "pattern": TIME_PATTERN,
                "description": "When it entered the stage: an effective time, in UTC.",
            },
        },
        additionalProperties=True,
    )
