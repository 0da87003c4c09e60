"""The relay: every entry once, in order, whatever happened before."""

from __future__ import annotations

import dataclasses
from contextlib import closing
from threading import Event
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaError
from structlog.testing import capture_logs

from consumers import envelope
from consumers.outward import partition_of
from consumers.positions import read_published
from consumers.relay import (
    TRANSACTIONAL_ID,
    LedgerResumedError,
    OtherLedgerError,
    PartitionShortenedError,
    Relay,
    TopicMadeAgainError,
    TurnLostError,
)
from consumers.topic_admin import TopicMissingError
from consumers.topics import EVENTS, RELAY_POSITION, Topic
from consumers.verifying import TopicVerifier
from domain.resumptions import ResumedBecause
from ledger.backup.resuming import Resumption, resume, suspend
from tests.conftest import Database
from tests.consumers.conftest import (
    Book,
    Running,
    deleted,
    made_again,
    published_of,
    records_of,
    relay_until,
    until,
)


def test_every_entry_is_there_once_and_is_the_ledgers(
    options: dict[str, Any], topic: Topic, book: Book
) -> None:
    head = book.add(40)
    relay_until(Relay(book.reader, options, topic=topic), head)
    records = records_of(options, topic)
    assert sorted(envelope.position_of(each.headers) or 0 for each in records) == list(
        range(1, head + 1)
    )
    for record in records:
        told = envelope.read(record.key, record.value, record.headers)
        assert told.entry == book.reader.entry(told.entry.position)
        assert told.is_unaltered
        assert record.partition == partition_of(record.key, topic.partitions)
    verdict = TopicVerifier(options, topic=topic.name, ledger=book.reader).verify()
    assert verdict.is_whole
    assert (verdict.first, verdict.last, verdict.compared) == (1, head, head)


def test_it_follows_what_is_appended_and_a_second_start_adds_nothing(
    options: dict[str, Any], topic: Topic, book: Book, running: list[Running]
) -> None:
    running.append(Running(Relay(book.reader, options, topic=topic)))
    for _ in range(3):
        head = book.add(5)
        until(lambda head=head: published_of(options, topic) == head)
    running[0].stop()
    assert running[0].error is None
    head = book.add(1, 1)
    relay_until(Relay(book.reader, options, topic=topic), head)
    verdict = TopicVerifier(options, topic=topic.name, ledger=book.reader).verify()
    assert verdict.is_whole
    assert verdict.records == head


def test_the_position_says_which_ledger_and_which_topic(
    options: dict[str, Any], topic: Topic, book: Book
) -> None:
    head = book.add(2)
    relay_until(Relay(book.reader, options, topic=topic), head)
    said = read_published(options)[topic.name]
    stands = book.reader.head()
    assert (said.ledger_id, said.incarnation) == (stands.ledger_id, stands.incarnation)
    assert said.position == head


def test_a_topic_that_was_made_again_is_filled_again(
    options: dict[str, Any], topic: Topic, book: Book
) -> None:
    published = book.add(10)
    relay_until(Relay(book.reader, options, topic=topic), published)
    before = read_published(options)[topic.name].topic_id
    made_again(options, topic)
    head = book.add(1)
    with capture_logs() as logged:
        relay_until(Relay(book.reader, options, topic=topic), head)
    (warned,) = [each for each in logged if each["log_level"] == "warning"]
    assert warned == {
        "event": "relay.topic_was_made_again",
        "log_level": "warning",
        "topic": topic.name,
        "until": published,
    }
    assert read_published(options)[topic.name].topic_id != before
    verdict = TopicVerifier(options, topic=topic.name, ledger=book.reader).verify()
    assert verdict.is_whole
    assert verdict.records == head


