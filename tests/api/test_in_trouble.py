"""The interface while its database is in trouble: 503 and when to come again, no more.

Every operation of the description is asked while the server is away, and once more when
it is back. The process, its streams and its views are the same all the while.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2
import psycopg2
import pytest
from httpx2 import Response

from api.problems import MEDIA_TYPE
from ledger.persistence.datastore import PostgresDatastore
from office.house import House
from office.runner import keep_running
from projections.schema import VIEWS
from tests.api.door import SUBMISSION, Door, door_of
from tests.api.live import Listener, LiveServer, live_in
from tests.api.matrix import ROWS, operations
from tests.conftest import Database
from tests.own_server import own_database, own_home

WITHOUT_THE_DATABASE = ("livez", "get_problem", "list_governorates", "approve_act")
"""What is answered all the same: it rests on keys and on what is built in."""
STREAMS = ("follow_queue", "follow_counts", "follow_desk", "follow_inbox")
"""They begin, say when to come again, and end: their clients come by themselves."""
QUEUE = "/v1/queue/events"
WAIT_S = 0.3
LONG_S = 60.0
_ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"


@pytest.fixture(scope="module", autouse=True)
def short_wait() -> Iterator[None]:
    """Callers wait for the server a moment only, or the tests would wait with them."""
    with pytest.MonkeyPatch.context() as patch:
        defaults = PostgresDatastore.__init__.__kwdefaults__
        patch.setitem(defaults, "connect_wait_s", WAIT_S)
        yield


@pytest.fixture(scope="module")
def kept(short_wait: None) -> Iterator[Database]:
    with own_home() as home, own_database(home, is_seeded=True) as made:
        yield made


@pytest.fixture
def own(kept: Database) -> Database:
    kept.server.embedded.start()
    return kept


@pytest.fixture
def untouched(short_wait: None) -> Iterator[Database]:
    """A server of one test's own: every operation can succeed in it once."""
    with own_home() as home, own_database(home, is_seeded=True) as made:
        yield made


@dataclass(frozen=True, kw_only=True)
class Question:
    """One operation, asked by somebody who may, with what makes it succeed."""

    name: str
    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any] | None
    asked: dict[str, Any]
    expected: int

    def ask(self, door: Door) -> Response:
        return door.client.request(
            self.method,
            self.path,
            headers=self.headers,
            json=self.body,
            params=self.asked,
        )


def question(door: Door, name: str) -> Question:
    """A row of the table of all operations, ready to be asked."""
    row = ROWS[name]
    method, template = operations(door)[name.partition("/")[0]]
    who, expected = min(row.expected.items(), key=lambda each: each[1])
    request_id = row.make(door) if row.make else ""
    thing = row.thing(door) if row.thing else None
    path = {**row.path, **(thing.path if thing else {})}
    etag = thing.etag if thing else door.etag(request_id) if row.make else None
    return Question(
        name=name,
        method=method,
        path=template.format(request_id=request_id, **path),
        headers=door.headers(who, Idempotency_Key=str(uuid4()), If_Match=etag),
        body=row.body(door, request_id) if row.body else None,
        asked=row.asked,
        expected=expected,
    )


def must_be_unavailable(answer: Response, code: str = "ledger-unavailable") -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == MEDIA_TYPE
    assert answer.json()["code"] == code


def superuser(own: Database, statement: str) -> None:
    with closing(psycopg2.connect(**own.superuser_dsn())) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement)


