"""Requests: submitting one, and reading them. The acts on one are in ``acts/``."""

from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Response, status

from api.asking import (
    Asking,
    AsOf,
    MinPosition,
    Since,
    TheAsking,
    TheHouse,
    ThePrincipal,
    Until,
    etag_of,
    ledger_until,
    outcome_headers,
)
from api.listing import LISTED, LISTING, TheListing
from api.problems import APPENDING, FRESH, READING, SENDING, responses
from api.v1 import bodies
from api.v1.answers import (
    ListedRequest,
    PartyAnswer,
    PartyList,
    RequestAnswer,
    RequestList,
)
from domain.access import Permission, Principal
from domain.acts import ActorKind
from domain.errors import InvalidValueError, NotFoundError
from domain.requests import Channel, ServiceRequest
from domain.services import Route
from domain.stages import Stage
from office import commands
from office.acts import Done, translated
from office.house import House
from projections.tracking import TrackingFilter, TrackingSort

router = APIRouter(prefix="/v1/requests", tags=["requests"])

STAFF = frozenset(
    {
        ActorKind.CLERK,
        ActorKind.SUPERVISOR,
        ActorKind.ADMINISTRATOR,
        ActorKind.AUDITOR,
    }
)
WRITING = (
    *READING,
    *SENDING,
    "idempotency-key-required",
    "idempotency-key-reused",
    "version-conflict",
    "effective-time",
    *APPENDING,
)

RequestId = Annotated[UUID, Path(examples=["019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"])]


def outcome(
    house: House,
    done: Done,
    asking: Asking,
    response: Response,
    *,
    is_new: bool = False,
) -> RequestAnswer:
    """The request as the act left it, whatever happened since.

    A repeat is answered like its act, and headers and body tell of one version. Not by
    the scope: an act may take the request out of its actor's sight.
    """
    outcome_headers(response, done)
    with translated():
        request = house.ledger.left_by(
            ServiceRequest, done.last_position, done.aggregate_id
        )
    return RequestAnswer.of(
        request,
        is_staff=asking.principal.role in STAFF,
        secret_code=house.requests.code_of(request) if is_new else None,
    )


@router.post(
    "",
    operation_id="submit_request",
    summary="Submit a request",
    status_code=status.HTTP_201_CREATED,
    responses=responses(
        *WRITING,
        "not-found",
        "service-not-offered",
        "ineligible",
        "documents-missing",
        "wrong-state",
    ),
)
def submit(
    asking: TheAsking, house: TheHouse, response: Response, body: bodies.Submission
) -> RequestAnswer:
    """Submit; at the counter it may be accepted or declined in the same act.

    The secret code is in this answer only, and in its repeats.
    """
    done = house.requests.submit(
        commands.SubmitRequest(
            service=body.service,
            centre=body.centre,
            channel=body.channel,
            applicant=body.applicant.details(),
            concerned=None if body.concerned is None else body.concerned.details(),
            relationship=body.relationship,
            documents=tuple(body.documents),
            delivery=body.delivery,
            accept_now=body.accept,
            decline_reason=body.decline_reason,
            missing=tuple(body.missing),
            asks_again=body.asks_again,
        ),
        asking.envelope(
            effective_at=body.effective_at,
            is_approved=body.approved,
            approval=body.approval,
        ),
    )
    response.headers["Location"] = f"/v1/requests/{done.aggregate_id}"
    return outcome(house, done, asking, response, is_new=True)


