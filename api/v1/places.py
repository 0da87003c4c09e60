"""Places, who works there, and the stamps they have."""

from fastapi import APIRouter, Response

from api.asking import (
    AsOf,
    Changing,
    MinPosition,
    TheHouse,
    ThePrincipal,
    etag_of,
    ledger_until,
)
from api.listing import LISTED, LISTING, TheListing
from api.problems import FRESH, responses
from api.v1 import catalogue_bodies as bodies
from api.v1.acts.shared import CHANGING, envelope
from api.v1.catalogue_answers import (
    ClerkAnswer,
    ClerkList,
    PublishedAnswer,
    PublishedList,
)
from api.v1.things import (
    CREATED,
    MAKING,
    CentreCode,
    ClerkCode,
    CodeSorted,
    OfAgency,
    OfCentre,
    OfGovernorate,
    Serial,
    centre_to_read,
    clerk_after,
    facts_of,
    narrowed,
    page_of,
    published,
    read_one,
    today_of,
)
from domain.access import Permission
from domain.centres import Centre
from domain.clerks import Clerk
from domain.errors import NotFoundError
from domain.stamps import Stamp
from office import catalogue_commands as commands
from office.catalogue import id_of
from projections.roster import clerk_from
from projections.sorting import CodeSort

router = APIRouter(prefix="/v1")

# Centres -----------------------------------------------------------------------------


