"""The conditions of a service: shown before acceptance, and checked at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.access import Permission, Principal
from domain.centres import Centre
from domain.errors import NotFoundError, ServiceNotOfferedError
from domain.services import Document, Service, Terms, is_allowed
from ledger.book import Ledger
from office.acts import translated
from office.requests import Requests
from office.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What holds for a service at a centre, or for a request.

    ``shown`` are the documents ticked off, ``is_eligible`` whether the applicant may
    ask: both None without a request. ``due_at`` is UTC.
    """

    service: str
    terms: Terms
    documents: tuple[Document, ...]
    due_at: datetime
    is_offered: bool
    shown: frozenset[str] | None = None
    is_eligible: bool | None = None


class ConditionsDesk:
    """Tells the conditions. They come from the rules that acceptance will apply."""

    def __init__(
        self, ledger: Ledger, requests: Requests, clock: Callable[[], datetime]
    ) -> None:
        self._ledger = ledger
        self._requests = requests
        self._rules = Rules(ledger)
        self._clock = clock

    def of_service(self, code: str, centre: str, principal: Principal) -> Conditions:
        """What holds for a service at a centre now. NotFoundError for either."""
        principal.must_be_allowed(Permission.READ_CATALOGUE)
        now = self._clock()
        with translated():
            service = self._ledger.find(Service, Service.id_of(code), effective_at=now)
            place = self._ledger.find(Centre, Centre.id_of(centre))
            if service is None:
                raise NotFoundError(thing="service")
            if place is None:
                raise NotFoundError(thing="centre")
            terms = self._rules.terms_at(service, place.governorate, now)
            return Conditions(
                service=code,
                terms=terms,
                documents=service.published.documents,
                due_at=terms.due_at,
                is_offered=self._rules.is_offered(service, place, now),
            )

    def of_request(self, request_id: UUID, principal: Principal) -> Conditions:
        """What holds for a request: its own terms, or before acceptance today's."""
        request = self._requests.get(request_id, principal)
        now = self._clock()
        with translated():
            terms = request.terms
            version = None if terms is None else terms.service_version
            service = self._ledger.find(
                Service,
                Service.id_of(request.service),
                version=version,
                effective_at=now if version is None else None,
            )
            place = self._ledger.find(Centre, Centre.id_of(request.centre))
            if service is None or place is None:
                raise ServiceNotOfferedError(what="service")
            if terms is None:
                terms = self._rules.terms_at(service, request.governorate, now)
            return Conditions(
                service=request.service,
                terms=terms,
                documents=service.published.documents,
                due_at=request.due_at or terms.due_at,
                is_offered=self._rules.is_offered(service, place, now),
                shown=frozenset(request.documents),
                is_eligible=is_allowed(
                    request.relationship,
                    terms.applicants,
                    spouse_counts=terms.spouse_counts,
                ),
            )