def test_every_operation_says_503_while_the_server_is_away_and_then_works(
    own: Database,
) -> None:
    with door_of(own) as door:
        # Moving a clerk's work moves the requests of the others: it comes last.
        names = sorted(ROWS, key=lambda name: (name == "move_work", name))
        questions = [question(door, name) for name in names]
        own.server.embedded.stop()
        found = {each.name: each.ask(door) for each in questions}
        assert found.pop("readyz").json()["status"] == "not-ready"
        for name in WITHOUT_THE_DATABASE:
            assert found.pop(name).status_code == 200
        for name in STREAMS:
            answer = found.pop(name)
            assert (answer.status_code, answer.text.strip()) == (200, "retry: 2000")
        others = {
            name: answer.status_code
            for name, answer in found.items()
            if answer.status_code != 503
        }
        assert others == {}
        for answer in found.values():
            must_be_unavailable(answer)
        own.server.embedded.start()
        door.scene.level()
        wrong = {
            each.name: (each.expected, answer.status_code)
            for each in questions
            if (answer := each.ask(door)).status_code != each.expected
        }
        assert wrong == {}


def test_every_operation_while_only_the_vault_is_away(
    untouched: Database,
) -> None:
    """What needs no person's value goes on; the rest says 503, and works later."""
    vault = untouched.settings.vault_database_name
    with door_of(untouched) as door:
        names = [name for name in sorted(ROWS) if ROWS[name].make is None]
        questions = [question(door, name) for name in names]
        superuser(untouched, f"ALTER DATABASE {vault} ALLOW_CONNECTIONS false")
        superuser(untouched, _ENDED + f" WHERE datname = '{vault}'")
        try:
            found = {each.name: each.ask(door) for each in questions}
        finally:
            superuser(untouched, f"ALTER DATABASE {vault} ALLOW_CONNECTIONS true")
        assert found.pop("readyz").json()["reasons"] == ["the vault does not answer"]
        away = {name for name, told in found.items() if told.status_code == 503}
        assert {"submit_request", "search_persons"} <= away
        assert "get_queue" not in away
        for name in away:
            must_be_unavailable(found[name])
        others = {name: found[name].status_code for name in found.keys() - away}
        expected = {each.name: each.expected for each in questions}
        assert others == {name: expected[name] for name in others}
        for each in questions:
            if each.name in away:
                assert each.ask(door).status_code == each.expected


def test_sessions_killed_in_the_middle_of_any_question(own: Database) -> None:
    """Asked all the while, by reads and acts: 503 at the worst, and never a fault."""
    server = own.server.embedded
    paths = ("/v1/queue", "/v1/counts", "/v1/requests", "/v1/turnaround", "/v1/stamps")
    statuses: Counter[int] = Counter()
    with live_in(own) as live:
        over = threading.Event()
        headers = {"Authorization": f"Bearer {live.token('clerk')}"}

        def ask(number: int) -> None:
            with httpx2.Client(base_url=live.url, headers=headers, timeout=60) as it:
                while not over.is_set():
                    statuses[it.get(paths[number]).status_code] += 1
                    answer = it.post(
                        "/v1/requests",
                        json=SUBMISSION,
                        headers={"Idempotency-Key": str(uuid4())},
                    )
                    statuses[answer.status_code] += 1

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(paths))]
        for thread in threads:
            thread.start()
        for number in range(8):
            before = statuses[201]
            if number % 4 == 3:
                os.kill(server.pid() or 0, signal.SIGKILL)
                while server.pid() is not None:
                    threading.Event().wait(0.02)
                server.start()
            else:
                superuser(own, _ENDED + " WHERE usename LIKE 'sijil_%'")
            while statuses[201] < before + 10:
                assert all(thread.is_alive() for thread in threads)
                threading.Event().wait(0.02)
        over.set()
        for thread in threads:
            thread.join()
    assert statuses.keys() <= {200, 201, 503}, statuses


def test_an_act_whose_answer_was_503_may_be_sent_again(own: Database) -> None:
    with door_of(own) as door:
        key = uuid4()
        own.server.embedded.stop()
        must_be_unavailable(door.post("clerk", "/v1/requests", SUBMISSION, key=key))
        own.server.embedded.start()
        first = door.post("clerk", "/v1/requests", SUBMISSION, key=key)
        again = door.post("clerk", "/v1/requests", SUBMISSION, key=key)
        assert first.status_code == again.status_code == 201
        assert first.json()["id"] == again.json()["id"]


