"""What Kafka's client has fetched and not given out, where it stands in our way.

It reaches into kafka-python 3.0, which offers no other way; tests on a real broker show
that it is needed, and that it works.
"""

from __future__ import annotations

from kafka import KafkaConsumer, TopicPartition


def go_on(consumer: KafkaConsumer, partition: TopicPartition) -> None:
    """Resume a paused partition, and fetch anew what it had when it was paused.

    Half of a fetch that was given out is parked while its partition is paused. It comes
    back only where nothing else was begun meanwhile, and for as long as it is parked
    nothing is fetched: with any other partition, mostly for ever.
    """
    consumer._fetcher._paused_partition_records.pop(partition, None)  # noqa: SLF001
    consumer.resume(partition)
