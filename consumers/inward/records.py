"""A message as it stands on a topic of Kafka, and what is named after its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from eventsourcing.persistence import Tracking

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InwardMessage:
    """One message, byte for byte as it was sent.

    ``headers`` keep their order and their doubles. ``timestamp_ms`` is the record's
    own, in milliseconds since 1970 UTC; -1 where there is none. An unread one has only
    its place: the client cannot read what is there. The repr shows no content: it may
    hold whatever somebody sent.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    is_unread: bool = False

    @classmethod
    def unread(cls, topic: str, partition: int, offset: int) -> Self:
        """The message at a place whose record cannot be read."""
        return cls(
            topic=topic,
            partition=partition,
            offset=offset,
            key=None,
            value=None,
            headers=(),
            timestamp_ms=-1,
            is_unread=True,
        )

    @classmethod
    def of(cls, record: Any) -> Self:
        """The message of a record of kafka-python."""
        return cls(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            value=record.value,
            headers=tuple((name, text or b"") for name, text in record.headers),
            timestamp_ms=-1 if record.timestamp is None else record.timestamp,
        )

    @property
    def name(self) -> str:
        """What events name as their cause: ``kafka/<topic>/<partition>/<offset>``."""
        return f"kafka/{self.topic}/{self.partition}/{self.offset}"

    def header(self, name: str) -> bytes | None:
        """A header's value; None where it is missing or stands there more than once."""
        found = list(self._all(name))
        return found[0] if len(found) == 1 else None

    def _all(self, name: str) -> Iterator[bytes]:
        return (text for each, text in self.headers if each == name)

    def tracking(self, topic_id: UUID) -> Tracking:
        """The mark that an act of this message leaves in the ledger."""
        return Tracking(
            tracking_name(self.topic, topic_id, self.partition), self.offset
        )

    def __repr__(self) -> str:
        return f"InwardMessage({self.name})"


def tracking_name(topic: str, topic_id: UUID, partition: int) -> str:
    """The name that a partition's offsets are tracked under: durable.

    With the topic's id: a topic that was deleted and made again begins its offsets
    anew, and its messages are others.
    """
    return f"kafka/{topic}/{topic_id}/{partition}"


class Unusable(StrEnum):
    """Why a message cannot be used, where no rule of the office was asked.

    What the office itself refuses is set aside under the code of its error.
    """

    NO_VALUE = "no-value"
    TOO_LARGE = "too-large"
    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "unknown-key"
    WRONG_SIGNATURE = "wrong-signature"
    WRONG_SENDER = "wrong-sender"
    NOT_JSON = "not-json"
    UNKNOWN_TYPE = "unknown-type"
    MALFORMED = "malformed"
    FAULT = "fault"
    """Our own: it was tried again and failed each time."""


class UnusableError(Exception):
    """A message can never be used. ``detail`` has none of its values."""

    def __init__(self, cause: Unusable, detail: str | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.detail = detail
