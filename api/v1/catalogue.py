"""The catalogue: services, agencies, calendars, governorates; read by everybody."""

from fastapi import APIRouter, Response

from api.asking import (
    AsOf,
    Changing,
    MinPosition,
    TheHouse,
    ThePrincipal,
)
from api.listing import LISTED, LISTING, TheListing, TheSheet
from api.problems import FRESH, responses
from api.v1 import catalogue_bodies as bodies
from api.v1.acts.shared import CHANGING, envelope
from api.v1.catalogue_answers import (
    GovernorateAnswer,
    GovernorateList,
    PublishedAnswer,
    PublishedList,
)
from api.v1.things import (
    CREATED,
    MAKING,
    AgencyCode,
    CodeSorted,
    OfAgency,
    ThingCode,
    Year,
    page_of,
    published,
    read_one,
)
from domain.access import Permission
from domain.agencies import Agency
from domain.calendars import Calendar
from domain.governorates import governorates
from domain.services import Service
from office import catalogue_commands as commands
from projections.sorting import CodeSort

router = APIRouter(prefix="/v1")

# Services ----------------------------------------------------------------------------


@router.get(
    "/services",
    tags=["catalogue"],
    operation_id="list_services",
    summary="List the services",
    response_model=PublishedList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_services(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    agency: OfAgency = None,
    sort: CodeSorted = CodeSort.FIRST,
) -> PublishedList | Response:
    """List what the centres offer, with conditions, documents and fees."""
    principal.must_be_allowed(Permission.READ_CATALOGUE)
    return page_of("service", listing, house, sort, agency=agency)


@router.get(
    "/services/{code}",
    tags=["catalogue"],
    operation_id="get_service",
    summary="Read one service",
    responses=responses(*FRESH, "not-found"),
)
def get_service(
    code: ThingCode,
    principal: ThePrincipal,
    house: TheHouse,
    response: Response,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> PublishedAnswer:
    """Read one service as it was published last, and when it rests."""
    principal.must_be_allowed(Permission.READ_CATALOGUE)
    asked = (min_position, as_of)
    return read_one(Service, code, house, response, asked)


@router.post(
    "/services",
    tags=["catalogue"],
    operation_id="publish_service",
    summary="Publish a service",
    responses={**responses(*MAKING, "not-open"), **CREATED["PublishedAnswer"]},
)
def publish_service(
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.ServicePublication,
) -> PublishedAnswer:
    """Publish a service, or publish it anew: what is sent replaces what was said."""
    done = house.catalogue.publish_service(
        commands.PublishService(offer=body.offer()), envelope(asking, body)
    )
    return published(house, done, response)


@router.post(
    "/services/{code}/suspension",
    tags=["catalogue"],
    operation_id="suspend_service",
    summary="Suspend a service",
    responses=responses(*CHANGING, "already-suspended", "date-passed"),
)
def suspend_service(
    code: ThingCode,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Suspension,
) -> PublishedAnswer:
    """Offer a service no more from a day on; requests already made go on."""
    done = house.catalogue.suspend_service(
        commands.SuspendService(
            code=code, reason=body.reason, first=body.first, last=body.last
        ),
        envelope(asking, body),
    )
    return published(house, done, response)


@router.post(
    "/services/{code}/resumption",
    tags=["catalogue"],
    operation_id="resume_service",
    summary="Resume a service",
    responses=responses(*CHANGING, "not-suspended", "date-passed"),
)
def resume_service(
    code: ThingCode,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Beginning,
) -> PublishedAnswer:
    """Offer a service again; on its first day a suspension is called off."""
    done = house.catalogue.resume_service(
        commands.ResumeService(code=code, on=body.on), envelope(asking, body)
    )
    return published(house, done, response)


# Agencies ----------------------------------------------------------------------------


@router.get(
    "/agencies",
    tags=["catalogue"],
    operation_id="list_agencies",
    summary="List the agencies",
    response_model=PublishedList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_agencies(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    sort: CodeSorted = CodeSort.FIRST,
) -> PublishedList | Response:
    """List the agencies that answer what the centres forward."""
    principal.must_be_allowed(Permission.READ_CATALOGUE)
    return page_of("agency", listing, house, sort)


@router.get(
    "/agencies/{code}",
    tags=["catalogue"],
    operation_id="get_agency",
    summary="Read one agency",
    responses=responses(*FRESH, "not-found"),
)
def get_agency(
    code: AgencyCode,
    principal: ThePrincipal,
    house: TheHouse,
    response: Response,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> PublishedAnswer:
    """Read one agency as it was published last, and when it is closed."""
    principal.must_be_allowed(Permission.READ_CATALOGUE)
    asked = (min_position, as_of)
    return read_one(Agency, code, house, response, asked)


@router.post(
    "/agencies",
    tags=["catalogue"],
    operation_id="publish_agency",
    summary="Publish an agency",
    responses={**responses(*MAKING), **CREATED["PublishedAnswer"]},
)
def publish_agency(
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.AgencyPublication,
) -> PublishedAnswer:
    """Publish an agency, or publish it anew, which opens a closed one."""
    done = house.catalogue.publish_agency(
        commands.PublishAgency(
            code=body.code, name_ar=body.name_ar, name_en=body.name_en, scope=body.scope
        ),
        envelope(asking, body),
    )
    return published(house, done, response)


@router.post(
    "/agencies/{code}/closing",
    tags=["catalogue"],
    operation_id="close_agency",
    summary="Close an agency",
    responses=responses(*CHANGING, "already-closed", "date-passed"),
)
def close_agency(
    code: AgencyCode,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.AgencyClosing,
) -> PublishedAnswer:
    """Close an agency from a day on: nothing new is asked of it."""
    done = house.catalogue.close_agency(
        commands.CloseAgency(code=code, reason=body.reason, on=body.on),
        envelope(asking, body),
    )
    return published(house, done, response)


# Calendars ---------------------------------------------------------------------------


@router.get(
    "/calendars",
    tags=["catalogue"],
    operation_id="list_calendars",
    summary="List the calendars",
    response_model=PublishedList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_calendars(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    sort: CodeSorted = CodeSort.FIRST,
) -> PublishedList | Response:
    """List the years whose calendar is published."""
    principal.must_be_allowed(Permission.READ_CATALOGUE)
    return page_of("calendar", listing, house, sort)


@router.get(
    "/calendars/{year}",
    tags=["catalogue"],
    operation_id="get_calendar",
    summary="Read one calendar",
    responses=responses(*FRESH, "not-found"),
)
def get_calendar(
    year: Year,
    principal: ThePrincipal,
    house: TheHouse,
    response: Response,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> PublishedAnswer:
    """Read one year's holidays and office hours as published last."""
    principal.must_be_allowed(Permission.READ_CATALOGUE)
    asked = (min_position, as_of)
    return read_one(Calendar, str(year), house, response, asked)


@router.post(
    "/calendars",
    tags=["catalogue"],
    operation_id="publish_calendar",
    summary="Publish a calendar",
    responses={**responses(*MAKING, "day-begun"), **CREATED["PublishedAnswer"]},
)
def publish_calendar(
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.CalendarPublication,
) -> PublishedAnswer:
    """Publish a year's calendar, or correct it before the day."""
    done = house.catalogue.publish_calendar(
        commands.PublishCalendar(
            year=body.year,
            holidays=body.days_off(),
            hours=body.other_hours(),
            weekend=tuple(body.weekend),
            opens=body.opens,
            closes=body.closes,
        ),
        envelope(asking, body),
    )
    return published(house, done, response)


# Governorates ------------------------------------------------------------------------


@router.get(
    "/governorates",
    tags=["catalogue"],
    operation_id="list_governorates",
    summary="List the governorates",
    response_model=GovernorateList,
    responses={
        **LISTED,
        **responses(
            "unauthenticated",
            "token-expired",
            "login-unavailable",
            "invalid-value",
            "rate-limited",
        ),
    },
)
def list_governorates(
    principal: ThePrincipal, sheet: TheSheet
) -> GovernorateList | Response:
    """List the governorates with their estimated populations."""
    principal.must_be_allowed(Permission.READ_CATALOGUE)
    made = GovernorateList(
        items=[GovernorateAnswer.of(each) for each in governorates()]
    )
    return sheet.answer(made, position=None)
