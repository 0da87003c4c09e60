"""Who says nothing for too long is ended, and nobody else."""

from __future__ import annotations

import time
from threading import Event, Thread
from typing import Any

import pytest

from consumers.relay import Relay
from consumers.silence import Silence
from consumers.topics import Topic
from tests.consumers.conftest import Book, Running, until


def test_a_silent_one_is_ended_and_it_is_told_where_it_stood(
    capfd: pytest.CaptureFixture[str],
) -> None:
    ended = Event()
    with Silence(ended.set, limit_s=0.1):
        assert ended.wait(30)
    assert "test_a_silent_one_is_ended" in capfd.readouterr().err


def test_one_that_is_heard_is_not() -> None:
    ended = Event()
    stop = Event()

    with Silence(ended.set, limit_s=20.0) as silence:

        def speak() -> None:
            while not stop.is_set():
                silence.broken()
                stop.wait(0.01)

        speaking = Thread(target=speak)
        speaking.start()
        # As if a thousand limits had passed in between.
        silence._limit_s = 0.5
        time.sleep(2.0)
        stop.set()
        speaking.join()
    assert not ended.is_set()


def test_a_relay_gives_signs_of_life_while_nothing_happens_and_with_each_step(
    options: dict[str, Any], topic: Topic, book: Book, running: list[Running]
) -> None:
    heard: list[int] = []
    book.add(5)
    relay = Relay(book.reader, options, topic=topic, at_work=lambda: heard.append(1))
    running.append(Running(relay))
    until(lambda: len(heard) > 4)
    # It has all there is; the ledger's pulse comes all the same.
    before = len(heard)
    until(lambda: len(heard) > before + 1)
    assert running[0].error is None
