"""One example of an office: what is there, and what must come of every act."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from domain.errors import SijilError
from ledger.entries import Entry
from office.acts import Done, Envelope
from tests.properties import effects, rules
from tests.properties.desk import AGENCY, GOVERNORATE, Desk, Recount
from tests.properties.known import Asked, Case, Who, effective

STARTS = (
    datetime(2026, 3, 16, 6, 0, tzinfo=UTC),  # Days before a week without offices.
    datetime(2026, 4, 14, 11, 55, tzinfo=UTC),  # Five minutes to closing.
    datetime(2026, 6, 11, 20, 30, tzinfo=UTC),  # Thursday, close to midnight.
    datetime(2026, 8, 2, 5, 0, tzinfo=UTC),  # Sunday at opening.
)
STAGES = (
    "waiting",
    "not_accepted",
    "in_progress",
    "completed_issued",
    "completed_refused",
    "withdrawn",
    "expired",
)


class Example(RuleBasedStateMachine):
    """A centre, its people, a few requests and a clock."""

    desk: ClassVar[Desk]
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
            case = effects.submitted(
                asked, self.world, id=done.aggregate_id, number=len(self.cases)
            )
            self.cases.append(case)
            names = ["submitted"]
            names += ["accepted"] if asked.args["accept_now"] else []
            names += ["not-accepted"] if asked.args["decline"] else []
            claimed = case.last
        else:
            claimed = effective(asked, case.last)
            names = effects.take(asked, case, self.world)
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


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
