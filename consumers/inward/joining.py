"""A join of the group that Kafka's client has begun, and would forget.

It reaches into kafka-python 3.0, which offers no other way; a test on a real broker
shows that it is needed, and that it works.
"""

from __future__ import annotations

from kafka import KafkaConsumer


def go_on_joining(consumer: KafkaConsumer) -> None:
    """Have the next ``poll`` take a join that was begun to its end.

    Where the partitions of a topic have changed, or come to be known only now, the
    member that deals them joins anew. If one ``poll`` is too short for the answer, the
    next no longer knows that it wanted to: the member neither takes what it was given
    nor says that it lives, is given up, and stays outside for ever. Java's client had
    the same fault (KAFKA-9815).
    """
    coordinator = consumer._coordinator  # noqa: SLF001
    if coordinator.rejoining:
        coordinator.request_rejoin()
