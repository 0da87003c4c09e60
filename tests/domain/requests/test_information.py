"""What is missing: asked and supplied, and the clock that stands still in between."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from domain.acts import ActorKind
from domain.calendars import OFFICE_ZONE
from domain.errors import InvalidValueError, StaleClaimError, WrongStateError
from domain.money import Unit
from domain.requests import (
    Answer,
    AssignedBecause,
    PaymentChannel,
    ServiceRequest,
)
from domain.stages import NextAct, WaitingFor
from domain.working_time import WorkingTime
from tests.domain.office import (
    NINE,
    WORKING_TIME,
    accepted,
    act,
    assigned,
    calendar,
    forwarded,
    given,
    issued,
    paid,
    refused,
    service,
    submitted,
    system,
)

R = ServiceRequest


def at(text: str) -> datetime:
    """A time of the office's clock."""
    return datetime.fromisoformat(text).replace(tzinfo=OFFICE_ZONE).astimezone(UTC)


MONDAY, TUESDAY = "2026-11-23", "2026-11-24"


def ask(
    request: ServiceRequest,
    when: datetime | None = None,
    *,
    missing: tuple[str, ...] = ("photograph",),
) -> ServiceRequest:
    request.request_information(
        act("ask").at(when or NINE), missing=missing, token=request.token
    )
    return request


def supply(
    request: ServiceRequest,
    when: datetime,
    *,
    working_time: WorkingTime = WORKING_TIME,
    supplied: tuple[str, ...] = ("photograph",),
) -> None:
    request.supply_information(
        act("supply").at(when),
        supplied=supplied,
        working_time=working_time,
        token=request.token,
    )


def needs_more(request: ServiceRequest, when: datetime = NINE) -> ServiceRequest:
    request.respond(
        act("more", ActorKind.AGENCY, actor="officer").at(when),
        outcome=Answer.INFORMATION_NEEDED,
        reason="photograph-unclear",
        agency="CIV",
        working_time=WORKING_TIME,
    )
    return request


class TestStandingStill:
    def test_the_citizen_has_to_move_and_the_clock_stops(self) -> None:
        request = ask(accepted())
        assert request.standing.next_act is NextAct.RECORD_INFORMATION
        assert request.standing.waiting_for is WaitingFor.CITIZEN
        assert request.standing.is_clock_stopped

    def test_while_it_waits_no_clock_runs_that_could_stop(self) -> None:
        request = ask(assigned(submitted()))
        assert not request.standing.is_clock_stopped
        given(request).when(lambda r: supply(r, NINE)).then(
            (R.InformationSupplied, {"stopped_s": None, "due_at": None})
        )
        assert request.standing.next_act is NextAct.ACCEPT

    def test_nobody_is_asked_twice_at_once(self) -> None:
        given(ask(accepted())).when(ask).refused(
            WrongStateError, reason="information-outstanding"
        )

    def test_nobody_is_asked_for_nothing_and_nothing_comes_of_nothing(self) -> None:
        given(accepted()).when(lambda r: ask(r, missing=())).refused(
            InvalidValueError, field="missing"
        )
        given(ask(accepted())).when(lambda r: supply(r, NINE, supplied=())).refused(
            InvalidValueError, field="supplied"
        )

    def test_after_the_result_nothing_is_missing(self) -> None:
        for request in (issued(), refused()):
            given(request).when(ask).refused(WrongStateError, reason="answered-already")

    def test_the_fee_is_taken_all_the_same(self) -> None:
        given(ask(accepted())).when(
            lambda r: r.pay(
                act(), channel=PaymentChannel.CASH, amount=3000, unit=Unit.NEW, token=1
            )
        ).then((R.FeePaid, {}))

    def test_asking_and_supplying_take_the_latest_token(self) -> None:
        request = accepted()
        request.assign(system(), clerk="clk-DI-2", reason=AssignedBecause.REBALANCED)
        given(request).when(
            lambda r: r.request_information(act(), missing=("photograph",), token=1)
        ).refused(StaleClaimError, holder="clk-DI-2", token=2)


