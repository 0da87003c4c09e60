"""The relay: follows the ledger by position and publishes every entry once.

What has been published is what the partitions say, never what the relay remembers: at
every start it closes what hangs, reads each partition's last record, and sends to each
only what lies above it. Within a partition records stand in the ledger's order, so this
can neither skip nor double. The statuses of requests go out in the same transactions.
It ends at the first error and is started again by whoever watches over it; nothing is
repaired in place (decision 0028).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from threading import Event
from typing import Any

import structlog
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from consumers import envelope, transactions
from consumers.outward import Events, Outward, send
from consumers.partitions import close_hanging, last_records, reader_of
from consumers.positions import Published, read_published
from consumers.sockets import let_go
from consumers.statuses import Statuses
from consumers.topic_admin import There, topics_there
from consumers.topics import EVENTS, RELAY_POSITION, Topic
from ledger.backup.resuming import is_common
from ledger.bundles import BareRow
from ledger.reader import Head, LedgerReader

TRANSACTIONAL_ID = "sijil-relay"
"""One for all relays of a ledger: whoever comes last fences off who was before."""
LARGEST_BATCH = 2_000
"""Entries of one transaction: some 2 MB, a fifth of a second."""
LEAST_PAUSE_S = 0.04
"""Between two transactions that follow live: each costs the broker a marker in every
partition, and nobody sees a delay of this length."""
LOOK_AGAIN_S = 5.0
"""How often a relay at work looks whether its topics are still the same ones."""
TRANSACTION_TIMEOUT_MS = 30_000
"""When the broker itself ends the transaction of a relay that went silent."""
DELIVERY_TIMEOUT_MS = 25_000
"""How long one record may take to be written, all retries in it."""
FUTURE_TIMEOUT_S = 30.0
_UNKNOWN_OFFSET = -1

_log = structlog.get_logger()


class TurnLostError(RuntimeError):
    """Another relay may publish by now: the connection that held the turn is gone."""


class OtherLedgerError(RuntimeError):
    """The topic holds what this ledger does not: another one, or a later past of it.

    A ledger that came back from a backup is an earlier head. Who follows a topic must
    not be led from one history into another; a new topic begins the new one.
    """


class LedgerResumedError(RuntimeError):
    """The ledger began another incarnation while a relay was at work.

    A relay follows one; whether its topics go on, the next start finds out.
    """


class TopicMadeAgainError(RuntimeError):
    """A topic was deleted and made again while a relay was at work: it has a hole.

    What it has is above what it lacks, so nothing can fill it in order. It must be made
    again while no relay runs.
    """


class PartitionShortenedError(RuntimeError):
    """A partition ends before what it had acknowledged: its broker lost its disk's end.

    What would be written now would stand above what is missing. The next start asks
    the partition what it has.
    """


class Relay:
    """Publishes one ledger: its events, the statuses of its requests, or both.

    One thread's own, used once. ``options`` are those of every client
    (KafkaSettings.client). ``topic`` takes the events, ``statuses`` the statuses; None
    leaves them out. ``goes_on`` says before each transaction whether the turn is still
    ours; ``published`` hears the position after each, and ``at_work`` that it goes on.
    """

    def __init__(
        self,
        reader: LedgerReader,
        options: Mapping[str, Any],
        *,
        topic: Topic | None = EVENTS,
        statuses: Topic | None = None,
        goes_on: Callable[[], bool] = lambda: True,
        published: Callable[[int], None] | None = None,
        at_work: Callable[[], None] = lambda: None,
    ) -> None:
        self._reader = reader
        self._options = options
        self._outward: list[Outward] = []
        self._ends: dict[TopicPartition, int] = {}
        if topic is not None:
            self._outward.append(Outward(name=topic.name, kind=Events()))
        if statuses is not None:
            kind = Statuses(reader)
            self._outward.append(Outward(name=statuses.name, kind=kind))
        self._goes_on = goes_on
        self._heard = published
        self._at_work = at_work
        self._published_at = 0.0
        self._looked_at = 0.0

    def run(self, stop: Event, *, until: int | None = None) -> None:
        """Publish all there is and follow, until ``stop`` is set.

        With ``until`` it ends by itself when that position is published. Raises
        whatever went wrong; a new start is the answer.
        """
        with ExitStack() as clients:
            producer = self._producer()
            clients.callback(let_go, producer)
            admin = clients.enter_context(closing(KafkaAdminClient(**self._options)))
            producer.init_transactions()
            self._at_work()
            head = self._prepare(producer, admin)
            after = min(min(each.last.values()) for each in self._outward)
            topics = [each.name for each in self._outward]
            _log.info("relay.begins", topics=topics, after=after, head=head.position)
            with ThreadPoolExecutor(1, thread_name_prefix="relay-reading") as reading:
                for _ in self._reader.pulses(stop=stop):
                    self._at_work()
                    _must_be_the_same(head, self._reader.head())
                    self._topics_must_be_the_same(admin)
                    after = self._catch_up(producer, admin, reading, head, after, stop)
                    if stop.is_set() or (until is not None and after >= until):
                        break

    def _catch_up(  # noqa: PLR0917 -- what the loop has at hand
        self,
        producer: KafkaProducer,
        admin: KafkaAdminClient,
        reading: ThreadPoolExecutor,
        head: Head,
        after: int,
        stop: Event,
    ) -> int:
        """Publish what there is above ``after``; the last position of it."""
        ahead = self._read(reading, after)
        while rows := ahead.result():
            self._at_work()
            # After they were read: none of them is of another incarnation then, which
            # the position record would not say.
            _must_be_the_same(head, self._reader.head())
            if not self._goes_on():
                raise TurnLostError
            after = rows[-1][0]
            ahead = self._read(reading, after)
            self._publish(producer, rows, head)
            self._topics_must_be_the_same(admin)
            if stop.is_set():
                break
        return after

    # Beginning ------------------------------------------------------------------

    def _producer(self) -> KafkaProducer:
        return KafkaProducer(
            **self._options,
            transactional_id=f"{TRANSACTIONAL_ID}:{self._outward[0].name}",
            # Given, so that a setting that excludes it is an error, not a warning.
            enable_idempotence=True,
            acks="all",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            delivery_timeout_ms=DELIVERY_TIMEOUT_MS,
            max_block_ms=TRANSACTION_TIMEOUT_MS,
            batch_size=262_144,
            linger_ms=5,
            retry_backoff_ms=20,
            allow_auto_create_topics=False,
            # Numbers that nobody reads cost a tenth of the time.
            metrics_enabled=False,
        )

    def _prepare(self, producer: KafkaProducer, admin: KafkaAdminClient) -> Head:
        """Learn what every partition has, after whatever hung there was ended."""
        head = self._reader.head()
        told = self._topics_as_they_are(admin)
        for each in self._outward:
            each.topic_id, each.width = told[each.name]
        position = TopicPartition(RELAY_POSITION.name, 0)
        every = [partition for each in self._outward for partition in each.partitions]
        close_hanging(
            producer, self._options, [*every, position], at_work=self._at_work
        )
        said = read_published(self._options)
        for each in self._outward:
            self._learn(each, said.get(each.name), head)
        anew = [
            each
            for each in self._outward
            if each.name not in said or said[each.name].topic_id != each.topic_id
        ]
        if anew:
            # Before any record: a topic that has records under another's name was made
            # again behind a relay's back.
            producer.begin_transaction()
            sent = [
                self._send_position(producer, each, head, min(each.last.values()))
                for each in anew
            ]
            self._commit(producer, sent)
        return head

    def _topics_as_they_are(self, admin: KafkaAdminClient) -> dict[str, There]:
        """Each topic that is needed."""
        names = [*(each.name for each in self._outward), RELAY_POSITION.name]
        told = topics_there(admin, names)
        self._looked_at = time.monotonic()
        return told

    def _topics_must_be_the_same(self, admin: KafkaAdminClient) -> None:
        """Look now and then whether a topic was deleted, and made again perhaps."""
        if time.monotonic() < self._looked_at + LOOK_AGAIN_S:
            return
        told = self._topics_as_they_are(admin)
        for each in self._outward:
            if told[each.name] != (each.topic_id, each.width):
                raise TopicMadeAgainError(each.name)

    def _learn(self, outward: Outward, said: Published | None, head: Head) -> None:
        """How far each partition has come, by its own last record."""
        is_made_again = said is not None and said.topic_id != outward.topic_id
        if said is not None and not is_made_again:
            before = (said.ledger_id, said.incarnation)
            # A topic that has no more than came back may be followed on: what it has
            # is the beginning of this history. Its last records are looked at below.
            if before != (head.ledger_id, head.incarnation) and not is_common(
                self._reader,
                ledger_id=said.ledger_id,
                incarnation=said.incarnation,
                position=said.position,
            ):
                raise OtherLedgerError(outward.name)
        partitions = outward.partitions
        records = last_records(self._options, partitions, at_work=self._at_work)
        self._ends |= {each: record.offset + 1 for each, record in records.items()}
        if said is not None and is_made_again:
            if records:
                raise TopicMadeAgainError(outward.name)
            # Its partitions say that they are empty, and the whole ledger goes in anew.
            _log.warning(
                "relay.topic_was_made_again", topic=outward.name, until=said.position
            )
            said = None
        outward.last = {
            each.partition: self._must_be_of_the_ledger(record, outward.name)
            for each, record in records.items()
        }
        empty = [each for each in partitions if each not in records]
        outward.last |= self._where_nothing_is(empty, said)

    def _where_nothing_is(
        self, partitions: Sequence[TopicPartition], said: Published | None
    ) -> dict[int, int]:
        """Where partitions without records stand: at their beginning, or retained away.

        Only the position record can tell of records that are all gone by their age.
        """
        if not partitions:
            return {}
        with closing(reader_of(self._options)) as reader:
            begins = reader.beginning_offsets(list(partitions))
        position = 0 if said is None else said.position
        return {
            each.partition: 0 if begins[each] == 0 else position for each in partitions
        }

    def _must_be_of_the_ledger(self, record: Any, name: str) -> int:
        """The position of a partition's last record, which the ledger has just so."""
        told = envelope.told_of(record.headers)
        entry = self._reader.entry(int(told["ce_sequence"]))
        if entry is None or entry.leaf_hash().hex() != told["ce_leafhash"]:
            raise OtherLedgerError(name)
        return entry.position

    # Publishing -----------------------------------------------------------------

    def _read(self, pool: ThreadPoolExecutor, after: int) -> Future[list[BareRow]]:
        """The next rows, read while the ones before are on their way."""
        return pool.submit(
            self._reader.rows, after=after, limit=LARGEST_BATCH, until=2**63 - 1
        )

    def _publish(
        self, producer: KafkaProducer, rows: list[BareRow], head: Head
    ) -> None:
        """One transaction: what the partitions lack of the rows, and the positions."""
        pause_s = self._published_at + LEAST_PAUSE_S - time.monotonic()
        if pause_s > 0 and len(rows) < LARGEST_BATCH:
            time.sleep(pause_s)
        source = envelope.source_of(head.ledger_id).encode()
        producer.begin_transaction()
        sent: list[Any] = []
        for outward in self._outward:
            outward.last = send(producer, outward, rows, source, sent)
            sent.append(self._send_position(producer, outward, head, rows[-1][0]))
        self._commit(producer, sent)
        self._published_at = time.monotonic()
        if self._heard is not None:
            self._heard(rows[-1][0])

    def _send_position(
        self, producer: KafkaProducer, outward: Outward, head: Head, position: int
    ) -> Any:
        published = Published(
            ledger_id=head.ledger_id,
            incarnation=head.incarnation,
            position=position,
            topic_id=outward.topic_id,
        )
        return producer.send(
            RELAY_POSITION.name,
            partition=0,
            key=outward.name.encode(),
            value=published.to_bytes(),
        )

    def _commit(self, producer: KafkaProducer, sent: Sequence[Any]) -> None:
        """A commit may say yes over a record that was lost; its future never does.

        And a partition that lost its end takes what comes after it without a word.
        """
        producer.flush(FUTURE_TIMEOUT_S)
        for future in sent:
            told = future.get(FUTURE_TIMEOUT_S)
            # A broker that was asked twice may not know any more where it stands.
            if told.offset != _UNKNOWN_OFFSET:
                if told.offset < self._ends.get(told.topic_partition, 0):
                    raise PartitionShortenedError(f"{told.topic}/{told.partition}")
                self._ends[told.topic_partition] = told.offset + 1
        transactions.commit(producer)


def _must_be_the_same(before: Head, now: Head) -> None:
    if (before.ledger_id, before.incarnation) != (now.ledger_id, now.incarnation):
        raise LedgerResumedError
