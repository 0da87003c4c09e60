"""Open streams: how many, how long, and that they hold nobody up."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from api import feeds, streams
from ledger.persistence.datastore import PostgresDatastore
from tests.api.live import (
    GRACE_S,
    QUEUE,
    Listener,
    LiveServer,
    eventually,
    head,
    heard,
    queue_of,
    queue_shown,
)


def test_a_stream_ends_with_its_token(
    quiet: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says so, however late it learns what time it is."""
    late = iter([0.2])

    def time_of_day() -> float:
        time.sleep(next(late, 0.0))
        return time.time()

    clocks = SimpleNamespace(time=time_of_day, monotonic=time.monotonic)
    # The reader believes a token half a minute longer, and so does a stream.
    heard(quiet, QUEUE)
    monkeypatch.setattr(streams, "time", clocks)
    short = quiet.token("supervisor", timedelta(seconds=-24))
    listener = Listener()
    with quiet.stream("supervisor", QUEUE, token=short) as answer:
        for piece in answer.iter_text():
            listener.feed(piece)
    assert [each.event for each in listener.events] == ["reset", "end"]
    assert listener.events[-1].data == {"code": "token-expired"}


def test_a_stream_is_ended_after_its_time_and_goes_on(quiet: LiveServer) -> None:
    quiet.app.state.live.streams.longest_s = 0.2
    listener = Listener()
    with quiet.stream("supervisor", QUEUE) as answer:
        for piece in answer.iter_text():
            listener.feed(piece)
    assert [each.event for each in listener.events] == ["reset"]
    with quiet.stream("supervisor", QUEUE, last_id=listener.last_id) as answer:
        for piece in answer.iter_text():
            listener.feed(piece)
    assert [each.event for each in listener.events] == ["reset"]


def test_open_streams_do_not_hold_the_server_back(live: LiveServer) -> None:
    with ExitStack() as stack:
        for who in ("supervisor", "clerk", "foreign-clerk"):
            answer = stack.enter_context(live.stream(who, QUEUE))
            assert next(answer.iter_text())
        assert live.stop() < GRACE_S


def test_there_are_not_too_many_streams_and_a_closed_one_makes_room(
    quiet: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        opened = [
            stack.enter_context(quiet.stream("supervisor", QUEUE))
            for _ in range(streams.MOST_STREAMS_AN_ASKER)
        ]
        assert {answer.status_code for answer in opened} == {200}
        with quiet.stream("supervisor", QUEUE) as answer:
            assert answer.status_code == 429
            assert int(answer.headers["Retry-After"]) > 0
        with quiet.stream("clerk", QUEUE) as answer:
            assert answer.status_code == 200
        monkeypatch.setattr(streams, "MOST_STREAMS", len(opened))
        with quiet.stream("foreign-clerk", QUEUE) as answer:
            assert answer.status_code == 429
    held = quiet.app.state.live.streams._open
    eventually(lambda: not held)
    with quiet.stream("supervisor", QUEUE) as answer:
        assert answer.status_code == 200


def test_a_hundred_idle_streams_ask_no_more_than_one(
    quiet: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST_STREAMS_AN_ASKER", 1_000)
    heartbeat_s = quiet.app.state.live.streams.heartbeat_s = 0.5
    asked = 0
    real = PostgresDatastore.autocommit

    def counted(self: PostgresDatastore) -> Any:
        nonlocal asked
        asked += 1
        return real(self)

    def idle_questions() -> tuple[int, float]:
        """How many were asked, and within how many heartbeats."""
        nonlocal asked
        asked, began = 0, time.monotonic()
        time.sleep(2.0)
        return asked, (time.monotonic() - began) / heartbeat_s

    with ExitStack() as stack:
        for _ in range(100):
            answer = stack.enter_context(quiet.stream("supervisor", QUEUE))
            pieces = answer.iter_text()
            while "reset" not in next(pieces):
                pass
        monkeypatch.setattr(PostgresDatastore, "autocommit", counted)
        questions, heartbeats = idle_questions()
        # One a heartbeat, and one more where the time begins with one.
        assert questions <= heartbeats + 1
        # They hold no worker: a route is answered beside them.
        queue_shown(quiet, "/v1/queue")


def test_a_client_that_does_not_read_holds_nobody_up(live: LiveServer) -> None:
    first = heard(live, QUEUE)
    with live.stream("supervisor", QUEUE, last_id=first.last_id) as stuck:
        assert stuck.status_code == 200
        live.grow(requests=80, seed=11)
        live.listen(first, "supervisor", QUEUE, until=head(live))
        assert len(first.changes) > 30


def test_the_follower_rests_while_nobody_listens(live: LiveServer) -> None:
    heard(live, QUEUE)
    follower = live.app.state.live.streams._follower
    eventually(lambda: follower._stop is None)
    live.grow(requests=5, seed=12)
    listener = heard(live, QUEUE)
    live.grow(requests=5, seed=13)
    live.listen(listener, "supervisor", QUEUE, until=head(live))
    assert queue_of(listener).keys() == queue_shown(live, "/v1/queue").keys()


def test_an_event_loop_that_is_held_up_loses_nobody(
    live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The follower outlives a stall longer than its patience, and doubles nothing."""
    listener = heard(live, QUEUE)
    monkeypatch.setattr(feeds, "GIVE_UP_S", 0.1)
    real, stalls = feeds.Feed.add, iter([0.5, 0.5])

    def add(self: feeds.Feed[Any], *read: Any) -> None:
        time.sleep(next(stalls, 0.0))
        real(self, *read)

    monkeypatch.setattr(feeds.Feed, "add", add)
    with live.stream("supervisor", QUEUE, last_id=listener.last_id) as answer:
        pieces = answer.iter_text()
        # Twice: all of the first may be read at once, in one stall.
        for seed in (21, 22):
            last = live.grow(requests=10, seed=seed)
            while listener.position < last:
                listener.feed(next(pieces))
    assert next(stalls, None) is None
    places = [each.id for each in listener.changes]
    assert len(places) == len(set(places)) > 0
