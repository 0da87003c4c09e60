"""What Kafka's client has fetched and not given out, where it stands in our way.

It reaches into kafka-python 3.0, which offers no other way to either; tests on a real
broker show that each is needed, and that it works.
"""

from __future__ import annotations

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CorruptRecordError, UnsupportedCodecError

UNREADABLE = (CorruptRecordError, UnsupportedCodecError)
"""What the client raises for a record that it cannot read: compressed in a way that it
does not know, with a header whose name is no UTF-8, or damaged."""


def go_on(consumer: KafkaConsumer, partition: TopicPartition) -> None:
    """Resume a paused partition, and fetch anew what it had when it was paused.

    Half of a fetch that was given out is parked while its partition is paused. It comes
    back only where nothing else was begun meanwhile, and for as long as it is parked
    nothing is fetched: with any other partition, mostly for ever.
    """
    consumer._fetcher._paused_partition_records.pop(partition, None)  # noqa: SLF001
    consumer.resume(partition)


def unreadable_at(consumer: KafkaConsumer) -> tuple[TopicPartition, int] | None:
    """Where the record stands that ``poll`` has just raised for; None if not known.

    All before it was given out. MUST be passed by a ``seek`` before the next ``poll``,
    which otherwise does not return.
    """
    begun = consumer._fetcher._next_partition_records  # noqa: SLF001
    if not begun:
        return None
    partition: TopicPartition = begun.topic_partition
    # Read from the middle of a batch, an offset before ours may be what is wrong.
    return partition, max(begun.next_fetch_offset, consumer.position(partition))
