"""``sijil import``: the history of another system, by a mapping."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from api.cli.failures import COULD_NOT_ASK, NO, Failure
from api.cli.migrate import bring_up_to_date, server_up
from api.cli.options import AsJson
from api.cli.tables import print_json, print_table
from ledger.settings import LedgerSettings
from office.house import House, ViewsRoom
from office.importing import Importer, ImportReport, RowFate, SourceError
from office.mapping import MappingError, read_mapping

SAY_EVERY_ROWS = 50


def import_(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A CSV of dated steps.")
    ],
    *,
    mapping: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="The TOML mapping.")
    ],
    report: Annotated[
        Path | None, typer.Option(help="Write the whole report here, as JSON.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Import FILE into the ledger of SIJIL_HOME, or of SIJIL_DATABASE_URL.

    Exit code 0: every row was written, repeated or unmapped. 1: some were refused, or
    were mapped otherwise before. 2: it could not run. Run again at any time.
    """
    try:
        read = read_mapping(mapping)
    except MappingError as error:
        raise Failure(
            f"the mapping cannot be used: {error}", exit_code=COULD_NOT_ASK
        ) from error
    settings = LedgerSettings.load()
    with server_up(settings):
        bring_up_to_date(settings, say=_quietly, is_seeded=False)
        with House(settings) as house:
            done = _with_progress(Importer(house, read), file)
        _fold(settings)
    _tell(done, report, as_json=as_json)


def _quietly(_: str) -> None:
    """The migration's words are not this command's."""


def _with_progress(importer: Importer, file: Path) -> ImportReport:
    console = Console(stderr=True)
    with Progress(
        TextColumn("importing {task.completed:.0f} rows"),
        TimeElapsedColumn(),
        console=console,
        disable=not sys.stderr.isatty(),
    ) as shown:
        task = shown.add_task("import", total=None)

        def progress(rows: int) -> None:
            if rows % SAY_EVERY_ROWS == 0:
                shown.update(task, completed=rows)

        try:
            return importer.run(file, progress=progress)
        except SourceError as error:
            raise Failure(str(error), exit_code=COULD_NOT_ASK) from error


def _fold(settings: LedgerSettings) -> None:
    """Bring the views to the head, so that what was imported can be seen at once."""
    room = ViewsRoom(settings)
    try:
        room.runner.catch_up()
    finally:
        room.close()


def _tell(done: ImportReport, report: Path | None, *, as_json: bool) -> None:
    document = done.to_json()
    if report is not None:
        report.write_text(
            json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
    if as_json:
        print_json(document)
    else:
        print_table(
            [
                {
                    "activity": activity,
                    **{str(fate): fates[fate] for fate in RowFate},
                    "rows": sum(fates.values()),
                }
                for activity, fates in sorted(done.by_activity.items())
            ]
            + [
                {
                    "activity": "all",
                    **{str(fate): done.fates[fate] for fate in RowFate},
                    "rows": done.rows_read,
                }
            ],
            {
                "activity": "activity",
                **{str(fate): str(fate) for fate in RowFate},
                "rows": "rows read",
            },
            empty="the file has no rows",
        )
        print_table(
            [
                {"fate": fate, "reason": reason, "rows": rows}
                for (fate, reason), rows in sorted(done.by_reason.items())
            ],
            {"fate": "fate", "reason": "reason", "rows": "rows"},
            empty="every row was written or repeated",
        )
    if not done.adds_up or done.fates[RowFate.REFUSED] or done.fates[RowFate.CHANGED]:
        raise Failure(
            f"{done.fates[RowFate.REFUSED]} rows were refused and "
            f"{done.fates[RowFate.CHANGED]} were mapped otherwise before",
            then="see the reasons above, or the report",
            exit_code=NO,
        )
