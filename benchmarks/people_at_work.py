"""The people of a working day, for Locust: clerks, agencies, post, citizens, overseers.

``benchmarks.working_day`` starts it and says how many begin a request each second. A
request is led through its whole life by what the server says is next, each step by
whoever has to do it, with pauses as people make them. Citizens ask where theirs stands,
supervisors look at what waits, dashboards count.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import gevent
from locust import FastHttpUser, events, task
from locust.env import Environment

from api.settings import ApiSettings
from api.tokens import mint
from domain.acts import ActorKind
from domain.governorates import governorates
from domain.post import item_number
from office.seeding import CLERKS_A_CENTRE, centre_code, clerk_code, stamp_serial

RATE = float(os.environ["WORKING_DAY_RATE"])
"""Requests begun a second."""
OUTCOME = Path(os.environ["WORKING_DAY_OUTCOME"])
WARM_UP_S = float(os.environ["WORKING_DAY_WARM_UP_S"])
PAUSE_S = (1.0, 3.0)
"""Between two steps of one request; so its life is shorter than a clerk's turn."""
LOOKS_A_REQUEST = 3
"""How often a citizen asks where it stands."""
LOOK_AGAIN_S = 0.1
LONGEST_WAIT_S = 30.0
MOST_STEPS = 15
PLACES = [governorate.code for governorate in governorates()]
CLERKS = len(PLACES) * CLERKS_A_CENTRE
CITIZENS = 20
WATCHERS = len(PLACES)
WATCH_EVERY_S = 10.0
"""A supervisor's page and a dashboard each ask anew so often."""
RECEIPTS: deque[tuple[str, str]] = deque(maxlen=2_000)
"""Numbers and codes of requests under way, for those who ask after them."""
FAILED: list[str] = []
SERVICES: list[dict[str, Any]] = []
TOKENS: dict[tuple[str, ...], str] = {}
_settings = ApiSettings.load()
_random = Random(20261125)  # noqa: S311 -- people of a benchmark
_items = count(1)
_lives = count()
_turns = count()


def token(role: ActorKind, subject: str, **places: str) -> dict[str, str]:
    """The header of somebody's login, made once."""
    key = (str(role), subject, *sorted(places.values()))
    if key not in TOKENS:
        TOKENS[key] = mint(
            _settings, role=role, subject=subject, now=datetime.now(UTC), **places
        )
    return {"Authorization": f"Bearer {TOKENS[key]}"}


