"""The topics of Kafka: every one there is, in one place.

Names and keys are the contract's (docs/reference/contract.md, "Topics"). From here come
the topics themselves (``sijil topics``), the AsyncAPI document and the reference page.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PARTITIONS: Final = 12
"""Of every topic with many keys; it never changes while the version lives.

A key's partition follows from their number, and with it the order of a key's records.
"""
LARGEST_BATCH_BYTES: Final = 1_048_576
"""What a broker takes at once. It counts a whole batch of a producer, not one record:
a smaller one than the producers make would have every batch sent twice, in halves."""
LARGEST_LETTER_BYTES: Final = 4 * LARGEST_BATCH_BYTES
"""A dead letter has headers of its own, and its sender may have compressed better."""
FOR_EVER: Final = -1
DAY_MS: Final = 86_400_000
CLEANED_AFTER_MS: Final = 60_000
"""How soon what a newer record of its key has replaced may go, where whoever begins
reads the whole topic: by default a week stays, and a day of transactions' ends."""
LETTERS_KEPT_MS: Final = 30 * DAY_MS
"""A dead letter may hold a person's values, which no erasure reaches there: it is kept
no longer than somebody needs to deal with it."""


class Direction(StrEnum):
    """Which way a topic's records go."""

    OUTWARD = "outward"
    INWARD = "inward"
    ASIDE = "aside"
    """What came inward and could not be used."""


class Keeping(StrEnum):
    """What a topic keeps: every record for a time, or the last of each key."""

    RECORDS = "delete"
    LAST_OF_KEY = "compact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic. ``retention_ms`` is FOR_EVER where nothing is dropped by age.

    ``cleaned_after_ms``: of one that keeps the last of each key, how soon the others
    may go; None for the brokers' own default.

    A restricted one has what others wrote, which may be of persons: nobody reads it but
    the workers and whoever has to look after it.
    """

    name: str
    about: str
    key: str
    value: str
    direction: Direction
    owner: str
    partitions: int = PARTITIONS
    keeping: Keeping = Keeping.RECORDS
    retention_ms: int = FOR_EVER
    cleaned_after_ms: int | None = None
    largest_batch_bytes: int = LARGEST_BATCH_BYTES
    is_restricted: bool = False

    def configs(self, replication: int) -> dict[str, str]:
        """The topic's own settings, as a broker has them."""
        cleaned = {}
        if self.cleaned_after_ms is not None:
            after = str(self.cleaned_after_ms)
            # Only a closed segment is cleaned; the ends of transactions go later still.
            cleaned = {"segment.ms": after, "delete.retention.ms": after}
        return {
            **cleaned,
            "cleanup.policy": self.keeping.value,
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.largest_batch_bytes),
            # With two copies written before a send counts, one broker may be lost.
            "min.insync.replicas": str(min(2, replication)),
            # The brokers write what others send as our client can read it: it knows no
            # lz4, snappy or zstd.
            "compression.type": "gzip"
            if self.direction is Direction.INWARD
            else "producer",
        }


EVENTS: Final = Topic(
    name="sijil.events.v1",
    about="Every entry of the ledger, once, in the order of its aggregate",
    key="the aggregate's id",
    value="the body's canonical bytes, as stored and hashed",
    direction=Direction.OUTWARD,
    owner="the relay",
)
REQUEST_STATUS: Final = Topic(
    name="sijil.request-status.v1",
    about="The public status of each request",
    key="the request's id",
    value="the stage and since when, as JSON",
    direction=Direction.OUTWARD,
    owner="the relay",
    keeping=Keeping.LAST_OF_KEY,
)
RELAY_POSITION: Final = Topic(
    name="sijil.relay-position.v1",
    about="How far each outward topic has come",
    key="the name of the topic that is filled",
    value="ledger, incarnation, position and the topic's id, as JSON",
    direction=Direction.OUTWARD,
    owner="the relay",
    partitions=1,
    keeping=Keeping.LAST_OF_KEY,
    # A record a transaction, and read from its beginning at each start and check.
    cleaned_after_ms=CLEANED_AFTER_MS,
)
AGENCY_REPLIES: Final = Topic(
    name="sijil.agency-replies.v1",
    about="What agencies answer to requests that were forwarded to them",
    key="the request's id",
    value="a reply, as JSON, signed",
    direction=Direction.INWARD,
    owner="the agencies",
    is_restricted=True,
)
POSTAL_SCANS: Final = Topic(
    name="sijil.postal-scans.v1",
    about="What the post reports of items: delivered, collected, returned",
    key="the item's number",
    value="a scan, as JSON, signed",
    direction=Direction.INWARD,
    owner="the post",
    is_restricted=True,
)
BANK_PAYMENTS: Final = Topic(
    name="sijil.bank-payments.v1",
    about="Fees that were paid at banks",
    key="the tracking number",
    value="a payment, as JSON, signed",
    direction=Direction.INWARD,
    owner="the banks",
    is_restricted=True,
)


def dead_letters_of(group: str) -> Topic:
    """The topic of what a group of workers could not use."""
    return Topic(
        name=f"sijil.dead-letters.{group}.v1",
        about=f"What the group {group} could not use, as it came, with the cause",
        key="the message's own",
        value="the message's own bytes",
        direction=Direction.ASIDE,
        owner="the workers",
        # They are few, and whoever deals with them reads them in one order.
        partitions=1,
        retention_ms=LETTERS_KEPT_MS,
        largest_batch_bytes=LARGEST_LETTER_BYTES,
        is_restricted=True,
    )


INWARD: Final = "inward"
"""The group of the workers that take in what others send."""
DEAD_LETTERS: Final = dead_letters_of(INWARD)
TOPICS: Final = (
    EVENTS,
    REQUEST_STATUS,
    RELAY_POSITION,
    AGENCY_REPLIES,
    POSTAL_SCANS,
    BANK_PAYMENTS,
    DEAD_LETTERS,
)
"""Every topic of Sijil."""
