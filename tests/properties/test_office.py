"""Random acts of random people at random times, and the rules told twice.

Every step asks the office for one act, through its use cases on real PostgreSQL, and
asks rules.py what the office must say. SIJIL_LONG_PROPERTIES=<examples> runs that many
random examples instead of the few that every run repeats.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from domain.errors import SijilError
from tests.properties import effects, rules
from tests.properties.choosing import DAY, FAULTS, HOUR, RIGHT, Chooser, args_of
from tests.properties.desk import LEASE, Desk
from tests.properties.example import Example
from tests.properties.hours import day_of
from tests.properties.known import Asked, Case, Offered, Who

EXAMPLES = 40
"""Of every run, always the same ones, so that a red build is somebody's change."""
ENOUGH = 500
"""Examples after which every act was taken and refused, or the choices are bad."""
STEPS = 20
"""Of an example: some five requests, one of them walked from end to end."""
MOST_CASES = 8
"""Requests of an example: more make each of them shorter."""
FORESEEN = {
    "accept": ("accept", "accept", "accept", "decline"),
    "take_fee": ("pay",),
    "forward": ("forward", "forward", "request_information"),
    "record_reply": ("respond",),
    "request_information": ("request_information",),
    "record_information": ("supply_information",),
    "stamp": ("stamp",),
    "mail": ("mail",),
    "hand_over": ("hand_over",),
    "tell_result": ("tell_result",),
    "deal_with_return": ("mail", "hand_over"),
}
"""What is done next by whoever follows the queue."""
BY_THE_WAY = (
    "assign",
    "claim",
    "release",
    "inform",
    "correct",
    "request_information",
    "respond",
    "withdraw",
    "warn",
    "expire",
)
IN_THE_POST = ("deliver", "collect", "bring_back", "bring_back", "correct")
AT_THE_END = ("refund", "refund", "inform", "correct", "deliver")
IN_HAND = {
    "accept",
    "decline",
    "pay",
    "forward",
    "respond",
    "request_information",
    "supply_information",
    "stamp",
    "mail",
    "hand_over",
    "tell_result",
}


