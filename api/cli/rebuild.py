"""``sijil rebuild``: views made anew beside the live ones, compared, then switched."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.failures import COULD_NOT_ASK, Failure
from api.cli.folded import (
    DIFFERENCE_COLUMNS,
    chosen_views,
    difference_rows,
    folding_bar,
)
from api.cli.tables import print_table
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from projections.folding import CannotFoldError
from projections.rebuilding import (
    CannotSwitchError,
    Rebuild,
    RebuildUnderWayError,
    rebuilding,
)
from projections.views import View


def rebuild(
    view: Annotated[str, typer.Argument(help="The view's name, or all.")],
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Switch without asking, whatever differs.")
    ] = False,
) -> None:
    """Fold a view anew beside the live one, show what differs, then switch.

    Who reads and who writes goes on meanwhile. Killed at any moment, the live view is
    what it was.
    """
    settings = LedgerSettings.load()
    views = chosen_views(view)
    try:
        with rebuilding(settings, views) as made:
            with folding_bar("folding", _head(settings)) as folded:
                made.fold(folded=folded)
            is_same = _show_differences(made, views)
            if not yes:
                asked = "Switch?" if is_same else "They differ. Switch all the same?"
                if not typer.confirm(asked):
                    raise Failure("nothing was switched")
            for each in views:
                position = made.switch(each)
                typer.echo(f"{each.name}: switched at position {position}")
    except RebuildUnderWayError as error:
        raise Failure(
            str(error), then="wait until it has ended", exit_code=COULD_NOT_ASK
        ) from error
    except CannotFoldError as error:
        at = "" if error.position is None else f" at position {error.position}"
        raise Failure(f"{error.code}{at}; nothing was switched") from error
    except CannotSwitchError as error:
        raise Failure(
            str(error), then="its live rows are what they were; try again"
        ) from error


def _head(settings: LedgerSettings) -> int:
    ledger = PostgresDatastore(
        settings.dsn(Role.READER), schema=LEDGER_SCHEMA, pool_size=1
    )
    try:
        return LedgerReader(ledger).head().position
    finally:
        ledger.close()


def _show_differences(made: Rebuild, views: tuple[View, ...]) -> bool:
    """Print how the live views differ; whether they are the same."""
    rows, other, position = [], [], 0
    for each in views:
        compared = made.compare(each)
        position = compared.position
        if compared.differences is None:
            other.append(each.name)
        else:
            rows += difference_rows(compared.differences)
    typer.echo(f"compared as of position {position}")
    print_table(rows, DIFFERENCE_COLUMNS, empty="nothing to compare with")
    for name in other:
        typer.echo(f"{name}: the live view is of another version")
    return not other and all(row["state"] == "same" for row in rows)
