"""What a mapping declares, published once: places, services, staff, stamps, days.

Each thing is said when it began, and what became of it is one act each, on its day:
closed, suspended, said anew, away, gone. Every act is remembered, so it happens once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import partial
from typing import Generic, TypeVar

from domain.acts import MINISTRY, Act, Actor, ActorKind, Provenance
from domain.agencies import Agency
from domain.aggregates import OfficeAggregate
from domain.calendars import Calendar
from domain.centres import Centre
from domain.clerks import Clerk
from domain.ids import derived_id
from domain.services import Offer, Service
from domain.stamps import LIVE, Stamp
from ledger.persistence.append import Command, CommandRepeatedError
from office.acts import translated
from office.catalogue import id_of
from office.house import House
from office.importing.declared import (
    DeclaredAgency,
    DeclaredCalendar,
    DeclaredCentre,
    DeclaredClerk,
    DeclaredService,
    DeclaredStamp,
    by_code,
)
from office.importing.mapping import Mapping

A = TypeVar("A", bound=OfficeAggregate)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step(Generic[A]):
    """What became of a thing on a day. ``name`` tells its act from others of it."""

    day: date
    name: str
    change: Callable[[A, Act], None]


class Places:
    """Publishes what a mapping declares and the ledger has not. Twice changes nothing.

    What says no day takes effect when the first centre opened, a centre's clerks and
    stamps when it did. What the ledger has from elsewhere under a code stays as it is.
    """

    def __init__(self, house: House, mapping: Mapping) -> None:
        self._house = house
        self._mapping = mapping

    def publish(self) -> None:
        """Publish all of it. Raises the errors of the rules for what cannot have been.

        What was published before one is remembered.
        """
        mapping = self._mapping
        for agency in by_code(mapping.all_agencies).values():
            self._publish_agency(*agency)
        for service in by_code(mapping.all_services).values():
            self._publish_service(*service)
        for calendar in by_code(mapping.calendars).values():
            self._publish_calendar(*calendar)
        for centre in by_code(mapping.all_centres).values():
            self._publish_centre(*centre)
        for stamp in mapping.stamps:
            self._publish_stamp(stamp)
        for clerk in by_code(mapping.staff).values():
            self._publish_clerk(*clerk)

    def appoint(self, code: str, centre: str) -> None:
        """Appoint a clerk whom a row names, if nobody has that code."""
        act = self._act("clerk", code, since=self._since(centre))
        self._house.catalogue.publish_once(
            Clerk,
            Clerk.id_of(code),
            lambda: Clerk.appoint(act, code=code, centre=centre),
        )

    # Places ---------------------------------------------------------------------

    def _publish_agency(self, first: DeclaredAgency, *later: DeclaredAgency) -> None:
        steps: list[_Step[Agency]] = []
        for each in (first, *later):
            names = partial(
                Agency.publish_again,
                name_ar=each.name_ar,
                name_en=each.name_en,
                scope=each.scope,
            )
            steps += _again(each.begins if each is not first else None, names)
            if each.closed_on is not None:
                close = partial(Agency.close, reason=each.closed_because)
                steps.append(
                    _on(each.closed_on, "closed", partial(close, on=each.closed_on))
                )
        self._declare(
            Agency,
            first.code,
            self._act("agency", first.code, since=first.since),
            lambda act: Agency.publish(
                act,
                code=first.code,
                name_ar=first.name_ar,
                name_en=first.name_en,
                scope=first.scope,
            ),
            steps,
        )

    def _publish_centre(self, first: DeclaredCentre, *later: DeclaredCentre) -> None:
        governorate = self._governorate_of(first)
        steps: list[_Step[Centre]] = []
        for each in (first, *later):
            opened = partial(
                _opened_again, each, governorate=self._governorate_of(each)
            )
            steps += _again(each.opened_on if each is not first else None, opened)
            if each.closed_on is not None:
                close = partial(Centre.close, reason=each.closed_because)
                steps.append(
                    _on(each.closed_on, "closed", partial(close, on=each.closed_on))
                )
        self._declare(
            Centre,
            first.code,
            self._act("centre", first.code, since=first.opened_on),
            lambda act: Centre.open(
                act,
                code=first.code,
                governorate=governorate,
                name_ar=first.name_ar,
                name_en=first.name_en,
            ),
            steps,
        )

    def _governorate_of(self, centre: DeclaredCentre) -> str:
        declared = self._mapping.governorate
        return centre.governorate or (declared.code if declared else "")

    # Services, calendars, stamps ------------------------------------------------

    def _publish_service(self, first: DeclaredService, *later: DeclaredService) -> None:
        steps: list[_Step[Service]] = []
        for each in (first, *later):
            anew = partial(Service.publish_again, offer=self._offer(each))
            steps += _again(each.begins if each is not first else None, anew)
            for rest in each.suspended:
                suspend = partial(
                    Service.suspend,
                    reason=rest.reason,
                    first=rest.first,
                    last=rest.last,
                )
                steps.append(_on(rest.first, "suspended", suspend))
                if rest.resumed_on is not None:
                    resume = partial(Service.resume, on=rest.resumed_on)
                    steps.append(_on(rest.resumed_on, "resumed", resume))
        self._declare(
            Service,
            first.code,
            self._act("service", first.code, since=first.since),
            lambda act: Service.publish(act, self._offer(first)),
            steps,
        )

    def _offer(self, declared: DeclaredService) -> Offer:
        return declared.offer(declared.agency or self._mapping.all_agencies[0].code)

    def _publish_calendar(
        self, first: DeclaredCalendar, *later: DeclaredCalendar
    ) -> None:
        steps: list[_Step[Calendar]] = []
        for each in later:
            steps += _again(
                each.begins, partial(Calendar.publish_again, **each.facts())
            )
        self._declare(
            Calendar,
            first.code,
            self._act("calendar", first.code, since=first.since),
            lambda act: Calendar.publish(act, year=first.year, **first.facts()),
            steps,
        )

    def _publish_stamp(self, stamp: DeclaredStamp) -> None:
        steps: list[_Step[Stamp]] = []
        if stamp.withdrawn_on is not None:
            withdraw = partial(
                Stamp.withdraw,
                reason=stamp.withdrawn_because,
                on=stamp.withdrawn_on,
            )
            steps.append(_on(stamp.withdrawn_on, "withdrawn", withdraw))
        issued_on = stamp.issued_on or self._since(stamp.centre)
        self._declare(
            Stamp,
            stamp.serial,
            self._act("stamp", stamp.serial, since=issued_on),
            lambda act: Stamp.issue(
                act, serial=stamp.serial, kind=LIVE, centre=stamp.centre
            ),
            steps,
        )

    # Staff ----------------------------------------------------------------------

    def _publish_clerk(self, first: DeclaredClerk, *later: DeclaredClerk) -> None:
        """A clerk's life at the centres: each part of it an act that is remembered."""
        steps: list[_Step[Clerk]] = []
        for each in (first, *later):
            moved = partial(Clerk.appoint_again, centre=each.centre)
            steps += _again(each.begins if each is not first else None, moved)
            steps += _of_clerk(each, each.begins or self._since(each.centre))
        appointed_on = first.begins or self._since(first.centre)
        self._declare(
            Clerk,
            first.code,
            self._act("clerk", first.code, since=appointed_on),
            lambda act: Clerk.appoint(act, code=first.code, centre=first.centre),
            steps,
        )

    # The path -------------------------------------------------------------------

    def _declare(
        self,
        kind: type[A],
        code: str,
        begin: Act,
        make: Callable[[Act], A],
        steps: Iterable[_Step[A]],
    ) -> None:
        """Say a thing, and what became of it where it is this source's to say.

        What another has published lives on in this ledger, who works here works on: the
        past of a source ends neither.
        """
        thing_id = id_of(kind, code)
        self._house.catalogue.publish_once(kind, thing_id, lambda: make(begin))
        with translated():
            said = next(iter(self._house.ledger.history(thing_id)), None)
        if said is None or said.act.actor != begin.actor:
            return
        name = kind.__name__.lower()
        for step in _in_order(steps):
            act = self._act(name, f"{code}/{step.name}", since=step.day)
            self._once(kind, code, act, step.change)

    def _once(
        self, kind: type[A], code: str, act: Act, change: Callable[[A, Act], None]
    ) -> None:
        """Change a thing by an act that is remembered, so that it happens once."""
        ledger = self._house.ledger
        with translated():
            if ledger.find_command(act.command_id) is not None:
                return
            thing = ledger.find(kind, id_of(kind, code))
            if thing is None:
                raise TypeError(code)
            change(thing, act)
            try:
                ledger.append(
                    thing,
                    command=Command(
                        id=act.command_id,
                        actor=f"{ActorKind.IMPORT}:{self._mapping.source}",
                        digest=act.command_id.bytes,
                    ),
                )
            except CommandRepeatedError:
                return

    def _since(self, centre: str) -> date:
        return self._mapping.opened_on.get(centre, self._mapping.since)

    def _act(self, kind: str, code: str, *, since: date | None = None) -> Act:
        """The act of declaring something, when it took effect."""
        at = datetime.combine(since or self._mapping.since, time(), UTC)
        source = self._mapping.source
        command_id = derived_id(f"import/{source}/{kind}/{code}", at)
        return Act(
            command_id=command_id,
            actor=Actor(kind=ActorKind.IMPORT, id=source, place=MINISTRY),
            correlation_id=command_id,
            effective_at=at,
            provenance=Provenance(source=source, case=code, line=0, activity=kind),
        )


