"""The administrator's desk: what requests rest on, each change one act on one thing.

A thing's id follows from its code, so that doing it twice does nothing, and the first
act on a code makes the thing. Refused attempts are recorded like those on requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import Protocol, TypeVar
from uuid import UUID

from domain.access import Permission, Principal
from domain.acts import MINISTRY, Act, ActorKind
from domain.agencies import Agency
from domain.aggregates import OfficeAggregate
from domain.calendars import Calendar, office_day
from domain.centres import Centre
from domain.clerks import Clerk
from domain.errors import InvalidValueError, NotFoundError, NotOpenError
from domain.governorates import governorates
from domain.services import EVERYWHERE, Service
from domain.stamps import Stamp
from ledger.persistence.append import VersionConflictError
from office import catalogue_commands as commands
from office.acts import Acts, Done, Envelope, On, translated
from office.errors import ConcurrencyError

TRIES = 20
"""Two seeding at once race for every version of a clerk: some twenty agencies."""

A = TypeVar("A", bound=OfficeAggregate)


class CatalogueDesk:
    """Publishes, opens and closes, appoints, issues. Raises the errors of the rules."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts
        self._ledger = acts.ledger

    # Services -------------------------------------------------------------------

    def publish_service(
        self, command: commands.PublishService, envelope: Envelope
    ) -> Done:
        """Offer a service of an open agency, or offer it anew."""
        offer = command.offer
        _must_be_governorates(offer.direct_in, field="direct_in")

        def decide(service: Service | None, act: Act) -> Service:
            self._must_be_open(Agency, offer.agency, act)
            if service is None:
                return Service.publish(act, offer)
            service.publish_again(act, offer)
            return service

        return self._administer(command, envelope, Service, offer.code, decide)

    def suspend_service(
        self, command: commands.SuspendService, envelope: Envelope
    ) -> Done:
        """Offer a service no more for a while; requests already made go on."""
        return self._change(
            command,
            envelope,
            Service,
            command.code,
            lambda service, act: service.suspend(
                act, reason=command.reason, first=command.first, last=command.last
            ),
        )

    def resume_service(
        self, command: commands.ResumeService, envelope: Envelope
    ) -> Done:
        """Offer a suspended service again."""
        return self._change(
            command,
            envelope,
            Service,
            command.code,
            lambda service, act: service.resume(act, on=command.on),
        )

    # Agencies -------------------------------------------------------------------

    def publish_agency(
        self, command: commands.PublishAgency, envelope: Envelope
    ) -> Done:
        """Publish an agency, or publish it anew; a closed one opens."""

        def decide(agency: Agency | None, act: Act) -> Agency:
            if agency is None:
                return Agency.publish(
                    act,
                    code=command.code,
                    name_ar=command.name_ar,
                    name_en=command.name_en,
                    scope=command.scope,
                )
            agency.publish_again(
                act,
                name_ar=command.name_ar,
                name_en=command.name_en,
                scope=command.scope,
            )
            return agency

        return self._administer(command, envelope, Agency, command.code, decide)

    def close_agency(self, command: commands.CloseAgency, envelope: Envelope) -> Done:
        """Close an agency: nothing new is asked of it."""
        return self._change(
            command,
            envelope,
            Agency,
            command.code,
            lambda agency, act: agency.close(act, reason=command.reason, on=command.on),
        )

    # Centres --------------------------------------------------------------------

    def open_centre(self, command: commands.OpenCentre, envelope: Envelope) -> Done:
        """Open a centre, or a closed one again; an open one gets other names."""
        _must_be_governorates([command.governorate], field="governorate")

        def decide(centre: Centre | None, act: Act) -> Centre:
            if centre is None:
                return Centre.open(
                    act,
                    code=command.code,
                    governorate=command.governorate,
                    name_ar=command.name_ar,
                    name_en=command.name_en,
                    opens_on=command.opens_on,
                )
            centre.open_again(
                act,
                governorate=command.governorate,
                name_ar=command.name_ar,
                name_en=command.name_en,
                opens_on=command.opens_on,
            )
            return centre

        return self._administer(command, envelope, Centre, command.code, decide)

    def close_centre(self, command: commands.CloseCentre, envelope: Envelope) -> Done:
        """Close a centre: it takes nothing new; what it has goes on."""
        return self._change(
            command,
            envelope,
            Centre,
            command.code,
            lambda centre, act: centre.close(act, reason=command.reason, on=command.on),
        )

    # Clerks ---------------------------------------------------------------------

    def appoint_clerk(self, command: commands.AppointClerk, envelope: Envelope) -> Done:
        """Appoint a clerk to an open centre: new, come again, or moved."""

        def decide(clerk: Clerk | None, act: Act) -> Clerk:
            self._must_be_open(Centre, command.centre, act)
            if clerk is None:
                return Clerk.appoint(act, code=command.code, centre=command.centre)
            clerk.appoint_again(act, centre=command.centre)
            return clerk

        return self._administer(command, envelope, Clerk, command.code, decide)

    def make_responsible(
        self, command: commands.MakeResponsible, envelope: Envelope
    ) -> Done:
        """Give a clerk open agencies; those the clerk has already change nothing."""

        def change(clerk: Clerk, act: Act) -> None:
            for agency in command.agencies:
                self._must_be_open(Agency, agency, act)
                clerk.make_responsible(act, agency=agency)

        return self._change(command, envelope, Clerk, command.clerk, change)

    def relieve_clerk(self, command: commands.RelieveClerk, envelope: Envelope) -> Done:
        """Take agencies from a clerk; what the clerk has been given stays."""

        def change(clerk: Clerk, act: Act) -> None:
            for agency in command.agencies:
                clerk.relieve(act, agency=agency)

        return self._change(command, envelope, Clerk, command.clerk, change)

    def report_away(self, command: commands.ReportAway, envelope: Envelope) -> Done:
        """A clerk is away: nothing new comes to the clerk on these days."""
        return self._change(
            command,
            envelope,
            Clerk,
            command.clerk,
            lambda clerk, act: clerk.be_away(
                act, reason=command.reason, first=command.first, last=command.last
            ),
            permission=Permission.MANAGE_CLERKS,
        )

    def report_back(self, command: commands.ReportBack, envelope: Envelope) -> Done:
        """A clerk works again."""
        return self._change(
            command,
            envelope,
            Clerk,
            command.clerk,
            lambda clerk, act: clerk.be_back(act, on=command.on),
            permission=Permission.MANAGE_CLERKS,
        )

    def record_departure(
        self, command: commands.RecordDeparture, envelope: Envelope
    ) -> Done:
        """A clerk works here no more."""
        return self._change(
            command,
            envelope,
            Clerk,
            command.clerk,
            lambda clerk, act: clerk.leave(act, on=command.on),
        )

    # Stamps and calendars -------------------------------------------------------

    def issue_stamp(self, command: commands.IssueStamp, envelope: Envelope) -> Done:
        """Give a stamp to an open centre; a serial is issued once."""

        def decide(stamp: Stamp | None, act: Act) -> Stamp:
            self._must_be_open(Centre, command.centre, act)
            if stamp is None:
                return Stamp.issue(
                    act,
                    serial=command.serial,
                    kind=command.kind,
                    centre=command.centre,
                )
            stamp.issue_again(kind=command.kind, centre=command.centre)
            return stamp

        return self._administer(command, envelope, Stamp, command.serial, decide)

    def withdraw_stamp(
        self, command: commands.WithdrawStamp, envelope: Envelope
    ) -> Done:
        """Take a stamp out of use, for ever."""
        return self._change(
            command,
            envelope,
            Stamp,
            command.serial,
            lambda stamp, act: stamp.withdraw(
                act, reason=command.reason, on=command.on
            ),
        )

    def publish_calendar(
        self, command: commands.PublishCalendar, envelope: Envelope
    ) -> Done:
        """Publish a year's calendar, or correct it before the day."""

        def decide(calendar: Calendar | None, act: Act) -> Calendar:
            if calendar is None:
                return Calendar.publish(
                    act,
                    year=command.year,
                    holidays=command.holidays,
                    hours=command.hours,
                    weekend=command.weekend,
                    opens=command.opens,
                    closes=command.closes,
                )
            calendar.publish_again(
                act,
                holidays=command.holidays,
                hours=command.hours,
                weekend=command.weekend,
                opens=command.opens,
                closes=command.closes,
            )
            return calendar

        return self._administer(command, envelope, Calendar, str(command.year), decide)

    # The path -------------------------------------------------------------------

    def _administer(
        self,
        command: commands.CatalogueCommand,
        envelope: Envelope,
        kind: type[A],
        code: str,
        decide: Callable[[A | None, Act], A],
        *,
        permission: Permission = Permission.ADMINISTER,
    ) -> Done:
        """Run one act on the thing of this kind and code, there or not yet."""
        principal = envelope.principal
        principal.must_be_allowed(permission)
        thing_id = id_of(kind, code)

        def load() -> A | None:
            found = self._ledger.find(kind, thing_id)
            _must_be_in_scope(principal, found)
            return found

        return self._acts.on(
            envelope,
            self._acts.command(envelope, command),
            On(
                thing_id=thing_id,
                load=load,
                actor=lambda _: principal.actor,
                centre=_centre_of,
            ),
            decide,
        )

    def _change(
        self,
        command: commands.CatalogueCommand,
        envelope: Envelope,
        kind: type[A],
        code: str,
        change: Callable[[A, Act], None],
        *,
        permission: Permission = Permission.ADMINISTER,
    ) -> Done:
        """Run one act on a thing that is there. Raises NotFoundError for another."""

        def decide(found: A | None, act: Act) -> A:
            if found is None:
                raise NotFoundError(thing=kind.__name__.lower())
            change(found, act)
            return found

        return self._administer(
            command, envelope, kind, code, decide, permission=permission
        )

    def _must_be_open(self, kind: type[Agency | Centre], code: str, act: Act) -> None:
        """Raise NotOpenError unless the place is there and open on the act's day."""
        place: _Place | None = self._ledger.find(kind, kind.id_of(code))
        if place is None or not place.is_open_on(office_day(act.effective_at)):
            raise NotOpenError(thing=kind.__name__.lower(), name=code)

    # Reference data -------------------------------------------------------------

    def publish_once(
        self,
        kind: type[OfficeAggregate],
        thing_id: UUID,
        make: Callable[[], OfficeAggregate],
    ) -> bool:
        """Store the thing ``make`` makes unless there is one; whether it was new."""
        with translated():
            if self._ledger.find(kind, thing_id) is not None:
                return False
            try:
                self._ledger.append(make())
            except VersionConflictError:
                return False
        return True

    def change_once(
        self, kind: type[A], thing_id: UUID, change: Callable[[A], None]
    ) -> bool:
        """Change a thing that stands as it was first seeded; whether that was new.

        A later version is somebody's: seeding again must not undo it.
        """
        with translated():
            found = self._ledger.find(kind, thing_id)
            if found is None or found.version != 1:
                return False
            change(found)
            if not found.pending_events:
                return False
            try:
                self._ledger.append(found)
            except VersionConflictError:
                return False
        return True

    def give_agency(self, act: Act, *, clerk: str, agency: str) -> bool:
        """Give a seeded clerk an agency; whether that was new.

        Once somebody has decided about the clerk, seeding again decides nothing: it
        would give back what was taken. Raises ConcurrencyError when others keep
        changing the clerk.
        """
        for _ in range(TRIES):
            with translated():
                found = self._ledger.find(Clerk, Clerk.id_of(clerk))
                if found is None or self._is_decided(found):
                    return False
                found.make_responsible(act, agency=agency)
                if not found.pending_events:
                    return False
                try:
                    self._ledger.append(found)
                except VersionConflictError:
                    continue
            return True
        raise ConcurrencyError

    def _is_decided(self, clerk: Clerk) -> bool:
        """Whether somebody has changed the clerk since the reference data did."""
        return any(
            event.act.actor.kind is not ActorKind.IMPORT
            for event in self._ledger.history(clerk.id)
        )


