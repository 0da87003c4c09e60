"""The reference data as events: agencies, services, the calendar, centres, stamps.

What the tables of ``domain/catalogue`` lack takes the contract's stated defaults.
Seeding twice appends nothing, because every id follows from a code.

A past that is simulated begins before 2026, so that what it rests on was there, and its
fees were in old pounds until the new ones came: a service is said twice, each dated.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files

from domain.acts import MINISTRY, Act, Actor, ActorKind, Provenance
from domain.agencies import Agency, AgencyScope
from domain.calendars import Calendar, Holiday
from domain.centres import Centre
from domain.clerks import Clerk
from domain.governorates import Governorate, governorates
from domain.ids import derived_id
from domain.money import Unit, in_old_pounds
from domain.services import Offer, Service
from domain.stamps import LIVE, Stamp
from office.catalogue import CatalogueDesk
from office.catalogue_files import documents_by_name, offer_of

SEEDED_AT = datetime(2025, 12, 31, 21, 0, tzinfo=UTC)
"""The first moment of 2026 in Damascus: the calendar of the tables and new pounds."""
OPENED_AT = datetime(2025, 8, 31, 21, 0, tzinfo=UTC)
"""The first moment of September 2025 in Damascus: places, people and services."""
CLERKS_A_CENTRE = 3
STAMPS_A_CENTRE = 5
SOURCE = "sijil-catalogue"


def centre_code(governorate: str) -> str:
    """The code of a governorate's first centre, as ``SY-DI-01``."""
    return f"{governorate}-01"


def clerk_code(governorate: str, number: int) -> str:
    """The code of a seeded clerk, as ``clk-DI-1``."""
    return f"clk-{governorate.rpartition('-')[2]}-{number}"


def stamp_serial(governorate: str, number: int) -> str:
    """The serial of a seeded stamp, as ``ختم-DI-000001``."""
    return f"ختم-{governorate.rpartition('-')[2]}-{number:06d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """How many things were new."""

    new: int


def _rows(table: str) -> Iterator[tuple[int, dict[str, str]]]:
    with (files("domain") / "catalogue" / f"{table}.csv").open(
        encoding="utf-8"
    ) as csv_:
        yield from enumerate(csv.DictReader(csv_), start=2)


def _act(table: str, case: str, line: int, *, at: datetime = OPENED_AT) -> Act:
    """The act that takes over one line of a table."""
    command_id = derived_id(f"import/{SOURCE}/{table}/{case}", at)
    return Act(
        command_id=command_id,
        actor=Actor(kind=ActorKind.IMPORT, id=SOURCE, place=MINISTRY),
        correlation_id=command_id,
        effective_at=at,
        provenance=Provenance(source=SOURCE, case=case, line=line, activity=table),
    )


def holidays_of_table() -> tuple[Holiday, ...]:
    """The days off of the table, in order; where two fall together, the first named."""
    holidays: dict[date, Holiday] = {}
    for _, row in _rows("holidays"):
        for days in range(int(row["days"])):
            day = date.fromisoformat(row["start"]) + timedelta(days=days)
            holidays.setdefault(
                day,
                Holiday(
                    day=day,
                    name_ar=row["name_ar"],
                    name_en=row["name_en"],
                    certainty=row["certainty"],
                ),
            )
    return tuple(holidays[day] for day in sorted(holidays))


def _calendar() -> Calendar:
    """The one year of the table of holidays."""
    holidays = holidays_of_table()
    year = holidays[0].day.year
    return Calendar.publish(
        _act("holidays", str(year), 2, at=SEEDED_AT), year=year, holidays=holidays
    )


def agency_codes() -> tuple[str, ...]:
    """The codes of the agencies, in the order of their table."""
    return tuple(row["code"] for _, row in _rows("agencies"))


def offers() -> tuple[Offer, ...]:
    """What the table of services says each service is, in new pounds."""
    documents = documents_by_name()
    return tuple(offer_of(row, documents) for _, row in _rows("services"))


def seed(desk: CatalogueDesk) -> Seeded:
    """Publish the reference data; how much of it was new."""
    new = 0
    agencies = []
    for line, row in _rows("agencies"):
        agencies.append(row["code"])
        new += desk.publish_once(
            Agency,
            Agency.id_of(row["code"]),
            lambda row=row, line=line: Agency.publish(  # type: ignore[misc]
                _act("agencies", row["code"], line),
                code=row["code"],
                name_ar=row["name_ar"],
                name_en=row["name_en"],
                scope=AgencyScope(row["scope"]),
            ),
        )
    for line, offer in enumerate(offers(), start=2):
        new += _seed_service(desk, offer, line)
    calendar = _calendar()
    new += desk.publish_once(Calendar, calendar.id, lambda: calendar)
    for line, governorate in enumerate(governorates(), start=2):
        new += _seed_centre(desk, governorate, line, agencies)
    return Seeded(new=new)


def _seed_service(desk: CatalogueDesk, offer: Offer, line: int) -> int:
    """One service: with its fee in old pounds, and in new ones from 2026 on."""
    before = replace(offer, fee_lines=tuple(map(in_old_pounds, offer.fee_lines)))
    service_id = Service.id_of(offer.code)
    new = desk.publish_once(
        Service,
        service_id,
        lambda: Service.publish(_act("services", offer.code, line), before),
    )

    def renew(service: Service) -> None:
        # What an administrator or another import has published is theirs.
        is_ours = service.published.act.actor.id == SOURCE
        if is_ours and any(fee.unit is Unit.OLD for fee in service.published.fee_lines):
            act = _act("services", offer.code, line, at=SEEDED_AT)
            service.publish_again(act, offer)

    return new + desk.change_once(Service, service_id, renew)


def _seed_centre(
    desk: CatalogueDesk, governorate: Governorate, line: int, agencies: list[str]
) -> int:
    """One centre with its clerks, who share the agencies, and its stamps."""
    code = centre_code(governorate.code)
    new = 0
    new += desk.publish_once(
        Centre,
        Centre.id_of(code),
        lambda: Centre.open(
            _act("centres", code, line),
            code=code,
            governorate=governorate.code,
            name_ar=f"مركز خدمة المواطن في {governorate.city_ar}",
            name_en=f"Citizen service centre, {governorate.city_en}",
        ),
    )
    for number in range(1, CLERKS_A_CENTRE + 1):
        clerk = clerk_code(governorate.code, number)
        new += desk.publish_once(
            Clerk,
            Clerk.id_of(clerk),
            lambda clerk=clerk: Clerk.appoint(  # type: ignore[misc]
                _act("clerks", clerk, line), code=clerk, centre=code
            ),
        )
        for agency in agencies[number - 1 :: CLERKS_A_CENTRE]:
            act = _act("clerks", f"{clerk}/{agency}", line)
            new += desk.give_agency(act, clerk=clerk, agency=agency)
    for number in range(1, STAMPS_A_CENTRE + 1):
        serial = stamp_serial(governorate.code, number)
        new += desk.publish_once(
            Stamp,
            Stamp.id_of(serial),
            lambda serial=serial: Stamp.issue(  # type: ignore[misc]
                _act("stamps", serial, line), serial=serial, kind=LIVE, centre=code
            ),
        )
    return new
