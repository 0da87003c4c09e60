"""What all lists share: pages, sorting by closed sets, and the whole as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import IO, Annotated, Any, TypeVar, get_args

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from api import spreadsheets
from api.asking import (
    AsOf,
    Cursor,
    Limit,
    MinPosition,
    TheHouse,
    link_to_next,
    moment_to_read,
    next_link,
    position_as_of,
    position_to_read,
)
from api.problems import FRESH
from office.acts import translated
from projections.pages import DEFAULT_PAGE, LARGEST_READ, Page

T = TypeVar("T")
L = TypeVar("L", bound=BaseModel)

LISTING = (*FRESH, "rate-limited")
"""What every list may answer: too many downloads at once too."""
LISTED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            spreadsheets.MEDIA_TYPE: {
                "schema": {
                    "type": "string",
                    "description": "RFC 4180 with a byte order mark; see `format`.",
                }
            }
        },
        "headers": {
            "Link": {
                "description": "Where it goes on, `rel=next`; none at the end.",
                "schema": {"type": "string"},
            },
            "List-Complete": {
                "description": "With CSV: `false` where the bound cut it off.",
                "schema": {"type": "string", "enum": ["true", "false"]},
            },
            "Ledger-Position": {
                "description": "With CSV: the position the whole list is as of.",
                "schema": {"type": "string"},
            },
        },
    }
}
"""What every list declares beside its page."""


class Format(StrEnum):
    """In which form a list is told."""

    JSON = "json"
    CSV = "csv"


AskedFormat = Annotated[
    Format | None,
    Query(
        alias="format",
        description="`csv` is the whole list, from `cursor` on where there are pages, "
        "up to 50,000 rows, as of one position; so is `Accept: text/csv`.",
        examples=["json"],
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which part of a list to read: what comes after a cursor, up to so many items.

    ``now`` is the time it is told for: what is overdue as of the past was so then.
    """

    after: str | None
    limit: int
    as_of: int | None
    now: datetime


class Listing:
    """One question for a list, answered as a page of JSON or as a whole in CSV."""

    def __init__(
        self,
        *,
        request: Request,
        response: Response,
        house: TheHouse,
        cursor: Cursor = None,
        limit: Limit = DEFAULT_PAGE,
        min_position: MinPosition = None,
        as_of: AsOf = None,
        format_: AskedFormat = None,
    ) -> None:
        self._request = request
        self._response = response
        self._house = house
        self._cursor = cursor
        self._limit = limit
        self._min_position = min_position
        self._as_of = as_of
        self._is_csv = is_csv(request, format_)

    def answer(
        self,
        made: type[L],
        page: Callable[[Part], Page[T]],
        item: Callable[[T], BaseModel],
        *,
        views: Sequence[str],
        parts: Mapping[str, Sequence[str]] | None = None,
        **more: Any,
    ) -> L | Response:
        """The list: ``page`` reads a part of it and ``item`` tells one row.

        ``views`` are those it reads; none reads the ledger itself. ``parts`` names the
        columns of fields that are objects without fields of their own, ``more`` what
        the list says beside its items. Who may ask is decided before.
        """
        position = self._position(views)
        now = moment_to_read(self._house, self._as_of, position)
        first = Part(after=self._cursor, limit=self._limit, as_of=position, now=now)
        if self._is_csv:
            first = replace(first, as_of=self._pinned(position, views))
            return self._whole(made, page, item, first, parts)
        with translated():
            found = page(first)
            items = [item(row) for row in found.items]
        next_link(self._request, self._response, found.next)
        self._response.headers["Vary"] = "Accept"
        return made(items=items, next=found.next, **more)

    def _position(self, views: Sequence[str]) -> int | None:
        if views:
            return position_to_read(
                self._house, self._as_of, self._min_position, *views
            )
        return None if self._as_of is None else position_as_of(self._house, self._as_of)

    def _pinned(self, position: int | None, views: Sequence[str]) -> int:
        """The one position that all parts of a download are read at."""
        if position is not None:
            return position
        with translated():
            if not views:
                return self._house.ledger.reader.head().position
            levels = self._house.queries.progress.levels()
        return min(level.position for level in levels if level.view in views)

    def _whole(
        self,
        made: type[L],
        page: Callable[[Part], Page[T]],
        item: Callable[[T], BaseModel],
        first: Part,
        parts: Mapping[str, Sequence[str]] | None,
    ) -> Response:
        """Everything from the cursor on, up to the bound, read before it is sent.

        So a slow line holds no connection, what goes wrong is still a problem, and
        whether it is all of it stands in front.
        """
        [kind] = get_args(made.model_fields["items"].annotation)
        columns = spreadsheets.columns_of(kind, parts or {})
        cursor = first.after

        def rows() -> Iterator[BaseModel]:
            nonlocal cursor
            wanted = spreadsheets.MOST_ROWS
            while wanted > 0:
                limit = min(wanted, LARGEST_READ)
                found = page(replace(first, after=cursor, limit=limit))
                wanted -= len(found.items)
                yield from (item(row) for row in found.items)
                cursor = found.next
                if cursor is None:
                    return

        with self._request.app.state.downloads, translated():
            file = spreadsheets.written(columns, rows())
        return _sent(self._request, file, first.as_of, cursor=cursor)