class Office(Example):
    """One example: what people do there, rightly or with one fault."""

    faults: ClassVar[tuple[str | None, ...]] = FAULTS

    # Rules ------------------------------------------------------------------------

    @rule(data=st.data())
    def submit(self, data: st.DataObject) -> None:
        """Somebody asks for a service."""
        if len(self.cases) >= MOST_CASES:
            return
        self._submit(Chooser(data, self.faults))

    @rule(data=st.data())
    def submit_rightly(self, data: st.DataObject) -> None:
        if len(self.cases) >= MOST_CASES:
            return
        self._submit(Chooser(data, RIGHT))

    @rule(data=st.data())
    def follow_the_queue(self, data: st.DataObject) -> None:
        """Somebody does what is next, as it should be done."""
        self._follow(data, is_wild=False)

    @rule(data=st.data())
    def follow_the_queue_on(self, data: st.DataObject) -> None:
        """The same again: long lives are rare by chance alone."""
        self._follow(data, is_wild=False)

    @rule(data=st.data())
    def follow_the_queue_wrongly(self, data: st.DataObject) -> None:
        """Somebody does what is next, and now and then something of it is wrong."""
        self._follow(data, is_wild=True)

    @precondition(lambda self: self.cases)
    @rule(data=st.data())
    def do_something_else(self, data: st.DataObject) -> None:
        """Any act on any request."""
        case = self._case(data)
        act = data.draw(st.sampled_from(sorted(effects.TOPICS)))
        self._do(act, case, Chooser(data, self.faults))

    @precondition(lambda self: self.done)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        """A command that was taken is sent again: the same, or something else."""
        asked, case, envelope, done = self.done[
            data.draw(st.integers(0, len(self.done) - 1))
        ]
        how = data.draw(st.sampled_from(["same", "same", "page", "time", "actor"]))
        code = None
        if how == "page":
            envelope = replace(envelope, if_version=1000)
        elif how == "time":
            at = self.desk.now - timedelta(seconds=7)
            envelope = replace(envelope, effective_at=at)
            is_never = asked.act == "correct" or asked.who.role == "citizen"
            code = "idempotency-key-reused"
            if is_never and asked.act in {"correct", "submit"}:
                code = "invalid-value"
        elif how == "actor":
            other = replace(asked.who, id=f"{asked.who.id}-x")
            envelope = replace(envelope, principal=self.desk.principal(other))
            code = "idempotency-key-reused"
        if code is not None:
            with pytest.raises(SijilError) as raised:
                self.desk.send(asked, case, envelope)
            assert raised.value.code == code
        else:
            # What changed nothing kept no position to say where the thing stood.
            is_kept = case is None or done.last_position is not None
            etag = done.etag_version if is_kept else case.etag
            again = self.desk.send(asked, case, envelope)
            assert again == replace(done, is_repeat=True, etag_version=etag)
        assert self._take_in() == []
        self.seen["again"] += 1

    @rule(
        by=st.sampled_from(
            [timedelta(minutes=1), LEASE, 3 * HOUR, DAY, 3 * DAY, 9 * DAY]
        )
    )
    def wait(self, by: timedelta) -> None:
        """Time passes."""
        self.desk.now += by

    @rule(data=st.data())
    def change_the_catalogue(self, data: st.DataObject) -> None:
        """A service rests or is told anew, a clerk is away, a stamp is lost."""
        desk, world, now = self.desk, self.world, self.desk.now
        today = day_of(now)
        last = data.draw(st.sampled_from([None, today + DAY]))
        what = data.draw(st.sampled_from(["service", "offer", "clerk", "stamp", "new"]))
        # What is refused of these is the business of other tests.
        with suppress(SijilError):
            match what:
                case "service":
                    service = data.draw(st.sampled_from(sorted(world.offers)))
                    if world.is_offered(service, now):
                        desk.suspend(world, service, last)
                    else:
                        desk.resume(world, service)
                case "offer":
                    service = data.draw(st.sampled_from(sorted(world.offers)))
                    said = world.offers[service][-1]
                    fee = tuple((kind, amount + 100) for kind, amount in said.fee)
                    days = {"days": said.days + 1, "answer_days": said.answer_days + 1}
                    limit = {"acceptance_days": said.acceptance_days + 1}
                    offer = replace(said, since=now, fee=fee, **days, **limit)
                    desk.publish(world, service, offer)
                case "clerk":
                    clerk = data.draw(st.sampled_from(sorted(world.clerks)))
                    if world.is_here(clerk, now):
                        desk.away(world, clerk, last)
                    else:
                        desk.back(world, clerk)
                case "stamp":
                    desk.withdraw_stamp(
                        world, data.draw(st.sampled_from(sorted(world.stamps)))
                    )
                case "new":
                    desk.issue_stamp(world)

    # One act ----------------------------------------------------------------------

    def _submit(self, choose: Chooser) -> None:
        world, now = self.world, self.desk.now
        online = choose.right_of(False, False, True)
        who = choose.one(
            "who",
            self.citizen if online else choose.right_of(*self.clerks, self.supervisor),
            *self.people,
        )
        service = choose.one(
            "args", choose.right_of(*sorted(world.offers)), f"P{self.desk.number}-none"
        )
        centre = choose.one(
            "args",
            world.centre if online else None,
            "PC-none" if online else "SY-HL-01",
        )
        if who.centre == "SY-HL-01":
            centre = world.centre
        accept_now = choose.one(
            "args", False if online else choose.right_of(True, False), True
        )
        decline = None
        if not online and not accept_now:
            chances = (*[None] * 6, "ineligible", "documents_missing")
            decline = choose.right_of(*chances)
        said = world.offers.get(service, [Offered(since=now)])[-1]
        args = {
            "service": service,
            "centre": centre,
            "channel": choose.one(
                "args", "online" if online else "counter", "post", "online", "counter"
            ),
            "concerned": choose.right_of(False, True),
            "relationship": choose.one(
                "args",
                "self" if "self" in said.applicants else "other",
                "spouse",
                "first_degree",
                "other",
            ),
            "documents": choose.one("args", said.required, (), ("id-card", "passport")),
            "delivery": choose.right_of("home", "post_office", "counter"),
            "accept_now": accept_now,
            "decline": decline,
            "missing": choose.one(
                "args",
                ("passport",) if decline == "documents_missing" else (),
                ("passport",),
            ),
            "again": choose.one("args", None, *self.cases),
        }
        at = None
        if not online:
            at = choose.one(
                "time",
                choose.right_of(None, now - HOUR, now - 6 * DAY),
                now - 10 * DAY,
                now + HOUR,
            )
        asked = Asked(
            act="submit",
            who=who,
            now=now,
            at=at,
            seen=choose.one("page", None, 0, 4),
            approval=choose.one("time", "none", "right", "other"),
            args=args,
        )
        self._ask(asked, None)

    def _follow(self, data: st.DataObject, *, is_wild: bool) -> None:
        """A few acts on one request: one after the other is how lives get long."""
        right = Chooser(data, RIGHT)
        if len(self.cases) < MOST_CASES and not any(map(is_going_on, self.cases)):
            self._submit(right)
        if not self.cases:
            return
        case = self._case(data)
        for _ in range(right.right_of(3, 6, 10)):
            choose = Chooser(data, self.faults if is_wild else RIGHT)
            if choose.fault == "turn":
                act = choose.right_of(*sorted(IN_HAND))
            elif case.holder is None and case.is_open and choose.right_of(1, 1, 0):
                act = choose.right_of("claim", "assign")
            elif case.todo is None:
                is_gone = not is_going_on(case)
                act = choose.right_of(*(AT_THE_END if is_gone else IN_THE_POST))
            elif choose.right_of(*[1] * 9, 0):
                act = choose.right_of(*FORESEEN[case.todo])
            else:
                act = choose.right_of(*BY_THE_WAY)
            self._do(act, case, choose)
            if not is_going_on(case):
                return

    def _case(self, data: st.DataObject) -> Case:
        """One of the cases; one that still goes on, as a rule."""
        live = [case for case in self.cases if is_going_on(case)]
        cases = [*live * 9, *self.cases]
        return cases[data.draw(st.integers(0, len(cases) - 1))]

    def _do(self, act: str, case: Case, choose: Chooser) -> None:
        now = self.desk.now
        who = choose.one("who", self._proper(act, case, choose), *self.people)
        is_staff = who.role in rules.STAFF or act == "release"
        token = case.token if is_staff and act in {*IN_HAND, "release"} else None
        times = (None, None, None, case.last, min(case.last + HOUR, now))
        at = choose.one(
            "time",
            choose.right_of(*times),
            case.last - HOUR,
            now - 6 * DAY,
            now - 10 * DAY,
            now + HOUR,
        )
        if act == "correct":
            at = choose.one("time", None, now)
        args = args_of(act, case, choose, who, world=self.world, now=now)
        if act == "expire":
            at = choose.one(
                "time", args["due_at"], None, now + HOUR, args["due_at"] - HOUR
            )
        is_system = who.role == "system"
        asked = Asked(
            act=act,
            who=who,
            now=now,
            token=choose.one("token", token, None, case.token - 1, case.token),
            seen=choose.one(
                "page", None if is_system else case.etag, None, case.etag - 1, 999
            ),
            at=at,
            approval=choose.one("time", "none", "right", "right", "other"),
            is_own_word=choose.one("time", False, True),
            args=args,
        )
        self._ask(asked, case)

    def _proper(  # noqa: PLR0911 -- one case an act
        self, act: str, case: Case, choose: Chooser
    ) -> Who:
        """Who does such a thing, as it should be."""
        holder = next((each for each in self.clerks if each.id == case.holder), None)
        match act:
            case "assign":
                return choose.right_of(self.supervisor, self.system)
            case "expire" | "warn":
                return self.system
            case "refund":
                return self.supervisor
            case "claim":
                return holder or choose.right_of(*self.clerks)
            case "release":
                return choose.right_of(
                    holder or self.clerks[0], self.supervisor, self.system
                )
            case "deliver" | "collect" | "bring_back":
                return choose.right_of(self.post, *self.clerks)
            case "withdraw":
                return self.citizen if case.citizen else self.clerks[0]
            case "respond" if case.route == "reply" and case.is_forwarded:
                return choose.right_of(self.agency, holder or self.supervisor)
            case "pay" if case.owes:
                return choose.right_of(holder or self.supervisor, self.bank)
            case _:
                return holder or self.supervisor


