"""``sijil desk``: what the people at each desk look at."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from api.cli import money, stamped
from api.cli.logins import connect, login_of
from api.cli.options import AsJson, AsOf, Limit, MinPosition
from api.cli.shown import OneCentre, show_list
from api.cli.tables import print_facts, print_json
from domain.acts import ActorKind
from projections.agency_inbox import InboxState
from projections.postal_manifest import ItemState

desk = typer.Typer(
    help="What supervisors, agencies, the post and auditors look at.",
    no_args_is_help=True,
)
Centre = Annotated[str, typer.Option(help="Which centre, seen as its supervisor.")]
_SEEDED = "SY-DI-01"
_WORK = {
    "is_overdue": "overdue",
    "until": "until",
    "next_act": "next",
    "tracking_number": "tracking number",
    "service": "service",
    "since": "since",
}


class Part(StrEnum):
    """A part of the supervisor's desk."""

    UNASSIGNED = "unassigned"
    RETURNED_POST = "returned-post"
    LOAD = "load"
    APPROVALS = "approvals"
    REFUSED_ATTEMPTS = "refused-attempts"


_COLUMNS = {
    Part.UNASSIGNED: _WORK,
    Part.RETURNED_POST: {**_WORK, "clerk": "clerk"},
    Part.LOAD: {
        "clerk": "clerk",
        "agencies": "agencies",
        "is_away": "away",
        "to_move": "to move",
        "overdue": "overdue",
        "waiting_for_agency": "agency",
        "waiting_for_citizen": "citizen",
        "oldest": "oldest since",
    },
    Part.APPROVALS: {
        "approved_by": "allowed by",
        "actor_id": "whose act",
        "topic": "act",
        "aggregate_id": "request",
        "effective_at": "happened",
        "recorded_at": "recorded",
    },
    Part.REFUSED_ATTEMPTS: {
        "actor_id": "who",
        "attempted": "tried",
        "target": "request",
        "code": "refused as",
        "reason": "because",
        "recorded_at": "recorded",
    },
}


@desk.command("centre")
def centre_(
    part: Annotated[Part, typer.Argument(help="Which part of the desk.")] = Part.LOAD,
    *,
    centre: Centre = _SEEDED,
    as_of: AsOf = None,
    min_position: MinPosition = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show a part of a supervisor's desk."""
    show_list(
        login_of(ActorKind.SUPERVISOR, centre=centre),
        f"/v1/desk/{part.value}",
        _COLUMNS[part],
        empty=f"nothing at {centre}",
        as_json=as_json,
        of=("centres", centre),
        as_of=as_of,
        min_position=min_position,
        limit=limit,
    )


@desk.command("inbox")
def inbox(
    *,
    agency: Annotated[str, typer.Option(help="Which agency, seen as its officer.")],
    governorate: Annotated[
        str, typer.Option(help="Where; nothing for one that exists once.")
    ] = "",
    state: Annotated[
        InboxState, typer.Option(help="Who has to move.")
    ] = InboxState.UNANSWERED,
    as_of: AsOf = None,
    min_position: MinPosition = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show what was forwarded to an agency, overdue first."""
    show_list(
        login_of(ActorKind.AGENCY, agency=agency, governorate=governorate),
        "/v1/inbox",
        {
            "is_overdue": "overdue",
            "answer_due_at": "answer due",
            "tracking_number": "tracking number",
            "service": "service",
            "agency_reference": "reference",
            "forwarded_at": "forwarded",
            "outcome": "outcome",
        },
        empty=f"nothing is {state.value} at {agency}",
        as_json=as_json,
        of=("agencies", agency),
        state=state.value,
        as_of=as_of,
        min_position=min_position,
        limit=limit,
    )


@desk.command("post")
def post(
    *,
    centre: OneCentre = None,
    day: Annotated[
        str | None, typer.Option(help="Mailed on this day, as 2026-11-23.")
    ] = None,
    state: Annotated[ItemState | None, typer.Option(help="Only such items.")] = None,
    as_of: AsOf = None,
    min_position: MinPosition = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show the postal manifest, the oldest first, as the post sees it."""
    show_list(
        login_of(ActorKind.POST),
        "/v1/postal-items",
        {
            "item": "item",
            "centre": "centre",
            "destination": "to",
            "mailed_at": "mailed",
            "state": "state",
            "ended_at": "ended",
            "capacity": "received as",
            "reason": "returned because",
        },
        empty="nothing was mailed",
        as_json=as_json,
        of=("centres", centre),
        centre=centre,
        day=day,
        state=None if state is None else state.value,
        as_of=as_of,
        min_position=min_position,
        limit=limit,
    )


@desk.command("paper")
def paper(
    digest: Annotated[str, typer.Argument(help="SHA-256 over salt and paper.")],
    *,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Check a stamped paper of any centre by its digest."""
    with connect(login_of(ActorKind.AUDITOR)) as server:
        found = server.get(f"/v1/papers/{digest}", as_of=as_of).body
    if as_json:
        print_json(found)
        return
    for stamp in found["stamps"]:
        print_facts(stamp)


for _command in (
    money.payments,
    money.payment,
    money.sums,
    stamped.stampings,
    stamped.stamps,
):
    desk.command(_command.__name__)(_command)
