"""The questions that are asked: every counting route, by whoever may, narrowed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import combinations
from random import Random
from typing import Any

from tests.recount.moment import Asked, Asker, Moment, Row
from tests.recount.register import RECOUNTS

LONGEST_DAYS = 399
"""Fewer than the days that one question may span."""
PLACES = ("governorate", "centre", "agency", "service")
NATIONAL = {"auditor": "aud-1", "administrator": "adm-1", "post": "post-1"}
NATIONAL["bank"] = "bank-1"
BY = {
    "get_counts": PLACES,
    "follow_counts": PLACES,
    "get_flows": ("day", *PLACES),
    "get_turnaround": ("day", "month", *PLACES),
    "get_payment_sums": ("day", "channel", *PLACES),
}
"""What each may be grouped by."""
IN_DAYS = {"get_flows", "get_turnaround", "get_payment_sums", "list_mailing_days"}
WITH_TOTAL = {"get_counts", "follow_counts", "get_turnaround"}
WITH_EFFECTIVE = ("get_counts", "get_turnaround")
"""What may be asked of an effective time."""
LIVE_ONLY = {
    "follow_counts",
    "follow_desk",
    "follow_inbox",
    "follow_queue",
    "get_entry",
    "get_request_conditions",
    "get_service_conditions",
    "list_governorates",
}
"""Routes without an ``as_of``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the ledger knows, for questions about it."""

    first: date
    last: date
    places: list[Row]
    values: dict[str, list[Any]]
    things: dict[str, list[str]]


def world_of(moment: Moment) -> World:
    """What there is to ask about at a moment."""

    def column(query: str) -> list[Any]:
        return [next(iter(row.values())) for row in moment.rows(query)]

    (days,) = moment.rows("SELECT min(day) AS first, max(day) AS last FROM told")
    values = {
        name: column(f"SELECT DISTINCT {name} FROM work ORDER BY 1")
        for name in (*PLACES, "stage", "clerk", "next_act", "route", "channel")
    }
    values["topic"] = column("SELECT DISTINCT topic FROM bodies ORDER BY 1")
    values["actor_kind"] = column(
        "SELECT DISTINCT body #>> '{actor,kind}' FROM bodies ORDER BY 1"
    )
    requests = column("SELECT id::text FROM work ORDER BY id")
    things = {
        kind: column(f"SELECT code FROM said WHERE kind = '{kind}' ORDER BY code")
        for kind in ("service", "agency", "centre", "calendar", "stamp")
    }
    # What an import calls its clerks may be no code that anybody could type.
    values["clerk"] = [each for each in values["clerk"] if _is_code(each)]
    things |= {
        "clerk": list(
            filter(_is_code, column("SELECT code FROM roster ORDER BY code"))
        ),
        "letter": column(
            "SELECT id::text FROM bodies"
            " WHERE topic = 'sijil.message.dead-lettered.v1' ORDER BY position"
        ),
        "payment": column(
            "SELECT id::text FROM bodies"
            " WHERE topic = 'sijil.payment.unmatched.v1' ORDER BY position"
        ),
        "digest": column("SELECT DISTINCT digest FROM stamped ORDER BY 1"),
        "request": requests,
        "accepted": column("SELECT id::text FROM life WHERE terms IS NOT NULL"),
        "position": [str(1 + moment.position * share // 7) for share in range(7)],
    }
    return World(
        first=days["first"],
        last=days["last"],
        places=moment.rows(
            "SELECT centre, governorate, count(*) AS requests FROM work"
            " GROUP BY 1, 2 ORDER BY 3 DESC"
        ),
        values={
            name: [v for v in each if v is not None] for name, each in values.items()
        },
        things=things,
    )


def _is_code(text: str | None) -> bool:
    return (
        text is not None
        and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) is not None
    )


def askers(world: World, random: Random) -> dict[str, list[Asker]]:
    """Somebody of every role, at a busy place and at another."""
    places = [world.places[0], random.choice(world.places)]
    clerks = world.values["clerk"] or ["clk-1"]
    found: dict[str, list[Asker]] = {
        role: [Asker(role=role, code=code)] for role, code in NATIONAL.items()
    }
    for place in places:
        centre = place["centre"]
        found.setdefault("supervisor", []).append(
            Asker(role="supervisor", code="sup-1", centre=centre)
        )
        found.setdefault("clerk", []).append(
            Asker(role="clerk", code=random.choice(clerks), centre=centre)
        )
    return found


def agency_askers(world: World, scopes: Row, random: Random) -> list[Asker]:
    """Officers: of one governorate where the agency exists in each, else of all."""
    agencies = world.values["agency"]
    made = []
    for agency in random.sample(agencies, min(2, len(agencies))):
        is_national = scopes.get(agency) == "national"
        place = random.choice(world.places)
        made.append(
            Asker(
                role="agency",
                code="off-1",
                agency=agency,
                governorate=None if is_national else place["governorate"],
            )
        )
    return made


def questions(
    moment: Moment, world: World, random: Random, *, is_whole: bool, most: int
) -> Iterator[Asked]:
    """Every route by every role that may, narrowed in ways that differ each time.

    ``is_whole``: the longest lists too, by one asker. ``most`` is in how many ways one
    asker narrows one route; each of the others does so in a quarter of them.
    """
    fewer = max(1, most // 4)
    scopes = {
        row["code"]: row["scope"]
        for row in moment.rows(
            "SELECT code, data ->> 'scope' AS scope FROM said WHERE kind = 'agency'"
        )
    }
    who = askers(world, random)
    who["agency"] = agency_askers(world, scopes, random)
    for operation, recount in RECOUNTS.items():
        for role in recount.roles:
            for number, asker in enumerate(who[role]):
                asked = Asked(operation=operation, asker=asker)
                if recount.things is not None:
                    things = world.things[recount.things]
                    for thing in random.sample(things, min(fewer, len(things))):
                        yield replace(asked, thing=thing, params=_place(asked, world))
                    continue
                is_first = number == 0 and role == recount.roles[0]
                for params in _narrowings(
                    operation, world, random, most=most if is_first else fewer
                ):
                    if not _may(asked, params):
                        continue
                    if (is_whole and is_first) or not _is_long(asked, params):
                        yield from _in_days(replace(asked, params=params), world)


def _place(asked: Asked, world: World) -> Row:
    """Where a service is asked for: its conditions are those of a centre."""
    is_asked = asked.operation == "get_service_conditions"
    return {"centre": world.places[0]["centre"]} if is_asked else {}


def _may(asked: Asked, params: Row) -> bool:
    """Whether this asker may narrow by these: what is not told is not guessed."""
    role = asked.asker.role
    if "clerk" in params:
        return role in {"supervisor", "auditor", "administrator"}
    return not (asked.operation == "list_payments" and "service" in params) or (
        role != "bank"
    )


def _is_long(asked: Asked, params: Row) -> bool:
    """Whether the answer grows with the ledger: asked in parts of a long one."""
    long = {"list_entries", "get_trail", "list_requests", "list_payments"}
    long |= {"list_postal_items", "list_stampings"}
    return asked.operation in long and not params


def _in_days(asked: Asked, world: World) -> Iterator[Asked]:
    """The question for the whole history, in as many spans of days as it takes."""
    if asked.operation not in IN_DAYS:
        yield asked
        return
    first = world.first
    while first <= world.last:
        last = min(first + timedelta(days=LONGEST_DAYS - 1), world.last)
        yield replace(asked, params={**asked.params, "first": first, "last": last})
        first = last + timedelta(days=1)


def _narrowings(
    operation: str, world: World, random: Random, *, most: int
) -> Iterator[Row]:
    found = list(_all_narrowings(operation, world, random))
    # The first is the whole, which the one asked most asks always.
    yield from found[:1] if most > 1 else ()
    others = found[1:] if most > 1 else found
    yield from random.sample(others, min(max(1, most - 1), len(others)))


def _all_narrowings(operation: str, world: World, random: Random) -> Iterator[Row]:
    yield {}
    if operation in WITH_TOTAL:
        yield {"total": True}
    names = BY.get(operation, ())
    groups = [
        list(each)
        for size in range(1, len(names) + 1)
        for each in combinations(names, size)
    ]
    yield from ({"by": by} for by in groups)

    def some(name: str) -> Any:
        return random.choice(world.values[name])

    for filters in _FILTERS.get(operation, ()):
        params = {}
        for name in filters:
            if name in _CHOICES:
                params[_CALLED.get(name, name)] = random.choice(_CHOICES[name])
            elif world.values[name]:
                params[name] = some(name)
            else:
                break
        else:
            yield params


_CHOICES: dict[str, list[Any]] = {
    "state": ["open", "replayed", "settled"],
    "cause": ["not-json", "refused", "wrong-signature"],
    "group": ["inward", "other"],
    "overdue": [True],
    "unassigned": [True],
    "doubtful": [True],
    "withdrawn": [True, False],
    "waiting_for": ["agency", "citizen", "post", "nobody"],
    "inbox_state": ["waiting", "answered"],
    "paid_state": ["expected", "paid", "partly_refunded", "refunded", "cancelled"],
    "item_state": ["on_the_way", "delivered", "collected", "returned"],
    "destination": ["home", "post_office"],
    "unit": ["SYP.new", "SYP.old"],
    "unmatched_because": ["unknown_number", "wrong_amount", "nothing_due"],
    "unmatched_state": ["open", "settled"],
}
_CALLED = {
    "inbox_state": "state",
    "paid_state": "state",
    "item_state": "state",
    "unmatched_because": "reason",
    "unmatched_state": "state",
}
_FILTERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "get_queue": (
        ("overdue",),
        ("unassigned",),
        ("waiting_for",),
        ("waiting_for", "service"),
        ("service",),
        ("agency", "overdue"),
        ("stage",),
        ("next_act",),
        ("clerk",),
    ),
    "follow_queue": (("next_act",), ("agency",), ("waiting_for",)),
    "follow_desk": (("centre",),),
    "follow_inbox": (("agency",), ("centre", "service"), ("inbox_state", "agency")),
    "list_unassigned_work": (("centre",),),
    "list_returned_post": (("centre",),),
    "list_clerk_load": (("centre",),),
    "list_approvals": (("centre",),),
    "list_refused_attempts": (("centre",),),
    "get_inbox": (
        ("overdue",),
        ("agency",),
        ("governorate", "service"),
        ("centre",),
        ("inbox_state", "agency"),
    ),
    "list_inbox_totals": (("agency",), ("governorate",)),
    "list_requests": (
        ("stage", "governorate"),
        ("service",),
        ("overdue",),
        ("clerk",),
        ("centre", "route"),
        ("agency", "channel"),
    ),
    "list_payments": (("centre",), ("service",), ("paid_state", "centre"), ("unit",)),
    "list_unmatched_payments": (
        ("unit",),
        ("unmatched_because",),
        ("unmatched_state",),
        ("unmatched_state", "unit"),
    ),
    "list_postal_items": (
        ("centre",),
        ("item_state", "governorate"),
        ("destination", "centre"),
    ),
    "list_mailing_days": (("centre",), ("governorate",)),
    "list_stampings": (("centre",), ("doubtful",)),
    "list_dead_letters": (("state",), ("cause",), ("state", "group")),
    "list_registered_stamps": (("centre",), ("withdrawn",)),
    "get_trail": (("topic",), ("actor_kind", "topic")),
    "list_services": (("agency",),),
    "list_centres": (("governorate",),),
    "list_clerks": (("centre",), ("agency",)),
    "list_stamps": (("centre",),),
}