@router.get(
    "",
    operation_id="list_requests",
    summary="List requests",
    response_model=RequestList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_requests(
    listing: TheListing,
    principal: ThePrincipal,
    house: TheHouse,
    stage: Annotated[Stage | None, Query(examples=["in_progress"])] = None,
    service: Annotated[bodies.Code | None, Query(examples=["CIV-01"])] = None,
    centre: Annotated[bodies.Code | None, Query(examples=["SY-DI-01"])] = None,
    agency: Annotated[bodies.Code | None, Query(examples=["CIV"])] = None,
    governorate: Annotated[bodies.Code | None, Query(examples=["SY-DI"])] = None,
    clerk: Annotated[
        bodies.Code | None,
        Query(description="Whose it is; for staff.", examples=["clk-DI-1"]),
    ] = None,
    route: Annotated[Route | None, Query(examples=["direct"])] = None,
    channel: Annotated[Channel | None, Query(examples=["counter"])] = None,
    since: Since = None,
    until: Until = None,
    overdue: Annotated[
        bool, Query(description="Only what is open past its limit.", examples=[False])
    ] = False,
    sort: Annotated[
        TrackingSort, Query(examples=["-submitted_at"])
    ] = TrackingSort.NEWEST,
) -> RequestList | Response:
    """List the requests in your scope, the newest first.

    `since` and `until` are about the submission.
    """
    principal.must_be_allowed(Permission.READ_REQUEST)
    if clerk is not None and principal.role not in STAFF:
        # Whose work it is, is the office's own: not even to be guessed by filters.
        raise InvalidValueError(field="clerk", reason="for-staff")
    only = TrackingFilter(
        stage=stage,
        service=service,
        centre=centre,
        agency=agency,
        governorate=governorate,
        clerk=clerk,
        route=route,
        channel=channel,
        since=since,
        until=until,
    )
    return listing.answer(
        RequestList,
        lambda part: house.queries.tracking.page(
            principal.scope,
            only=replace(only, overdue_at=part.now if overdue else None),
            sort=sort,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
        ),
        ListedRequest.of,
        views=["tracking"],
    )


@router.get(
    "/{request_id}",
    operation_id="get_request",
    summary="Read one request",
    responses={
        **responses(*FRESH, "not-found"),
        200: {"model": RequestAnswer},
        304: {"description": "It is as you have it"},
    },
)
def get_request(
    request_id: RequestId,
    principal: ThePrincipal,
    house: TheHouse,
    response: Response,
    if_none_match: Annotated[
        str | None, Header(alias="If-None-Match", examples=['"4"'])
    ] = None,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> Any:
    """Read one request as the ledger has it now, or had it then."""
    found = house.requests.get(request_id, principal)
    until = ledger_until(house, as_of, min_position)
    if until is not None:
        found = _as_known(house, request_id, principal, until)
    etag = etag_of(found.etag_version)
    known = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    if etag in known or "*" in known:
        return Response(
            status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag}
        )
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "private, no-cache"
    return RequestAnswer.of(found, is_staff=principal.role in STAFF)


def _as_known(
    house: House, request_id: UUID, principal: Principal, until: int
) -> ServiceRequest:
    """A request as the ledger had it at a position.

    Raises NotFoundError where it was not there yet, or out of the asker's sight then:
    what came into it later is told as it is now.
    """
    with translated():
        entries = house.ledger.reader.aggregate(request_id)
        versions = [entry.version for entry in entries if entry.position <= until]
        if not versions:
            raise NotFoundError(thing="request")
        found: ServiceRequest = house.ledger.repository.get(
            request_id, version=versions[-1]
        )
    principal.must_see(found.whereabouts)
    return found


@router.get(
    "/{request_id}/parties",
    operation_id="get_request_parties",
    summary="Read who a request is about",
    # A look is recorded first, so what can go wrong with an append can go wrong here.
    responses=responses(*READING, *APPENDING, "not-found", "version-conflict"),
)
def get_parties(
    request_id: RequestId, principal: ThePrincipal, house: TheHouse, response: Response
) -> PartyList:
    """Read the persons of a request, for staff of its centre. The look is recorded."""
    told = house.requests.parties(request_id, principal)
    response.headers["Cache-Control"] = "no-store"
    return PartyList(
        items=[PartyAnswer.of(p, details) for p, details in told.items()],
        asks_again=house.requests.refused_before(request_id),
    )
