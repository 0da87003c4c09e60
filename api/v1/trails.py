"""Audit trails: what happened to a thing, or was done by somebody, in words."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from api.asking import Since, TheHouse, ThePrincipal, Until
from api.listing import LISTED, LISTING, TheListing
from api.problems import responses
from api.v1.answers import TrailAnswer, TrailList
from api.v1.bodies import Code
from api.v1.requests import RequestId
from api.v1.things import (
    AgencyCode,
    CentreCode,
    ClerkCode,
    Serial,
    ThingCode,
    Year,
    centre_to_read,
    facts_of,
)
from domain.access import Permission, Principal
from domain.acts import ActorKind
from domain.agencies import Agency
from domain.aggregates import OfficeAggregate
from domain.calendars import Calendar
from domain.centres import Centre
from domain.clerks import Clerk
from domain.errors import NotFoundError
from domain.services import Service
from domain.stamps import Stamp
from office.acts import translated
from office.catalogue import id_of
from office.house import House
from projections.audit_trail import TrailFilter
from projections.catalogue import published_from
from projections.roster import clerk_from
from projections.sorting import PositionSort

router = APIRouter(prefix="/v1", tags=["trails"])

_INSTANT = timedelta(microseconds=1)
"""No two recorded times are nearer: just before one is at the one before it."""
_OF_ONE = {**LISTED, **responses(*LISTING, "not-found")}


class Trail:
    """One question for a trail: by whom, of which topic, in which times."""

    def __init__(
        self,
        *,
        listing: TheListing,
        house: TheHouse,
        actor_kind: Annotated[ActorKind | None, Query(examples=["clerk"])] = None,
        actor: Annotated[Code | None, Query(examples=["clk-DI-1"])] = None,
        topic: Annotated[
            Code | None, Query(examples=["sijil.request.stamped.v1"])
        ] = None,
        recorded_since: Since = None,
        recorded_until: Until = None,
        effective_since: Since = None,
        effective_until: Until = None,
        sort: Annotated[
            PositionSort, Query(examples=["position"])
        ] = PositionSort.OLDEST,
    ) -> None:
        self._listing = listing
        self._house = house
        self._only = TrailFilter(
            actor_kind=actor_kind,
            actor=actor,
            topic=topic,
            above=_before(house, recorded_since),
            up_to=_before(house, recorded_until),
            effective_since=effective_since,
            effective_until=effective_until,
        )
        self._sort = sort

    def of(self, subject: UUID | None) -> TrailList | Response:
        """The trail of one thing, or of all. Who may ask is decided before."""
        return self._listing.answer(
            TrailList,
            lambda part: self._house.queries.trail.page(
                subject=subject,
                only=self._only,
                sort=self._sort,
                after=part.after,
                limit=part.limit,
                as_of=part.as_of,
            ),
            TrailAnswer.of,
            views=["audit_trail"],
            parts={"actor": ("kind", "id", "place")},
        )


def _before(house: House, time: datetime | None) -> int | None:
    """The last position recorded before a time: times rise with positions."""
    if time is None:
        return None
    if time <= datetime.min.replace(tzinfo=time.tzinfo) + _INSTANT:
        return 0
    with translated():
        return house.ledger.reader.position_at(time - _INSTANT)


TheTrail = Annotated[Trail, Depends(Trail)]


def _of_thing(
    kind: type[OfficeAggregate], code: str, trail: Trail, house: House
) -> TrailList | Response:
    """The trail of a published thing. Raises NotFoundError without one."""
    return _of_centres(kind, code, trail, house, centre=None)


def _of_centres(
    kind: type[OfficeAggregate],
    code: str,
    trail: Trail,
    house: House,
    *,
    centre: str | None,
) -> TrailList | Response:
    thing_id = id_of(kind, code)
    found = published_from(facts_of(house, thing_id))
    if found is None or centre not in {None, found.facts.get("centre")}:
        raise NotFoundError(thing=kind.__name__.lower())
    return trail.of(thing_id)


@router.get(
    "/trail",
    operation_id="get_trail",
    summary="Read the whole trail",
    response_model=TrailList,
    responses={**LISTED, **responses(*LISTING)},
)
def get_trail(principal: ThePrincipal, trail: TheTrail) -> TrailList | Response:
    """Read every event in words, for those who oversee: by actor, topic and time."""
    principal.must_be_allowed(Permission.READ_WHOLE_TRAIL)
    return trail.of(None)


@router.get(
    "/requests/{request_id}/trail",
    operation_id="get_request_trail",
    summary="Read the trail of a request",
    response_model=TrailList,
    responses=_OF_ONE,
)
def get_request_trail(
    request_id: RequestId, principal: ThePrincipal, house: TheHouse, trail: TheTrail
) -> TrailList | Response:
    """Read every event of a request, refused attempts on it, and looks, in words."""
    principal.must_be_allowed(Permission.READ_TRAIL)
    house.requests.get(request_id, principal)
    return trail.of(request_id)


@router.get(
    "/services/{code}/trail",
    operation_id="get_service_trail",
    summary="Read the trail of a service",
    response_model=TrailList,
    responses=_OF_ONE,
)
def get_service_trail(
    code: ThingCode, principal: ThePrincipal, house: TheHouse, trail: TheTrail
) -> TrailList | Response:
    """Read when a service was published, suspended and resumed, and by whom."""
    principal.must_be_allowed(Permission.READ_TRAIL)
    return _of_thing(Service, code, trail, house)


@router.get(
    "/agencies/{code}/trail",
    operation_id="get_agency_trail",
    summary="Read the trail of an agency",
    response_model=TrailList,
    responses=_OF_ONE,
)
def get_agency_trail(
    code: AgencyCode, principal: ThePrincipal, house: TheHouse, trail: TheTrail
) -> TrailList | Response:
    """Read when an agency was published and closed, and by whom."""
    principal.must_be_allowed(Permission.READ_TRAIL)
    return _of_thing(Agency, code, trail, house)


@router.get(
    "/centres/{code}/trail",
    operation_id="get_centre_trail",
    summary="Read the trail of a centre",
    response_model=TrailList,
    responses=_OF_ONE,
)
def get_centre_trail(
    code: CentreCode, principal: ThePrincipal, house: TheHouse, trail: TheTrail
) -> TrailList | Response:
    """Read when a centre was opened and closed, and by whom."""
    principal.must_be_allowed(Permission.READ_TRAIL)
    return _of_thing(Centre, code, trail, house)


@router.get(
    "/calendars/{year}/trail",
    operation_id="get_calendar_trail",
    summary="Read the trail of a calendar",
    response_model=TrailList,
    responses=_OF_ONE,
)
def get_calendar_trail(
    year: Year, principal: ThePrincipal, house: TheHouse, trail: TheTrail
) -> TrailList | Response:
    """Read when a year's calendar was published and corrected, and by whom."""
    principal.must_be_allowed(Permission.READ_TRAIL)
    return _of_thing(Calendar, str(year), trail, house)


