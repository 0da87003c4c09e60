"""Which route is recounted by which statement, and which numbers need none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.recount import counting, listing
from tests.recount.moment import Asked, Moment, Row

OVERSIGHT = ("auditor", "administrator")
STAFF = ("clerk", "supervisor", *OVERSIGHT)
DESK = ("supervisor", *OVERSIGHT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recount:
    """One route: who may ask it, what tells its items apart, and the count apart.

    ``usual`` is what is grouped by where nothing else is asked for; ``key`` is beside
    the group. ``things`` is the kind of what the path names; without ``items`` the
    answer is one thing.
    """

    made: Callable[[Moment, Asked], list[Row]]
    path: str
    roles: tuple[str, ...] = ("auditor",)
    key: tuple[str, ...] = ()
    usual: tuple[str, ...] = ()
    things: str | None = None
    items: str | None = "items"


_REQUEST = ("request_id",)
_POSITION = ("position",)


def _list(kind: str, path: str, **more: tuple[str, ...]) -> dict[str, Recount]:
    return {
        f"list_{kind}": Recount(
            made=listing.published, path=path, key=("code",), **more
        )
    }


def _one(kind: str, path: str) -> dict[str, Recount]:
    return {
        f"get_{kind}": Recount(
            made=listing.published, path=path, key=("code",), things=kind, items=None
        )
    }


def _trail(kind: str, path: str) -> dict[str, Recount]:
    return {
        f"get_{kind}_trail": Recount(
            made=listing.trail, path=path, key=_POSITION, things=kind
        )
    }


RECOUNTS: dict[str, Recount] = {
    "get_counts": Recount(
        made=counting.counts, path="/v1/counts", roles=STAFF, usual=("governorate",)
    ),
    "follow_counts": Recount(
        made=counting.counts,
        path="/v1/counts/events",
        roles=STAFF,
        usual=("governorate",),
    ),
    "get_flows": Recount(
        made=counting.flows, path="/v1/counts/flows", roles=STAFF, usual=("day",)
    ),
    "get_turnaround": Recount(
        made=counting.turnaround,
        path="/v1/turnaround",
        roles=STAFF,
        usual=("governorate",),
    ),
    "get_payment_sums": Recount(
        made=counting.payment_sums, path="/v1/payments/sums", roles=DESK, key=("unit",)
    ),
    "list_mailing_days": Recount(
        made=counting.mailing_days,
        path="/v1/postal-items/days",
        roles=(*STAFF, "post"),
        key=("day", "centre"),
    ),
    "list_inbox_totals": Recount(
        made=counting.inbox_totals,
        path="/v1/inbox/totals",
        roles=(*STAFF, "agency"),
        key=("agency", "governorate"),
    ),
    "list_clerk_load": Recount(
        made=counting.clerk_load,
        path="/v1/desk/load",
        roles=DESK,
        key=("centre", "clerk"),
    ),
    "follow_desk": Recount(
        made=counting.live_load,
        path="/v1/desk/events",
        roles=DESK,
        key=("centre", "clerk"),
        items="load",
    ),
    "get_queue": Recount(
        made=listing.queue,
        path="/v1/queue",
        roles=("clerk", "supervisor"),
        key=_REQUEST,
    ),
    "follow_queue": Recount(
        made=listing.live_queue,
        path="/v1/queue/events",
        roles=("clerk", "supervisor"),
        key=_REQUEST,
    ),
    "list_unassigned_work": Recount(
        made=listing.unassigned, path="/v1/desk/unassigned", roles=DESK, key=_REQUEST
    ),
    "list_returned_post": Recount(
        made=listing.returned_post,
        path="/v1/desk/returned-post",
        roles=DESK,
        key=_REQUEST,
    ),
    "list_approvals": Recount(
        made=listing.approvals, path="/v1/desk/approvals", roles=DESK, key=_POSITION
    ),
    "list_refused_attempts": Recount(
        made=listing.refused_attempts,
        path="/v1/desk/refused-attempts",
        roles=DESK,
        key=_POSITION,
    ),
    "get_inbox": Recount(
        made=listing.inbox, path="/v1/inbox", roles=(*STAFF, "agency"), key=_REQUEST
    ),
    "follow_inbox": Recount(
        made=listing.live_inbox,
        path="/v1/inbox/events",
        roles=(*STAFF, "agency"),
        key=_REQUEST,
    ),
    "list_requests": Recount(
        made=listing.requests,
        path="/v1/requests",
        roles=(*STAFF, "agency", "post", "bank"),
        key=("id",),
    ),
    "list_payments": Recount(
        made=listing.payments, path="/v1/payments", roles=(*STAFF, "bank"), key=_REQUEST
    ),
    "list_unmatched_payments": Recount(
        made=listing.unmatched_payments,
        path="/v1/payments/unmatched",
        roles=DESK,
        key=_POSITION,
    ),
    "get_unmatched_payment": Recount(
        made=listing.unmatched_payments,
        path="/v1/payments/unmatched/{thing}",
        roles=OVERSIGHT,
        key=_POSITION,
        things="payment",
        items=None,
    ),
    "list_postal_items": Recount(
        made=listing.postal_items,
        path="/v1/postal-items",
        roles=(*STAFF, "post"),
        key=("request_id", "item"),
    ),
    "list_stampings": Recount(
        made=listing.stampings, path="/v1/stampings", roles=STAFF, key=_POSITION
    ),
    "list_registered_stamps": Recount(
        made=listing.stamp_register,
        path="/v1/stamp-register",
        roles=STAFF,
        key=("serial",),
    ),
    "list_dead_letters": Recount(
        made=listing.dead_letters,
        path="/v1/dead-letters",
        roles=OVERSIGHT,
        key=("id",),
    ),
    "list_dead_letter_totals": Recount(
        made=counting.dead_letter_totals,
        path="/v1/dead-letters/totals",
        roles=OVERSIGHT,
        key=("group", "cause"),
    ),
    "get_dead_letter": Recount(
        made=listing.dead_letters,
        path="/v1/dead-letters/{thing}",
        key=("id",),
        things="letter",
        items=None,
    ),
    "check_paper": Recount(
        made=listing.paper, path="/v1/papers/{thing}", things="digest", items=None
    ),
    "get_trail": Recount(
        made=listing.trail, path="/v1/trail", roles=OVERSIGHT, key=_POSITION
    ),
    **_trail("request", "/v1/requests/{thing}/trail"),
    **_trail("service", "/v1/services/{thing}/trail"),
    **_trail("agency", "/v1/agencies/{thing}/trail"),
    **_trail("centre", "/v1/centres/{thing}/trail"),
    **_trail("calendar", "/v1/calendars/{thing}/trail"),
    **_trail("clerk", "/v1/clerks/{thing}/trail"),
    **_trail("stamp", "/v1/stamps/{thing}/trail"),
    "list_entries": Recount(made=listing.entries, path="/v1/entries", key=_POSITION),
    "get_entry": Recount(
        made=listing.entries,
        path="/v1/entries/{thing}",
        key=_POSITION,
        things="position",
        items=None,
    ),
    **_list("services", "/v1/services"),
    **_list("agencies", "/v1/agencies"),
    **_list("centres", "/v1/centres"),
    **_list("calendars", "/v1/calendars"),
    **_list("stamps", "/v1/stamps", roles=STAFF),
    **_one("service", "/v1/services/{thing}"),
    **_one("agency", "/v1/agencies/{thing}"),
    **_one("centre", "/v1/centres/{thing}"),
    **_one("calendar", "/v1/calendars/{thing}"),
    **_one("stamp", "/v1/stamps/{thing}"),
    "list_clerks": Recount(
        made=listing.clerks, path="/v1/clerks", roles=DESK, key=("code",)
    ),
    "get_clerk": Recount(
        made=listing.clerks,
        path="/v1/clerks/{thing}",
        key=("code",),
        things="clerk",
        items=None,
    ),
    "get_request": Recount(
        made=listing.one_request,
        path="/v1/requests/{thing}",
        key=("id",),
        things="request",
        items=None,
    ),
    "get_request_looks": Recount(
        made=listing.looks,
        path="/v1/requests/{thing}/looks",
        key=("looked_at", "by"),
        things="request",
    ),
    "get_request_conditions": Recount(
        made=listing.terms_of_request,
        path="/v1/requests/{thing}/conditions",
        key=("service",),
        things="accepted",
        items=None,
    ),
    "get_service_conditions": Recount(
        made=listing.terms_of_service,
        path="/v1/services/{thing}/conditions",
        key=("service",),
        things="service",
        items=None,
    ),
    "list_governorates": Recount(
        made=listing.estimates, path="/v1/governorates", key=("code",)
    ),
}
UNCOUNTED = {
    "get_request_parties": "values of persons from the vault, and no number of ours",
}
"""Routes that tell no number that events could say, and why."""
NAMES = frozenset({"position", "version"})
"""Numbers that name an entry or a state of a thing. Where a list tells what is newest
of a row, its position is the view's own; the trails and entries are counted by it."""
