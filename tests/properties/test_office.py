"""Random acts of random people at random times, and the rules told twice.

Every step asks the office for one act, through its use cases on real PostgreSQL, and
asks rules.py what the office must say. SIJIL_LONG_PROPERTIES=<examples> runs that many
random examples instead of the few that every run repeats.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from domain.errors import SijilError
from ledger.entries import Entry
from office.acts import Done, Envelope
from tests.properties import rules
from tests.properties.desk import (
    AGENCY,
    BAD_ITEM,
    GOVERNORATE,
    ITEMS,
    LEASE,
    Desk,
    Recount,
)
from tests.properties.rules import Asked, Case, Who

EXAMPLES = 40
"""Of every run, always the same ones, so that a red build is somebody's change."""
ENOUGH = 500
"""Examples after which every act was taken and refused, or the choices are bad."""
STEPS = 20
"""Of an example: some five requests, one of them walked from end to end."""
MOST_CASES = 8
"""Requests of an example: more make each of them shorter."""
STARTS = (
    datetime(2026, 3, 16, 6, 0, tzinfo=UTC),  # Days before a week without offices.
    datetime(2026, 4, 14, 11, 55, tzinfo=UTC),  # Five minutes to closing.
    datetime(2026, 6, 11, 20, 30, tzinfo=UTC),  # Thursday, close to midnight.
    datetime(2026, 8, 2, 5, 0, tzinfo=UTC),  # Sunday at opening.
)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
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


FAULTS = (None, None, "who", "token", "page", "time", "args", "args", "turn", "turn")
"""What may be wrong with an act: one kind at a time, so that no other hides it."""
RIGHT = (None,)
"""Everything is chosen as it is right."""


