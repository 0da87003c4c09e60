"""Evidence: the entries the ledger attests, as they are, for auditors."""

import base64
from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.asking import TheHouse, ThePrincipal
from api.listing import LISTED, LISTING, Part, TheListing
from api.problems import READING, responses
from api.v1.answers import EntryAnswer, EntryList
from domain.access import Permission
from domain.errors import NotFoundError
from ledger.entries import Entry
from office.acts import translated
from projections.pages import Page, decode_cursor, paged

router = APIRouter(prefix="/v1", tags=["evidence"])


def _entry(entry: Entry) -> EntryAnswer:
    return EntryAnswer(
        position=entry.position,
        recorded_at=entry.recorded_at,
        aggregate_id=entry.aggregate_id,
        version=entry.version,
        topic=entry.topic,
        entry=base64.b64encode(entry.to_bytes()).decode(),
        leaf_hash=entry.leaf_hash().hex(),
    )


@router.get(
    "/entries",
    operation_id="list_entries",
    summary="Read raw entries",
    response_model=EntryList,
    responses={**LISTED, **responses(*LISTING)},
)
def list_entries(
    listing: TheListing, principal: ThePrincipal, house: TheHouse
) -> EntryList | Response:
    """Read the entries the ledger attests, for auditors, in the order of the ledger."""
    principal.must_be_allowed(Permission.READ_ENTRY)

    def entries(part: Part) -> Page[Entry]:
        (after,) = decode_cursor(part.after, int) or (0,)
        found = house.ledger.reader.entries(
            after=after, limit=part.limit + 1, until=part.as_of
        )
        return paged(found, part.limit, lambda entry: (entry.position,))

    return listing.answer(EntryList, entries, _entry, views=[])


@router.get(
    "/entries/{position}",
    operation_id="get_entry",
    summary="Read one raw entry",
    responses=responses(*READING, "not-found"),
)
def get_entry(
    position: Annotated[int, Path(ge=1, le=2**63 - 1, examples=[48213])],
    principal: ThePrincipal,
    house: TheHouse,
) -> EntryAnswer:
    """Read one entry and its leaf hash, for auditors."""
    principal.must_be_allowed(Permission.READ_ENTRY)
    with translated():
        found = house.ledger.reader.entry(position)
    if found is None:
        raise NotFoundError(thing="entry")
    return _entry(found)
