"""A lane uses or sets aside each message before the next, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.persistence import OperationalError, Tracking

from consumers.inward import lane as lane_module
from consumers.inward.desk import TooEarlyError
from consumers.inward.lane import MOST_TRIES, Lane, LedgerResumedError, Place
from consumers.inward.records import InwardMessage, Unusable, UnusableError
from domain.errors import NotFoundError, WrongStateError
from ledger.persistence.append import TrackingConflictError
from office.acts import Done
from office.errors import (
    ClockSkewError,
    CommandReusedError,
    ConcurrencyError,
    LedgerBusyError,
    LedgerReturnedError,
    LedgerUnavailableError,
    NotFreshEnoughError,
)
from tests.consumers.conftest import until
from tests.consumers.inward.letters import letter

PLACE = Place(
    topic="sijil.agency-replies.v1",
    topic_id=UUID("6f2a4c1e-8f0b-4d53-9c86-5b1f6d0a7e21"),
    partition=0,
)
STORED = Done(
    aggregate_id=UUID(int=1),
    first_position=1,
    last_position=1,
    etag_version=1,
    is_repeat=False,
)
REPEATED = Done(
    aggregate_id=UUID(int=1),
    first_position=1,
    last_position=1,
    etag_version=1,
    is_repeat=True,
)
Outcome = Exception | Done


class Office:
    """A desk, a ledger and a place for dead letters, with faults as planned.

    ``plan`` has for an offset what its tries come to, one after the other; then, and
    for all others, it is stored.
    """

    def __init__(self) -> None:
        self.plan: dict[int, list[Outcome]] = {}
        self.aside_plan: list[Exception] = []
        self.marks: dict[str, int] = {}
        self.tried: list[int] = []
        self.used: list[int] = []
        self.aside: list[tuple[int, str, int, str | None]] = []
        self.head_plan: list[Exception] = []
        self.is_suspended = False

    # The desk ---------------------------------------------------------------------

    def use(self, message: InwardMessage, tracking: Tracking) -> Done:
        self.tried.append(message.offset)
        left = self.plan.get(message.offset, [])
        outcome = left.pop(0) if left else STORED
        if isinstance(outcome, Exception):
            raise outcome
        if not outcome.is_repeat:
            self._mark(tracking)
            self.used.append(message.offset)
        return outcome

    def _mark(self, tracking: Tracking) -> None:
        name, at = tracking.application_name, tracking.notification_id
        if self.marks.get(name, -1) >= at:
            raise TrackingConflictError
        self.marks[name] = at

    # The ledger -------------------------------------------------------------------

    @property
    def process_recorder(self) -> Office:
        return self

    @property
    def reader(self) -> Office:
        return self

    def head(self) -> Office:
        return self

    def max_tracking_id(self, name: str) -> int | None:
        if self.head_plan:
            raise self.head_plan.pop(0)
        return self.marks.get(name)

    def append(self, *, tracking: Tracking) -> None:
        self._mark(tracking)

    # Dead letters -----------------------------------------------------------------

    def set_aside(
        self,
        message: InwardMessage,
        *,
        cause: str,
        attempts: int,
        detail: str | None = None,
        tracking: Tracking,
    ) -> None:
        if self.aside_plan:
            raise self.aside_plan.pop(0)
        self._mark(tracking)
        self.aside.append((message.offset, cause, attempts, detail))


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setattr(lane_module, "FIRST_PAUSE_S", 0.0005)
    monkeypatch.setattr(lane_module, "LONGEST_PAUSE_S", 0.002)
    return Office()


@pytest.fixture
def begin(office: Office) -> Iterator[Callable[..., Lane]]:
    made: list[Lane] = []

    def begin_(passed: int | None = None, **more: Any) -> Lane:
        one: Any = office
        made.append(Lane(PLACE, passed=passed, desk=one, ledger=one, aside=one, **more))
        return made[-1]

    yield begin_
    for lane in made:
        lane.stop()
        assert lane.join(10)


def messages(*offsets: int) -> list[InwardMessage]:
    return [letter(offset=offset) for offset in offsets]


def test_messages_are_used_in_their_order_and_once(
    office: Office, begin: Callable[..., Lane]
) -> None:
    lane = begin()
    lane.put(messages(0, 1, 2, 2, 1, 5))
    until(lambda: lane.passed == 5)
    assert office.used == [0, 1, 2, 5]
    assert office.marks == {PLACE.tracking_name: 5}


def test_what_the_ledger_has_passed_is_not_tried(
    office: Office, begin: Callable[..., Lane]
) -> None:
    lane = begin(passed=3)
    lane.put(messages(2, 3, 4))
    until(lambda: lane.passed == 4)
    assert office.tried == [4]


@pytest.mark.parametrize(
    "error",
    [
        LedgerUnavailableError(),
        LedgerBusyError(),
        ClockSkewError(),
        NotFreshEnoughError(position=7),
        TooEarlyError(0.0005),
    ],
)
def test_the_weather_is_waited_out_and_nothing_overtakes(
    office: Office, begin: Callable[..., Lane], error: Exception
) -> None:
    office.plan[0] = [error] * (3 * MOST_TRIES)
    lane = begin()
    lane.put(messages(0, 1))
    until(lambda: lane.passed == 1)
    assert office.tried == [0] * (3 * MOST_TRIES + 1) + [1]
    assert office.aside == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            UnusableError(Unusable.TOO_LARGE, "17000 bytes"),
            ("too-large", "17000 bytes"),
        ),
        (
            WrongStateError(act="respond", stage="x", reason="answered-already"),
            ("wrong-state", "answered-already"),
        ),
        (NotFoundError(thing="request"), ("not-found", "request")),
        (CommandReusedError(), ("idempotency-key-reused", None)),
    ],
)
def test_what_can_never_be_used_is_set_aside_at_once(
    office: Office,
    begin: Callable[..., Lane],
    error: Exception,
    told: tuple[str, str | None],
) -> None:
    office.plan[0] = [error]
    lane = begin()
    lane.put(messages(0, 1))
    until(lambda: lane.passed == 1)
    assert office.aside == [(0, told[0], 1, told[1])]
    assert office.used == [1]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConcurrencyError(), ("version-conflict", None)),
        (ValueError("a value"), ("fault", "ValueError")),
    ],
)
def test_what_should_not_have_happened_is_tried_a_few_times(
    office: Office,
    begin: Callable[..., Lane],
    error: Exception,
    told: tuple[str, str | None],
) -> None:
    office.plan = {0: [error] * (MOST_TRIES - 1), 1: [error] * MOST_TRIES}
    lane = begin()
    lane.put(messages(0, 1, 2))
    until(lambda: lane.passed == 2)
    assert office.used == [0, 2]
    assert office.aside == [(1, told[0], MOST_TRIES, told[1])]


def test_where_another_worker_was_it_goes_on_behind_that_one(
    office: Office, begin: Callable[..., Lane]
) -> None:
    office.marks[PLACE.tracking_name] = 2
    office.head_plan = [OperationalError()]
    lane = begin()
    lane.put(messages(0, 1, 2, 3))
    until(lambda: lane.passed == 3)
    # Tried, lost, could not ask, tried and lost again, and asked.
    assert office.tried == [0, 0, 3]
    assert office.used == [3]


def test_an_act_that_was_stored_before_passes_its_offset(
    office: Office, begin: Callable[..., Lane]
) -> None:
    office.plan[0] = [REPEATED]
    lane = begin()
    lane.put(messages(0))
    until(lambda: lane.passed == 0)
    assert office.marks == {PLACE.tracking_name: 0}
    lane.put(messages(1))
    until(lambda: lane.passed == 1)
    assert office.used == [1]
    # Stored by another worker together with its offset: there is nothing to pass.
    office.marks[PLACE.tracking_name] = 2
    office.plan[2] = [REPEATED]
    lane.put(messages(2, 3))
    until(lambda: lane.passed == 3)
    assert (office.used, office.aside) == ([1, 3], [])


def test_setting_aside_is_tried_until_it_is_done(
    office: Office, begin: Callable[..., Lane]
) -> None:
    office.plan[0] = [UnusableError(Unusable.UNSIGNED)]
    office.aside_plan = [OSError(), LedgerUnavailableError()] * MOST_TRIES
    lane = begin()
    lane.put(messages(0, 1))
    until(lambda: lane.passed == 1)
    assert office.aside == [(0, "unsigned", 1, None)]


def test_what_another_worker_has_set_aside_is_not_set_aside_again(
    office: Office, begin: Callable[..., Lane]
) -> None:
    office.plan[0] = [UnusableError(Unusable.UNSIGNED)]
    office.marks[PLACE.tracking_name] = 0
    lane = begin()
    lane.put(messages(0, 1))
    until(lambda: lane.passed == 1)
    assert office.aside == []


def test_a_lane_that_waits_stops_at_once_and_passes_nothing(
    office: Office, begin: Callable[..., Lane], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_module, "FIRST_PAUSE_S", 60.0)
    office.plan[0] = [LedgerUnavailableError()]
    lane = begin()
    lane.put(messages(0, 1))
    until(lambda: office.tried == [0])
    lane.stop()
    assert lane.join(10)
    assert (office.used, office.aside, lane.passed) == ([], [], -1)
    assert lane.error is None


def test_what_is_in_hand_is_finished_and_no_more(
    office: Office, begin: Callable[..., Lane]
) -> None:
    reached, go_on = Event(), Event()

    def done(_: InwardMessage) -> None:
        reached.set()
        go_on.wait(10)

    lane = begin(done=done)
    lane.put(messages(0, 1, 2))
    assert reached.wait(10)
    lane.stop()
    go_on.set()
    assert lane.join(10)
    assert office.used == [0]


def test_a_fault_of_the_lane_itself_is_told(
    office: Office, begin: Callable[..., Lane]
) -> None:
    def done(_: InwardMessage) -> None:
        raise RuntimeError("a lane's own")

    lane = begin(done=done)
    lane.put(messages(0))
    until(lambda: lane.error is not None)
    assert isinstance(lane.error, RuntimeError)


@pytest.mark.parametrize("is_set_aside", [True, False])
def test_a_lane_does_not_go_on_in_a_ledger_that_came_back(
    office: Office, begin: Callable[..., Lane], *, is_set_aside: bool
) -> None:
    """What that has lost was passed here, and would be passed by."""
    office.is_suspended = True
    if is_set_aside:
        office.plan[0] = [UnusableError(Unusable.UNSIGNED)]
        office.aside_plan = [LedgerReturnedError()]
    else:
        office.plan[0] = [LedgerReturnedError()]
    lane = begin()
    lane.put(messages(0, 1))
    until(lambda: not office.aside_plan and office.tried == [0])
    assert lane.error is None
    office.is_suspended = False
    until(lambda: lane.error is not None)
    assert isinstance(lane.error, LedgerResumedError)
    assert (office.used, office.aside) == ([], [])


# Lent ---------------------------------------------------------------------------


@pytest.fixture
def lending(begin: Callable[..., Lane]) -> Lane:
    return begin(is_lending=True)


def offsets(lent: list[InwardMessage]) -> list[int]:
    return [message.offset for message in lent]


def test_what_is_lent_is_passed_when_it_comes_back(
    office: Office, begin: Callable[..., Lane]
) -> None:
    woken: list[bool] = []
    done: list[int] = []
    lane = begin(
        is_lending=True,
        wake=lambda: woken.append(True),
        done=lambda message: done.append(message.offset),
    )
    assert not lane.has_to_lend
    lane.put(messages(0, 1, 2, 3))
    assert woken
    lent = lane.lend(3)
    assert offsets(lent) == [0, 1, 2]
    # Until then nobody else has any of it.
    assert (lane.has_to_lend, lane.lend(3)) == (False, [])
    lane.give_back(lent, is_next_alone=False)
    assert (lane.passed, done, lane.waiting) == (2, [0, 1, 2], 1)
    assert offsets(lane.lend(3)) == [3]
    lane.give_back([], is_next_alone=False)
    assert office.tried == []


def test_what_comes_back_unused_is_used_alone_and_the_rest_lent_again(
    office: Office, lending: Lane
) -> None:
    office.plan[1] = [UnusableError(Unusable.UNSIGNED)]
    lending.put(messages(0, 1, 2))
    lending.give_back(lending.lend(9)[:1], is_next_alone=True)
    until(lambda: lending.has_to_lend)
    assert lending.passed == 1
    assert (office.tried, office.aside) == ([1], [(1, "unsigned", 1, None)])
    assert offsets(lending.lend(9)) == [2]
    lending.give_back([], is_next_alone=True)
    until(lambda: lending.passed == 2)
    assert office.used == [2]


def test_nothing_is_lent_while_a_message_is_used_alone(
    office: Office, lending: Lane
) -> None:
    office.plan[0] = [TooEarlyError(60.0)]
    lending.put(messages(0, 1))
    lending.lend(9)
    lending.give_back([], is_next_alone=True)
    until(lambda: office.tried == [0])
    assert (lending.has_to_lend, lending.lend(9)) == (False, [])


def test_what_the_ledger_has_passed_is_not_lent(begin: Callable[..., Lane]) -> None:
    lane = begin(passed=3, is_lending=True)
    lane.put(messages(2, 3, 4, 5, 4, 5, 6))
    lent = lane.lend(9)
    # A client that reads twice does not make an order of its own.
    assert offsets(lent) == [4, 5]
    lane.give_back(lent, is_next_alone=False)
    assert offsets(lane.lend(9)) == [6]
    lane.give_back([], is_next_alone=False)


def test_where_another_worker_was_what_it_passed_is_not_lent_again(
    office: Office, lending: Lane
) -> None:
    office.marks[PLACE.tracking_name] = 2
    lending.put(messages(0, 1, 2, 3))
    lending.lend(9)
    lending.give_back([], is_next_alone=True)
    until(lambda: lending.has_to_lend)
    assert offsets(lending.lend(9)) == [3]
    lending.give_back([], is_next_alone=False)
    assert (office.used, office.aside) == ([], [])


def test_a_lane_has_ended_when_what_it_lent_is_back(lending: Lane) -> None:
    lending.put(messages(0, 1))
    lent = lending.lend(9)
    lending.stop()
    assert not lending.join(0.05)
    lending.give_back(lent[:1], is_next_alone=False)
    assert lending.join(10)
    assert lending.passed == 0
    assert (lending.has_to_lend, lending.lend(9)) == (False, [])
