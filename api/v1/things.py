"""What the routes of the catalogue share: reading a thing, and telling of an act.

One thing is read from the ledger as it is now, with its ETag, so that an act can follow
another at once; lists are read from the view.
"""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Response, status

from api.asking import (
    etag_of,
    ledger_until,
    outcome_headers,
)
from api.listing import Listing
from api.v1.bodies import Code
from api.v1.catalogue_answers import ClerkAnswer, PublishedAnswer, PublishedList
from api.v1.requests import WRITING
from domain.access import Permission, Principal
from domain.agencies import Agency
from domain.aggregates import OfficeAggregate
from domain.calendars import FIRST_YEAR, LAST_YEAR, Calendar, office_day
from domain.centres import Centre
from domain.errors import NotFoundError
from domain.services import Service
from domain.stamps import Stamp
from office.acts import Done, translated
from office.catalogue import id_of
from office.house import House
from projections.catalogue import Published, published_from
from projections.facts import Fact, fact_of
from projections.roster import RosterRow, clerk_from
from projections.sorting import CodeSort

MAKING = (*WRITING, "precondition-required", "stale-version")

CREATED: dict[str, dict[int | str, dict[str, Any]]] = {
    answer.__name__: {201: {"model": answer, "description": "It is new."}}
    for answer in (PublishedAnswer, ClerkAnswer)
}
"""What a route declares that may make its thing."""

_FACTS = {
    kind: tuple(name for name in said.__annotations__ if name not in {"TOPIC", code})
    for kind, said, code in (
        ("service", Service.Published, "code"),
        ("agency", Agency.Published, "code"),
        ("centre", Centre.Opened, "code"),
        ("stamp", Stamp.Issued, "serial"),
        ("calendar", Calendar.Published, "year"),
    )
}
"""What the events say of each kind, in their order: the columns of its CSV."""

CodeSorted = Annotated[CodeSort, Query(examples=["code"])]
OfAgency = Annotated[Code | None, Query(examples=["CIV"])]
OfCentre = Annotated[Code | None, Query(examples=["SY-DI-01"])]
OfGovernorate = Annotated[Code | None, Query(examples=["SY-DI"])]

ThingCode = Annotated[Code, Path(examples=["CIV-01"])]
ClerkCode = Annotated[Code, Path(examples=["clk-DI-1"])]
AgencyCode = Annotated[Code, Path(examples=["CIV"])]
CentreCode = Annotated[Code, Path(examples=["SY-DI-01"])]
Serial = Annotated[Code, Path(examples=["ختم-DI-000001"])]
Year = Annotated[int, Path(ge=FIRST_YEAR, le=LAST_YEAR, examples=[2026])]


def today_of(house: House) -> date:
    """Today's day in Damascus, by the office's clock."""
    return office_day(house.clock())


def facts_of(
    house: House,
    thing_id: UUID,
    *,
    until: int | None = None,
    version: int | None = None,
) -> Sequence[Fact]:
    """The facts of one thing, up to a position or a version of its own."""
    with translated():
        entries = house.ledger.reader.aggregate(thing_id)
    return [
        fact
        for entry in entries
        if (until is None or entry.position <= until)
        and (version is None or entry.version <= version)
        and (fact := fact_of(entry)) is not None
    ]


def page_of(
    kind: str,
    listing: Listing,
    house: House,
    sort: CodeSort,
    **only: str | None,
) -> PublishedList | Response:
    """The list of the things of a kind, as the view has them.

    ``only`` narrows it to a centre, an agency or a governorate.
    """
    today = today_of(house)
    return listing.answer(
        PublishedList,
        lambda part: house.queries.catalogue.page(
            kind,
            sort=sort,
            after=part.after,
            limit=part.limit,
            as_of=part.as_of,
            **only,
        ),
        lambda thing: PublishedAnswer.of(thing, today),
        views=["catalogue"],
        parts={"facts": _FACTS[kind]},
    )


def read_one(
    kind: type[OfficeAggregate],
    code: str,
    house: House,
    response: Response,
    asked: tuple[int | None, str | None],
    *,
    centre: str | None = None,
) -> PublishedAnswer:
    """One thing as the ledger has it, and its ETag. NotFoundError elsewhere."""
    min_position, as_of = asked
    until = ledger_until(house, as_of, min_position)
    found = published_from(facts_of(house, id_of(kind, code), until=until))
    if found is None or centre not in {None, found.facts.get("centre")}:
        raise NotFoundError(thing=kind.__name__.lower())
    response.headers["ETag"] = etag_of(found.version)
    return PublishedAnswer.of(found, today_of(house))


def tell_outcome(done: Done, response: Response) -> None:
    """The headers of an act, and 201 for the one that made its thing."""
    outcome_headers(response, done)
    if done.etag_version == 1 and done.last_position is not None:
        response.status_code = status.HTTP_201_CREATED


def published(house: House, done: Done, response: Response) -> PublishedAnswer:
    """The thing as the act left it, whatever happened since."""
    tell_outcome(done, response)
    found: Published | None = published_from(
        facts_of(house, done.aggregate_id, version=done.etag_version)
    )
    if found is None:
        raise NotFoundError(thing="entry")
    return PublishedAnswer.of(found, today_of(house))


def clerk_after(house: House, done: Done, response: Response) -> ClerkAnswer:
    """The clerk as the act left it, whatever happened since."""
    tell_outcome(done, response)
    found: RosterRow | None = clerk_from(
        facts_of(house, done.aggregate_id, version=done.etag_version)
    )
    if found is None:
        raise NotFoundError(thing="entry")
    return ClerkAnswer.of(found, today_of(house))


def centre_to_read(principal: Principal, permission: Permission) -> str | None:
    """The centre whose rows the asker may see, or None for all."""
    principal.must_be_allowed(permission)
    return principal.scope.centre


def narrowed(own: str | None, asked: str | None) -> str | None:
    """The centre to list: the one asked for, inside what may be seen.

    Another centre than the own one has nothing that its asker may see: its list is
    empty, as rows out of scope are in every list.
    """
    if own is None:
        return asked
    return own if asked in {None, own} else ""
