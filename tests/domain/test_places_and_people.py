"""The days of services, agencies, centres, clerks, stamps; calendars before the day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from domain.acts import Act, ActorKind
from domain.agencies import Agency, AgencyClosedBecause, AgencyScope
from domain.aggregates import OfficeAggregate
from domain.calendars import Holiday, OfficeHours
from domain.centres import Centre, CentreClosedBecause
from domain.clerks import AwayBecause, Clerk
from domain.errors import (
    AlreadyAwayError,
    AlreadyClosedError,
    AlreadySuspendedError,
    ClerkLeftError,
    DatePassedError,
    DayBegunError,
    GovernorateFixedError,
    InvalidValueError,
    NotAwayError,
    NotResponsibleError,
    NotSuspendedError,
    SijilError,
    StampIssuedError,
    StampWithdrawnError,
)
from domain.periods import Period
from domain.services import DEFAULT_ACCEPTANCE_DAYS, Offer, SuspendedBecause
from domain.stamps import LIVE, StampWithdrawnBecause
from ledger.bodies import BodyMapper
from tests.domain.office import act, calendar, service, stamp

TODAY = date(2026, 11, 23)
"""The day of ``act()``: Monday, nine in the morning."""


def day(number: int) -> date:
    """The day so many days after today."""
    return TODAY + timedelta(days=number)


def by_administrator(days: int = 0, name: str = "act") -> Act:
    return act(name, ActorKind.ADMINISTRATOR, minutes=days * 24 * 60, actor="adm-1")


def by_import(days: int = 0) -> Act:
    return act("import", ActorKind.IMPORT, minutes=days * 24 * 60, actor="desk")


def agency() -> Agency:
    return Agency.publish(
        by_administrator(),
        code="CIV",
        name_ar="الشؤون المدنية",
        name_en="Civil affairs",
        scope=AgencyScope.GOVERNORATE,
    )


def centre(opens_on: date | None = None) -> Centre:
    return Centre.open(
        by_administrator(),
        code="SY-DI-02",
        governorate="SY-DI",
        name_ar="مركز المزة",
        name_en="Mezzeh centre",
        opens_on=opens_on,
    )


def clerk() -> Clerk:
    made = Clerk.appoint(by_administrator(), code="clk-DI-9", centre="SY-DI-02")
    made.make_responsible(by_administrator(), agency="CIV")
    return made


def days_when(is_so: Callable[[date], bool]) -> list[int]:
    """The numbers of the days from yesterday to in ten days on which it is so."""
    return [number for number in range(-1, 11) if is_so(day(number))]


def refused(
    thing: OfficeAggregate, error: type[SijilError], do: Callable[[], Any]
) -> SijilError:
    """The error that is raised, and nothing happened."""
    before, pending = dict(vars(thing)), len(thing.pending_events)
    with pytest.raises(error) as caught:
        do()
    assert vars(thing) == before
    assert len(thing.pending_events) == pending
    return caught.value


MAPPER = BodyMapper()


def replayed(thing: Any) -> Any:
    """The thing that its stored events make again: the same in every field."""
    copy = None
    for event in thing.collect_events():
        copy = MAPPER.to_domain_event(MAPPER.to_stored_event(event)).mutate(copy)
    assert copy.etag_version == copy.version == thing.version
    hidden = {"_pending_events"}
    assert {k: v for k, v in vars(copy).items() if k not in hidden} == {
        k: v for k, v in vars(thing).items() if k not in hidden
    }
    return copy


# Services -------------------------------------------------------------------------


def test_a_service_rests_from_its_first_to_its_last_day_several_times() -> None:
    offered = service()
    because = SuspendedBecause.SYSTEM_DOWN
    offered.suspend(by_administrator(), reason=because, first=day(2), last=day(3))
    offered.suspend(by_administrator(), reason=because, first=day(6))
    offered.resume(by_administrator(), on=day(8))
    assert days_when(offered.is_offered_on) == [-1, 0, 1, 4, 5, 8, 9, 10]
    assert offered.suspensions[1] == Period(first=day(6), last=day(7))
    replayed(offered)


def test_a_suspension_without_days_begins_today_and_lasts_until_it_is_ended() -> None:
    offered = service()
    offered.suspend(by_administrator(), reason=SuspendedBecause.OTHER)
    assert days_when(offered.is_offered_on) == [-1]
    offered.resume(by_administrator())
    assert offered.is_offered_on(TODAY)
    assert offered.suspensions == ()


@pytest.mark.parametrize(
    ("first", "last"), [(0, 1), (1, None), (2, 2), (3, 9), (0, None), (4, None)]
)
def test_a_service_is_not_suspended_twice_on_one_day(
    first: int, last: int | None
) -> None:
    offered = service()
    offered.suspend(
        by_administrator(),
        reason=SuspendedBecause.OTHER,
        first=day(1),
        last=day(4),
    )
    error = refused(
        offered,
        AlreadySuspendedError,
        lambda: offered.suspend(
            by_administrator(),
            reason=SuspendedBecause.OTHER,
            first=day(first),
            last=None if last is None else day(last),
        ),
    )
    assert error.facts() == {"first": "2026-11-24", "last": "2026-11-27"}


def test_what_is_not_suspended_is_not_resumed_and_days_that_are_over_stay() -> None:
    offered = service()
    resume = offered.resume
    refused(offered, NotSuspendedError, lambda: resume(by_administrator()))
    offered.suspend(by_administrator(), reason=SuspendedBecause.OTHER, first=day(3))
    refused(offered, NotSuspendedError, lambda: resume(by_administrator(), on=day(2)))
    refused(offered, DatePassedError, lambda: resume(by_administrator(5), on=day(4)))
    refused(
        offered,
        DatePassedError,
        lambda: offered.suspend(
            by_administrator(), reason=SuspendedBecause.OTHER, first=day(-1)
        ),
    )
    refused(
        offered,
        InvalidValueError,
        lambda: offered.suspend(
            by_administrator(),
            reason=SuspendedBecause.OTHER,
            first=day(1),
            last=day(0),
        ),
    )


def test_an_import_may_tell_of_days_that_are_over() -> None:
    offered = service()
    offered.suspend(
        by_import(), reason=SuspendedBecause.OTHER, first=day(-9), last=day(-1)
    )
    assert not offered.is_offered_on(day(-1))


def offer(**changes: Any) -> Offer:
    said = service().published
    names = Offer.__dataclass_fields__
    return Offer(**{**{name: getattr(said, name) for name in names}, **changes})


def test_publishing_again_is_a_new_version_and_moves_no_suspension() -> None:
    offered = service()
    offered.suspend(by_administrator(), reason=SuspendedBecause.OTHER)
    offered.publish_again(by_administrator(), offer(acceptance_days=12))
    assert offered.version == 3
    assert offered.acceptance_days == 12
    assert not offered.is_offered_on(TODAY)
    assert replayed(offered).published.acceptance_days == 12


def test_publishing_what_holds_already_changes_nothing() -> None:
    offered = service()
    assert offered.acceptance_days == DEFAULT_ACCEPTANCE_DAYS
    offered.publish_again(by_administrator(), offer())
    assert offered.version == 1
    with pytest.raises(InvalidValueError):
        offered.publish_again(by_administrator(), offer(code="CIV-99"))


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "two words"},
        {"code": ""},
        {"name_ar": " "},
        {"name_en": "tab\there"},
        {"completion_days": -1},
        {"completion_days": 366},
        {"payment_days": 0},
        {"acceptance_days": 0},
        {"applicants": ()},
        {"applicants": ("neighbour",)},
        {"applicants": ("self", "self")},
        {"receipt": ("neighbour",)},
        {"direct_in": ("*", "*")},
        {"paper": False},
        {"documents": (service().published.documents[0],) * 2},
    ],
)
def test_what_cannot_be_offered_is_no_offer(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        offer(**changes)


# Agencies and centres ---------------------------------------------------------------


def test_an_agency_is_closed_from_a_day_until_it_is_published_again() -> None:
    made = agency()
    made.close(by_administrator(), reason=AgencyClosedBecause.MERGED, on=day(2))
    assert days_when(made.is_open_on) == [-1, 0, 1]
    close = made.close
    because = AgencyClosedBecause.OTHER
    refused(made, AlreadyClosedError, lambda: close(by_administrator(), reason=because))
    made.publish_again(
        by_administrator(5),
        name_ar=made.published.name_ar,
        name_en=made.published.name_en,
        scope=made.published.scope,
    )
    assert days_when(made.is_open_on) == [-1, 0, 1, 5, 6, 7, 8, 9, 10]
    replayed(made)


def test_publishing_again_before_the_day_calls_the_closing_off() -> None:
    made = agency()
    said = made.published
    same = {"name_ar": said.name_ar, "name_en": said.name_en, "scope": said.scope}
    made.publish_again(by_administrator(), **same)
    assert made.version == 1
    made.close(by_administrator(), reason=AgencyClosedBecause.OTHER, on=day(2))
    made.publish_again(by_administrator(1), **same)
    assert days_when(made.is_open_on) == list(range(-1, 11))


def test_a_centre_opens_on_its_day_closes_and_opens_again() -> None:
    made = centre(opens_on=day(1))
    made.close(by_administrator(), reason=CentreClosedBecause.WORKS, on=day(4))
    names = {"name_ar": made.name_ar, "name_en": made.name_en}
    again = made.open_again
    again(by_administrator(), governorate="SY-DI", opens_on=day(7), **names)
    assert days_when(made.is_open_on) == [1, 2, 3, 7, 8, 9, 10]
    replayed(made)


def test_a_centre_that_is_open_gets_other_names_and_no_other_governorate() -> None:
    made = centre()
    again = made.open_again
    names = {"name_ar": made.name_ar, "name_en": made.name_en}
    again(by_administrator(), governorate="SY-DI", **names)
    assert made.version == 1
    again(by_administrator(), governorate="SY-DI", name_ar="مركز دمر", name_en="Dummar")
    assert (made.version, made.name_en) == (2, "Dummar")
    assert made.is_open_on(TODAY)
    refused(
        made,
        GovernorateFixedError,
        lambda: again(by_administrator(), governorate="SY-HL", **names),
    )
    refused(
        made,
        InvalidValueError,
        lambda: again(
            by_administrator(), governorate="SY-DI", opens_on=day(1), **names
        ),
    )


# Clerks -----------------------------------------------------------------------------


def test_a_clerk_is_away_from_the_first_to_the_last_day_or_until_back() -> None:
    made = clerk()
    made.be_away(
        by_administrator(), reason=AwayBecause.LEAVE, first=day(1), last=day(2)
    )
    made.be_away(by_administrator(), reason=AwayBecause.MISSION, first=day(5))
    made.be_back(by_administrator(), on=day(8))
    assert days_when(made.is_available_on) == [-1, 0, 3, 4, 8, 9, 10]
    away, back = made.be_away, made.be_back
    because = AwayBecause.OTHER
    refused(
        made,
        AlreadyAwayError,
        lambda: away(by_administrator(), reason=because, first=day(6)),
    )
    refused(made, NotAwayError, lambda: back(by_administrator(), on=day(8)))
    refused(made, DatePassedError, lambda: back(by_administrator(2), on=day(1)))
    replayed(made)


def test_an_agency_is_given_and_taken() -> None:
    made = clerk()
    made.make_responsible(by_administrator(), agency="CRM")
    made.relieve(by_administrator(), agency="CIV")
    assert made.agencies == ("CRM",)
    relieve = made.relieve
    refused(
        made, NotResponsibleError, lambda: relieve(by_administrator(), agency="CIV")
    )
    replayed(made)


def test_who_has_left_gets_nothing_until_appointed_again() -> None:
    made = clerk()
    made.leave(by_administrator(), on=day(3))
    made.make_responsible(by_administrator(2), agency="CRM")
    assert days_when(made.is_available_on) == [-1, 0, 1, 2]
    because = AwayBecause.OTHER
    for do in (
        lambda: made.leave(by_administrator(2), on=day(4)),
        lambda: made.make_responsible(by_administrator(3), agency="EMP"),
        lambda: made.relieve(by_administrator(3), agency="CIV"),
        lambda: made.be_away(by_administrator(3), reason=because),
        lambda: made.be_back(by_administrator(3)),
    ):
        refused(made, ClerkLeftError, do)
    made.appoint_again(by_administrator(4), centre="SY-DI-02")
    assert made.agencies == ()
    assert made.is_available_on(day(4))
    replayed(made)


def test_appointed_before_the_day_the_departure_is_called_off() -> None:
    made = clerk()
    made.appoint_again(by_administrator(), centre="SY-DI-02")
    assert made.version == 2
    made.leave(by_administrator(), on=day(3))
    made.appoint_again(by_administrator(1), centre="SY-DI-02")
    assert made.agencies == ("CIV",)
    assert made.is_available_on(day(9))


def test_at_another_centre_a_clerk_is_responsible_for_nothing_yet() -> None:
    made = clerk()
    made.appoint_again(by_administrator(), centre="SY-HL-01")
    assert (made.centre, made.agencies) == ("SY-HL-01", ())


# Stamps -----------------------------------------------------------------------------


def test_a_withdrawn_stamp_is_valid_before_its_day_and_never_issued_again() -> None:
    made = stamp()
    made.issue_again(kind=LIVE, centre="SY-DI-01")
    with pytest.raises(StampIssuedError):
        made.issue_again(kind=LIVE, centre="SY-HL-01")
    made.withdraw(by_administrator(), reason=StampWithdrawnBecause.LOST, on=day(2))
    assert days_when(made.is_valid_on) == [-1, 0, 1]
    for do in (
        lambda: made.issue_again(kind=LIVE, centre="SY-DI-01"),
        lambda: made.withdraw(by_administrator(), reason=StampWithdrawnBecause.LOST),
    ):
        refused(made, StampWithdrawnError, do)
    replayed(made)


# Calendars --------------------------------------------------------------------------


def off(*days: date, name: str = "عطلة") -> tuple[Holiday, ...]:
    return tuple(
        Holiday(day=each, name_ar=name, name_en="Holiday", certainty="fixed")
        for each in days
    )


def test_a_holiday_is_announced_the_day_before_and_not_on_the_day() -> None:
    made = calendar(day(-1))
    made.publish_again(by_administrator(), holidays=off(day(-1), day(1)))
    assert made.version == 2
    again = made.publish_again
    for holidays in (
        off(day(-1), TODAY, day(1)),
        off(day(1)),
        off(day(-4), day(-1), day(1)),
    ):
        refused(
            made,
            DayBegunError,
            lambda holidays=holidays: again(by_administrator(), holidays=holidays),
        )
    replayed(made)


def test_a_day_begins_at_midnight_in_damascus() -> None:
    # 21:30 UTC on the 23rd is half past midnight on the 24th there.
    late = act("late", ActorKind.ADMINISTRATOR, minutes=15 * 60 + 30)
    made = calendar()
    error = refused(
        made, DayBegunError, lambda: made.publish_again(late, holidays=off(day(1)))
    )
    assert error.facts() == {"day": "2026-11-24"}
    made.publish_again(late, holidays=off(day(2)))


def test_hours_of_days_that_are_over_stay_and_words_may_be_mended() -> None:
    made = calendar(day(-1))
    again = made.publish_again
    same = off(day(-1))
    again(by_administrator(), holidays=off(day(-1), name="عيد"))
    refused(
        made,
        DayBegunError,
        lambda: again(by_administrator(), holidays=same, closes="14:00"),
    )
    shorter = OfficeHours(first=day(1), last=day(20), opens="09:00", closes="13:00")
    again(by_administrator(), holidays=same, hours=(shorter,))
    assert made.version == 3
    again(by_administrator(), holidays=same, hours=(shorter,))
    assert made.version == 3


def test_an_import_corrects_the_past() -> None:
    made = calendar()
    made.publish_again(by_import(), holidays=off(day(-9)))
    assert made.version == 2


@pytest.mark.parametrize(
    "hours",
    [
        [(1, 3), (3, 5)],
        [(4, 2)],
        [(1, 60)],
        [(5, 9), (1, 6)],
    ],
)
def test_special_hours_lie_in_the_year_in_order_and_apart(
    hours: list[tuple[int, int]],
) -> None:
    with pytest.raises(InvalidValueError):
        calendar(
            hours=[
                OfficeHours(
                    first=day(first), last=day(last), opens="09:00", closes="13:00"
                )
                for first, last in hours
            ]
        )


@pytest.mark.parametrize("year", [26, 1999, 2101])
def test_a_calendar_is_of_a_year_somebody_lives_in(year: int) -> None:
    with pytest.raises(InvalidValueError):
        calendar(year=year)
