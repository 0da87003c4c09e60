"""``sijil token``: a bearer token for development, signed with the local key."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from api.cli.logins import login_of, mint
from api.settings import ApiSettings
from domain.acts import ActorKind

LONGEST_HOURS = 24 * 30
"""A development token that lives longer is a password on a screen."""


def token(
    role: Annotated[ActorKind, typer.Argument(help="Which role logs in.")],
    *,
    subject: Annotated[
        str | None, typer.Option(help="The code of who logs in, as clk-DI-2.")
    ] = None,
    centre: Annotated[
        str | None, typer.Option(help="The centre of a clerk or supervisor.")
    ] = None,
    agency: Annotated[
        str | None, typer.Option(help="The agency of an agency's officer.")
    ] = None,
    governorate: Annotated[
        str | None,
        typer.Option(help="The officer's governorate; empty for a national agency."),
    ] = None,
    hours: Annotated[
        int, typer.Option(min=1, max=LONGEST_HOURS, help="How long it lives.")
    ] = 12,
) -> None:
    """Print a bearer token for a role, by default at the seeded centre in Damascus.

    For this machine's development key only: where an identity provider is set, its
    tokens count and these do not.
    """
    login = login_of(
        role, subject=subject, centre=centre, agency=agency, governorate=governorate
    )
    typer.echo(mint(ApiSettings.load(), login, lifespan=timedelta(hours=hours)))
