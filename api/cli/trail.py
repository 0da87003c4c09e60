"""``sijil trail``: every event of one request, with what proves it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from api.cli.logins import connect, login_of
from api.cli.options import AsJson, AsOf, Limit, MinPosition
from api.cli.tables import print_json, print_table
from domain.acts import ActorKind


def trail(
    request: Annotated[UUID, typer.Argument(help="The request's id.")],
    *,
    arabic: Annotated[
        bool, typer.Option("--arabic", help="Name the events in Arabic.")
    ] = False,
    as_of: AsOf = None,
    min_position: MinPosition = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show every event of a request, and every refused attempt on it."""
    with connect(login_of(ActorKind.AUDITOR)) as server:
        page = server.get(
            f"/v1/requests/{request}/trail",
            as_of=as_of,
            min_position=min_position,
            limit=limit,
        ).body
    if as_json:
        print_json(page)
        return
    rows = [
        {
            **item,
            "words": item["words_ar" if arabic else "words_en"],
            "by": f"{item['actor']['kind']} {item['actor']['id']}",
        }
        for item in page["items"]
    ]
    print_table(
        rows,
        {
            "position": "position",
            "effective_at": "happened",
            "words": "what",
            "by": "by",
            "leaf_hash": "leaf",
        },
        empty="no event was recorded by then",
    )
    if page["next"] is not None:
        typer.echo(f"There is more than {limit}.")
