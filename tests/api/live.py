"""A real server over a seeded office, and a client of streams that can be cut off."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Event, Thread
from typing import Any

import httpx2
import uvicorn

from api.app import create_app
from api.cli.serve import Server
from api.settings import ApiSettings
from api.tokens import mint
from ledger.persistence.recorders import PostgresProcessRecorder
from tests.api.door import WHO
from tests.conftest import Database
from tests.office.scene import Scene, scene_in
from tests.projections.histories import Life, store
from tests.running import free_port

QUEUE = "/v1/queue/events"
STARTED_S = 60.0
TIMEOUT_S = 60.0
GRACE_S = 60
"""How long the server lets what is open go on at its end."""


@dataclass(frozen=True)
class Heard:
    """One event of a stream."""

    event: str
    id: str
    data: Any


@dataclass
class Listener:
    """What one client has heard, over as many connections as it took."""

    last_id: str | None = None
    events: list[Heard] = field(default_factory=list)
    _rest: str = ""

    def feed(self, piece: str) -> None:
        """Take a piece of a stream in; only whole events count."""
        self._rest += piece
        *whole, self._rest = self._rest.split("\n\n")
        for block in whole:
            told: dict[str, str] = {}
            for line in block.split("\n"):
                name, _, value = line.partition(": ")
                told[name] = value
            if told.get("id"):
                self.last_id = told["id"]
            if "data" in told:
                data = json.loads(told["data"])
                self.events.append(
                    Heard(told.get("event", ""), told.get("id", ""), data)
                )

    def cut(self) -> None:
        """The connection is gone, and with it what was not whole."""
        self._rest = ""

    @property
    def position(self) -> int:
        """How far it has heard."""
        return 0 if self.last_id is None else int(self.last_id.rpartition(".")[2])

    @property
    def changes(self) -> list[Heard]:
        """All but pictures."""
        return [heard for heard in self.events if heard.event != "reset"]


class LiveServer:
    """A server in a thread, with the views' runner beside it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.settings = ApiSettings.load(home=scene.database.settings.home)
        self.app = create_app(scene.house, self.settings)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = uvicorn.Config(
            self.app,
            host="127.0.0.1",
            port=port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        self.server = Server(config, self.app)
        self.thread = Thread(target=self.server.run)
        self._stop = Event()
        self._runner = Thread(target=scene.room.runner.run, args=(self._stop,))
        self.recorder = PostgresProcessRecorder(scene.database.datastore("app"))

    def start(self, *, is_following: bool = True) -> None:
        """Answer, and fold the views as the ledger grows."""
        if is_following:
            self._runner.start()
        self.thread.start()
        until = time.monotonic() + STARTED_S
        while not self.server.started and time.monotonic() < until:
            time.sleep(0.01)

    def stop(self) -> float:
        """End the server; how long that took."""
        began = time.monotonic()
        self.server.should_exit = True
        self.thread.join()
        self._stop.set()
        if self._runner.is_alive():
            self._runner.join()
        return time.monotonic() - began

    def token(self, who: str, lifespan: timedelta = timedelta(hours=1)) -> str:
        now = datetime.now(UTC)
        return mint(self.settings, now=now, lifespan=lifespan, **WHO[who])

    @contextmanager
    def stream(
        self,
        who: str,
        path: str,
        *,
        last_id: str | None = None,
        token: str | None = None,
        **asked: Any,
    ) -> Iterator[httpx2.Response]:
        """One connection to a stream."""
        headers = {"Authorization": f"Bearer {token or self.token(who)}"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        with (
            httpx2.Client(base_url=self.url, timeout=TIMEOUT_S) as client,
            client.stream("GET", path, headers=headers, params=asked) as answer,
        ):
            yield answer

    def listen(
        self,
        listener: Listener,
        who: str,
        path: str,
        *,
        until: int | Callable[[], int],
        cut_after: Random | None = None,
        **asked: Any,
    ) -> None:
        """Hear a stream up to a position; cut off anywhere where ``cut_after`` is."""
        end = until if callable(until) else lambda: until
        while listener.position < end():
            left = None if cut_after is None else cut_after.randrange(1, 3_000)
            with self.stream(who, path, last_id=listener.last_id, **asked) as answer:
                assert answer.status_code == 200, answer.read()
                for piece in answer.iter_text():
                    part = piece if left is None else piece[:left]
                    listener.feed(part)
                    if left is not None:
                        left -= len(part)
                        if left <= 0:
                            break
                    if listener.position >= end():
                        return
            listener.cut()

    def grow(self, *, requests: int, seed: int, pause_s: float = 0.0) -> int:
        """Random lives, event by event; the last position."""
        random = Random(seed)  # noqa: S311 -- reproducible test data
        lives = [Life(number, random) for number in range(requests)]
        last = 0
        while lives:
            life = random.choice(lives)
            if random.random() < 0.05 or not life.step():
                lives.remove(life)
            elif life.request.pending_events:
                last = store(self.recorder, life.request)
                time.sleep(pause_s)
        return last


@contextmanager
def live_in(database: Database, *, is_following: bool = True) -> Iterator[LiveServer]:
    with scene_in(database) as scene:
        scene.room.runner.catch_up()
        made = LiveServer(scene)
        made.app.state.live.streams.heartbeat_s = 0.2
        made.start(is_following=is_following)
        try:
            yield made
        finally:
            made.stop()


def eventually(is_so: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
    until = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def heard(
    live: LiveServer, path: str, who: str = "supervisor", **asked: Any
) -> Listener:
    """A listener that has its picture and is as far as the ledger."""
    listener = Listener()
    live.listen(listener, who, path, until=head(live), **asked)
    return listener


def head(live: LiveServer) -> int:
    return live.scene.house.ledger.reader.head().position


def queue_of(listener: Listener) -> dict[str, Any]:
    """The queue that somebody has who did what the stream told."""
    items: dict[str, Any] = {}
    for told in listener.events:
        match told.event:
            case "reset":
                items = {item["request_id"]: item for item in told.data["items"]}
            case "changed":
                items[told.data["item"]["request_id"]] = told.data["item"]
            case "gone":
                del items[told.data["request_id"]]
    return items


def queue_shown(live: LiveServer, path: str, **asked: Any) -> dict[str, Any]:
    """The same queue, asked for as a list."""
    token = live.token("supervisor")
    answer = httpx2.get(
        f"{live.url}{path}",
        headers={"Authorization": f"Bearer {token}"},
        params={"limit": 200, "min_position": head(live), **asked},
        timeout=TIMEOUT_S,
    ).json()
    assert answer["next"] is None
    return {item["request_id"]: item for item in answer["items"]}
