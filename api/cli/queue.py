"""``sijil queue``: what is to be done at a centre."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.logins import connect, login_of
from api.cli.options import AsJson, AsOf, Limit, MinPosition
from api.cli.tables import print_json, print_table
from domain.acts import ActorKind
from domain.stages import WaitingFor

_COLUMNS = {
    "is_overdue": "overdue",
    "until": "until",
    "next_act": "next",
    "tracking_number": "tracking number",
    "service": "service",
    "clerk": "clerk",
    "lease_until": "in hand until",
    "stage": "stage",
    "since": "since",
}


def queue(
    *,
    centre: Annotated[
        str, typer.Option(help="Whose queue, seen as its supervisor.")
    ] = "SY-DI-01",
    clerk: Annotated[
        str | None, typer.Option(help="Only this clerk's work, seen as that clerk.")
    ] = None,
    unassigned: Annotated[
        bool, typer.Option("--unassigned", help="Only what nobody has.")
    ] = False,
    waiting_for: Annotated[
        WaitingFor, typer.Option(help="Who has to move.")
    ] = WaitingFor.CLERK,
    as_of: AsOf = None,
    min_position: MinPosition = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show what is to be done next, overdue first."""
    if clerk is None:
        login = login_of(ActorKind.SUPERVISOR, centre=centre)
    else:
        login = login_of(ActorKind.CLERK, subject=clerk, centre=centre)
    with connect(login) as server:
        page = server.get(
            "/v1/queue",
            unassigned=unassigned or None,
            waiting_for=waiting_for.value,
            as_of=as_of,
            min_position=min_position,
            limit=limit,
        ).body
        if not page["items"]:
            server.must_have("centres", centre)
    if as_json:
        print_json(page)
        return
    print_table(page["items"], _COLUMNS, empty=f"nothing to be done at {centre}")
    if page["next"] is not None:
        typer.echo(f"There is more than {limit}.")
