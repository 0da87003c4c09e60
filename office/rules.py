"""The rules in force: which service, calendar and place held at a time.

A backdated act is judged by what was in force then; what was accepted keeps the
versions it was accepted under (docs/reference/contract.md, "Two times").
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from domain.acts import Act
from domain.agencies import Agency
from domain.calendars import Calendar, office_day
from domain.centres import Centre
from domain.errors import InvalidValueError, ServiceNotOfferedError
from domain.requests import ServiceRequest
from domain.services import FeeDue, Service, Terms
from domain.stages import NextAct, Stage
from domain.working_time import WorkingTime
from ledger.book import Book
from office.acts import translated


class Rules:
    """Reads the rules from the ledger, as of an effective time or at a version."""

    def __init__(self, ledger: Book) -> None:
        self._ledger = ledger

    def needs(self, service: str | None, at: datetime) -> list[UUID]:
        """What the rules will ask for, to be read together: a guess is good enough."""
        needed = [Calendar.id_of(year) for year in _years_from(at)]
        if service is not None:
            service_id = Service.id_of(service)
            needed.append(service_id)
            known = self._ledger.peek(Service, service_id)
            if known is not None:
                needed.append(Agency.id_of(known.published.agency))
        return needed

    def needs_of(self, request_id: UUID, at: datetime) -> list[UUID]:
        """As ``needs``, for an act on a request."""
        request = self._ledger.peek(ServiceRequest, request_id)
        return self.needs(None if request is None else request.service, at)

    def service_at(self, service: Service, at: datetime) -> Service:
        """A service as it was said at a time; before its first word, as it is now."""
        if service.modified_on <= at:
            return service
        return self._ledger.find(Service, service.id, effective_at=at) or service

    def terms_at(self, service: Service, governorate: str, at: datetime) -> Terms:
        """The terms that a service gives at a time, in a governorate."""
        return service.terms(
            governorate=governorate,
            accepted_at=at,
            working_time=self.working_time(at),
        )

    def terms(self, request: ServiceRequest, at: datetime) -> Terms:
        """The terms of a request accepted at a time, by the rules in force then."""
        service = self._ledger.find(
            Service, Service.id_of(request.service), effective_at=at
        )
        if service is None:
            raise ServiceNotOfferedError(what="service")
        return self.terms_at(service, request.governorate, at)

    def limit_of(self, request: ServiceRequest) -> datetime | None:
        """When a request ran out, by the rules in force then; None where nothing does.

        For what sets no timer of its own. A waiting request runs out when nobody has
        accepted it, an accepted one when the fee that is due was not paid.
        """
        terms = request.terms
        if request.stage is Stage.WAITING:
            service = self._ledger.find(Service, Service.id_of(request.service))
            if service is None:
                raise ServiceNotOfferedError(what="service")
            days = self.service_at(service, request.created_on).acceptance_days
            return (
                self.working_time(request.created_on).due(request.created_on, days).at
            )
        if terms is None or not request.is_fee_outstanding:
            return None
        if request.standing.next_act is not NextAct.TAKE_FEE:
            return None
        # The fee fell due with the last of these.
        due_with: tuple[type[object], ...] = (ServiceRequest.Accepted,)
        if terms.fee_due is FeeDue.HAND_OVER:
            due_with += (ServiceRequest.AgencyResponded, ServiceRequest.Stamped)
        since = max(
            event.timestamp
            for event in self._ledger.history(request.id)
            if isinstance(event, due_with)
        )
        return self.working_time(since).due(since, terms.payment_days).at

    def is_offered(self, service: Service, centre: Centre, at: datetime) -> bool:
        """Whether service, agency and centre serve citizens on the day of a time."""
        return self.closed(service, centre, at) is None

    def closed(self, service: Service, centre: Centre, at: datetime) -> str | None:
        """What does not serve citizens on the day of a time: the first, or None.

        Nothing serves anybody before it was first said to be there.
        """
        day = office_day(at)
        if at < centre.created_on or not centre.is_open_on(day):
            return "centre"
        if at < service.created_on or not service.is_offered_on(day):
            return "service"
        agency = self._ledger.find(Agency, Agency.id_of(service.published.agency))
        is_closed = agency is not None and not agency.is_open_on(day)
        return "agency" if is_closed else None

    def working_time(self, start: datetime) -> WorkingTime:
        """The calendars, as published then, that an allowance can reach."""
        years = {year: Calendar.id_of(year) for year in _years_from(start)}
        with translated():
            self._ledger.look(*years.values())
            found = [
                self._ledger.find(Calendar, calendar_id, effective_at=start)
                for calendar_id in years.values()
            ]
        return WorkingTime(calendar for calendar in found if calendar is not None)

    def working_time_of(self, request: ServiceRequest, act: Act) -> WorkingTime:
        """The calendars a request was accepted under; for later years, those of now."""
        terms = request.terms
        start = act.effective_at if request.asked_at is None else request.asked_at
        if terms is None:
            return self.working_time(start)
        pinned = {each.year: each.version for each in terms.calendars}
        found = []
        years = {
            year: Calendar.id_of(year)
            for year in _years_from(min(start, act.effective_at))
            if year not in terms.unpublished_years
        }
        with translated():
            self._ledger.look(*years.values())
            for year, calendar_id in years.items():
                version = pinned.get(year)
                found.append(
                    self._ledger.find(
                        Calendar,
                        calendar_id,
                        version=version,
                        effective_at=act.effective_at if version is None else None,
                    )
                )
        return WorkingTime(calendar for calendar in found if calendar is not None)

    def must_know(
        self,
        request: ServiceRequest,
        codes: tuple[str, ...],
        *,
        at: datetime,
        also: Iterable[str] = (),
    ) -> None:
        """The codes are documents of the request's service: no free text gets in.

        As it was accepted, before that as it was at a time, like its terms. ``also``
        are codes that are known without the service.
        """
        version = None if request.terms is None else request.terms.service_version
        service = self._ledger.find(
            Service,
            Service.id_of(request.service),
            version=version,
            effective_at=at if version is None else None,
        )
        if service is None:
            raise ServiceNotOfferedError(what="service")
        known = frozenset(also)
        must_be_known(service, tuple(code for code in codes if code not in known))


def _years_from(start: datetime) -> range:
    """The years an allowance, the longest of some 400 working days, can reach."""
    year = office_day(start).year
    return range(year, year + 3)


def must_be_known(service: Service, codes: tuple[str, ...]) -> None:
    """Raise InvalidValueError unless the codes are documents of the service."""
    known = {document.code for document in service.published.documents}
    if not known.issuperset(codes):
        raise InvalidValueError(field="documents", reason="unknown-code")
