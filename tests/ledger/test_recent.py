"""Things kept in memory are, at any moment, what the ledger's entries make."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from domain.acts import Act, Actor, ActorKind
from domain.aggregates import OfficeAggregate
from domain.clerks import Clerk
from domain.errors import RuleBrokenError
from ledger.bodies import BodyMapper
from ledger.book import AGGREGATES, Ledger
from ledger.persistence.append import Command
from ledger.recent import Kept, Recent, fold, twin
from tests.conftest import Database, Server, fresh_database

BEGAN = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
GOLDEN = Path(__file__).parents[1] / "golden"
FIRST_ID = UUID("019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10")
FIRST_EVENTS = (
    "sijil.agency.published.v1",
    "sijil.attempt.refused.v1",
    "sijil.calendar.published.v1",
    "sijil.centre.opened.v1",
    "sijil.clerk.appointed.v1",
    "sijil.ledger.resumed.v1",
    "sijil.payment.unmatched.v1",
    "sijil.message.dead-lettered.v1",
    "sijil.person.merged.v1",
    "sijil.read.looked.v1",
    "sijil.request.submitted.v1",
    "sijil.service.published.v1",
    "sijil.stamp.issued.v1",
    "sijil.view.skipped.v1",
)
CODES = ("clk-1", "clk-2", "clk-3", "clk-4")
AGENCIES = ("CIV", "CRM", "EMP")
_NUMBERS = count(1)


def act_at(minutes: int) -> Act:
    return Act(
        command_id=uuid4(),
        actor=Actor(kind=ActorKind.ADMINISTRATOR, id="adm-1", place="ministry"),
        correlation_id=uuid4(),
        effective_at=BEGAN + timedelta(minutes=minutes),
    )


def recounted(ledger: Ledger, thing_id: UUID, version: int) -> OfficeAggregate | None:
    """What the entries up to a version make, read and folded from the first one."""
    return fold(
        None,
        ledger.process_recorder.select_events(thing_id, lte=version),
        ledger.mapper.to_domain_event,
    )


def shape(value: object) -> Any:
    """A value with the types of its parts: 1 is not True, a list is no tuple."""
    if isinstance(value, OfficeAggregate | OfficeAggregate.Event):
        return (type(value), {k: shape(v) for k, v in vars(value).items()})
    if isinstance(value, tuple | list):
        return (type(value), [shape(each) for each in value])
    return (type(value), repr(value))


class CachedIsUncached(RuleBasedStateMachine):
    """Two processes' ledgers write to the same things; each keeps some in memory."""

    ledgers: tuple[Ledger, ...]

    @initialize()
    def begin(self) -> None:
        # A set of clerks of its own: the database serves all examples.
        self.codes = [f"{code}-{next(_NUMBERS)}" for code in CODES]
        self.minutes = 0
        self.held: list[tuple[Ledger, Clerk]] = []

    which = st.integers(0, 2)
    clerk = st.integers(0, len(CODES) - 1)
    agency = st.sampled_from(AGENCIES)

    def _found(self, ledger: Ledger, number: int) -> Clerk:
        """The clerk as this ledger finds it; appointed when nobody was."""
        code = self.codes[number]
        found = ledger.find(Clerk, Clerk.id_of(code))
        if found is None:
            found = Clerk.appoint(act_at(self.minutes), code=code, centre="SY-DI-01")
        return found

    @rule(which=which, number=clerk, agency=agency, minutes=st.integers(0, 90))
    def change(self, which: int, number: int, agency: str, minutes: int) -> None:
        self.minutes += minutes
        ledger = self.ledgers[which]
        found = self._found(ledger, number)
        act = act_at(self.minutes)
        if agency in found.agencies:
            found.relieve(act, agency=agency)
        else:
            found.make_responsible(act, agency=agency)
        command = Command(id=act.command_id, actor="adm", digest=b"digest")
        ledger.append(found, command=command)

    @rule(which=which, number=clerk, agency=agency)
    def be_refused_half_way(self, which: int, number: int, agency: str) -> None:
        found = self._found(self.ledgers[which], number)
        found.centre = "SY-XX-99"
        with pytest.raises(RuleBrokenError):
            for _ in range(2):
                found.relieve(act_at(self.minutes), agency=agency)

    @rule(which=which, number=clerk, agency=agency)
    def hold(self, which: int, number: int, agency: str) -> None:
        """Decide now, append later: by then somebody else may have been quicker."""
        ledger = self.ledgers[which]
        found = self._found(ledger, number)
        if agency not in found.agencies:
            found.make_responsible(act_at(self.minutes), agency=agency)
            self.held.append((ledger, found))

    @rule()
    def append_what_is_held(self) -> None:
        for ledger, found in self.held:
            events = found.pending_events
            stored = ledger.process_recorder.select_events(found.id)
            is_lost = bool(stored) and (
                stored[-1].originator_version >= events[0].originator_version
            )
            if is_lost:
                with pytest.raises(IntegrityError):
                    ledger.append(found)
            else:
                ledger.append(found)
        self.held.clear()

    @rule(which=which, numbers=st.lists(clerk, min_size=1, max_size=4))
    def agree_now(self, which: int, numbers: list[int]) -> None:
        ledger = self.ledgers[which]
        ids = [Clerk.id_of(self.codes[number]) for number in numbers]
        with ledger.glance(*ids):
            for thing_id in ids:
                found = ledger.find(Clerk, thing_id)
                recount = recounted(ledger, thing_id, 2**31 - 1)
                assert shape(found) == shape(recount)

    @rule(which=which, number=clerk, version=st.integers(0, 9))
    def agree_at_a_version(self, which: int, number: int, version: int) -> None:
        ledger = self.ledgers[which]
        thing_id = Clerk.id_of(self.codes[number])
        found = ledger.find(Clerk, thing_id, version=version)
        recount = recounted(ledger, thing_id, version)
        is_there = recount is not None and recount.version == version
        assert shape(found) == shape(recount if is_there else None)

    @rule(which=which, number=clerk, minutes=st.integers(-5, 300))
    def agree_as_of(self, which: int, number: int, minutes: int) -> None:
        ledger = self.ledgers[which]
        thing_id = Clerk.id_of(self.codes[number])
        at = BEGAN + timedelta(minutes=minutes)
        found = ledger.find(Clerk, thing_id, effective_at=at)
        events = [*map(ledger.mapper.to_domain_event, self._stored(ledger, thing_id))]
        last = max(
            (
                event.originator_version
                for event in events
                if isinstance(event, OfficeAggregate.Event) and event.timestamp <= at
            ),
            default=0,
        )
        assert shape(found) == shape(recounted(ledger, thing_id, last))
        assert list(ledger.history(thing_id)) == events

    @staticmethod
    def _stored(ledger: Ledger, thing_id: UUID) -> list[StoredEvent]:
        return list(ledger.process_recorder.select_events(thing_id))


