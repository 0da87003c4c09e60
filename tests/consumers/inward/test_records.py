"""A message keeps every byte, and its names follow from where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from consumers.inward.records import InwardMessage, tracking_name

TOPIC_ID = UUID("6f2a4c1e-8f0b-4d53-9c86-5b1f6d0a7e21")


@dataclass
class Record:
    """What a client of Kafka gives, as far as it is read."""

    topic: str = "sijil.agency-replies.v1"
    partition: int = 3
    offset: int = 0
    key: bytes | None = b"k"
    value: bytes | None = b"\xff\x00"
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)
    timestamp: int | None = 1_764_000_000_000


def test_every_byte_is_kept() -> None:
    record = Record(headers=[("a", b"1"), ("b", None), ("a", b"2")])
    message = InwardMessage.of(record)
    assert (message.key, message.value) == (record.key, record.value)
    assert message.headers == (("a", b"1"), ("b", b""), ("a", b"2"))
    assert message.timestamp_ms == record.timestamp
    assert InwardMessage.of(Record(timestamp=None)).timestamp_ms == -1


def test_a_header_that_stands_twice_says_nothing() -> None:
    message = InwardMessage.of(Record(headers=[("a", b"1"), ("b", b"2"), ("a", b"3")]))
    assert message.header("a") is None
    assert message.header("b") == b"2"
    assert message.header("c") is None


def test_its_names_follow_from_its_place_and_the_id_of_the_topic() -> None:
    message = InwardMessage.of(Record(offset=7))
    assert message.name == "kafka/sijil.agency-replies.v1/3/7"
    tracking = message.tracking(TOPIC_ID)
    assert tracking.notification_id == 7
    assert tracking.application_name == tracking_name(
        message.topic, TOPIC_ID, message.partition
    )
    other = message.tracking(UUID(int=1))
    assert other.application_name != tracking.application_name


def test_its_content_is_in_no_log() -> None:
    message = InwardMessage.of(Record(value=b"marked", key=b"marked"))
    assert "marked" not in repr(message)
    assert message.name in repr(message)
