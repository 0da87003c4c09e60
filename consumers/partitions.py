"""What the partitions of an outward topic themselves say that they have.

Neither the client's commit nor the broker's can be trusted alone (decision 0028): a
commit may say yes over records that were lost, and a restarted broker may complete a
transaction in some partitions only. So a relay begins by closing whatever hangs, and
by reading the last record of every partition.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from consumers import transactions
from consumers.fetched import UNREADABLE, go_on, unreadable_at

CLOSING_TRIES = 20
"""Aborted transactions until nothing hangs: one is enough unless a broker restarts."""
CLOSING_PAUSE_S = 0.25
READ_TIMEOUT_S = 60.0
"""How long the last record of a partition may take to be found."""
LOOK_BACK = (16, 256, 4_096, 65_536)
"""How far before the end a committed record is looked for: markers and aborted ones
stand between."""
SEND_TIMEOUT_S = 30.0
SETTLE_TIMEOUT_S = 10.0
SETTLE_PAUSE_S = 0.1
"""How long a transaction under way is waited for, and how often looked at."""


class HangingTransactionError(RuntimeError):
    """A transaction stays open in a partition; who reads committed stops before it."""


class PartitionUnreadableError(RuntimeError):
    """A partition's last record could not be read in time."""


def reader_of(options: Mapping[str, Any], **more: Any) -> KafkaConsumer:
    """A consumer without a group that sees what was committed, and nothing else."""
    settings = {
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "allow_auto_create_topics": False,
        "check_crcs": True,
        # Numbers that nobody reads cost a tenth of the time.
        "metrics_enabled": False,
        **options,
        **more,
    }
    return KafkaConsumer(**settings)


def close_hanging(
    producer: KafkaProducer,
    options: Mapping[str, Any],
    partitions: Sequence[TopicPartition],
    *,
    at_work: Callable[[], None] = lambda: None,
) -> None:
    """End every transaction that hangs in the partitions, as an abort.

    ``producer`` has its transactions initialised: the marker of an aborted transaction
    of its own also decides for what it left open. ``at_work`` hears each try. Raises
    HangingTransactionError.
    """
    for _ in range(CLOSING_TRIES):
        at_work()
        producer.begin_transaction()
        sent = [
            producer.send(
                each.topic,
                partition=each.partition,
                key=b"closing",
                value=b"{}",
                # For those who read uncommitted: this is no event.
                headers=[("sijil_closing", b"1")],
            )
            for each in partitions
        ]
        producer.flush(SEND_TIMEOUT_S)
        for future in sent:
            future.get(SEND_TIMEOUT_S)
        transactions.abort(producer)
        if ends_of(options, partitions, "read_committed") == ends_of(
            options, partitions, "read_uncommitted"
        ):
            return
        time.sleep(CLOSING_PAUSE_S)
    raise HangingTransactionError


def ends_of(
    options: Mapping[str, Any], partitions: Sequence[TopicPartition], level: str
) -> dict[TopicPartition, int]:
    """Where each partition ends, for a reader of that isolation level."""
    with closing(reader_of(options, isolation_level=level)) as reader:
        ends: dict[TopicPartition, int] = reader.end_offsets(list(partitions))
    return ends


def settled_ends(
    options: Mapping[str, Any], partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """The ends for who reads committed, when all that is written now is decided.

    A transaction ends in each partition for itself, moments after its producer was
    told. Where one stays open for SETTLE_TIMEOUT_S, the ends are those before it.
    """
    written = ends_of(options, partitions, "read_uncommitted")
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while True:
        ends = ends_of(options, partitions, "read_committed")
        is_settled = all(ends[each] >= written[each] for each in partitions)
        if is_settled or time.monotonic() > deadline:
            return ends
        time.sleep(SETTLE_PAUSE_S)


def last_records(
    options: Mapping[str, Any],
    partitions: Sequence[TopicPartition],
    *,
    at_work: Callable[[], None] = lambda: None,
) -> dict[TopicPartition, ConsumerRecord]:
    """The last committed record of each partition that has one.

    ``at_work`` hears of all that is read on the way. Raises PartitionUnreadableError.
    """
    found: dict[TopicPartition, ConsumerRecord] = {}
    with closing(reader_of(options)) as reader:
        begins = reader.beginning_offsets(list(partitions))
        ends = reader.end_offsets(list(partitions))
        searched = [each for each in partitions if ends[each] > begins[each]]
        for back in (*LOOK_BACK, None):
            starts = {
                each: begins[each]
                if back is None
                else max(begins[each], ends[each] - back)
                for each in searched
            }
            at_work()
            found |= _last_from(reader, starts, ends, at_work)
            searched = [
                each
                for each in searched
                if each not in found and starts[each] > begins[each]
            ]
            if not searched:
                break
    return found


def _last_from(
    reader: KafkaConsumer,
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    at_work: Callable[[], None],
) -> dict[TopicPartition, ConsumerRecord]:
    """The last committed record between start and end of each partition."""
    found: dict[TopicPartition, ConsumerRecord] = {}
    for each, _ in records_between(reader, starts, ends):
        at_work()
        for record in each:
            found[TopicPartition(record.topic, record.partition)] = record
    return found


def records_between(
    reader: KafkaConsumer,
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    *,
    timeout_s: float = READ_TIMEOUT_S,
    passes_unreadable: bool = False,
) -> Iterator[tuple[list[ConsumerRecord], TopicPartition]]:
    """Batches of committed records between two offsets of each partition.

    Yields lists of records of one partition with that partition. The end is reached by
    the reader's place, because markers at the end are no records. Raises
    PartitionUnreadableError when nothing comes for ``timeout_s``, and what the client
    raises for a record that it cannot read, unless that is passed by.
    """
    open_ = {each for each, start in starts.items() if start < ends[each]}
    reader.assign(list(open_))
    for each in open_:
        reader.seek(each, starts[each])
        # It may have been read to its end before, and stays paused when assigned anew.
        go_on(reader, each)
    moved = time.monotonic()
    places = dict(starts)
    while open_:
        polled = _polled(reader, passes_unreadable=passes_unreadable)
        for each, records in polled.items():
            if each in open_:
                inside = [record for record in records if record.offset < ends[each]]
                if inside:
                    yield inside, each
        for each in list(open_):
            place = reader.position(each)
            if place != places[each]:
                places[each], moved = place, time.monotonic()
            if place >= ends[each]:
                open_.discard(each)
                reader.pause(each)
        if time.monotonic() - moved > timeout_s:
            raise PartitionUnreadableError


def _polled(
    reader: KafkaConsumer, *, passes_unreadable: bool
) -> dict[TopicPartition, list[ConsumerRecord]]:
    """What has come, by partition."""
    try:
        polled: dict[TopicPartition, list[ConsumerRecord]] = reader.poll(timeout_ms=200)
    except UNREADABLE:
        at = unreadable_at(reader) if passes_unreadable else None
        if at is None:
            raise
        partition, offset = at
        reader.seek(partition, offset + 1)
        return {}
    return polled