@router.get(
    "/clerks/{code}/trail",
    operation_id="get_clerk_trail",
    summary="Read the trail of a clerk",
    response_model=TrailList,
    responses=_OF_ONE,
)
def get_clerk_trail(
    code: ClerkCode, principal: ThePrincipal, house: TheHouse, trail: TheTrail
) -> TrailList | Response:
    """Read appointments, responsibilities and absences of a clerk.

    What a clerk did is in the whole trail, by its actor.
    """
    centre = _centre_of_trails(principal, Permission.READ_CLERKS)
    clerk_id = id_of(Clerk, code)
    found = clerk_from(facts_of(house, clerk_id))
    if found is None or centre not in {None, found.centre}:
        raise NotFoundError(thing="clerk")
    return trail.of(clerk_id)


@router.get(
    "/stamps/{serial}/trail",
    operation_id="get_stamp_trail",
    summary="Read the trail of a stamp",
    response_model=TrailList,
    responses=_OF_ONE,
)
def get_stamp_trail(
    serial: Serial, principal: ThePrincipal, house: TheHouse, trail: TheTrail
) -> TrailList | Response:
    """Read when a stamp was issued and withdrawn, and by whom."""
    centre = _centre_of_trails(principal, Permission.READ_STAMPS)
    return _of_centres(Stamp, serial, trail, house, centre=centre)


def _centre_of_trails(principal: Principal, permission: Permission) -> str | None:
    principal.must_be_allowed(Permission.READ_TRAIL)
    return centre_to_read(principal, permission)