TheListing = Annotated[Listing, Depends(Listing)]


class Sheet:
    """One question for an answer that has no pages, as JSON or as a whole in CSV."""

    def __init__(
        self, request: Request, response: Response, format_: AskedFormat = None
    ) -> None:
        self._request = request
        self._is_csv = is_csv(request, format_)
        response.headers["Vary"] = "Accept"

    def answer(
        self,
        made: L,
        *,
        position: int | None,
        parts: Mapping[str, Sequence[str]] | None = None,
    ) -> L | Response:
        """The answer itself, or its ``items`` as CSV, as of a position.

        What no event says is as of none.
        """
        if not self._is_csv:
            return made
        [kind] = get_args(type(made).model_fields["items"].annotation)
        columns = spreadsheets.columns_of(kind, parts or {})
        items: Sequence[BaseModel] = getattr(made, "items")  # noqa: B009 -- by its field
        with self._request.app.state.downloads:
            file = spreadsheets.written(columns, items)
        return _sent(self._request, file, position, cursor=None)


TheSheet = Annotated[Sheet, Depends(Sheet)]


def _sent(
    request: Request, file: IO[bytes], position: int | None, *, cursor: str | None
) -> Response:
    """The file as an answer: what it is as of, and whether it is all, in front."""
    is_complete = cursor is None
    path = request.scope["route"].path
    noun = next(n for n in reversed(path.split("/")) if not n.startswith("{"))
    stood = "" if position is None else f"-{position}"
    suffix = "" if is_complete else "-incomplete"
    link = {"Link": link_to_next(request, as_of=position, cursor=cursor)}
    return StreamingResponse(
        spreadsheets.chunks(file),
        media_type=f"{spreadsheets.MEDIA_TYPE}; header=present",
        headers={
            **({} if is_complete else link),
            "List-Complete": "true" if is_complete else "false",
            **({} if position is None else {"Ledger-Position": str(position)}),
            "Content-Disposition": f'attachment; filename="{noun}{stood}{suffix}.csv"',
            "Cache-Control": "no-store",
            "Vary": "Accept",
        },
    )


def is_csv(request: Request, format_: Format | None) -> bool:
    """Whether CSV is asked for, by the parameter or else by the header."""
    if format_ is None:
        return prefers_csv(request.headers.get("Accept", ""))
    return format_ is Format.CSV


def prefers_csv(accepted: str) -> bool:
    """Whether an Accept header asks for CSV rather than JSON, by name."""
    weights: dict[str, float] = {}
    for part in accepted.split(","):
        kind, *parameters = (each.strip().lower() for each in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weights[kind] = float(quality)
        except ValueError:
            weights[kind] = 0.0
    csv = weights.get(spreadsheets.MEDIA_TYPE, 0.0)
    return csv > weights.get("application/json", 0.0)