@router.get(
    "/centres",
    tags=["catalogue"],
    operation_id="list_centres",
    summary="List the centres",
    response_model=PublishedList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_centres(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    governorate: OfGovernorate = None,
    sort: CodeSorted = CodeSort.FIRST,
) -> PublishedList | Response:
    """List the centres, each in its governorate."""
    principal.must_be_allowed(Permission.READ_CATALOGUE)
    return page_of("centre", listing, house, sort, governorate=governorate)


@router.get(
    "/centres/{code}",
    tags=["catalogue"],
    operation_id="get_centre",
    summary="Read one centre",
    responses=responses(*FRESH, "not-found"),
)
def get_centre(
    code: CentreCode,
    principal: ThePrincipal,
    house: TheHouse,
    response: Response,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> PublishedAnswer:
    """Read one centre, and when it is closed."""
    principal.must_be_allowed(Permission.READ_CATALOGUE)
    asked = (min_position, as_of)
    return read_one(Centre, code, house, response, asked)


@router.post(
    "/centres",
    tags=["catalogue"],
    operation_id="open_centre",
    summary="Open a centre",
    responses={
        **responses(*MAKING, "governorate-fixed", "date-passed"),
        **CREATED["PublishedAnswer"],
    },
)
def open_centre(
    asking: Changing, house: TheHouse, response: Response, body: bodies.CentreOpening
) -> PublishedAnswer:
    """Open a centre, or a closed one again; one that is open gets other names."""
    done = house.catalogue.open_centre(
        commands.OpenCentre(
            code=body.code,
            governorate=body.governorate,
            name_ar=body.name_ar,
            name_en=body.name_en,
            opens_on=body.opens_on,
        ),
        envelope(asking, body),
    )
    return published(house, done, response)


@router.post(
    "/centres/{code}/closing",
    tags=["catalogue"],
    operation_id="close_centre",
    summary="Close a centre",
    responses=responses(*CHANGING, "already-closed", "date-passed"),
)
def close_centre(
    code: CentreCode,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.CentreClosing,
) -> PublishedAnswer:
    """Close a centre from a day on: it takes nothing new."""
    done = house.catalogue.close_centre(
        commands.CloseCentre(code=code, reason=body.reason, on=body.on),
        envelope(asking, body),
    )
    return published(house, done, response)


# Clerks ------------------------------------------------------------------------------


@router.get(
    "/clerks",
    tags=["catalogue"],
    operation_id="list_clerks",
    summary="List the clerks",
    response_model=ClerkList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_clerks(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    centre: OfCentre = None,
    agency: OfAgency = None,
    sort: CodeSorted = CodeSort.FIRST,
) -> ClerkList | Response:
    """List the clerks, for a supervisor those of the own centre."""
    centre = narrowed(centre_to_read(principal, Permission.READ_CLERKS), centre)
    today = today_of(house)
    return listing.answer(
        ClerkList,
        lambda part: house.queries.roster.page(
            centre,
            agency=agency,
            sort=sort,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ),
        lambda clerk: ClerkAnswer.of(clerk, today),
        views=["roster"],
    )


@router.get(
    "/clerks/{code}",
    tags=["catalogue"],
    operation_id="get_clerk",
    summary="Read one clerk",
    responses=responses(*FRESH, "not-found"),
)
def get_clerk(
    code: ClerkCode,
    principal: ThePrincipal,
    house: TheHouse,
    response: Response,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> ClerkAnswer:
    """Read one clerk: where, for which agencies, and when not."""
    centre = centre_to_read(principal, Permission.READ_CLERKS)
    until = ledger_until(house, as_of, min_position)
    found = clerk_from(facts_of(house, id_of(Clerk, code), until=until))
    if found is None or centre not in {None, found.centre}:
        raise NotFoundError(thing="clerk")
    response.headers["ETag"] = etag_of(found.version)
    return ClerkAnswer.of(found, today_of(house))


@router.post(
    "/clerks",
    tags=["catalogue"],
    operation_id="appoint_clerk",
    summary="Appoint a clerk",
    responses={**responses(*MAKING, "not-open"), **CREATED["ClerkAnswer"]},
)
def appoint_clerk(
    asking: Changing, house: TheHouse, response: Response, body: bodies.Appointment
) -> ClerkAnswer:
    """Appoint a clerk to a centre: new, come again, or moved from another."""
    done = house.catalogue.appoint_clerk(
        commands.AppointClerk(code=body.code, centre=body.centre),
        envelope(asking, body),
    )
    return clerk_after(house, done, response)


@router.post(
    "/clerks/{code}/responsibility",
    tags=["catalogue"],
    operation_id="make_responsible",
    summary="Give a clerk agencies",
    responses=responses(*CHANGING, "not-open", "clerk-left"),
)
def make_responsible(
    code: ClerkCode,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Responsibility,
) -> ClerkAnswer:
    """Make a clerk responsible for agencies; those the clerk has stay."""
    done = house.catalogue.make_responsible(
        commands.MakeResponsible(clerk=code, agencies=tuple(body.agencies)),
        envelope(asking, body),
    )
    return clerk_after(house, done, response)


@router.post(
    "/clerks/{code}/relief",
    tags=["catalogue"],
    operation_id="relieve_clerk",
    summary="Take agencies from a clerk",
    responses=responses(*CHANGING, "not-responsible", "clerk-left"),
)
def relieve_clerk(
    code: ClerkCode,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Responsibility,
) -> ClerkAnswer:
    """Relieve a clerk of agencies; requests the clerk has stay with the clerk."""
    done = house.catalogue.relieve_clerk(
        commands.RelieveClerk(clerk=code, agencies=tuple(body.agencies)),
        envelope(asking, body),
    )
    return clerk_after(house, done, response)


@router.post(
    "/clerks/{code}/absence",
    tags=["catalogue"],
    operation_id="report_away",
    summary="Record that a clerk is away",
    responses=responses(*CHANGING, "already-away", "clerk-left", "date-passed"),
)
def report_away(
    code: ClerkCode,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Absence,
) -> ClerkAnswer:
    """Record the days on which a clerk is away; no new work comes on them."""
    done = house.catalogue.report_away(
        commands.ReportAway(
            clerk=code, reason=body.reason, first=body.first, last=body.last
        ),
        envelope(asking, body),
    )
    return clerk_after(house, done, response)


@router.post(
    "/clerks/{code}/return",
    tags=["catalogue"],
    operation_id="report_back",
    summary="Record that a clerk is back",
    responses=responses(*CHANGING, "not-away", "clerk-left", "date-passed"),
)
def report_back(
    code: ClerkCode,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Beginning,
) -> ClerkAnswer:
    """Record that a clerk works again; on its first day an absence is called off."""
    done = house.catalogue.report_back(
        commands.ReportBack(clerk=code, on=body.on), envelope(asking, body)
    )
    return clerk_after(house, done, response)


@router.post(
    "/clerks/{code}/departure",
    tags=["catalogue"],
    operation_id="record_departure",
    summary="Record that a clerk leaves",
    responses=responses(*CHANGING, "clerk-left", "date-passed"),
)
def record_departure(
    code: ClerkCode,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Beginning,
) -> ClerkAnswer:
    """Record from which day on a clerk works here no more."""
    done = house.catalogue.record_departure(
        commands.RecordDeparture(clerk=code, on=body.on), envelope(asking, body)
    )
    return clerk_after(house, done, response)


# Stamps ------------------------------------------------------------------------------


@router.get(
    "/stamps",
    tags=["catalogue"],
    operation_id="list_stamps",
    summary="List the stamps",
    response_model=PublishedList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_stamps(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    centre: OfCentre = None,
    sort: CodeSorted = CodeSort.FIRST,
) -> PublishedList | Response:
    """List the stamps, for clerks and supervisors those of the own centre."""
    centre = narrowed(centre_to_read(principal, Permission.READ_STAMPS), centre)
    return page_of("stamp", listing, house, sort, centre=centre)


@router.get(
    "/stamps/{serial}",
    tags=["catalogue"],
    operation_id="get_stamp",
    summary="Read one stamp",
    responses=responses(*FRESH, "not-found"),
)
def get_stamp(
    serial: Serial,
    principal: ThePrincipal,
    house: TheHouse,
    response: Response,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> PublishedAnswer:
    """Read one stamp: whose it is, and from when it is withdrawn."""
    centre = centre_to_read(principal, Permission.READ_STAMPS)
    asked = (min_position, as_of)
    return read_one(Stamp, serial, house, response, asked, centre=centre)


@router.post(
    "/stamps",
    tags=["catalogue"],
    operation_id="issue_stamp",
    summary="Issue a stamp",
    responses={
        **responses(*MAKING, "not-open", "stamp-issued", "stamp-withdrawn"),
        **CREATED["PublishedAnswer"],
    },
)
def issue_stamp(
    asking: Changing, house: TheHouse, response: Response, body: bodies.StampIssue
) -> PublishedAnswer:
    """Give a stamp to a centre; a serial is issued once."""
    done = house.catalogue.issue_stamp(
        commands.IssueStamp(serial=body.serial, centre=body.centre, kind=body.kind),
        envelope(asking, body),
    )
    return published(house, done, response)


@router.post(
    "/stamps/{serial}/withdrawal",
    tags=["catalogue"],
    operation_id="withdraw_stamp",
    summary="Withdraw a stamp",
    responses=responses(*CHANGING, "stamp-withdrawn", "date-passed"),
)
def withdraw_stamp(
    serial: Serial,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.StampWithdrawal,
) -> PublishedAnswer:
    """Take a stamp out of use from a day on; it is never issued again."""
    done = house.catalogue.withdraw_stamp(
        commands.WithdrawStamp(serial=serial, reason=body.reason, on=body.on),
        envelope(asking, body),
    )
    return published(house, done, response)