def test_a_topic_that_is_made_again_ends_the_relay_at_work(
    options: dict[str, Any],
    topic: Topic,
    book: Book,
    running: list[Running],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It does not look while there is no such topic.
    monkeypatch.setattr("consumers.relay.LOOK_AGAIN_S", 3600.0)
    head = book.add(2)
    running.append(Running(Relay(book.reader, options, topic=topic)))
    until(lambda: published_of(options, topic) == head)
    made_again(options, topic)
    # With nothing to publish it looks all the same.
    monkeypatch.setattr("consumers.relay.LOOK_AGAIN_S", 0.0)
    assert running[0].join(60)
    assert isinstance(running[0].error, TopicMadeAgainError)
    assert str(running[0].error) == topic.name


def test_a_topic_that_is_deleted_ends_the_relay_at_work(
    options: dict[str, Any],
    topic: Topic,
    book: Book,
    running: list[Running],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumers.relay.LOOK_AGAIN_S", 0.2)
    head = book.add(2)
    running.append(Running(Relay(book.reader, options, topic=topic)))
    until(lambda: published_of(options, topic) == head)
    deleted(options, topic)
    assert running[0].join(60)
    assert isinstance(running[0].error, TopicMissingError)
    assert str(running[0].error) == topic.name


def test_a_topic_made_again_behind_a_relays_back_is_never_taken_for_whole(
    options: dict[str, Any], topic: Topic, book: Book
) -> None:
    head = book.add(3)
    relay_until(Relay(book.reader, options, topic=topic), head)
    made_again(options, topic)
    # What a relay that has not noticed yet would write into the new one.
    (row,) = book.reader.rows(after=head - 1, limit=1, until=head)
    source = envelope.source_of(book.reader.head().ledger_id).encode()
    headers = envelope.headers_of(row, source)
    sent = {"key": row[2].encode(), "value": row[5], "headers": headers}
    with closing(KafkaProducer(**options)) as producer:
        producer.send(topic.name, **sent).get(30)
    with pytest.raises(TopicMadeAgainError, match=topic.name):
        relay_until(Relay(book.reader, options, topic=topic), head)


def test_a_missing_topic_is_named(options: dict[str, Any], book: Book) -> None:
    missing = dataclasses.replace(EVENTS, name="sijil.not-there.v1")
    with pytest.raises(TopicMissingError, match="not-there"):
        relay_until(Relay(book.reader, options, topic=missing), 1)


def test_another_ledger_and_another_incarnation_are_refused(
    options: dict[str, Any], topic: Topic, book: Book
) -> None:
    relay_until(Relay(book.reader, options, topic=topic), book.add(3))
    owner = book.database.datastore("owner")
    with owner.transaction() as cursor:
        cursor.execute("SELECT resume_as_new_incarnation()")
    with pytest.raises(OtherLedgerError):
        relay_until(Relay(book.reader, options, topic=topic), book.add(1))


def test_a_topic_that_has_no_more_than_came_back_is_followed_on(
    options: dict[str, Any], topic: Topic, book: Book
) -> None:
    last = book.add(3)
    relay_until(Relay(book.reader, options, topic=topic), last)
    suspend(book.database.settings)
    begins = resume(book.database.settings, ResumedBecause.RESTORED).position
    head = book.add(2)
    relay_until(Relay(book.reader, options, topic=topic), head)
    said = read_published(options)[topic.name]
    assert (said.incarnation, said.position) == (2, head)
    verdict = TopicVerifier(options, topic=topic.name, ledger=book.reader).verify()
    assert verdict.is_whole
    # One that had seen what stood at that position before has another history.
    more = dataclasses.replace(said, incarnation=1, position=begins)
    with closing(KafkaProducer(**options)) as producer:
        producer.send(
            RELAY_POSITION.name, key=topic.name.encode(), value=more.to_bytes()
        ).get(30)
    with pytest.raises(OtherLedgerError):
        relay_until(Relay(book.reader, options, topic=topic), book.add(1))


def test_a_ledger_that_is_resumed_while_it_is_published_goes_on_at_the_next_start(
    options: dict[str, Any], topic: Topic, book: Book
) -> None:
    book.add(3)
    resumed: list[Resumption] = []

    def resumes() -> bool:
        """Between two batches: the first has been read, and the second has not."""
        if not resumed:
            suspend(book.database.settings)
            resumed.append(resume(book.database.settings, ResumedBecause.RESTORED))
        return True

    with pytest.raises(LedgerResumedError):
        Relay(book.reader, options, topic=topic, goes_on=resumes).run(Event())
    said = read_published(options)[topic.name]
    assert (said.incarnation, said.position) == (1, resumed[0].position - 1)
    relay_until(Relay(book.reader, options, topic=topic), book.add(1))
    assert read_published(options)[topic.name].incarnation == 2
    verdict = TopicVerifier(options, topic=topic.name, ledger=book.reader).verify()
    assert verdict.is_whole


def test_a_record_that_the_ledger_has_otherwise_is_refused(
    options: dict[str, Any],
    topic: Topic,
    book: Book,
    seeded_database: Database,
) -> None:
    """Without a position record the last entries themselves tell whose they are."""
    head = book.add(3)
    relay_until(Relay(book.reader, options, topic=topic), head)
    with closing(KafkaProducer(**options)) as producer:
        producer.send(RELAY_POSITION.name, key=topic.name.encode(), value=None).get(30)
    with pytest.raises(OtherLedgerError):
        relay_until(Relay(Book(seeded_database).reader, options, topic=topic), 1)


def test_a_relay_that_lost_its_turn_between_two_batches_publishes_nothing_more(
    options: dict[str, Any],
    topic: Topic,
    book: Book,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumers.relay.LARGEST_BATCH", 10)
    head = book.add(10)
    published: list[int] = []
    made = Relay(
        book.reader,
        options,
        topic=topic,
        goes_on=lambda: not published,
        published=published.append,
    )
    with pytest.raises(TurnLostError):
        relay_until(made, head)
    assert published == [10]
    assert published_of(options, topic) == 10
    verdict = TopicVerifier(options, topic=topic.name, ledger=book.reader).verify()
    assert (verdict.findings, verdict.last, verdict.records) == ([], 10, 10)
    relay_until(Relay(book.reader, options, topic=topic), head)
    verdict = TopicVerifier(options, topic=topic.name, ledger=book.reader).verify()
    assert verdict.is_whole
    assert verdict.records == head


def test_who_comes_later_fences_off_who_was_before(
    options: dict[str, Any], topic: Topic, book: Book, running: list[Running]
) -> None:
    head = book.add(2)
    running.append(Running(Relay(book.reader, options, topic=topic)))
    until(lambda: topic.name in read_published(options))
    head = book.add(2)
    relay_until(Relay(book.reader, options, topic=topic), head)
    # The first one learns of it at its next transaction, and does no harm.
    head = book.add(2)
    assert running[0].join(60)
    # By what name it is told depends on what it was about to ask; it ends by any.
    assert isinstance(running[0].error, KafkaError)
    relay_until(Relay(book.reader, options, topic=topic), head)
    verdict = TopicVerifier(options, topic=topic.name, ledger=book.reader).verify()
    assert verdict.is_whole
    assert verdict.records == head


def test_a_transaction_that_a_dead_relay_left_open_is_ended_first(
    options: dict[str, Any], topic: Topic, book: Book
) -> None:
    head = book.add(5)
    left = KafkaProducer(
        **options,
        transactional_id=f"{TRANSACTIONAL_ID}:{topic.name}",
        transaction_timeout_ms=600_000,
    )
    with closing(left):
        left.init_transactions()
        left.begin_transaction()
        for number in range(topic.partitions):
            left.send(topic.name, partition=number, key=b"k", value=b"{}").get(30)
        relay_until(Relay(book.reader, options, topic=topic), head)
    verdict = TopicVerifier(options, topic=topic.name, ledger=book.reader).verify()
    assert verdict.is_whole
    assert verdict.records == head


class Forgetful:
    """A producer that is told an offset of ours for each record of a topic.

    0 as where a broker lost all it had, -1 as where it knows no more.
    """

    def __init__(self, producer: KafkaProducer, topic: str, offset: int) -> None:
        self._producer = producer
        self._topic = topic
        self._offset = offset

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def send(self, topic: str, **record: Any) -> Any:
        sent = self._producer.send(topic, **record)
        if topic == self._topic and record["key"] != b"closing":
            return Forgotten(sent, self._offset)
        return sent


class Forgotten:
    """What a record gets for its offset there."""

    def __init__(self, sent: Any, offset: int) -> None:
        self._sent = sent
        self._offset = offset

    def get(self, timeout_s: float) -> Any:
        return self._sent.get(timeout_s)._replace(offset=self._offset)


def forgetful(book: Book, options: dict[str, Any], topic: Topic, offset: int) -> Relay:
    class Unlucky(Relay):
        def _producer(self) -> Any:
            return Forgetful(super()._producer(), topic.name, offset)

    return Unlucky(book.reader, options, topic=topic)


def test_a_partition_that_lost_its_end_gets_nothing_above_it(
    options: dict[str, Any], topic: Topic, book: Book
) -> None:
    published = book.add(40)
    relay_until(Relay(book.reader, options, topic=topic), published)
    head = book.add(20)

    with pytest.raises(PartitionShortenedError, match=topic.name):
        relay_until(forgetful(book, options, topic, 0), head)
    # Ends what it left open, and no verifier has to wait for the broker to do so.
    with closing(Relay(book.reader, options, topic=topic)._producer()) as fence:
        fence.init_transactions()
    verdict = TopicVerifier(options, topic=topic.name, ledger=book.reader).verify()
    assert (verdict.findings, verdict.last, verdict.records) == (
        [],
        published,
        published,
    )
    relay_until(Relay(book.reader, options, topic=topic), head)
    verdict = TopicVerifier(options, topic=topic.name, ledger=book.reader).verify()
    assert verdict.is_whole
    assert verdict.records == head


def test_a_broker_that_does_not_know_an_offset_any_more_has_lost_nothing(
    options: dict[str, Any], topic: Topic, book: Book
) -> None:
    published = book.add(10)
    relay_until(Relay(book.reader, options, topic=topic), published)
    head = book.add(10)
    relay_until(forgetful(book, options, topic, -1), head)
    verdict = TopicVerifier(options, topic=topic.name, ledger=book.reader).verify()
    assert (verdict.is_whole, verdict.records) == (True, head)
