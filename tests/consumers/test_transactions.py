"""A transaction that does not end is an error in time, and what fails is told."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError, ProducerFencedError

from consumers import transactions
from consumers.relay import Relay
from consumers.topics import Topic
from consumers.verifying import TopicVerifier
from tests.consumers.conftest import Book, relay_until

WAYS = (transactions.commit, transactions.abort)


class Ending:
    """A producer of which only how it ends a transaction matters."""

    def __init__(self, end: Callable[[], Any]) -> None:
        self.commit_transaction = end
        self.abort_transaction = end


@pytest.mark.parametrize("way", WAYS)
def test_what_hangs_is_an_error_in_time(
    way: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "END_TIMEOUT_S", 0.05)
    release = Event()
    with pytest.raises(KafkaTimeoutError, match="did not end"):
        way(Ending(release.wait))
    release.set()


@pytest.mark.parametrize("way", WAYS)
def test_what_fails_is_told_as_it_is(way: Callable[[Any], None]) -> None:
    def fail() -> None:
        raise ProducerFencedError

    with pytest.raises(ProducerFencedError):
        way(Ending(fail))


class Stuck:
    """A producer whose commits and aborts never come back, like one whose are lost."""

    def __init__(self, producer: KafkaProducer, release: Event, *, after: int) -> None:
        self._producer = producer
        self._release = release
        self._left = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def _end(self, end: Callable[[], None]) -> None:
        self._left -= 1
        if self._left < 0:
            self._release.wait()
        else:
            end()

    def commit_transaction(self) -> None:
        self._end(self._producer.commit_transaction)

    def abort_transaction(self) -> None:
        self._end(self._producer.abort_transaction)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_relay_whose_transaction_hangs_ends_and_the_next_makes_it_whole(
    options: dict[str, Any],
    topic: Topic,
    book: Book,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    """In the abort of its beginning, in its first position, and in its entries."""
    head = book.add(10)
    release = Event()

    class Unlucky(Relay):
        def _producer(self) -> Any:
            return Stuck(super()._producer(), release, after=after)

    with monkeypatch.context() as patched:
        patched.setattr(transactions, "END_TIMEOUT_S", 1.0)
        with pytest.raises(KafkaTimeoutError, match="did not end"):
            relay_until(Unlucky(book.reader, options, topic=topic), head)
    release.set()
    relay_until(Relay(book.reader, options, topic=topic), head)
    verdict = TopicVerifier(options, topic=topic.name, ledger=book.reader).verify()
    assert verdict.is_whole
    assert verdict.records == head