class Office(RuleBasedStateMachine):
    """One example: a centre, its people, a few requests and a clock."""

    desk: ClassVar[Desk]
    faults: ClassVar[tuple[str | None, ...]] = FAULTS
    seen: ClassVar[Counter[str]] = Counter()
    """Over all examples: how often which act was taken, refused, repeated."""

    def __init__(self) -> None:
        super().__init__()
        self.cases: list[Case] = []
        self.done: list[tuple[Asked, Case | None, Envelope, Done]] = []
        self.recount = Recount()
        self.heads: dict[UUID, tuple[int, datetime]] = {}
        self.recorded: datetime | None = None

    @initialize(start=st.sampled_from(STARTS))
    def open(self, start: datetime) -> None:
        self.world = self.desk.open(start)
        n = self.desk.number
        centre = self.world.centre
        at = {"agency": AGENCY, "governorate": GOVERNORATE}
        people = [
            *(Who(role="clerk", id=f"pc-{n}-{i}", centre=centre) for i in (1, 2, 3)),
            Who(role="supervisor", id=f"sup-{n}", centre=centre),
            Who(role="clerk", id="clk-HL-1", centre="SY-HL-01"),
            Who(role="supervisor", id="sup-HL", centre="SY-HL-01"),
            Who(role="agency", id="officer-1", **at),
            Who(role="agency", id="officer-2", agency=AGENCY, governorate="SY-HL"),
            Who(role="agency", id="officer-3", agency="EDU"),
            Who(role="post", id="post-1"),
            Who(role="bank", id="bank-1"),
            Who(role="citizen", id=f"cit-{n}"),
            Who(role="citizen", id=f"other-{n}"),
            Who(role="system", id="system"),
            Who(role="administrator", id="adm-1"),
            Who(role="auditor", id="auditor-1"),
        ]
        self.people = people
        self.clerks, self.supervisor = people[:3], people[3]
        self.agency, self.post, self.bank = people[6], people[9], people[10]
        self.citizen, self.system = people[11], people[13]

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
        act = data.draw(st.sampled_from(sorted(rules.TOPICS)))
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
        today = rules.day_of(now)
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

    def teardown(self) -> None:
        """The flows by day, at the end of an example: they are never taken back."""
        if not hasattr(self, "world"):
            return
        found = Counter[tuple[str, str]]()
        for each in self.desk.flows(self.world):
            for stage in STAGES:
                number = getattr(each, stage) or 0
                if stage == "waiting":
                    number = each.submitted
                if number:
                    found[each.group["day"], stage] += number
        told = Counter(
            {
                (day.isoformat(), stage): number
                for (centre, day, stage), number in self.recount.flows.items()
                if centre == self.world.centre
            }
        )
        assert found == told

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
        said = world.offers.get(service, [rules.Offered(since=now)])[-1]
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
        args = self._args(act, case, choose, who)
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

    def _args(  # noqa: PLR0911, PLR0912 -- one case an act
        self, act: str, case: Case, choose: Chooser, who: Who
    ) -> dict[str, Any]:
        latest = self.world.offers[case.service][-1]
        offer = case.offer or latest
        limits = [case.expires, case.payment_due, case.due, case.answer_due]
        known = [each for each in limits if each is not None]
        match act:
            case "accept":
                return {
                    "documents": choose.one("args", latest.required, (), ("photo",))
                }
            case "decline":
                reason = choose.right_of("ineligible", "documents_missing")
                missing = ("passport",) if reason == "documents_missing" else ()
                return {
                    "reason": reason,
                    "missing": choose.one("args", missing, ("passport",)),
                }
            case "assign":
                clerks = sorted(self.world.clerks)
                return {
                    "clerk": choose.one("args", choose.right_of(*clerks), "clk-HL-1")
                }
            case "claim":
                return {"lease": LEASE}
            case "release":
                reason = None
                if who.role == "system":
                    reason = choose.right_of("lease_ended", "clerk_away")
                return {"reason": reason}
            case "warn":
                return {
                    "limit": choose.right_of("completion", "first_answer"),
                    "when": choose.right_of("before", "after"),
                    "due_at": choose.right_of(*known, self.desk.now),
                }
            case "expire":
                return {"due_at": choose.right_of(*known, self.desk.now - HOUR)}
            case "pay":
                is_bank = choose.one("args", who.role == "bank", True)
                return {
                    "channel": "bank" if is_bank else "cash",
                    "reference": choose.one(
                        "args", "B-1" if is_bank else None, None, "B-2"
                    ),
                    "amount": choose.one("args", offer.amount, offer.amount - 1, 0),
                    "unit": choose.one("args", "new", "old"),
                }
            case "refund":
                kinds = [kind for kind, _ in offer.fee]
                reasons = {"withdrawn": "withdrawn", "completed_refused": "refused"}
                right = tuple(kind for kind in kinds if kind not in case.refunded)
                return {
                    "kinds": choose.one(
                        "args", choose.right_of(right, right[:1]), tuple(kinds)
                    ),
                    "reason": choose.one(
                        "args",
                        reasons.get(case.stage, "charged_wrongly"),
                        "charged_wrongly",
                        "refused",
                        "withdrawn",
                    ),
                    "channel": "cash",
                    "reference": choose.one("args", None, "B-3"),
                }
            case "respond":
                outcomes = (*["issued"] * 4, "refused", "information_needed")
                outcome = choose.right_of(*outcomes)
                is_issued = outcome == "issued"
                return {
                    "outcome": outcome,
                    "reason": choose.one(
                        "args", None if is_issued else "no-record", None
                    ),
                    "digest": None,
                    "supersedes": choose.one("args", case.answer_version, None, 1, 3),
                }
            case "request_information":
                codes = choose.right_of(("passport",), ("address",), ("full_name",))
                return {"missing": choose.one("args", codes, (), ("photo",))}
            case "supply_information":
                return {"supplied": choose.one("args", ("passport",), ("photo",))}
            case "stamp":
                serial = choose.right_of(*sorted(self.world.stamps))
                return {
                    "serial": choose.one("args", serial, "PS-none", "ختم-HL-000001")
                }
            case "mail":
                fresh = next(each for each in ITEMS if each != case.item)
                item = choose.one("args", fresh, *ITEMS, BAD_ITEM)
                to = choose.one(
                    "args", choose.right_of("home", "post_office"), "counter"
                )
                return {"item": item, "is_good": item != BAD_ITEM, "to": to}
            case "deliver" | "collect" | "bring_back":
                item = choose.one("args", case.item or ITEMS[0], *ITEMS, BAD_ITEM)
                return {
                    "item": item,
                    "is_good": item != BAD_ITEM,
                    "capacity": self._capacity(offer, choose),
                }
            case "hand_over":
                return {"capacity": self._capacity(offer, choose)}
            case "correct":
                names = ("full_name", "address", "delivery")
                field = choose.right_of(*names)
                if field == "delivery":
                    to = choose.right_of("home", "counter")
                    return {
                        "field": field,
                        "party": None,
                        "value": None,
                        "delivery": to,
                    }
                return {
                    "field": field,
                    "party": choose.one("args", "applicant", "concerned"),
                    "value": "قيمة",
                    "delivery": None,
                }
            case _:
                return {}

    def _capacity(self, offer: rules.Offered, choose: Chooser) -> str:
        right = "other" if "anyone" in offer.receipt else "self"
        return choose.one("args", right, "spouse", "first_degree", "other")

    # What must come of it ---------------------------------------------------------

    def _ask(self, asked: Asked, case: Case | None) -> None:
        """Ask for the act, and hold what the office does against the rules."""
        codes = rules.may_not(asked, case, self.world)
        command_id = uuid4()
        envelope = self.desk.envelope(asked, case, command_id, self.supervisor)
        refused: SijilError | None = None
        try:
            done = self.desk.send(asked, case, envelope)
        except SijilError as error:
            refused = error
        entries = self._take_in()
        if refused is not None:
            code = refused.code
            assert code in codes, f"{asked}: {refused}; not among {codes} of {case}"
            self._must_be_recorded(asked, case, refused, entries)
            self.seen[f"{asked.act} refused"] += 1
            self.seen[f"code {code}"] += 1
        else:
            assert not codes, f"{asked} was taken in spite of {codes} on {case}"
            self._must_have_happened(asked, case, done, envelope, entries)
            self.seen[f"{asked.act} taken"] += 1
        self.seen["steps"] += 1
        if any(each.topic.startswith("sijil.request.") for each in entries):
            # Level only now: an attempt is folded with what comes after it.
            self.desk.level()
            self._must_add_up()
            self._must_be_queued()

    def _must_be_recorded(
        self, asked: Asked, case: Case | None, error: SijilError, entries: list[Entry]
    ) -> None:
        """A broken rule is recorded once, and nothing else moves."""
        is_unknown = asked.act == "submit" and (
            asked.args["service"] not in self.world.offers
            or asked.args["centre"] not in {None, self.world.centre}
        )
        if error.code in rules.NOT_RECORDED or asked.who.role == "system" or is_unknown:
            assert entries == []
            return
        assert [each.topic for each in entries] == ["sijil.attempt.refused.v1"]
        body = json.loads(entries[0].body)
        assert body["data"]["code"] == error.code
        assert body["data"]["attempted"] == asked.act
        assert body["data"]["centre"] == self.world.centre
        assert body["actor"]["kind"] == asked.who.role
        if asked.who.role != "citizen":
            assert body["actor"]["id"] == asked.who.id
        if case is not None:
            assert body["data"]["target"] == str(case.id)
            assert body["data"]["target_version"] == case.version
        if error.code in {"stale-claim", "held-by-another"}:
            assert case is not None
            assert getattr(error, "holder", None) == case.holder
            assert body["data"].get("holder") == case.holder

    def _must_have_happened(
        self,
        asked: Asked,
        case: Case | None,
        done: Done,
        envelope: Envelope,
        entries: list[Entry],
    ) -> None:
        if case is None:
            case = rules.submitted(
                asked, self.world, id=done.aggregate_id, number=len(self.cases)
            )
            self.cases.append(case)
            names = ["submitted"]
            names += ["accepted"] if asked.args["accept_now"] else []
            names += ["not-accepted"] if asked.args["decline"] else []
            claimed = case.last
        else:
            claimed = rules.effective(asked, case.last)
            names = rules.take(asked, case, self.world)
        assert [each.topic for each in entries] == [
            f"sijil.request.{name}.v1" for name in names
        ]
        assert {each.aggregate_id for each in entries} <= {case.id}
        assert done.etag_version == case.etag
        positions = [each.position for each in entries] or [None]
        assert (done.first_position, done.last_position) == (
            positions[0],
            positions[-1],
        )
        assert not done.is_repeat
        for entry in entries:
            body = json.loads(entry.body)
            assert body["command_id"] == str(envelope.command_id)
            assert datetime.fromisoformat(body["effective_at"]) == case.last
            is_clamped = claimed < case.last and asked.who.role in rules.REPORTS
            told = body["data"].get("claimed_at")
            assert told == (_written(claimed) if is_clamped else None)
            if asked.act in {"assign", "claim", "release"}:
                assert body["data"]["token"] == case.token
        self.done.append(
            (asked, case if asked.act != "submit" else None, envelope, done)
        )

    def _take_in(self) -> list[Entry]:
        """The new entries, each where the ledger's own rules want it."""
        before = self.desk.position
        entries = self.desk.take_in()
        for place, entry in enumerate(entries, start=before + 1):
            assert entry.position == place
            assert self.recorded is None or entry.recorded_at > self.recorded
            self.recorded = entry.recorded_at
            at = datetime.fromisoformat(json.loads(entry.body)["effective_at"])
            assert at <= max(self.desk.now, entry.recorded_at)
            version, last = self.heads.get(entry.aggregate_id, (entry.version - 1, at))
            assert entry.version == version + 1
            assert at >= last
            self.heads[entry.aggregate_id] = (entry.version, at)
            self.recount.take(entry)
        return entries

    def _must_add_up(self) -> None:
        """Every request is in one stage; view, recount and rules say the same."""
        told = Counter(case.stage for case in self.cases)
        assert self.recount.of(self.world.centre) == told
        [found] = self.desk.stocks(self.world) or [None]
        if found is None:
            assert not told
            return
        assert {stage: getattr(found, stage) for stage in STAGES} == {
            stage: told[stage] for stage in STAGES
        }
        assert found.submitted == len(self.cases)

    def _must_be_queued(self) -> None:
        """The queue shows what is next, with whom, since and until when, in order."""
        found = {}
        order: dict[str, list[UUID]] = {}
        for waits_for, item in self.desk.queue(self.world):
            assert item.request_id not in found
            order.setdefault(waits_for, []).append(item.request_id)
            found[item.request_id] = (
                waits_for,
                str(item.next_act),
                item.clerk,
                item.token,
                item.since,
                item.until,
                item.is_overdue,
                item.etag_version,
                str(item.stage),
            )
        due = [case for case in self.cases if case.todo is not None]
        assert found == {
            case.id: (
                case.waits_for,
                case.todo,
                case.holder,
                case.token,
                case.since,
                case.until,
                case.until is not None and case.until < self.desk.now,
                case.etag,
                case.stage,
            )
            for case in due
        }
        never = datetime(9999, 12, 31, tzinfo=UTC)
        due.sort(key=lambda case: (case.until or never, case.since, case.id))
        for waits_for, ids in order.items():
            assert ids == [case.id for case in due if case.waits_for == waits_for]


STAGES = (
    "waiting",
    "not_accepted",
    "in_progress",
    "completed_issued",
    "completed_refused",
    "withdrawn",
    "expired",
)


def is_going_on(case: Case) -> bool:
    """Whether it has not ended, or its paper is in the post."""
    is_in_the_post = case.item is not None and not case.is_received
    return case.is_open or is_in_the_post


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Chooser:
    """Draws what is right, but for one kind of choice where there is a fault."""

    def __init__(self, data: st.DataObject, faults: tuple[str | None, ...]) -> None:
        self._data = data
        self.fault = data.draw(st.sampled_from(faults))

    def right_of(self, *choices: Any) -> Any:
        """One of several things that may all be right."""
        if len(choices) == 1:
            return choices[0]
        return choices[self._data.draw(st.integers(0, len(choices) - 1))]

    def one(self, kind: str, right: Any, *others: Any) -> Any:
        """The right thing; where this is the fault, as a rule one of the others."""
        if kind != self.fault:
            return right
        return self.right_of(right, right, *others)


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
