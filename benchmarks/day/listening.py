"""Pages that are open all day: each holds a stream of what changes."""

from __future__ import annotations

import time
from http import HTTPStatus
from itertools import count

import gevent
from locust import task

from benchmarks.day.counter import CLERKS
from benchmarks.day.person import (
    ANSWERED,
    FAILED,
    PLACES,
    Person,
    random,
    seeded_clerk,
    supervisor,
)
from benchmarks.day.watching import MINISTRY

LOOKED_UP_AFTER_S = 2.0
"""An event may be here before the answer to its act: so it is looked up later."""
COMES_AGAIN_S = 2.0
SCREENS = 4
_clerks = count()
_centres = count()


class _Listener(Person):
    """Somebody whose page hears of each act, and how soon after its answer."""

    abstract = True
    what = ""

    def listen(self, path: str, who: dict[str, str]) -> None:
        """Hear a stream until it ends, and come again with its last id."""
        headers = {**who, "Accept": "text/event-stream"}
        if self.last_id:
            headers["Last-Event-ID"] = self.last_id
        name = f"{self.what}: open the stream"
        answer = self.client.get(path, headers=headers, name=name, stream=True)
        try:
            # Line by line: by size, an event would wait for the next ones.
            while answer.status_code == HTTPStatus.OK:
                line = bytes(answer._response.readline(b"\n"))  # noqa: SLF001
                if not line:
                    FAILED.append(f"{self.what}: the stream was cut")
                    break
                self._hear(line.decode().rstrip())
        except OSError as error:
            FAILED.append(f"{self.what}: the stream broke, {type(error).__name__}")
        gevent.sleep(COMES_AGAIN_S)

    def on_start(self) -> None:
        """Nothing was heard yet."""
        self.last_id = ""
        super().on_start()

    def _hear(self, line: str) -> None:
        if line.startswith("id: "):
            self.last_id = line[4:]
            position = int(self.last_id.rpartition(".")[2])
            gevent.spawn_later(
                LOOKED_UP_AFTER_S, self._settle, position, time.perf_counter()
            )
        elif line.startswith("event: end"):
            FAILED.append(f"{self.what}: the stream was ended")

    def _settle(self, position: int, heard_at: float) -> None:
        answered_at = ANSWERED.get(position)
        if answered_at is None:
            return
        self.environment.events.request.fire(
            request_type="SSE",
            name=f"{self.what}: told of an act, after its answer",
            response_time=max(0.0, heard_at - answered_at) * 1_000,
            response_length=0,
            exception=None,
            context={},
        )


class ClerksPage(_Listener):
    """A clerk's queue on the screen."""

    fixed_count = CLERKS
    what = "clerk's page"

    @task
    def listen_all_day(self) -> None:
        """Hear of what comes and goes in the own queue."""
        if not hasattr(self, "who"):
            _, self.who = seeded_clerk(next(_clerks))
        self.listen("/v1/queue/events", self.who)


class SupervisorsPage(_Listener):
    """A centre's queue on the screen."""

    fixed_count = len(PLACES)
    what = "supervisor's page"

    @task
    def listen_all_day(self) -> None:
        """Hear of what comes and goes at the centre."""
        if not hasattr(self, "who"):
            self.who = supervisor(PLACES[next(_centres) % len(PLACES)])
        self.listen("/v1/queue/events", self.who)


class MinistrysScreen(_Listener):
    """The country's counts on the wall."""

    fixed_count = SCREENS
    what = "ministry's screen"

    @task
    def listen_all_day(self) -> None:
        """Hear how the counts change."""
        by = random.choice(("governorate", "service"))
        self.listen(f"/v1/counts/events?by={by}", MINISTRY)
