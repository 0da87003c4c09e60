"""``sijil views``: how far each view has come, and what stopped it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

import typer

from api.cli.failures import Failure
from api.cli.logins import connect, login_of
from api.cli.options import AsJson
from api.cli.tables import print_facts, print_json, print_table
from domain.acts import ActorKind
from domain.ids import new_id
from domain.views import SkippedBecause
from ledger.names import LEDGER_SCHEMA, VIEWS_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from projections.progress import ProgressQueries
from projections.schema import not_made

FAR_BEHIND = 10_000
"""Entries that a healthy runner folds within a second."""


views = typer.Typer(
    help="Show how far each view is, or let one pass over an entry.",
    invoke_without_command=True,
)


@views.callback()
def show(
    context: typer.Context,
    *,
    check: Annotated[
        bool,
        typer.Option("--check", help="Fail when a view has stopped or is far behind."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show how far each view is, beside the ledger's head."""
    if context.invoked_subcommand is not None:
        return
    settings = LedgerSettings.load()
    dsn = settings.dsn(Role.READER)
    ledger = PostgresDatastore(dsn, schema=LEDGER_SCHEMA, pool_size=1)
    made = PostgresDatastore(dsn, schema=VIEWS_SCHEMA, pool_size=1)
    try:
        levels = ProgressQueries(made).levels()
        head = LedgerReader(ledger).head().position
    finally:
        ledger.close()
        made.close()
    rows = [
        {
            "view": level.view,
            "version": level.version,
            "position": level.position,
            "behind": max(0, head - level.position),
            "error": level.error,
            "failed_position": level.failed_position,
            "failed_code": level.failed_code,
        }
        for level in levels
    ]
    if as_json:
        print_json({"head": head, "views": rows})
    else:
        print_table(
            rows,
            {
                "view": "view",
                "version": "version",
                "position": "position",
                "behind": "behind",
                "error": "stopped because",
            },
            empty="there are no views yet: run `sijil migrate`",
        )
    if check:
        if missing := not_made(levels):
            raise Failure(
                f"views are not there as this release wants them: {', '.join(missing)}",
                then="run `sijil migrate`",
            )
        _must_be_well(rows)


@views.command()
def skip(
    view: Annotated[str, typer.Argument(help="The view's name.")],
    position: Annotated[int, typer.Argument(help="The entry at which it stopped.")],
    *,
    reason: Annotated[SkippedBecause, typer.Option(help="Why.")],
    as_json: AsJson = False,
) -> None:
    """Let the present version of a view pass over one entry; recorded as an act."""
    with connect(login_of(ActorKind.ADMINISTRATOR)) as server:
        answer = server.post(
            f"/v1/views/{quote(view, safe='')}/skips",
            {"position": position, "reason": reason.value},
            command_id=new_id(datetime.now(UTC)),
        )
    told = {**answer.body, "recorded_at_position": answer.position}
    if as_json:
        print_json(told)
    else:
        print_facts(told)


def _must_be_well(rows: list[dict[str, int | str | None]]) -> None:
    ill = [
        str(row["view"])
        for row in rows
        if row["error"] is not None or int(row["behind"] or 0) > FAR_BEHIND
    ]
    if ill or not rows:
        raise Failure(
            "views have stopped or are far behind: " + (", ".join(ill) or "all"),
            then="see the runner's log",
        )
