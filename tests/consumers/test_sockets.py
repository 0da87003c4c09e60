"""Nothing that a client held is left open, whether it did well or not."""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from threading import enumerate as threads
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, KafkaTimeoutError

from consumers.relay import Relay
from consumers.settings import KafkaSettings
from consumers.sockets import let_go
from consumers.topics import Topic
from tests.consumers.conftest import Book, relay_until, until


def open_sockets() -> set[int]:
    """By their number as files; PostgreSQL's client has none of Python's."""
    every = [each for each in gc.get_objects() if isinstance(each, socket.socket)]
    return {each.fileno() for each in every} - {-1}


@pytest.fixture
def held() -> Iterator[list[Any]]:
    """What would be collected, and closed so, before it is looked at."""
    sockets, running = open_sockets(), set(threads())
    kept: list[Any] = []
    yield kept
    assert set(threads()) <= running
    assert open_sockets() <= sockets


@pytest.mark.parametrize("kind", [KafkaAdminClient, KafkaConsumer, KafkaProducer])
def test_a_client_that_nobody_answers_leaves_nothing_open(
    kind: Any, held: list[Any]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        nowhere = f"127.0.0.1:{server.getsockname()[1]}"
    made_with = KafkaSettings(kafka=nowhere).client()
    with pytest.raises(KafkaError) as raised:
        kind(**made_with, bootstrap_timeout_ms=500)
    held.append(raised)


def test_what_takes_long_to_unpack_is_no_warning(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def unpack() -> None:
        time.sleep(0.15)  # noqa: ASYNC251 -- the client has no loop of asyncio's

    with closing(KafkaAdminClient(**options)) as admin:
        admin._manager.run(unpack)
    assert caplog.records == []


def test_a_producer_is_let_go_with_what_it_could_not_send(
    options: dict[str, Any], topic: Topic, held: list[Any]
) -> None:
    producer = KafkaProducer(**options)
    held.append(producer)
    # As while no broker takes it. Before it learns of the topic, for which its thread
    # has to begin another turn: in the turn under way the record would go out.
    producer._sender._send_producer_data = lambda: 50
    producer.partitions_for(topic.name)
    sent = producer.send(topic.name, key=b"k", value=b"v")
    with pytest.raises(KafkaTimeoutError):
        producer.close(timeout=0)
    assert producer._sender.is_alive()
    let_go(producer)
    assert sent.failed()


def test_a_producer_is_let_go_while_the_broker_takes_nothing_more(
    options: dict[str, Any], topic: Topic, held: list[Any]
) -> None:
    producer = KafkaProducer(**options)
    held.append(producer)
    producer.send(topic.name, key=b"k", value=b"v").get(30)
    for connection in producer._sender._client._manager._conns.values():
        # As when the buffers of the system are full.
        connection.transport._sock_send = lambda: (0, None)
    producer.send(topic.name, key=b"k", value=b"v")
    until(
        lambda: any(
            connection.transport._write_buffer
            for connection in producer._sender._client._manager._conns.values()
        )
    )
    let_go(producer)


def test_a_relay_that_ends_with_an_error_leaves_nothing_open(
    options: dict[str, Any], topic: Topic, book: Book, held: list[Any]
) -> None:
    def never() -> bool:
        raise InterruptedError

    book.add(3)
    relay = Relay(book.reader, options, topic=topic, goes_on=never)
    with pytest.raises(InterruptedError) as raised:
        relay_until(relay, 9)
    held.append(raised)
