"""Somebody of a working day: who asks, how often, and what is kept of the answers."""

from __future__ import annotations

import os
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

import gevent
from locust import FastHttpUser

from api.settings import ApiSettings
from api.tokens import mint
from domain.acts import ActorKind
from domain.governorates import governorates
from domain.ids import new_id
from office.seeding import centre_code, clerk_code

RATE = float(os.environ["WORKING_DAY_RATE"])
"""Requests begun a second."""
LONGEST_WAIT_S = 30.0
PLACES = [governorate.code for governorate in governorates()]
WATCH_EVERY_S = 10.0
"""A page that somebody looks at is asked anew so often."""
DESK_EVERY_S = 30.0
"""A desk, an inbox or a register is opened so often."""
RECEIPTS: deque[tuple[str, str]] = deque(maxlen=2_000)
"""Numbers and codes of requests under way, for those who ask after them."""
SERVICES: list[dict[str, Any]] = []
ANSWERED: dict[int, float] = {}
"""When an act was answered, by the position it got; for what streams tell of it."""
FAILED: list[str] = []
TALLY = Tally[str]()
"""Requests begun and ended, and what had to be done twice, since everybody was in."""
_STALE = {409, 412}
TOKENS: dict[tuple[str, ...], str] = {}
random = Random(20261125)  # noqa: S311 -- people of a benchmark
_settings = ApiSettings.load()


def token(role: ActorKind, subject: str, **places: str) -> dict[str, str]:
    """The header of somebody's login, made once."""
    key = (str(role), subject, *sorted(places.values()))
    if key not in TOKENS:
        TOKENS[key] = mint(
            _settings, role=role, subject=subject, now=datetime.now(UTC), **places
        )
    return {"Authorization": f"Bearer {TOKENS[key]}"}


def clerk(code: str, place: str) -> dict[str, str]:
    """A clerk's login, at the first centre of a governorate."""
    return token(ActorKind.CLERK, code, centre=centre_code(place))


def seeded_clerk(number: int) -> tuple[str, dict[str, str]]:
    """The place and the login of one of the clerks, counted over all places."""
    place = PLACES[number % len(PLACES)]
    return place, clerk(clerk_code(place, number // len(PLACES) + 1), place)


def supervisor(place: str) -> dict[str, str]:
    """The login of whoever supervises the first centre of a governorate."""
    return token(ActorKind.SUPERVISOR, f"sup-{place}", centre=centre_code(place))


class Person(FastHttpUser):  # type: ignore[misc]
    """Somebody who asks the server, and whose refusals all count as errors."""

    abstract = True
    network_timeout = LONGEST_WAIT_S

    every_s = WATCH_EVERY_S
    """From the beginning of one task to that of the next."""

    def on_start(self) -> None:
        """Nobody comes in at the same moment as the others."""
        gevent.sleep(random.uniform(0, self.every_s))
        self.due = time.perf_counter()

    def wait_time(self) -> float:
        """Keep the pace. Locust's own begins before a person has come in."""
        self.due += self.every_s
        return max(0.0, self.due - time.perf_counter())

    def read(self, name: str, path: str, who: dict[str, str]) -> dict[str, Any]:
        """What a page has."""
        return self._told(
            name, self.client.get(path, headers=who, name=name, catch_response=True)
        )[0]

    def fetch(self, name: str, path: str, who: dict[str, str]) -> int:
        """How many bytes a file has."""
        with self.client.get(
            path, headers=who, name=name, catch_response=True
        ) as answer:
            self._judge(name, answer)
            return len(answer.content or b"")

    def see(self, path: str, who: dict[str, str]) -> tuple[dict[str, Any], str]:
        """One request and its ETag."""
        name = "clerk: read one request"
        asked = self.client.get(path, headers=who, name=name, catch_response=True)
        seen, headers = self._told(name, asked)
        return seen, headers.get("ETag", "")

    def act(
        self,
        name: str,
        path: str,
        who: dict[str, str],
        body: dict[str, Any],
        etag: str | None = None,
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """The answer of one act, and its headers."""
        headers = {**who, "Idempotency-Key": str(new_id(datetime.now(UTC)))}
        if etag is not None:
            headers["If-Match"] = etag
        told, heard = self._told(
            name,
            self.client.post(
                path, json=body, headers=headers, name=name, catch_response=True
            ),
            is_act=etag is not None,
        )
        if "Ledger-Position" in heard:
            ANSWERED[int(heard["Ledger-Position"])] = time.perf_counter()
        return told, heard

    def _told(
        self, name: str, asked: Any, *, is_act: bool = False
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        with asked as answer:
            # Another was first: whoever does this looks again, as the pages do.
            if is_act and answer.status_code in _STALE:
                TALLY[f"{name}: {answer.json()['code']}"] += 1
                answer.success()
                return {}, {}
            if not self._judge(name, answer):
                return {}, {}
            return answer.json(), answer.headers

    @staticmethod
    def _judge(name: str, answer: Any) -> bool:
        if answer.status_code >= 400 or answer.status_code == 0:
            problem = (answer.text or "")[:300]
            FAILED.append(f"{name}: {answer.status_code} {problem}")
            answer.failure(str(answer.status_code))
            return False
        return True
