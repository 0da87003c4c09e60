"""Requests: submitting, every act on one, and reading them."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response, status

from api.asking import (
    Asking,
    AsOf,
    Changing,
    Cursor,
    Limit,
    MinPosition,
    TheAsking,
    TheHouse,
    ThePrincipal,
    be_fresh,
    etag_of,
    next_link,
    outcome_headers,
    position_as_of,
)
from api.problems import responses
from api.v1 import bodies
from api.v1.answers import (
    ListedRequest,
    PartyAnswer,
    PartyList,
    RequestAnswer,
    RequestList,
    TrailAnswer,
    TrailList,
)
from domain.access import Permission, Principal
from domain.acts import ActorKind
from domain.errors import NotFoundError
from domain.requests import ServiceRequest
from domain.stages import Stage
from office import commands
from office.acts import Done, Envelope, translated
from office.house import House

router = APIRouter(prefix="/v1/requests", tags=["requests"])

_STAFF = frozenset(
    {
        ActorKind.CLERK,
        ActorKind.SUPERVISOR,
        ActorKind.ADMINISTRATOR,
        ActorKind.AUDITOR,
    }
)
_READING = ("unauthenticated", "token-expired", "role-forbidden", "ledger-unavailable")
_WRITING = (
    *_READING,
    "malformed-json",
    "invalid-value",
    "idempotency-key-required",
    "idempotency-key-reused",
    "body-too-large",
    "unsupported-media-type",
    "version-conflict",
    "effective-time",
    "clock-skew",
)
_CHANGING = (*_WRITING, "not-found", "precondition-required", "stale-version")
_HELD = ("stale-claim", "held-by-another", "not-assigned")

RequestId = Annotated[UUID, Path(examples=["019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"])]


def _owner(house: House, principal: Principal) -> Principal:
    """A citizen's principal with the party of a request just submitted."""
    if principal.role is ActorKind.CITIZEN:
        return house.citizen(principal.id)
    return principal


@router.post(
    "",
    operation_id="submit_request",
    summary="Submit a request",
    status_code=status.HTTP_201_CREATED,
    responses=responses(
        *_WRITING,
        "not-found",
        "service-not-offered",
        "ineligible",
        "documents-missing",
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
        ),
        asking.envelope(effective_at=body.effective_at, is_approved=body.approved),
    )
    outcome_headers(response, done)
    response.headers["Location"] = f"/v1/requests/{done.aggregate_id}"
    request = house.requests.get(done.aggregate_id, _owner(house, asking.principal))
    return RequestAnswer.of(
        request,
        is_staff=asking.principal.role in _STAFF,
        secret_code=house.requests.code_of(request),
    )