def _in_order(steps: Iterable[_Step[A]]) -> list[_Step[A]]:
    """By their days; those of one day as they are told: ends before beginnings."""
    return sorted(steps, key=lambda step: step.day)


def _on(day: date, word: str, change: Callable[[A, Act], None]) -> _Step[A]:
    """A step that its word and its day tell from others."""
    return _Step(day=day, name=f"{word}/{day}", change=change)


def _again(day: date | None, change: Callable[[A, Act], None]) -> list[_Step[A]]:
    """The step of what is said anew on a day; none for what is said first."""
    return [] if day is None else [_on(day, "again", change)]


def _opened_again(
    said: DeclaredCentre, centre: Centre, act: Act, *, governorate: str
) -> None:
    """A closed centre opens on the day; one that is open has other names from then."""
    centre.open_again(
        act,
        governorate=governorate,
        name_ar=said.name_ar,
        name_en=said.name_en,
        opens_on=said.opened_on if centre.closing is not None else None,
    )


def _of_clerk(said: DeclaredClerk, since: date) -> list[_Step[Clerk]]:
    """What became of a clerk at one centre.

    The names of the acts are as the first imports had them: ids rest on them.
    """
    steps = [
        _Step(
            day=since,
            name=agency if said.appointed_on is None else f"{agency}/{since}",
            change=partial(Clerk.make_responsible, agency=agency),
        )
        for agency in said.agencies
    ]
    for each in said.responsible:
        given = each.since or since
        make = partial(Clerk.make_responsible, agency=each.agency)
        steps.append(_Step(day=given, name=f"{each.agency}/{given}", change=make))
        if each.relieved_on is not None:
            relieve = partial(Clerk.relieve, agency=each.agency)
            steps.append(_on(each.relieved_on, f"relieved/{each.agency}", relieve))
    for absence in said.away:
        away = partial(
            Clerk.be_away,
            reason=absence.reason,
            first=absence.first,
            last=absence.last,
        )
        steps.append(_on(absence.first, "away", away))
        if absence.back_on is not None:
            back = partial(Clerk.be_back, on=absence.back_on)
            steps.append(_on(absence.back_on, "back", back))
    if said.left_on is not None:
        leave = partial(Clerk.leave, on=said.left_on)
        name = "left" if said.appointed_on is None else f"left/{said.left_on}"
        steps.append(_Step(day=said.left_on, name=name, change=leave))
    return steps
