"""Reports from outside by message: of an agency, and of the post.

A message says what happened, not how the office names it: the post knows the number of
an item. Whose request that is stands in a view, which may be a moment behind. What a
bank reports is in office.fees.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from domain.access import Scope
from domain.errors import InvalidValueError, NotFoundError
from domain.post import parse_item_number
from domain.requests import ReturnedBecause
from domain.services import Relationship
from office.acts import Acts, Done, Envelope, translated
from office.commands import (
    BringBack,
    ConfirmCollection,
    ConfirmDelivery,
    RecordResponse,
)
from office.freshness import Freshness
from office.requests import Requests
from projections.postal_manifest import (
    PostalFilter,
    PostalManifest,
    PostalManifestQueries,
    PostalSort,
)

_MAILED = Scope(only_mailed=True)


class Scanned(StrEnum):
    """What the post reports of an item."""

    DELIVERED = "delivered"
    COLLECTED = "collected"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostalScan:
    """One scan. ``capacity`` is of whoever received, ``reason`` of what came back.

    ``request_id`` spares the look-up where the post knows it.
    """

    scanned: Scanned
    item: str
    request_id: UUID | None = None
    capacity: Relationship | None = None
    reason: ReturnedBecause | None = None


class Reports:
    """What outsiders report. Every envelope has the tracking of its message."""

    def __init__(
        self,
        acts: Acts,
        requests: Requests,
        *,
        post: PostalManifestQueries,
        freshness: Freshness,
    ) -> None:
        self._acts = acts
        self._requests = requests
        self._post = post
        self._freshness = freshness

    def reply(self, command: RecordResponse, envelope: Envelope) -> Done:
        """An agency's answer. It carries no claim's token."""
        return self._requests.respond(command, envelope)

    def scan(self, scan: PostalScan, envelope: Envelope) -> Done:
        """What the post did with an item.

        Raises NotFoundError for an item that nobody mailed, NotFreshEnoughError while
        the manifest is behind, and what the rules refuse.
        """
        item = parse_item_number(scan.item)
        is_received = scan.scanned is not Scanned.RETURNED
        if is_received != (scan.capacity is not None):
            raise InvalidValueError(field="capacity", reason="scanned")
        if is_received != (scan.reason is None):
            raise InvalidValueError(field="reason", reason="scanned")
        request_id = scan.request_id or self._request_of_item(item)
        if scan.reason is not None:
            back = BringBack(request_id=request_id, item=item, reason=scan.reason)
            return self._requests.bring_back(back, envelope)
        if scan.capacity is None:
            raise TypeError(scan)
        if scan.scanned is Scanned.COLLECTED:
            collected = ConfirmCollection(
                request_id=request_id, item=item, capacity=scan.capacity
            )
            return self._requests.collect(collected, envelope)
        delivered = ConfirmDelivery(
            request_id=request_id, item=item, capacity=scan.capacity
        )
        return self._requests.deliver(delivered, envelope)

    def _request_of_item(self, item: str) -> UUID:
        """The request that was mailed last under an item's number."""
        with translated():
            found = self._mailed(item)
            if found is None:
                self._freshness.must_have_all(PostalManifest.name)
                found = self._mailed(item)
        if found is None:
            raise NotFoundError(thing="item")
        return found

    def _mailed(self, item: str) -> UUID | None:
        page = self._post.items(
            _MAILED,
            now=self._acts.clock(),
            only=PostalFilter(item=item),
            sort=PostalSort.NEWEST,
            limit=1,
        )
        return page.items[0].request_id if page.items else None