@router.get(
    "",
    operation_id="list_requests",
    summary="List requests",
    responses=responses(*_READING, "invalid-value", "not-fresh-enough"),
)
def list_requests(
    request: Request,
    response: Response,
    principal: ThePrincipal,
    house: TheHouse,
    stage: Annotated[Stage | None, Query(examples=["in_progress"])] = None,
    service: Annotated[str | None, Query(max_length=64, examples=["CIV-01"])] = None,
    centre: Annotated[str | None, Query(max_length=64, examples=["SY-DI-01"])] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> RequestList:
    """List the requests in your scope, the newest first."""
    principal.must_be_allowed(Permission.READ_REQUEST)
    be_fresh(house, min_position, "tracking")
    with translated():
        page = house.queries.tracking.page(
            principal.scope,
            stage=stage,
            service=service,
            centre=centre,
            after=cursor,
            limit=limit,
            as_of=position_as_of(house, as_of),
        )
    next_link(request, response, page.next)
    return RequestList(
        items=[ListedRequest.of(row) for row in page.items], next=page.next
    )


@router.get(
    "/{request_id}",
    operation_id="get_request",
    summary="Read one request",
    responses={
        **responses(*_READING, "not-found", "invalid-value"),
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
) -> Any:
    """Read one request as the ledger has it now."""
    found = house.requests.get(request_id, principal)
    etag = etag_of(found.etag_version)
    known = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    if etag in known or "*" in known:
        return Response(
            status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": etag}
        )
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "private, no-cache"
    return RequestAnswer.of(found, is_staff=principal.role in _STAFF)


@router.get(
    "/{request_id}/parties",
    operation_id="get_request_parties",
    summary="Read who a request is about",
    responses=responses(*_READING, "not-found", "invalid-value"),
)
def get_parties(
    request_id: RequestId, principal: ThePrincipal, house: TheHouse, response: Response
) -> PartyList:
    """Read the persons of a request, for staff of its centre."""
    told = house.requests.parties(request_id, principal)
    response.headers["Cache-Control"] = "no-store"
    return PartyList(items=[PartyAnswer.of(p, details) for p, details in told.items()])


@router.get(
    "/{request_id}/trail",
    operation_id="get_request_trail",
    summary="Read the trail of a request",
    responses=responses(*_READING, "not-found", "invalid-value", "not-fresh-enough"),
)
def get_trail(
    request_id: RequestId,
    request: Request,
    response: Response,
    principal: ThePrincipal,
    house: TheHouse,
    cursor: Cursor = None,
    limit: Limit = 50,
    min_position: MinPosition = None,
    as_of: AsOf = None,
) -> TrailList:
    """Read every event of a request, and every refused attempt on it, in words."""
    principal.must_be_allowed(Permission.READ_TRAIL)
    house.requests.get(request_id, principal)
    be_fresh(house, min_position, "audit_trail")
    with translated():
        page = house.queries.trail.page(
            subject=request_id,
            after=cursor,
            limit=limit,
            as_of=position_as_of(house, as_of),
        )
    next_link(request, response, page.next)
    return TrailList(items=[TrailAnswer.of(row) for row in page.items], next=page.next)


@router.post(
    "/{request_id}/acceptance",
    operation_id="accept_request",
    summary="Accept a waiting request",
    responses=responses(
        *_CHANGING,
        *_HELD,
        "wrong-state",
        "ineligible",
        "documents-missing",
        "service-not-offered",
    ),
)
def accept(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Acceptance,
) -> RequestAnswer:
    """Accept under the terms of the service today; the clock starts."""
    done = house.requests.accept(
        commands.AcceptRequest(
            request_id=request_id, token=body.token, documents=tuple(body.documents)
        ),
        _envelope(asking, body),
    )
    return _answer(house, done, asking, response)


@router.post(
    "/{request_id}/declining",
    operation_id="decline_request",
    summary="Decline a waiting request",
    responses=responses(*_CHANGING, *_HELD, "wrong-state"),
)
def decline(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Declining,
) -> RequestAnswer:
    """Decline, with the reason; the request ends."""
    done = house.requests.decline(
        commands.DeclineRequest(
            request_id=request_id,
            token=body.token,
            reason=body.reason,
            missing=tuple(body.missing),
        ),
        _envelope(asking, body),
    )
    return _answer(house, done, asking, response)


@router.post(
    "/{request_id}/assignment",
    operation_id="assign_request",
    summary="Assign a request to a clerk",
    responses=responses(*_CHANGING, "wrong-state", "service-not-offered"),
)
def assign(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Assignment,
) -> RequestAnswer:
    """Give a request to a clerk of its centre; older claims become stale."""
    done = house.requests.assign(
        commands.AssignRequest(request_id=request_id, clerk=body.clerk),
        _envelope(asking, body),
    )
    return _answer(house, done, asking, response)


@router.post(
    "/{request_id}/payment",
    operation_id="pay_fee",
    summary="Take the fee",
    responses=responses(*_CHANGING, *_HELD, "wrong-state", "wrong-amount"),
)
def pay(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Payment,
) -> RequestAnswer:
    """Take the whole fee, in cash or by bank reference."""
    done = house.requests.pay(
        commands.PayFee(
            request_id=request_id,
            token=body.token,
            channel=body.channel,
            amount=body.amount,
            unit=body.unit,
            bank_reference=body.bank_reference,
        ),
        _envelope(asking, body),
    )
    return _answer(house, done, asking, response)


@router.post(
    "/{request_id}/forwarding",
    operation_id="forward_request",
    summary="Forward a request to its agency",
    responses=responses(*_CHANGING, *_HELD, "wrong-state", "wrong-route", "fee-unpaid"),
)
def forward(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Forwarding,
) -> RequestAnswer:
    """Forward; the agency's first-answer time runs from here."""
    done = house.requests.forward(
        commands.ForwardRequest(
            request_id=request_id,
            token=body.token,
            agency_reference=body.agency_reference,
        ),
        _envelope(asking, body),
    )
    return _answer(house, done, asking, response)


@router.post(
    "/{request_id}/response",
    operation_id="record_response",
    summary="Record the agency's answer",
    responses=responses(
        *_CHANGING, *_HELD, "wrong-state", "wrong-route", "wrong-agency", "fee-unpaid"
    ),
)
def respond(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.AgencyAnswer,
) -> RequestAnswer:
    """Answer as the agency, or record what a clerk read or received."""
    done = house.requests.respond(
        commands.RecordResponse(
            request_id=request_id,
            token=body.token,
            outcome=body.outcome,
            agency_reference=body.agency_reference,
            reason=body.reason,
            document_digest=body.document_digest,
            supersedes=body.supersedes,
        ),
        _envelope(asking, body),
    )
    return _answer(house, done, asking, response)


@router.post(
    "/{request_id}/stamp",
    operation_id="stamp_document",
    summary="Record the stamp",
    responses=responses(
        *_CHANGING, *_HELD, "wrong-state", "unknown-stamp", "fee-unpaid"
    ),
)
def stamp(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Stamping,
) -> RequestAnswer:
    """Record the live stamp put on the issued document."""
    done = house.requests.stamp(
        commands.StampDocument(
            request_id=request_id,
            token=body.token,
            serial=body.serial,
            stamped_digest=body.stamped_digest,
        ),
        _envelope(asking, body),
    )
    return _answer(house, done, asking, response)


@router.post(
    "/{request_id}/mailing",
    operation_id="mail_document",
    summary="Record the mailing",
    responses=responses(
        *_CHANGING,
        *_HELD,
        "wrong-state",
        "stamp-required",
        "not-postable",
        "fee-unpaid",
    ),
)
def mail(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Mailing,
) -> RequestAnswer:
    """Record that the paper was given to the post; the first time completes it."""
    done = house.requests.mail(
        commands.MailDocument(
            request_id=request_id, token=body.token, item=body.item, to=body.to
        ),
        _envelope(asking, body),
    )
    return _answer(house, done, asking, response)


@router.post(
    "/{request_id}/delivery",
    operation_id="confirm_delivery",
    summary="Report the delivery",
    responses=responses(*_CHANGING, "wrong-state", "wrong-receiver"),
)
def deliver(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.DeliveryReport,
) -> RequestAnswer:
    """Report that the post delivered the item, and who received it in what capacity."""
    done = house.requests.deliver(
        commands.ConfirmDelivery(
            request_id=request_id, item=body.item, capacity=body.capacity
        ),
        _envelope(asking, body),
    )
    return _answer(house, done, asking, response)


@router.post(
    "/{request_id}/hand-over",
    operation_id="hand_over_document",
    summary="Hand the paper over at the counter",
    responses=responses(
        *_CHANGING,
        *_HELD,
        "wrong-state",
        "stamp-required",
        "wrong-receiver",
        "fee-unpaid",
    ),
)
def hand_over(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.HandingOver,
) -> RequestAnswer:
    """Hand the paper over under its receipt condition; completes the request."""
    done = house.requests.hand_over(
        commands.HandOver(
            request_id=request_id, token=body.token, capacity=body.capacity
        ),
        _envelope(asking, body),
    )
    return _answer(house, done, asking, response)


@router.post(
    "/{request_id}/result",
    operation_id="tell_result",
    summary="Tell the citizen the result",
    responses=responses(*_CHANGING, *_HELD, "wrong-state", "fee-unpaid"),
)
def tell_result(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Telling,
) -> RequestAnswer:
    """Tell the result; completes refusals and services without paper."""
    done = house.requests.tell_result(
        commands.TellResult(request_id=request_id, token=body.token, means=body.means),
        _envelope(asking, body),
    )
    return _answer(house, done, asking, response)


@router.post(
    "/{request_id}/message",
    operation_id="inform_citizen",
    summary="Record a message to the citizen",
    responses=responses(*_CHANGING),
)
def inform(
    request_id: RequestId,
    asking: Changing,
    house: TheHouse,
    response: Response,
    body: bodies.Informing,
) -> RequestAnswer:
    """Record that a message went to the citizen; it changes no stage."""
    done = house.requests.inform(
        commands.InformCitizen(
            request_id=request_id, message=body.message, means=body.means
        ),
        _envelope(asking, body),
    )
    return _answer(house, done, asking, response)


def _envelope(asking: Asking, body: bodies.Body) -> Envelope:
    return asking.envelope(effective_at=body.effective_at, is_approved=body.approved)


def _answer(
    house: House, done: Done, asking: Asking, response: Response
) -> RequestAnswer:
    """The request as it is after an act, with the outcome in the headers."""
    outcome_headers(response, done)
    with translated():
        # Not by the scope: an act may take the request out of its actor's sight.
        found = house.ledger.find(ServiceRequest, done.aggregate_id)
    if found is None:
        raise NotFoundError(thing="request")
    return RequestAnswer.of(found, is_staff=asking.principal.role in _STAFF)
