"""An act reads what it rests on in one look, and sees what others have just changed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from domain.access import Principal
from domain.acts import ActorKind
from domain.aggregates import OfficeAggregate
from domain.calendars import Calendar, Holiday, office_day
from domain.clerks import AwayBecause, Clerk
from domain.errors import ServiceNotOfferedError, UnknownStampError
from domain.services import Service, SuspendedBecause
from domain.stamps import Stamp, StampWithdrawnBecause
from ledger.settings import LedgerSettings
from office.acts import Done, Envelope
from office.catalogue_commands import (
    PublishCalendar,
    ReportAway,
    ResumeService,
    SuspendService,
    WithdrawStamp,
)
from office.commands import ClaimRequest
from office.house import House
from tests.conftest import Database
from tests.ledger.test_glance import Asked
from tests.office.scene import CLERK, STAMP, Scene, envelope

ADMINISTRATOR = Principal(role=ActorKind.ADMINISTRATOR, id="adm-1")
_SPAWN = multiprocessing.get_context("spawn")


def seen(house: House, kind: type[OfficeAggregate], thing: UUID) -> Envelope:
    found = house.ledger.find(kind, thing)
    version = None if found is None else found.etag_version
    return envelope(ADMINISTRATOR, "catalogue", if_version=version)


def suspend(house: House) -> Done:
    return house.catalogue.suspend_service(
        SuspendService(code="CIV-01", reason=SuspendedBecause.SYSTEM_DOWN),
        seen(house, Service, Service.id_of("CIV-01")),
    )


def resume(house: House) -> Done:
    return house.catalogue.resume_service(
        ResumeService(code="CIV-01"), seen(house, Service, Service.id_of("CIV-01"))
    )


def in_another_process(
    settings: LedgerSettings, change: Callable[[House], object]
) -> None:
    process = _SPAWN.Process(target=change_in_a_house, args=(settings, change))
    process.start()
    process.join(60)
    assert process.exitcode == 0


def change_in_a_house(
    settings: LedgerSettings, change: Callable[[House], object]
) -> None:
    with House(settings) as house:
        change(house)


@pytest.fixture
def other(seeded_database: Database) -> Iterator[House]:
    """Another process's house, with a memory of its own."""
    with House(seeded_database.settings) as house:
        yield house


def claim(scene: Scene, request_id: UUID) -> Done:
    return scene.requests.claim(
        ClaimRequest(request_id=request_id), scene.seen(request_id, CLERK, "claim")
    )


def test_what_another_process_says_of_a_service_binds_the_next_act(
    scene: Scene,
) -> None:
    scene.submit()
    in_another_process(scene.database.settings, suspend)
    with pytest.raises(ServiceNotOfferedError):
        scene.submit()
    in_another_process(scene.database.settings, resume)
    scene.submit()


def test_a_holiday_that_another_process_publishes_moves_the_next_due_time(
    scene: Scene, other: House
) -> None:
    before = scene.get(scene.submit()).due_at
    assert before is not None
    day = office_day(before)
    calendar_id = Calendar.id_of(day.year)
    known = other.ledger.find(Calendar, calendar_id)
    # Only one year's is seeded, and its last days' due times are in the next.
    holidays = () if known is None else known.published.holidays
    holiday = Holiday(day=day, name_ar="عطلة", name_en="Holiday", certainty="fixed")
    other.catalogue.publish_calendar(
        PublishCalendar(year=day.year, holidays=(*holidays, holiday)),
        seen(other, Calendar, calendar_id),
    )
    after = scene.get(scene.submit()).due_at
    assert after is not None
    assert office_day(after) > day


def test_a_clerk_sent_away_elsewhere_can_claim_nothing_more(
    scene: Scene, other: House
) -> None:
    first, second = scene.assigned(), scene.assigned()
    claim(scene, first)
    other.catalogue.report_away(
        ReportAway(clerk=CLERK.id, reason=AwayBecause.LEAVE),
        seen(other, Clerk, Clerk.id_of(CLERK.id)),
    )
    with pytest.raises(ServiceNotOfferedError):
        claim(scene, second)


def test_a_stamp_withdrawn_elsewhere_stamps_nothing_more(
    scene: Scene, other: House
) -> None:
    requests = [scene.assigned() for _ in range(2)]
    for request_id in requests:
        scene.pay(request_id)
        scene.respond(request_id)
    scene.stamp(requests[0])
    other.catalogue.withdraw_stamp(
        WithdrawStamp(serial=STAMP, reason=StampWithdrawnBecause.LOST),
        seen(other, Stamp, Stamp.id_of(STAMP)),
    )
    with pytest.raises(UnknownStampError):
        scene.stamp(requests[1])


def test_an_act_whose_things_are_in_memory_reads_the_ledger_once(
    scene: Scene,
) -> None:
    """All that it rests on, in one look; the append is on the committer's lane."""
    request_id = scene.assigned()
    # The register's entry is not in this house's memory yet.
    scene.house.ledger.find(Stamp, Stamp.id_of(STAMP))
    asked = Asked(scene.house.ledger)
    times = {}
    for name, do, looks_of_the_test in (
        ("submit", scene.submit, 0),
        ("claim", lambda: claim(scene, request_id), 1),
        ("pay", lambda: scene.pay(request_id), 2),
        ("respond", lambda: scene.respond(request_id), 2),
        ("stamp", lambda: scene.stamp(request_id), 2),
        ("mail", lambda: scene.mail(request_id), 2),
    ):
        asked.times = 0
        do()
        times[name] = asked.times - looks_of_the_test
    assert times == dict.fromkeys(times, 1)


def test_a_repeat_is_answered_like_its_act_and_stores_nothing(scene: Scene) -> None:
    request_id = scene.assigned()
    told = scene.seen(request_id, CLERK, "claim")
    done = scene.requests.claim(ClaimRequest(request_id=request_id), told)
    entries = len(scene.entries())
    again = scene.requests.claim(ClaimRequest(request_id=request_id), told)
    assert again.is_repeat
    assert again.last_position == done.last_position
    assert again.etag_version == done.etag_version
    assert len(scene.entries()) == entries
