"""``sijil desk stampings`` and ``stamps``: what was stamped, and by which stamp."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.logins import login_of
from api.cli.options import AsJson, AsOf, Limit, MinPosition
from api.cli.shown import OneCentre, show_list
from domain.acts import ActorKind


def stampings(
    *,
    centre: OneCentre = None,
    serial: Annotated[str | None, typer.Option(help="Only by this stamp.")] = None,
    digest: Annotated[
        str | None, typer.Option(help="Only this paper: SHA-256 over salt and paper.")
    ] = None,
    officer: Annotated[
        str | None, typer.Option(help="Only by who has this code.")
    ] = None,
    doubtful: Annotated[
        bool, typer.Option("--doubtful", help="Only what is to be doubted.")
    ] = False,
    as_of: AsOf = None,
    min_position: MinPosition = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show every stamping, the newest first: which stamp, by whom, on which request."""
    show_list(
        login_of(ActorKind.AUDITOR),
        "/v1/stampings",
        {
            "stamped_at": "stamped",
            "serial": "stamp",
            "officer": "by",
            "centre": "centre",
            "tracking_number": "tracking number",
            "service": "service",
            "stamped_digest": "digest",
            "doubts": "doubts",
        },
        empty="nothing was stamped so",
        as_json=as_json,
        of=("centres", centre),
        centre=centre,
        serial=serial,
        stamped_digest=digest,
        officer=officer,
        doubtful=doubtful or None,
        as_of=as_of,
        min_position=min_position,
        limit=limit,
    )


def stamps(
    *,
    centre: OneCentre = None,
    serial: Annotated[str | None, typer.Option(help="Only this stamp.")] = None,
    withdrawn: Annotated[
        bool | None,
        typer.Option("--withdrawn/--in-use", help="Only withdrawn ones, or others."),
    ] = None,
    as_of: AsOf = None,
    min_position: MinPosition = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show the register of stamps: each with its last use, and until when it held."""
    show_list(
        login_of(ActorKind.AUDITOR),
        "/v1/stamp-register",
        {
            "serial": "stamp",
            "centre": "centre",
            "issued_at": "issued",
            "last_stamped_at": "last used",
            "withdrawn_on": "withdrawn",
            "withdrawn_because": "because",
            "is_used_after_withdrawal": "used afterwards",
        },
        empty="no stamp is so",
        as_json=as_json,
        of=("centres", centre),
        centre=centre,
        serial=serial,
        withdrawn=withdrawn,
        as_of=as_of,
        min_position=min_position,
        limit=limit,
    )
