"""Clerks at the counter, and everybody whom a request of theirs needs until its end.

A request is led through its whole life by what the server says is next, each step by
whoever has to do it, with pauses as people make them.
"""

from __future__ import annotations

import math
import time
from hashlib import sha256
from itertools import count
from typing import Any

import gevent
from locust import task

from benchmarks.day.person import (
    FAILED,
    PLACES,
    RATE,
    RECEIPTS,
    SERVICES,
    TALLY,
    Person,
    clerk,
    random,
    seeded_clerk,
    supervisor,
    token,
)
from domain.acts import ActorKind
from domain.post import item_number
from office.seeding import CLERKS_A_CENTRE, centre_code, clerk_code, stamp_serial

PAUSE_S = (1.0, 3.0)
"""Between two steps of one request; so its life is shorter than a clerk's turn."""
LOOK_AGAIN_S = 0.1
GIVEN_S = 5.0
"""How long the system may take to give a request to a clerk, under load too."""
MOST_STEPS = 20
CLERKS = len(PLACES) * CLERKS_A_CENTRE
LONGEST_LIFE_S = 60.0
"""So long may one request hold its clerk's turn; at a higher rate there are more."""
COUNTERS = max(CLERKS, math.ceil(RATE * LONGEST_LIFE_S))
ONLINE_EVERY = 14
"""Of so many requests one is a citizen's own: it waits, is claimed and accepted."""
BANK_EVERY = 10
"""Of so many fees one comes by bank."""
REFUSED_EVERY = 20
"""Of so many answers of agencies one is a refusal: the citizen is told of it."""
RETURNED_EVERY = 33
"""Of so many items one comes back, and is fetched at the counter."""
_items = count(1)
_lives = count()
_places = count()


