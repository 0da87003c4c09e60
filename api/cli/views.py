"""``sijil views``: how far each view has come, and what stopped it."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.failures import Failure
from api.cli.options import AsJson
from api.cli.tables import print_json, print_table
from ledger.names import LEDGER_SCHEMA, VIEWS_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from projections.progress import ProgressQueries
from projections.schema import not_made

FAR_BEHIND = 10_000
"""Entries that a healthy runner folds within a second."""


def views(
    *,
    check: Annotated[
        bool,
        typer.Option("--check", help="Fail when a view has stopped or is far behind."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show how far each view is, beside the ledger's head."""
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