class TestTheClockGoesOn:
    def test_the_limit_moves_by_exactly_the_working_time_that_was_lost(self) -> None:
        # Due on Wednesday at 15:00. From Monday 10:00 to Tuesday 11:30: five hours
        # of Monday, three and a half of Tuesday.
        request = ask(accepted(), at(f"{MONDAY} 10:00"))
        given(request).when(lambda r: supply(r, at(f"{TUESDAY} 11:30"))).then(
            (
                R.InformationSupplied,
                {
                    "stopped_s": 8 * 3600 + 1800,
                    "due_at": at("2026-11-29 09:30"),
                    "answer_due_at": None,
                },
            )
        )
        lost = WORKING_TIME.time_between(at("2026-11-25 15:00"), at("2026-11-29 09:30"))
        # Thursday's seven hours, and Sunday's first hour and a half.
        assert lost == timedelta(hours=8, minutes=30)

    def test_what_was_lost_outside_office_hours_moves_nothing(self) -> None:
        request = ask(accepted(), at(f"{MONDAY} 16:00"))
        given(request).when(lambda r: supply(r, at(f"{TUESDAY} 07:59"))).then(
            (
                R.InformationSupplied,
                {"stopped_s": 0, "due_at": at("2026-11-25 15:00")},
            )
        )

    def test_supplied_at_the_same_instant_nothing_moves(self) -> None:
        request = ask(accepted())
        due_at = request.due_at
        given(request).when(lambda r: supply(r, NINE)).then(
            (R.InformationSupplied, {"stopped_s": 0, "due_at": due_at})
        )

    def test_a_limit_that_was_over_when_the_clock_stopped_stays_over(self) -> None:
        request = accepted()
        due_at = request.due_at
        for asked in (due_at, at("2026-11-26 10:00")):
            request = ask(accepted(), asked)
            given(request).when(lambda r: supply(r, at("2026-11-30 10:00"))).then(
                (R.InformationSupplied, {"due_at": due_at})
            )

    def test_two_pauses_add_up(self) -> None:
        request = ask(accepted(), at(f"{MONDAY} 10:00"))
        supply(request, at(f"{MONDAY} 12:00"))
        ask(request, at(f"{MONDAY} 13:00"))
        supply(request, at(f"{MONDAY} 14:00"))
        assert request.due_at == at("2026-11-26 11:00")

    def test_the_wall_clock_counts_over_a_change_to_winter_time(self) -> None:
        # Clocks went back on Friday 29 October 2021. What was left on Thursday at
        # 14:00, an hour and Sunday's seven, ends on Monday at 11:00 in winter time.
        old = WorkingTime([calendar(year=2021)])
        start = at("2021-10-26 09:00")
        request = submitted(act("s", ActorKind.CITIZEN).at(start))
        request.assign(
            system().at(start), clerk="clk-DI-1", reason=AssignedBecause.RESPONSIBLE
        )
        allowed = service(completion_days=3).terms(
            governorate="SY-DI", accepted_at=start, working_time=old
        )
        assert allowed.due_at == datetime(2021, 10, 31, 13, tzinfo=UTC)
        request.accept(
            act("a").at(start), terms=allowed, documents=("id-card",), token=1
        )
        ask(request, datetime(2021, 10, 28, 11, tzinfo=UTC))
        given(request).when(
            lambda r: supply(r, datetime(2021, 10, 31, 8, tzinfo=UTC), working_time=old)
        ).then(
            (
                R.InformationSupplied,
                {
                    "stopped_s": 3 * 3600,
                    "due_at": datetime(2021, 11, 1, 9, tzinfo=UTC),
                },
            )
        )

    def test_a_pause_over_the_end_of_a_year_counts_by_both_calendars(self) -> None:
        # Thursday 31 December, 14:00; Sunday 3 January is a day off of 2027.
        both = WorkingTime([calendar(), calendar(date(2027, 1, 3), year=2027)])
        start = at("2026-12-31 09:00")
        request = submitted(act("s", ActorKind.CITIZEN).at(start))
        request.assign(
            system().at(start), clerk="clk-DI-1", reason=AssignedBecause.RESPONSIBLE
        )
        allowed = service(completion_days=0).terms(
            governorate="SY-DI", accepted_at=start, working_time=both
        )
        request.accept(
            act("a").at(start), terms=allowed, documents=("id-card",), token=1
        )
        ask(request, at("2026-12-31 14:00"))
        given(request).when(
            lambda r: supply(r, at("2027-01-04 10:00"), working_time=both)
        ).then(
            (
                R.InformationSupplied,
                {"stopped_s": 3 * 3600, "due_at": at("2027-01-04 11:00")},
            )
        )

    def test_what_an_import_claims_too_early_stops_nothing(self) -> None:
        request = ask(accepted(), at(f"{TUESDAY} 10:00"))
        given(request).when(
            lambda r: r.supply_information(
                act("import", ActorKind.IMPORT).at(at(f"{MONDAY} 12:00")),
                supplied=("photograph",),
                working_time=WORKING_TIME,
            )
        ).then(
            (
                R.InformationSupplied,
                {
                    "timestamp": at(f"{TUESDAY} 10:00"),
                    "stopped_s": 0,
                    "due_at": at("2026-11-25 15:00"),
                },
            )
        )