def is_going_on(case: Case) -> bool:
    """Whether it has not ended, or its paper is in the post."""
    is_in_the_post = case.item is not None and not case.is_received
    return case.is_open or is_in_the_post


def run(
    desk: Desk, *, faults: tuple[str | None, ...] = FAULTS, **more: Any
) -> Counter[str]:
    """Drive examples; what was seen. Raises what the first failing one raised.

    ``faults`` are the kinds of wrong choices that acts are drawn with.
    """
    seen: Counter[str] = Counter()
    told = {"desk": desk, "seen": seen, "faults": faults}
    machine = type("Driven", (Office,), told)
    given: dict[str, Any] = {
        "stateful_step_count": STEPS,
        "deadline": None,
        "database": None,
        "suppress_health_check": list(HealthCheck),
        **more,
    }
    run_state_machine_as_test(machine, settings=settings(**given))
    return seen


@pytest.mark.long
def test_no_act_is_taken_or_refused_but_as_the_rules_say(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = int(os.environ.get("SIJIL_LONG_PROPERTIES", "0"))
    if not examples:
        seen = run(desk, max_examples=EXAMPLES, derandomize=True)
        assert seen["steps"] > EXAMPLES
        return
    seen = run(desk, max_examples=examples)
    with capsys.disabled():
        sys.stderr.write(f"\n{dict(sorted(seen.items()))}\n")
    if examples >= ENOUGH:
        for act in rules.ROLES:
            assert seen[f"{act} taken"], act
            assert seen[f"{act} refused"], act