class _Place(Protocol):
    """What can be open: an agency or a centre."""

    def is_open_on(self, day: date) -> bool:
        """Whether it takes what is new on ``day``."""


def id_of(kind: type[OfficeAggregate], code: str) -> UUID:
    """The id of the thing of a kind with a code; a calendar's code is its year."""
    if kind is Calendar:
        return Calendar.id_of(int(code))
    for each in (Agency, Centre, Clerk, Service, Stamp):
        if kind is each:
            return each.id_of(code)
    raise TypeError(kind)


def _must_be_governorates(codes: Iterable[str], *, field: str) -> None:
    """Raise InvalidValueError for what is no governorate (``*`` stands for all)."""
    known = {governorate.code for governorate in governorates()}
    if field == "direct_in":
        known.add(EVERYWHERE)
    if not known.issuperset(codes):
        raise InvalidValueError(field=field, reason="unknown-code")


def _centre_of(thing: OfficeAggregate | None) -> str:
    """Whose supervisor sees the attempts on a thing."""
    match thing:
        case Clerk() | Stamp():
            return thing.centre
        case Centre():
            return thing.code
        case _:
            return MINISTRY


def _must_be_in_scope(principal: Principal, thing: OfficeAggregate | None) -> None:
    """Raise NotFoundError for what stands at another centre than the asker's."""
    centre = principal.scope.centre
    if centre is not None and thing is not None and _centre_of(thing) != centre:
        raise NotFoundError(thing=type(thing).__name__.lower())