class TestTheAgencysTime:
    """Forwarded on Monday at nine; the first answer is due on Thursday at closing."""

    def test_where_the_centre_asked_what_was_left_is_counted_anew(self) -> None:
        request = ask(forwarded(), at(f"{MONDAY} 10:00"))
        given(request).when(lambda r: supply(r, at(f"{MONDAY} 12:00"))).then(
            (R.InformationSupplied, {"answer_due_at": at("2026-11-29 10:00")})
        )

    def test_an_agency_that_asked_gets_its_whole_time_again(self) -> None:
        request = ask(needs_more(forwarded()), at(f"{MONDAY} 10:00"))
        given(request).when(lambda r: supply(r, at("2026-11-29 10:00"))).then(
            # Three working days after Sunday the 29th.
            (R.InformationSupplied, {"answer_due_at": at("2026-12-02 15:00")})
        )
        assert request.standing.waiting_for is WaitingFor.AGENCY

    def test_an_agency_that_was_late_already_stays_late(self) -> None:
        request = ask(forwarded(), at("2026-11-29 10:00"))
        late = request.answer_due_at
        supply(request, at("2026-11-30 10:00"))
        assert request.answer_due_at == late

    def test_what_was_not_forwarded_yet_has_no_time_for_an_answer(self) -> None:
        request = ask(paid(direct_in=()))
        given(request).when(lambda r: supply(r, at(f"{MONDAY} 12:00"))).then(
            (R.InformationSupplied, {"answer_due_at": None})
        )
        assert request.standing.next_act is NextAct.FORWARD

    def test_after_what_came_the_agency_answers_as_if_for_the_first_time(self) -> None:
        request = ask(needs_more(forwarded()))
        supply(request, NINE)
        assert request.answer_version is None
        given(request).when(
            lambda r: r.respond(
                act(kind=ActorKind.AGENCY),
                outcome=Answer.ISSUED,
                agency="CIV",
                working_time=WORKING_TIME,
            )
        ).then((R.AgencyResponded, {"supersedes": None}))

    def test_before_the_citizen_is_asked_the_agency_may_take_it_back(self) -> None:
        request = needs_more(forwarded())
        asked = request.answer_version
        given(request).when(
            lambda r: r.respond(
                act(kind=ActorKind.AGENCY),
                outcome=Answer.ISSUED,
                supersedes=asked,
                agency="CIV",
                working_time=WORKING_TIME,
            )
        ).then((R.AgencyResponded, {"supersedes": asked}))

    def test_while_the_citizen_is_asked_the_agency_waits_too(self) -> None:
        request = needs_more(forwarded())
        asked = request.answer_version
        given(ask(request)).when(
            lambda r: r.respond(
                act(kind=ActorKind.AGENCY),
                outcome=Answer.ISSUED,
                supersedes=asked,
                agency="CIV",
                working_time=WORKING_TIME,
            )
        ).refused(WrongStateError, reason="information-outstanding")

    def test_more_is_needed_only_with_a_reason(self) -> None:
        given(forwarded()).when(
            lambda r: r.respond(
                act(kind=ActorKind.AGENCY),
                outcome=Answer.INFORMATION_NEEDED,
                agency="CIV",
                working_time=WORKING_TIME,
            )
        ).refused(InvalidValueError, field="reason")
