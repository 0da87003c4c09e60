"""What a route learns of its asker: who, under which id, seen at which version."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.tokens import TokenReader, UnauthenticatedError
from domain.access import Principal
from domain.errors import InvalidValueError, SijilError
from office.acts import Done, Envelope, translated
from office.errors import NotFreshEnoughError
from office.house import House

FRESH_TIMEOUT_S = 5.0
"""How long a read waits for its view: a healthy runner needs milliseconds."""
_ETAG = re.compile(r'(?:W/)?"(?P<version>[0-9]{1,9})"')
_bearer = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT",
    description="A token of the identity provider.",
)


class IdempotencyKeyRequiredError(SijilError):
    """The Idempotency-Key is missing or is not a UUID."""

    code = "idempotency-key-required"


def house_of(request: Request) -> House:
    """The office this server opens the door to."""
    house: House = request.app.state.house
    return house


def principal_of(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Principal:
    """Who asks. Raises UnauthenticatedError without a token to believe."""
    if credentials is None:
        raise UnauthenticatedError
    reader: TokenReader = request.app.state.tokens
    principal = reader.principal(credentials.credentials)
    request.state.principal = principal
    return principal


TheHouse = Annotated[House, Depends(house_of)]
ThePrincipal = Annotated[Principal, Depends(principal_of)]


def version_of(etag: str) -> int:
    """The version in a strong ETag. Raises InvalidValueError for anything else."""
    matched = _ETAG.fullmatch(etag.strip())
    if matched is None or etag.strip().startswith("W/"):
        raise InvalidValueError(field="If-Match", reason="not-a-strong-etag")
    return int(matched["version"])


def etag_of(version: int) -> str:
    """The strong ETag of a version."""
    return f'"{version}"'


def _command_id(key: str | None) -> UUID:
    """The command id in an Idempotency-Key, quoted or bare."""
    try:
        return UUID((key or "").strip().strip('"'))
    except ValueError as error:
        raise IdempotencyKeyRequiredError from error


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="A UUID of this act's own: sent again, it has the same outcome.",
        examples=["019ab1f0-7c00-7a3b-8f21-5d0c9e4b1a77"],
    ),
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The ETag of the request as you read it.",
        examples=['"4"'],
    ),
]


class Asking:
    """An asker's envelope in the making: the route adds what its body says."""

    def __init__(self, principal: Principal, route: str, command_id: UUID) -> None:
        self.principal = principal
        self.route = route
        self.command_id = command_id
        self.if_match: str | None = None

    def envelope(
        self, *, effective_at: datetime | None = None, is_approved: bool = False
    ) -> Envelope:
        """The envelope of this act."""
        return Envelope(
            principal=self.principal,
            command_id=self.command_id,
            route=self.route,
            if_version=None if self.if_match is None else version_of(self.if_match),
            effective_at=effective_at,
            approved_by=self.principal.id if is_approved else None,
        )


def _asking(
    request: Request, principal: ThePrincipal, idempotency_key: IdempotencyKey = None
) -> Asking:
    route = request.scope["route"].path
    return Asking(principal, f"{request.method} {route}", _command_id(idempotency_key))


TheAsking = Annotated[Asking, Depends(_asking)]


def _changing(asking: TheAsking, if_match: IfMatch = None) -> Asking:
    if if_match is None or not if_match.strip():
        # A repeat is looked up before the version: only the office can tell.
        asking.if_match = None
    else:
        version_of(if_match)
        asking.if_match = if_match
    return asking


Changing = Annotated[Asking, Depends(_changing)]

MinPosition = Annotated[
    int | None,
    Query(
        ge=0,
        le=2**63 - 1,
        description="Answer from a view that has reached this position.",
        examples=[48213],
    ),
]
AsOf = Annotated[
    str | None,
    Query(
        max_length=40,
        description="As it was known at a position, or at a time (RFC 3339).",
        examples=["48213", "2026-11-23T08:14:05Z"],
    ),
]
Cursor = Annotated[
    str | None,
    Query(
        max_length=400, description="The `next` of the page before.", examples=["WzFd"]
    ),
]
Limit = Annotated[int, Query(ge=1, le=200, description="Items a page.", examples=[50])]


def be_fresh(house: House, min_position: int | None, *views: str) -> None:
    """Wait until the views reach the position. Raises NotFreshEnoughError."""
    if min_position is None:
        return
    with translated():
        is_there = house.queries.progress.wait_for(
            views, min_position, timeout_s=FRESH_TIMEOUT_S
        )
    if not is_there:
        raise NotFreshEnoughError(position=min_position)


def position_as_of(house: House, as_of: str | None) -> int | None:
    """The position of an ``as_of``; a time after the newest entry means the newest.

    Raises InvalidValueError when it is neither a position nor a time.
    """
    if as_of is None:
        return None
    if as_of.isascii() and as_of.isdecimal():
        return min(int(as_of), 2**63 - 1)
    try:
        time = datetime.fromisoformat(as_of)
    except ValueError as error:
        raise InvalidValueError(field="as_of", reason="shape") from error
    if time.tzinfo is None:
        raise InvalidValueError(field="as_of", reason="no-offset")
    with translated():
        return house.ledger.reader.position_at(time)


def next_link(request: Request, response: Response, cursor: str | None) -> None:
    """Say where the next page is, as RFC 8288 does."""
    if cursor is not None:
        url = request.url.include_query_params(cursor=cursor)
        query = f"?{url.query}" if url.query else ""
        response.headers["Link"] = f'<{url.path}{query}>; rel="next"'


def outcome_headers(response: Response, done: Done) -> None:
    """The ETag and position of a write, and whether it was a repeat."""
    response.headers["ETag"] = etag_of(done.etag_version)
    if done.last_position is not None:
        response.headers["Ledger-Position"] = str(done.last_position)
    if done.is_repeat:
        response.headers["Idempotency-Hit"] = "true"
