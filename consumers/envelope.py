"""The form of a record: CloudEvents 1.0 in Kafka's binary mode, made from an entry.

The value is the body as it is stored; the headers carry what else the entry has, so
that it can be rebuilt and its leaf hash recomputed from the topic alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ledger.bundles import BareRow, recorded_text
from ledger.entries import Entry, leaf_hash_of

Headers = list[tuple[str, bytes]]

CONTENT_TYPE = b"application/json"
_FIXED: Headers = [("ce_specversion", b"1.0"), ("content-type", CONTENT_TYPE)]
_POSITION = r"[1-9][0-9]{0,17}"
"""No more digits than every position of that many fits into the ledger's 63 bits."""
_POSITION_BYTES = re.compile(_POSITION.encode())
_FORMS = {
    "ce_specversion": r"1\.0",
    "ce_id": r"[ -~]+",
    "ce_source": r"[ -~]+",
    # No line feed: another could begin where the entry's next field does.
    "ce_type": r"[ -~]{1,100}",
    "ce_time": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z",
    "ce_subject": r"[ -~]+",
    "ce_sequence": _POSITION,
    "ce_leafhash": r"[0-9a-f]{64}",
}
"""What a record needs, and how each is written: none of it with a line feed."""
_ALL_FORMS = re.compile("\n".join(_FORMS.values()))
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ID = re.compile(f"({_UUID})/(0|[1-9][0-9]{{0,9}})")


class EnvelopeError(ValueError):
    """A record is no entry's: ``code`` says what is wrong, without its values."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Enveloped:
    """An entry's fields as a record has them, with the leaf hash that came along.

    ``recorded_at`` is the contract's text of a time, ``aggregate_id`` that of an id:
    millions are read, and to hold them against their hash nothing more is wanted.
    """

    position: int
    recorded_at: str
    aggregate_id: str
    version: int
    topic: str
    body: bytes
    leaf_hash: bytes
    source: str

    @property
    def is_unaltered(self) -> bool:
        """Whether the entry has the leaf hash that came along."""
        leaf_hash = leaf_hash_of(
            self.position,
            self.recorded_at,
            self.aggregate_id,
            self.version,
            self.topic,
            self.body,
        )
        return leaf_hash == self.leaf_hash

    def is_of(self, row: BareRow | None) -> bool:
        """Whether a ledger's row (LedgerReader.rows) is the very same entry."""
        return row is not None and (
            row[5] == self.body
            and row[4] == self.topic
            and row[3] == self.version
            and row[2] == self.aggregate_id
            and recorded_text(row[1]) == self.recorded_at
            and row[0] == self.position
        )

    @property
    def entry(self) -> Entry:
        """The entry, made anew each time."""
        return Entry(
            position=self.position,
            recorded_at=datetime.fromisoformat(self.recorded_at),
            aggregate_id=UUID(self.aggregate_id),
            version=self.version,
            topic=self.topic,
            body=self.body,
        )


def source_of(ledger_id: UUID) -> str:
    """The CloudEvents source: the ledger, by its id. Ids of two ledgers may meet."""
    return f"urn:uuid:{ledger_id}"


def headers_of(row: BareRow, source: bytes) -> Headers:
    """The headers of an entry's bare row (LedgerReader.rows).

    ``ce_id`` with the source names the event for all time; ``ce_sequence`` is the
    position, ``ce_leafhash`` the leaf hash in hexadecimal digits.
    """
    position, recorded_at, aggregate_id, version, topic, body = row
    time = recorded_text(recorded_at)
    leaf = leaf_hash_of(position, time, aggregate_id, version, topic, body)
    subject, type_ = aggregate_id.encode(), topic.encode()
    return [
        *_FIXED,
        ("ce_id", b"%s/%d" % (subject, version)),
        ("ce_source", source),
        ("ce_type", type_),
        ("ce_time", time.encode()),
        ("ce_subject", subject),
        ("ce_partitionkey", subject),
        ("ce_dataschema", b"urn:sijil:schema:" + type_),
        ("ce_sequence", b"%d" % position),
        ("ce_leafhash", leaf.hex().encode()),
    ]


def position_of(headers: Iterable[tuple[str, bytes | None]]) -> int | None:
    """The position a record carries; None for one that carries none."""
    for name, value in headers:
        if name == "ce_sequence":
            is_one = value is not None and _POSITION_BYTES.fullmatch(value)
            return int(value) if value is not None and is_one else None
    return None


def read(
    key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]
) -> Enveloped:
    """The entry of a record. Raises EnvelopeError for what cannot be one."""
    told = told_of(headers)
    if value is None:
        raise EnvelopeError("no-value")
    subject, time = told["ce_subject"], told["ce_time"]
    if key is None or key != told["ce_id"].rpartition("/")[0].encode():
        raise EnvelopeError("key-is-not-the-aggregate")
    if key != subject.encode():
        raise EnvelopeError("subject-is-not-the-aggregate")
    named = _ID.fullmatch(told["ce_id"])
    if named is None:
        # A UUID may be written in other ways; the entry has one.
        raise EnvelopeError("headers-malformed")
    try:
        datetime.fromisoformat(time)
    except ValueError as error:
        raise EnvelopeError("headers-malformed") from error
    return Enveloped(
        position=int(told["ce_sequence"]),
        recorded_at=time,
        aggregate_id=subject,
        version=int(named[2]),
        topic=told["ce_type"],
        body=value,
        leaf_hash=bytes.fromhex(told["ce_leafhash"]),
        source=told["ce_source"],
    )


def told_of(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """The headers as texts: each once, all that an entry needs, each in its form.

    Raises EnvelopeError.
    """
    told: dict[str, str] = {}
    for name, text in headers:
        if name in told:
            raise EnvelopeError("header-twice")
        if text is None:
            raise EnvelopeError("header-without-value")
        try:
            told[name] = text.decode("ascii")
        except UnicodeDecodeError as error:
            raise EnvelopeError("header-not-ascii") from error
    try:
        lines = "\n".join([told[name] for name in _FORMS])
    except KeyError as error:
        raise EnvelopeError("header-missing") from error
    if _ALL_FORMS.fullmatch(lines) is None:
        raise EnvelopeError("headers-malformed")
    return told
