"""What a mapping declares, published once: places, services, staff, stamps, days."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time

from domain.acts import MINISTRY, Act, Actor, ActorKind, Provenance
from domain.agencies import Agency
from domain.calendars import Calendar, Holiday
from domain.centres import Centre
from domain.clerks import Clerk
from domain.ids import derived_id
from domain.money import FeeLine
from domain.services import Document, Offer, Service
from domain.stamps import LIVE, Stamp
from ledger.persistence.append import Command, CommandRepeatedError
from office.acts import translated
from office.house import House
from office.importing.mapping import DeclaredClerk, DeclaredService, Mapping

_CERTAIN = "fixed"


class Places:
    """Publishes what a mapping declares and the ledger has not. Twice changes nothing.

    Everything takes effect when the first centre opened, a centre when it did. What
    the ledger has already under a code stays as it is.
    """

    def __init__(self, house: House, mapping: Mapping) -> None:
        self._house = house
        self._mapping = mapping

    def publish(self) -> None:
        """Publish all of it."""
        mapping, once = self._mapping, self._house.catalogue.publish_once
        for agency in mapping.all_agencies:
            once(
                Agency,
                Agency.id_of(agency.code),
                lambda agency=agency: Agency.publish(  # type: ignore[misc]
                    self._act("agency", agency.code),
                    code=agency.code,
                    name_ar=agency.name_ar,
                    name_en=agency.name_en,
                    scope=agency.scope,
                ),
            )
        for service in mapping.all_services:
            once(
                Service,
                Service.id_of(service.code),
                lambda service=service: self._service(service),  # type: ignore[misc]
            )
        self._publish_calendars()
        for centre in mapping.all_centres:
            once(
                Centre,
                Centre.id_of(centre.code),
                lambda centre=centre: Centre.open(  # type: ignore[misc]
                    self._act("centre", centre.code, since=centre.opened_on),
                    code=centre.code,
                    governorate=centre.governorate
                    or (mapping.governorate.code if mapping.governorate else ""),
                    name_ar=centre.name_ar,
                    name_en=centre.name_en,
                ),
            )
        for stamp in mapping.stamps:
            once(
                Stamp,
                Stamp.id_of(stamp.serial),
                lambda stamp=stamp: Stamp.issue(  # type: ignore[misc]
                    self._act("stamp", stamp.serial, since=self._since(stamp.centre)),
                    serial=stamp.serial,
                    kind=LIVE,
                    centre=stamp.centre,
                ),
            )
        for clerk in mapping.staff:
            self._publish_clerk(clerk)

    def appoint(self, code: str, centre: str) -> None:
        """Appoint a clerk whom a row names, if nobody has that code."""
        self._house.catalogue.publish_once(
            Clerk,
            Clerk.id_of(code),
            lambda: Clerk.appoint(
                self._act("clerk", code, since=self._since(centre)),
                code=code,
                centre=centre,
            ),
        )

    def _publish_calendars(self) -> None:
        for calendar in self._mapping.calendars:
            self._house.catalogue.publish_once(
                Calendar,
                Calendar.id_of(calendar.year),
                lambda calendar=calendar: Calendar.publish(  # type: ignore[misc]
                    self._act("calendar", str(calendar.year)),
                    year=calendar.year,
                    holidays=tuple(
                        Holiday(
                            day=each.day,
                            name_ar=each.name_ar,
                            name_en=each.name_en,
                            certainty=_CERTAIN,
                        )
                        for each in calendar.holidays
                    ),
                    weekend=calendar.weekend,
                    opens=calendar.opens,
                    closes=calendar.closes,
                ),
            )

    def _service(self, declared: DeclaredService) -> Service:
        agencies = self._mapping.all_agencies
        return Service.publish(
            self._act("service", declared.code),
            Offer(
                code=declared.code,
                agency=declared.agency or agencies[0].code,
                name_ar=declared.name_ar,
                name_en=declared.name_en,
                direct_in=declared.direct_in,
                completion_days=declared.completion_days,
                first_answer_days=declared.first_answer_days,
                payment_days=declared.payment_days,
                acceptance_days=declared.acceptance_days,
                applicants=declared.applicants,
                receipt=declared.receipt,
                spouse_counts=declared.spouse_counts,
                documents=tuple(
                    Document(
                        code=each.code,
                        name_ar=each.name_ar,
                        name_en=each.name_en,
                        is_required=each.is_required,
                    )
                    for each in declared.documents
                ),
                fee_lines=tuple(
                    FeeLine(kind=each.kind, amount=each.amount, unit=each.unit)
                    for each in declared.fee_lines
                ),
                fee_due=declared.fee_due,
                paper=declared.paper,
                live_stamp=declared.live_stamp,
                post=declared.post,
                basis=declared.basis,
                fee_is_placeholder=False,
                turnaround_is_placeholder=True,
            ),
        )

    def _publish_clerk(self, declared: DeclaredClerk) -> None:
        """A clerk's agencies and absences, each as an act that is remembered."""
        self.appoint(declared.code, declared.centre)
        code, since = declared.code, self._since(declared.centre)
        for agency in declared.agencies:
            self._once(
                code,
                self._act("clerk", f"{code}/{agency}", since=since),
                lambda clerk, act, agency=agency: clerk.make_responsible(  # type: ignore[misc]
                    act, agency=agency
                ),
            )
        for each in sorted(declared.away, key=lambda absence: absence.first):
            self._once(
                code,
                self._act("clerk", f"{code}/away/{each.first}", since=each.first),
                lambda clerk, act, each=each: clerk.be_away(  # type: ignore[misc]
                    act, reason=each.reason, first=each.first, last=each.last
                ),
            )
        if declared.left_on is not None:
            left_on = declared.left_on
            self._once(
                code,
                self._act("clerk", f"{code}/left", since=left_on),
                lambda clerk, act: clerk.leave(act, on=left_on),
            )

    def _once(self, code: str, act: Act, change: Callable[[Clerk, Act], None]) -> None:
        """Change a clerk by an act that is remembered, so that it happens once."""
        ledger = self._house.ledger
        with translated():
            if ledger.find_command(act.command_id) is not None:
                return
            clerk = ledger.find(Clerk, Clerk.id_of(code))
            if clerk is None:
                raise TypeError(code)
            change(clerk, act)
            try:
                ledger.append(
                    clerk,
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
