"""``sijil import``: the history of another system, by a mapping."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from api.cli.failures import COULD_NOT_ASK, NO, Failure
from api.cli.migrate import bring_up_to_date, server_up
from api.cli.options import AsJson
from api.cli.tables import print_json, print_table
from domain.errors import SijilError
from ledger.settings import LedgerSettings
from office.house import House, ViewsRoom
from office.importing import (
    STDIN,
    Importer,
    ImportReport,
    Mapping,
    MappingError,
    RowFate,
    SourceError,
    SourceFormat,
    open_source,
    read_mapping,
)

SAY_EVERY_S = 10
"""How often progress is a line where there is no terminal to draw on."""


def import_(
    file: Annotated[
        str,
        typer.Argument(
            help="CSV or JSON lines of dated steps, also gzipped; - reads the input."
        ),
    ],
    *,
    mapping: Annotated[
        Path, typer.Option(exists=True, dir_okay=False, help="The TOML mapping.")
    ],
    written: Annotated[
        SourceFormat | None,
        typer.Option("--format", help="How FILE is written, where its name is silent."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the whole report here, as JSON.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Import FILE into the ledger of SIJIL_HOME, or of SIJIL_DATABASE_URL.

    Exit code 0: every row was written, repeated or unmapped. 1: some were refused, or
    were mapped otherwise before. 2: it could not run, or not to the end. Run again at
    any time: what is in the ledger is repeated.
    """
    try:
        read = read_mapping(mapping)
    except MappingError as error:
        raise Failure(
            f"the mapping cannot be used: {error}", exit_code=COULD_NOT_ASK
        ) from error
    if file != STDIN and not Path(file).is_file():
        raise Failure(f"there is no file {file}", exit_code=COULD_NOT_ASK)
    if report is not None and not report.absolute().parent.is_dir():
        raise Failure(f"there is no folder for {report}", exit_code=COULD_NOT_ASK)
    settings = LedgerSettings.load()
    with server_up(settings):
        bring_up_to_date(settings, say=_quietly, is_seeded=False)
        with House(settings) as house:
            importer = Importer(house, read)
            try:
                _with_progress(importer, read, file, written)
            except SourceError as error:
                _stopped(importer.report, report, str(error), as_json=as_json)
            except SijilError as error:
                _stopped(importer.report, report, error.code, as_json=as_json)
            except KeyboardInterrupt:
                _stopped(importer.report, report, "interrupted", as_json=as_json)
        _fold(settings)
    _tell(importer.report, report, as_json=as_json)
    done = importer.report
    if not done.is_clean:
        raise Failure(
            f"{done.fates[RowFate.REFUSED]} rows were refused and "
            f"{done.fates[RowFate.CHANGED]} were mapped otherwise before",
            then="see the reasons above, or the report",
            exit_code=NO,
        )


def _quietly(_: str) -> None:
    """The migration's words are not this command's."""


def _with_progress(
    importer: Importer, mapping: Mapping, file: str, written: SourceFormat | None
) -> None:
    """Import, showing rate, what is left and what failed, on the standard error."""
    is_drawn = sys.stderr.isatty()
    began = said = time.monotonic()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not is_drawn,
    ) as shown:
        task = shown.add_task("importing", total=None)

        def progress(report: ImportReport, fraction: float | None) -> None:
            nonlocal said
            now = time.monotonic()
            line = _line_of(report, now - began)
            if is_drawn:
                total = None if fraction is None else 1.0
                shown.update(
                    task, description=line, completed=fraction or 0.0, total=total
                )
            elif now - said >= SAY_EVERY_S:
                said = now
                sys.stderr.write(f"{line}{_left(fraction, now - began)}\n")

        source = open_source(
            file, mapping.file, mapping.needed_columns(), written=written
        )
        importer.run(source, progress=progress)


def _line_of(report: ImportReport, seconds: float) -> str:
    rate = report.rows_read / seconds if seconds else 0.0
    told = [f"{report.rows_read:,} rows", f"{rate:,.0f} a second"]
    told += [
        f"{report.fates[fate]:,} {fate}"
        for fate in (RowFate.REFUSED, RowFate.CHANGED)
        if report.fates[fate]
    ]
    return ", ".join(told)


def _left(fraction: float | None, seconds: float) -> str:
    if not fraction:
        return ""
    return f", {fraction:.0%}, {seconds * (1 - fraction) / fraction:,.0f} s left"


def _fold(settings: LedgerSettings) -> None:
    """Bring the views to the head, so that what was imported can be seen at once."""
    room = ViewsRoom(settings)
    try:
        room.runner.catch_up()
    finally:
        room.close()


def _stopped(
    done: ImportReport, report: Path | None, why: str, *, as_json: bool
) -> None:
    """Say how far it came, and that it did not come to the end."""
    if done.rows_read:
        _tell(done, report, as_json=as_json)
    raise Failure(
        f"it stopped after {done.rows_read} rows: {why}",
        then="what was written stays; run it again when the cause is gone",
        exit_code=COULD_NOT_ASK,
    )


def _tell(done: ImportReport, report: Path | None, *, as_json: bool) -> None:
    document = done.to_json()
    if report is not None:
        report.write_text(
            json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
    if as_json:
        print_json(document)
        return
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
