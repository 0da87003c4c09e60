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
_POSITION = re.compile(r"[1-9][0-9]{0,18}")
_VERSION = re.compile(r"0|[1-9][0-9]{0,9}")
_FORMS = {
    "ce_specversion": re.compile(r"1\.0"),
    "ce_id": re.compile(r"[ -~]+"),
    "ce_source": re.compile(r"[ -~]+"),
    # No line feed: another could begin where the entry's next field does.
    "ce_type": re.compile(r"[ -~]{1,100}"),
    "ce_time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII),
    "ce_subject": re.compile(r"[ -~]+"),
    "ce_sequence": _POSITION,
    "ce_leafhash": re.compile(r"[0-9a-f]{64}"),
}
"""What a record needs, and how each is written."""


class EnvelopeError(ValueError):
    """A record is no entry's: ``code`` says what is wrong, without its values."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Enveloped:
    """An entry as a record carries it, with the leaf hash that came along."""

    entry: Entry
    leaf_hash: bytes
    source: str

    @property
    def is_unaltered(self) -> bool:
        """Whether the entry has the leaf hash that came along."""
        return self.entry.leaf_hash() == self.leaf_hash


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


def position_of(headers: Iterable[tuple[str, bytes]]) -> int | None:
    """The position a record carries; None for one that carries none."""
    for name, value in headers:
        if name == "ce_sequence":
            text = value.decode("ascii", "replace")
            return int(text) if _POSITION.fullmatch(text) else None
    return None


def read(
    key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]
) -> Enveloped:
    """The entry of a record. Raises EnvelopeError for what cannot be one."""
    told = told_of(headers)
    if value is None:
        raise EnvelopeError("no-value")
    aggregate_id, _, version = told["ce_id"].rpartition("/")
    if key is None or key.decode("ascii", "replace") != aggregate_id:
        raise EnvelopeError("key-is-not-the-aggregate")
    if told["ce_subject"] != aggregate_id:
        raise EnvelopeError("subject-is-not-the-aggregate")
    if not _VERSION.fullmatch(version):
        raise EnvelopeError("headers-malformed")
    try:
        entry = Entry(
            position=int(told["ce_sequence"]),
            recorded_at=datetime.fromisoformat(told["ce_time"]),
            aggregate_id=UUID(aggregate_id),
            version=int(version),
            topic=told["ce_type"],
            body=value,
        )
    except ValueError as error:
        raise EnvelopeError("headers-malformed") from error
    # A UUID may be written in other ways; the entry has one.
    if str(entry.aggregate_id) != aggregate_id:
        raise EnvelopeError("headers-malformed")
    return Enveloped(
        entry=entry,
        leaf_hash=bytes.fromhex(told["ce_leafhash"]),
        source=told["ce_source"],
    )


def told_of(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """The headers as texts: each once, all that an entry needs, each in its form.

    Raises EnvelopeError.
    """
    told: dict[str, str] = {}
    for name, text in headers:
        if name in told:
            raise EnvelopeError("header-twice")
        try:
            told[name] = text.decode("ascii")
        except UnicodeDecodeError as error:
            raise EnvelopeError("header-not-ascii") from error
    for name, form in _FORMS.items():
        if name not in told:
            raise EnvelopeError("header-missing")
        if not form.fullmatch(told[name]):
            raise EnvelopeError("headers-malformed")
    return told