class Counter(Person):
    """A clerk at the counter, and everybody whom a request of theirs needs."""

    fixed_count = COUNTERS
    every_s = COUNTERS / RATE

    def on_start(self) -> None:
        """Take a place at one of the centres."""
        self.place, self.who = seeded_clerk(next(_places) % CLERKS)
        super().on_start()

    @task
    def one_request(self) -> None:
        """One request, from the counter to its end."""
        self.life = next(_lives)
        self.service = SERVICES[self.life % len(SERVICES)]
        self.delivery = ("home", "post_office")[self.life % 2]
        TALLY["begun"] += 1
        is_online = self.life % ONLINE_EVERY == ONLINE_EVERY - 1
        request_id = self._submitted_online() if is_online else self._submitted()
        if request_id is not None and self._led(f"/v1/requests/{request_id}"):
            TALLY["ended"] += 1

    def _documents(self) -> list[str]:
        return [each["code"] for each in self.service["facts"]["documents"]]

    def _asked(self, channel: str) -> dict[str, Any]:
        return {
            "service": self.service["code"],
            "centre": centre_code(self.place),
            "channel": channel,
            "applicant": {
                "full_name": f"مواطن {self.life}",
                "national_number": f"{random.randrange(10**11):011d}",
                "phone": f"+9639{random.randrange(10**8):08d}",
            },
            "relationship": "self",
            "documents": self._documents(),
            "delivery": self.delivery,
        }

    def _submitted(self) -> str | None:
        self.read("clerk: queue", "/v1/queue", self.who)
        code = self.service["code"]
        self.read(
            "clerk: conditions",
            f"/v1/services/{code}/conditions?centre={centre_code(self.place)}",
            self.who,
        )
        made, headers = self.act(
            "clerk: submit and accept",
            "/v1/requests",
            self.who,
            {**self._asked("counter"), "accept": True},
        )
        if not made:
            return None
        RECEIPTS.append((made["tracking_number"], made["secret_code"]))
        position = headers["Ledger-Position"]
        self.read(
            "clerk: see the own act in a list",
            f"/v1/requests?limit=10&min_position={position}",
            self.who,
        )
        return str(made["id"])

    def _submitted_online(self) -> str | None:
        who = token(ActorKind.CITIZEN, f"citizen-{self.life}")
        made, _ = self.act(
            "citizen: submit online", "/v1/requests", who, self._asked("online")
        )
        if not made:
            return None
        RECEIPTS.append((made["tracking_number"], made["secret_code"]))
        return str(made["id"])

    def _led(self, path: str) -> bool:
        """Whether the request came to its end."""
        for _ in range(MOST_STEPS):
            gevent.sleep(random.uniform(*PAUSE_S))
            seen, etag = self._given(path)
            if not seen:
                return False
            if seen["next_act"] == "nothing":
                return True
            holder = clerk(seen["clerk"], self.place)
            self.read("clerk: queue", "/v1/queue", holder)
            if not self._step(path, seen, etag, holder):
                return False
        FAILED.append(f"{path} did not end in {MOST_STEPS} steps")
        return False

    def _given(self, path: str) -> tuple[dict[str, Any], str]:
        """The request once somebody has it: the system gives it, or the supervisor.

        Where everybody who does that agency's work is away, it stands on the desk.
        """
        until = time.monotonic() + GIVEN_S
        seen, etag = self.see(path, self.who)
        while seen and seen["clerk"] is None and time.monotonic() < until:
            gevent.sleep(LOOK_AGAIN_S)
            seen, etag = self.see(path, self.who)
        if not seen or seen["clerk"] is not None:
            return seen, etag
        TALLY["given by the supervisor"] += 1
        who = supervisor(self.place)
        self.read("supervisor: unassigned", "/v1/desk/unassigned", who)
        given = {"clerk": clerk_code(self.place, 1)}
        self.act("supervisor: assign", f"{path}/assignment", who, given, etag)
        seen, etag = self.see(path, self.who)
        if seen and seen["clerk"] is None:
            FAILED.append(f"nobody has {path}")
            return {}, ""
        return seen, etag

    def _step(
        self, path: str, seen: dict[str, Any], etag: str, holder: dict[str, str]
    ) -> bool:
        """The next step, by whoever has to do it. Whether there may be another."""
        held = {"token": seen["token"]}
        match seen["next_act"]:
            case "accept":
                self._take_in(path, etag, holder)
            case "take_fee":
                self._pay(path, seen, etag, holder)
            case "forward":
                self.act("clerk: forward", f"{path}/forwarding", holder, held, etag)
            case "record_reply" if seen["waiting_for"] == "agency":
                self._answer(path, seen, etag)
            case "record_reply":
                answered = {**held, "outcome": "issued"}
                self.act("clerk: answer", f"{path}/response", holder, answered, etag)
            case "stamp":
                digest = sha256(path.encode()).hexdigest()
                stamp = stamp_serial(self.place, 1)
                stamped = {**held, "serial": stamp, "stamped_digest": digest}
                self.act("clerk: stamp", f"{path}/stamp", holder, stamped, etag)
            case "mail":
                self._mail(path, seen, etag, holder)
            case "hand_over" | "deal_with_return":
                given = {**held, "capacity": "self"}
                self.act("clerk: hand over", f"{path}/hand-over", holder, given, etag)
            case "tell_result":
                told = {**held, "means": "phone"}
                self.act("clerk: tell the result", f"{path}/result", holder, told, etag)
            case other:
                FAILED.append(f"nobody knows how to {other}")
                return False
        return True

    def _take_in(self, path: str, etag: str, holder: dict[str, str]) -> None:
        """Claim what came online, so that nobody else does it, and accept it."""
        if not self.act("clerk: claim", f"{path}/claim", holder, {}, etag)[0]:
            return
        seen, etag = self.see(path, holder)
        if seen:
            taken = {"token": seen["token"], "documents": self._documents()}
            self.act("clerk: accept", f"{path}/acceptance", holder, taken, etag)

    def _pay(
        self, path: str, seen: dict[str, Any], etag: str, holder: dict[str, str]
    ) -> None:
        fee = {name: seen["fee_due"][name] for name in ("amount", "unit")}
        if self.life % BANK_EVERY == 0:
            bank = token(ActorKind.BANK, "bank-1")
            self.read("bank: payments", "/v1/payments?state=expected&limit=50", bank)
            paid = {"channel": "bank", "bank_reference": f"B-{self.life:08d}-X", **fee}
            self.act("bank: fee", f"{path}/payment", bank, paid, etag)
            return
        paid = {"token": seen["token"], "channel": "cash", **fee}
        self.act("clerk: fee", f"{path}/payment", holder, paid, etag)

    def _answer(self, path: str, seen: dict[str, Any], etag: str) -> None:
        """The agency's officer finds it in the inbox, and answers."""
        officer = token(
            ActorKind.AGENCY,
            f"off-{seen['agency']}-{self.place}",
            agency=seen["agency"],
            governorate=self.place,
        )
        self.read("agency: inbox", "/v1/inbox?state=unanswered&limit=50", officer)
        is_refused = self.life % REFUSED_EVERY == 1
        answered = (
            {"outcome": "refused", "reason": "no-record"}
            if is_refused
            else {"outcome": "issued", "agency_reference": f"R-{self.life:08d}-X"}
        )
        self.act("agency: answer", f"{path}/response", officer, answered, etag)

    def _mail(
        self, path: str, seen: dict[str, Any], etag: str, holder: dict[str, str]
    ) -> None:
        """Give the paper to the post, which reports what became of it."""
        item = item_number(next(_items))
        mailed = {"token": seen["token"], "item": item, "to": self.delivery}
        done, headers = self.act("clerk: mail", f"{path}/mailing", holder, mailed, etag)
        gevent.sleep(random.uniform(*PAUSE_S))
        if not done:
            return
        post = token(ActorKind.POST, "post-1")
        etag = headers["ETag"]
        if self.life % RETURNED_EVERY == RETURNED_EVERY - 1:
            back = {"item": item, "reason": "receiver_absent"}
            self.act("post: came back", f"{path}/return", post, back, etag)
            return
        scan = "delivery" if self.delivery == "home" else "collection"
        received = {"item": item, "capacity": "self"}
        self.act(f"post: {scan}", f"{path}/{scan}", post, received, etag)