@pytest.mark.parametrize(
    ("code", "harm", "mend"),
    [
        (
            "clock-skew",
            "UPDATE sijil.ledger_head SET recorded_at = recorded_at + interval '1 day'",
            "UPDATE sijil.ledger_head SET recorded_at = recorded_at - interval '1 day'",
        ),
        (
            "ledger-unavailable",
            "ALTER ROLE sijil_app CONNECTION LIMIT 0",
            "ALTER ROLE sijil_app CONNECTION LIMIT -1",
        ),
        (
            "ledger-unavailable",
            "ALTER ROLE sijil_app SET default_transaction_read_only = on",
            "ALTER ROLE sijil_app RESET default_transaction_read_only",
        ),
        (
            "ledger-returned",
            "UPDATE sijil.ledger_head SET is_suspended = true",
            "UPDATE sijil.ledger_head SET is_suspended = false",
        ),
    ],
    ids=["clock", "no connection", "standby", "restored"],
)
def test_what_the_store_cannot_do_now_is_said_and_done_later(
    own: Database, code: str, harm: str, mend: str
) -> None:
    with door_of(own) as door:
        door.submitted()
        superuser(own, harm)
        superuser(own, _ENDED + " WHERE usename = 'sijil_app'")
        key = uuid4()
        for _ in range(2):
            answer = door.post("clerk", "/v1/requests", SUBMISSION, key=key)
            must_be_unavailable(answer, code)
        superuser(own, mend)
        answer = door.post("clerk", "/v1/requests", SUBMISSION, key=key)
        assert answer.status_code == 201


def heard_on(live: LiveServer, listener: Listener, until: int) -> threading.Thread:
    """A client as browsers are: where its stream ends, it comes again."""

    def listen() -> None:
        while listener.position < until:
            with live.stream("supervisor", QUEUE, last_id=listener.last_id) as answer:
                if answer.status_code == 503:
                    continue
                for piece in answer.iter_text():
                    listener.feed(piece)
                    if listener.position >= until:
                        return
            listener.cut()

    thread = threading.Thread(target=listen)
    thread.start()
    return thread


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_streams_and_views_go_on_when_the_server_is_back(
    own: Database, how: int
) -> None:
    server = own.server.embedded
    with live_in(own) as live:
        last = live.grow(requests=5, seed=how)
        listener = Listener()
        live.listen(listener, "supervisor", QUEUE, until=last)
        for number in range(3):
            pid = server.pid()
            assert pid is not None
            os.kill(pid, how)
            while server.pid() is not None:
                threading.Event().wait(0.02)
            server.start()
            last = live.grow(requests=5, seed=100 * how + number)
            thread = heard_on(live, listener, last)
            thread.join(LONG_S)
            assert not thread.is_alive()
        positions = [heard.id for heard in listener.changes]
        assert len(positions) == len(set(positions))
        progress = live.scene.house.queries.progress
        assert progress.wait_for([v.name for v in VIEWS], last, timeout_s=LONG_S)
        levels = progress.levels()
        assert {level.position for level in levels} == {last}
        assert [level.view for level in levels if level.error] == []


def test_the_runners_other_parts_go_on_too(own: Database) -> None:
    """Assignment and the rest: each goes on by itself, and nobody starts anything."""
    server = own.server.embedded
    stop = threading.Event()
    with live_in(own) as live, House(own.settings) as house:
        parts = {"assignment": house.assignment().run, "timers": house.scheduler().run}
        thread = threading.Thread(target=keep_running, args=(parts, stop))
        thread.start()
        try:
            for _ in range(2):
                server.stop()
                server.start()
                request_id = live.scene.submit()
                until = threading.Event()
                for _ in range(600):
                    if live.scene.get(request_id).assigned_clerk is not None:
                        break
                    until.wait(0.1)
                assert live.scene.get(request_id).assigned_clerk is not None
        finally:
            stop.set()
            thread.join()
