"""What a route learns of its asker: who, under which id, seen at which version."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator

from api.times import Time, utc_time
from api.tokens import Login, TokenReader, UnauthenticatedError
from domain.access import Principal
from domain.errors import InvalidValueError, SijilError
from office.acts import Done, Envelope, translated
from office.errors import NotFreshEnoughError
from office.house import House
from projections.pages import LARGEST_PAGE

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


def clean(text: str) -> str:
    """``text`` itself. Raises ValueError for what no database or screen takes."""
    if any(ord(letter) < 32 or 0xD800 <= ord(letter) <= 0xDFFF for letter in text):  # noqa: PLR2004 -- C0 controls and surrogates
        raise ValueError("control character")
    return text


def clean_cursor(cursor: str) -> str:
    """A cursor whose texts are clean; its shape is for the view to judge."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_"))
    except ValueError:
        return cursor
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, str):
            clean(part)
    return cursor


def only_known_questions(request: Request) -> None:
    """Refuse a query parameter that the route does not have, or has once.

    A misspelt ``as_of`` would be answered with the present, and of two days one would
    count, and the answer be believed. Raises InvalidValueError.
    """
    route = request.scope["route"].path
    operation = request.app.openapi()["paths"][route][request.method.lower()]
    known = {
        parameter["name"]: parameter["schema"]
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    }
    asked = Counter(name for name, _ in request.query_params.multi_items())
    if not known.keys() >= asked.keys():
        raise InvalidValueError(field="query", reason="unknown-parameter")
    for name, times in asked.items():
        if times > 1 and not _is_list(known[name]):
            raise InvalidValueError(field=name, reason="twice")


def _is_list(schema: Mapping[str, Any]) -> bool:
    kinds = (schema, *schema.get("anyOf", ()))
    return any(kind.get("type") == "array" for kind in kinds)


def house_of(request: Request) -> House:
    """The office this server opens the door to."""
    house: House = request.app.state.house
    return house


def login_of(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Login:
    """Who asks and until when. Raises UnauthenticatedError without a token."""
    if credentials is None:
        raise UnauthenticatedError
    reader: TokenReader = request.app.state.tokens
    login = reader.login(credentials.credentials)
    request.state.principal = login.principal
    return login


def principal_of(login: Annotated[Login, Depends(login_of)]) -> Principal:
    """Who asks."""
    return login.principal


TheHouse = Annotated[House, Depends(house_of)]
TheLogin = Annotated[Login, Depends(login_of)]
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
        self,
        *,
        effective_at: datetime | None = None,
        is_approved: bool = False,
        approval: str | None = None,
    ) -> Envelope:
        """The envelope of this act."""
        return Envelope(
            principal=self.principal,
            command_id=self.command_id,
            route=self.route,
            if_version=None if self.if_match is None else version_of(self.if_match),
            effective_at=effective_at,
            approved_by=self.principal.id if is_approved else None,
            approval=approval,
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
    AfterValidator(clean_cursor),
    Query(
        max_length=400, description="The `next` of the page before.", examples=["WzFd"]
    ),
]
Limit = Annotated[
    int,
    Query(ge=1, le=LARGEST_PAGE, description="Items a page of JSON.", examples=[50]),
]
Since = Annotated[
    Time | None,
    Query(
        description="Not earlier than this time (RFC 3339).",
        examples=["2026-11-01T00:00:00+03:00"],
    ),
]
Until = Annotated[
    Time | None,
    Query(
        description="Earlier than this time (RFC 3339).",
        examples=["2026-12-01T00:00:00+03:00"],
    ),
]


def position_to_read(
    house: House, as_of: str | None, min_position: int | None, *views: str
) -> int | None:
    """Where to read the views, once they are there; None reads them as they are.

    A view that stands before the position asked for would answer with less than was
    known there, and differently later. Raises NotFreshEnoughError when the views do
    not get there in time, and InvalidValueError for an ``as_of`` without sense.
    """
    if as_of is None and min_position is None:
        return None
    position = None if as_of is None else position_as_of(house, as_of)
    wanted = max(position or 0, min_position or 0)
    with translated():
        head = house.ledger.reader.head().position
        # Nothing can be waited for that is not in the ledger.
        is_there = wanted <= head and (
            house.queries.progress.wait_for(views, wanted, timeout_s=FRESH_TIMEOUT_S)
        )
    if not is_there:
        # What was asked for may be any number: it is not repeated.
        raise NotFreshEnoughError(position=min(wanted, head))
    return position


def ledger_until(
    house: House, as_of: str | None, min_position: int | None
) -> int | None:
    """The position up to which to read the ledger itself; None reads all of it.

    Raises NotFreshEnoughError for a position that nothing has reached, and
    InvalidValueError for an ``as_of`` without sense.
    """
    if min_position is not None:
        with translated():
            head = house.ledger.reader.head().position
        if min_position > head:
            # What was asked for may be any number: it is not repeated.
            raise NotFreshEnoughError(position=head)
    return None if as_of is None else position_as_of(house, as_of)


def position_as_of(house: House, as_of: str) -> int:
    """The position of an ``as_of``; what is later than the newest entry means it.

    Raises InvalidValueError when it is neither a position nor a time.
    """
    try:
        asked = int(as_of) if _is_position(as_of) else utc_time(as_of)
    except ValueError as error:
        raise InvalidValueError(field="as_of", reason="shape") from error
    with translated():
        if isinstance(asked, datetime):
            return house.ledger.reader.position_at(asked)
        return min(asked, house.ledger.reader.head().position)


def moment_to_read(house: House, as_of: str | None, position: int | None) -> datetime:
    """The time that a read is told for: now, or that of its ``as_of``.

    A limit that has passed since then had not passed. Nothing is told for the future.
    """
    now = house.clock()
    if as_of is None or position is None:
        return now
    if not _is_position(as_of):
        return min(utc_time(as_of), now)
    with translated():
        entry = house.ledger.reader.entry(position)
    return now if entry is None else min(entry.recorded_at, now)


def _is_position(as_of: str) -> bool:
    return as_of.isascii() and as_of.isdecimal()


def next_link(request: Request, response: Response, cursor: str | None) -> None:
    """Say where the next page is, as RFC 8288 does."""
    if cursor is not None:
        response.headers["Link"] = link_to_next(request, cursor=cursor)


def link_to_next(request: Request, **changed: Any) -> str:
    """A link to the same address with other parameters, as RFC 8288 writes it.

    The path is known unquoted, and codes may be Arabic: a header holds ASCII.
    """
    url = request.url.include_query_params(**changed)
    return f'<{quote(url.path)}?{url.query}>; rel="next"'


def outcome_headers(response: Response, done: Done) -> None:
    """The ETag and position of a write, and whether it was a repeat."""
    response.headers["ETag"] = etag_of(done.etag_version)
    if done.last_position is not None:
        response.headers["Ledger-Position"] = str(done.last_position)
    if done.is_repeat:
        response.headers["Idempotency-Hit"] = "true"