class Person(FastHttpUser):  # type: ignore[misc]
    """Somebody who asks the server, and whose refusals all count as errors."""

    abstract = True
    network_timeout = LONGEST_WAIT_S

    every_s = WATCH_EVERY_S
    """From the beginning of one task to that of the next."""

    def on_start(self) -> None:
        """Nobody comes in at the same moment as the others."""
        gevent.sleep(_random.uniform(0, self.every_s))
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

    def act(
        self,
        name: str,
        path: str,
        who: dict[str, str],
        body: dict[str, Any],
        etag: str | None = None,
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """The answer of one act, and its headers."""
        headers = {**who, "Idempotency-Key": str(uuid4())}
        if etag is not None:
            headers["If-Match"] = etag
        return self._told(
            name,
            self.client.post(
                path, json=body, headers=headers, name=name, catch_response=True
            ),
        )

    def _told(self, name: str, asked: Any) -> tuple[dict[str, Any], Mapping[str, str]]:
        with asked as answer:
            if answer.status_code >= 400 or answer.status_code == 0:
                problem = (answer.text or "")[:300]
                FAILED.append(f"{name}: {answer.status_code} {problem}")
                answer.failure(str(answer.status_code))
                return {}, {}
            return answer.json(), answer.headers


class Counter(Person):
    """A clerk at the counter, and everybody whom a request of theirs needs."""

    fixed_count = CLERKS
    every_s = CLERKS / RATE

    def on_start(self) -> None:
        """Take a place at one of the centres."""
        number = next(_turns)
        self.place = PLACES[number % len(PLACES)]
        self.who = self._clerk(clerk_code(self.place, number // len(PLACES) + 1))
        super().on_start()

    def _clerk(self, code: str) -> dict[str, str]:
        return token(ActorKind.CLERK, code, centre=centre_code(self.place))

    @task
    def one_request(self) -> None:
        """One request, from the counter to its end."""
        life = next(_lives)
        service = SERVICES[life % len(SERVICES)]
        self.read("clerk: queue", "/v1/queue", self.who)
        made, headers = self.act(
            "clerk: submit and accept",
            "/v1/requests",
            self.who,
            {
                "service": service["code"],
                "channel": "counter",
                "applicant": {
                    "full_name": f"مواطن {life}",
                    "national_number": f"{_random.randrange(10**11):011d}",
                    "phone": f"+9639{_random.randrange(10**8):08d}",
                },
                "relationship": "self",
                "documents": [d["code"] for d in service["facts"]["documents"]],
                "delivery": "home",
                "accept": True,
            },
        )
        if not made:
            return
        RECEIPTS.append((made["tracking_number"], made["secret_code"]))
        position = headers["Ledger-Position"]
        self.read(
            "clerk: see the own act in a list",
            f"/v1/requests?limit=10&min_position={position}",
            self.who,
        )
        self._lead(f"/v1/requests/{made['id']}")

    def _lead(self, path: str) -> None:
        waited = 0.0
        for _ in range(MOST_STEPS):
            gevent.sleep(_random.uniform(*PAUSE_S))
            seen, etag = self._see(path)
            while seen and seen["clerk"] is None and waited < LONGEST_WAIT_S:
                gevent.sleep(LOOK_AGAIN_S)
                waited += LOOK_AGAIN_S
                seen, etag = self._see(path)
            if not seen or seen["next_act"] == "nothing":
                break
            holder = self._clerk(seen["clerk"])
            self.read("clerk: queue", "/v1/queue", holder)
            if not self._step(path, seen, etag, holder):
                return

    def _see(self, path: str) -> tuple[dict[str, Any], str]:
        name = "clerk: read one request"
        asked = self.client.get(path, headers=self.who, name=name, catch_response=True)
        seen, headers = self._told(name, asked)
        return seen, headers.get("ETag", "")

    def _step(
        self, path: str, seen: dict[str, Any], etag: str, holder: dict[str, str]
    ) -> bool:
        """The next step, by whoever has to do it. Whether there may be another."""
        held = {"token": seen["token"]}
        item = item_number(next(_items))
        match seen["next_act"]:
            case "take_fee":
                fee = {name: seen["fee_due"][name] for name in ("amount", "unit")}
                paid = {**held, "channel": "cash", **fee}
                done = self.act("clerk: fee", f"{path}/payment", holder, paid, etag)
            case "forward":
                done = self.act(
                    "clerk: forward", f"{path}/forwarding", holder, held, etag
                )
            case "record_reply" if seen["waiting_for"] == "agency":
                officer = token(
                    ActorKind.AGENCY,
                    f"off-{seen['agency']}-{self.place}",
                    agency=seen["agency"],
                    governorate=self.place,
                )
                self.read("agency: list", "/v1/requests?limit=50", officer)
                answered = {"outcome": "issued"}
                done = self.act(
                    "agency: answer", f"{path}/response", officer, answered, etag
                )
            case "record_reply":
                answered = {**held, "outcome": "issued"}
                done = self.act(
                    "clerk: answer", f"{path}/response", holder, answered, etag
                )
            case "stamp":
                digest = sha256(path.encode()).hexdigest()
                stamp = stamp_serial(self.place, 1)
                stamped = {**held, "serial": stamp, "stamped_digest": digest}
                done = self.act("clerk: stamp", f"{path}/stamp", holder, stamped, etag)
            case "mail":
                mailed = {**held, "item": item, "to": "home"}
                done = self.act("clerk: mail", f"{path}/mailing", holder, mailed, etag)
                gevent.sleep(_random.uniform(*PAUSE_S))
                post = token(ActorKind.POST, "post-1")
                if done[0]:
                    etag = done[1]["ETag"]
                    self.act(
                        "post: delivered",
                        f"{path}/delivery",
                        post,
                        {"item": item, "capacity": "self"},
                        etag,
                    )
            case "hand_over":
                given = {**held, "capacity": "self"}
                done = self.act(
                    "clerk: hand over", f"{path}/hand-over", holder, given, etag
                )
            case "tell_result":
                told = {**held, "means": "phone"}
                done = self.act(
                    "clerk: tell the result", f"{path}/result", holder, told, etag
                )
            case other:
                FAILED.append(f"nobody knows how to {other}")
                return False
        return bool(done[0])


class Citizen(Person):
    """Somebody at home who wants to know."""

    fixed_count = CITIZENS
    every_s = CITIZENS / (RATE * LOOKS_A_REQUEST)

    @task
    def look(self) -> None:
        """Ask with the number and the code on a receipt."""
        if RECEIPTS:
            number, code = _random.choice(RECEIPTS)
            self.act(
                "citizen: track", "/v1/tracking", {}, {"number": number, "code": code}
            )


class Supervisor(Person):
    """Whoever looks what waits at a centre."""

    fixed_count = WATCHERS

    @task
    def look(self) -> None:
        """See the centre's queue, what nobody has, and one request's trail."""
        place = PLACES[next(_turns) % len(PLACES)]
        who = token(ActorKind.SUPERVISOR, f"sup-{place}", centre=centre_code(place))
        self.read("supervisor: queue", "/v1/queue?limit=50", who)
        self.read("supervisor: unassigned", "/v1/queue?unassigned=true", who)
        listed = self.read("supervisor: requests", "/v1/requests?limit=50", who)
        if items := listed.get("items"):
            path = f"/v1/requests/{_random.choice(items)['id']}/trail"
            self.read("supervisor: trail", path, who)


class Dashboard(Person):
    """A screen that counts."""

    fixed_count = WATCHERS

    @task
    def count(self) -> None:
        """Stocks by governorate and by service, and the flows of the days."""
        who = token(ActorKind.AUDITOR, "aud-1")
        self.read("dashboard: counts", "/v1/counts", who)
        self.read("dashboard: counts by service", "/v1/counts?by=service", who)
        self.read("dashboard: flows", "/v1/counts/flows", who)


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def begin(environment: Environment, **_: Any) -> None:
    """Measure from when everybody is in."""

    def from_now_on() -> None:
        gevent.sleep(WARM_UP_S)
        environment.stats.reset_all()

    gevent.spawn(from_now_on)


@events.init.add_listener  # type: ignore[untyped-decorator]
def learn(**_: Any) -> None:
    """What is offered to whoever asks for themselves, everywhere."""
    found = json.loads(Path(os.environ["WORKING_DAY_SERVICES"]).read_text())
    SERVICES.extend(each for each in found if "self" in each["facts"]["applicants"])


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def tell(environment: Environment, **_: Any) -> None:
    """Write what was measured for whoever started us."""
    entries = [*environment.stats.entries.values(), environment.stats.total]
    OUTCOME.write_text(
        json.dumps(
            {
                "begun": next(_lives),
                "failed": FAILED,
                "acts": {
                    entry.name: {
                        "calls": entry.num_requests,
                        "a_second": entry.total_rps,
                        **{
                            f"p{share}": entry.get_response_time_percentile(share / 100)
                            for share in (50, 95, 99)
                        },
                    }
                    for entry in entries
                },
            }
        )
    )