@pytest.fixture(scope="module")
def shared(server: Server, template: str) -> Iterator[Database]:
    made = fresh_database(server, template)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def ledgers(shared: Database) -> Iterator[tuple[Ledger, ...]]:
    """With room for everything, with room for two things, and with none."""
    made = tuple(
        Ledger(shared.settings.model_copy(update={"recent_things": most}))
        for most in (100, 2, 0)
    )
    yield made
    for ledger in made:
        ledger.close()


def test_what_is_kept_is_what_is_stored_whoever_wrote_lost_or_was_refused(
    ledgers: tuple[Ledger, ...],
) -> None:
    class Machine(CachedIsUncached):
        pass

    Machine.ledgers = ledgers
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=60, stateful_step_count=25, derandomize=True, deadline=None
        ),
    )


def golden_things() -> Iterator[OfficeAggregate]:
    """After each golden event: every kind's first one, and then each of its others."""
    mapper = BodyMapper()

    def read(topic: str, body: bytes, thing: OfficeAggregate | None) -> Any:
        thing_id = FIRST_ID if thing is None else thing.id
        version = 1 if thing is None else thing.version + 1
        event: Any = mapper.to_domain_event(StoredEvent(thing_id, version, topic, body))
        return event.mutate(thing)

    stored = {
        path.stem.partition("~")[0]: path.read_bytes()
        for path in sorted((GOLDEN / "events").glob("*.json"))
    }
    for first in FIRST_EVENTS:
        prefix = first.rsplit(".", 2)[0] + "."
        thing = read(first, stored[first], None)
        yield thing
        for topic, body in stored.items():
            if topic.startswith(prefix) and topic not in FIRST_EVENTS:
                thing = read(topic, body, thing)
                yield thing


def test_nothing_that_an_aggregate_holds_can_be_changed_in_place() -> None:
    """Only then is a twin, whose attributes are the other's own, safe to decide on."""
    kinds = set()
    for thing in golden_things():
        kinds.add(type(thing))
        for name, value in vars(thing).items():
            if name != "_pending_events":
                # A list, a set, a dict or an object that is not frozen has no hash.
                hash(value)
        made = twin(thing)
        assert shape(made) == shape(thing)
        made.version += 1
        made.pending_events.append(None)  # type: ignore[arg-type]
        assert not thing.pending_events
        assert thing.version == made.version - 1
    assert kinds == set(AGGREGATES)


def kept(version: int, thing_id: UUID | None = None) -> Kept:
    at = BEGAN + timedelta(seconds=version)
    return Kept(
        id=thing_id or uuid4(), thing=None, version=version, recorded_at=at, position=1
    )


def test_the_things_used_longest_ago_go_first() -> None:
    recent = Recent(3)
    things = [kept(1) for _ in range(4)]
    for each in things[:3]:
        recent.keep(each)
    recent.get(things[0].id)
    recent.keep(things[3])
    assert len(recent) == 3
    assert recent.get(things[1].id) is None
    assert recent.get(things[0].id) is things[0]


def test_an_earlier_version_never_replaces_a_later_one() -> None:
    recent = Recent(3)
    later = kept(5)
    recent.keep(later)
    recent.keep(kept(4, later.id))
    assert recent.get(later.id) is later


def test_with_room_for_nothing_nothing_is_kept() -> None:
    recent = Recent(0)
    one = kept(1)
    recent.keep(one)
    assert recent.get(one.id) is None
