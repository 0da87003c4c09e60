"""``sijil replay``: what each view showed at a position or a time, from the events."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from api.cli.failures import COULD_NOT_ASK, NO, Failure
from api.cli.folded import (
    DIFFERENCE_COLUMNS,
    chosen_views,
    difference_rows,
    folding_bar,
)
from api.cli.stepping import step_through
from api.cli.tables import print_json, print_table
from api.times import utc_time
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from projections.folding import CannotFoldError
from projections.replay import NotComparableError, Replay, Until, replaying
from projections.views import View


class Format(StrEnum):
    """How rows are written."""

    CSV = "csv"
    JSONL = "jsonl"


def replay(
    *,
    until: Annotated[
        str | None,
        typer.Option(
            help="A position, or a time (RFC 3339); by default the ledger's head."
        ),
    ] = None,
    effective: Annotated[
        bool,
        typer.Option(
            "--effective", help="The time is an effective one: when it happened."
        ),
    ] = False,
    view: Annotated[str, typer.Option(help="The view's name, or all.")] = "all",
    request: Annotated[
        UUID | None, typer.Option(help="Step through this request, event by event.")
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Check the live view instead of writing rows."),
    ] = False,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="How rows are written; by default JSON lines."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="A folder: one file a table."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the comparison as JSON.")
    ] = False,
) -> None:
    """Fold views from the events, and write or check what they showed then.

    Nothing of the live views is touched. With --compare: 0 equal, 1 differs, 2 could
    not be asked.
    """
    views = chosen_views(view)
    if compare and (effective or request is not None):
        raise Failure(
            "a live view knows recorded time only",
            then="compare without --effective and --request",
            exit_code=COULD_NOT_ASK,
        )
    with replaying(LedgerSettings.load(), views) as (made, reader), _said():
        bound = _bound(reader, until, effective=effective)
        if request is not None:
            step_through(made, reader, request, bound, is_json=format_ is Format.JSONL)
            return
        with folding_bar("folding", bound.position) as folded:
            made.fold(bound, folded=folded)
        if compare:
            _compare(made, bound, as_json=as_json)
        elif output is not None:
            try:
                _write_folder(made, output, format_ or Format.JSONL)
            except OSError as error:
                raise Failure(
                    f"{output} cannot be written: {error.strerror}",
                    then="give --output a folder that can be",
                    exit_code=COULD_NOT_ASK,
                ) from error
        else:
            _write(made, views, format_ or Format.JSONL)


@contextmanager
def _said() -> Iterator[None]:
    """What a replay cannot do, as a Failure: it could not be asked."""
    try:
        yield
    except CannotFoldError as error:
        at = "" if error.position is None else f" at position {error.position}"
        raise Failure(
            f"the view cannot be folded: {error.code}{at}",
            then="mend its code, or skip the entry with `sijil views skip`",
            exit_code=COULD_NOT_ASK,
        ) from error
    except NotComparableError as error:
        raise Failure(
            f"cannot be compared: {error}", exit_code=COULD_NOT_ASK
        ) from error


def _bound(reader: LedgerReader, until: str | None, *, effective: bool) -> Until:
    head = reader.head().position
    if until is None and not effective:
        return Until(position=head)
    if until is not None and until.isascii() and until.isdigit() and not effective:
        if int(until) > head:
            raise Failure(
                f"the ledger has come to position {head}", exit_code=COULD_NOT_ASK
            )
        return Until(position=int(until))
    try:
        time = utc_time(until or "")
    except ValueError as error:
        raise Failure(
            f"{until or 'nothing'} is no time",
            then="give --until as 2026-11-23T12:00:00+03:00",
            exit_code=COULD_NOT_ASK,
        ) from error
    if effective:
        return Until(position=head, effective_at=time)
    return Until(position=reader.position_at(time))


def _compare(made: Replay, bound: Until, *, as_json: bool) -> None:
    found = made.compare(bound.position)
    rows = difference_rows(found)
    is_same = all(each.is_same for each in found)
    if as_json:
        print_json({"position": bound.position, "is_same": is_same, "tables": rows})
    else:
        typer.echo(f"compared as of position {bound.position}")
        print_table(rows, DIFFERENCE_COLUMNS, empty="there is nothing to compare")
    if not is_same:
        raise Failure("the live views are not what the events say", exit_code=NO)


def _write_folder(made: Replay, folder: Path, format_: Format) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for table in made.tables():
        path = folder / f"{table}.{format_}"
        if format_ is Format.CSV:
            with path.open("wb") as file:
                made.write_csv(table, file)
        else:
            with path.open("w", encoding="utf-8") as lines:
                lines.writelines(f"{row}\n" for row in made.rows_as_json(table))
        typer.echo(str(path), err=True)


def _write(made: Replay, views: tuple[View, ...], format_: Format) -> None:
    """To standard output: JSON lines that name their table, or one table's CSV."""
    if format_ is Format.CSV:
        if len(made.tables()) != 1:
            raise Failure(
                "several tables make no one CSV file",
                then="give --output FOLDER",
                exit_code=COULD_NOT_ASK,
            )
        made.write_csv(made.tables()[0], sys.stdout.buffer)
        return
    for view in views:
        for table in view.tables:
            named = json.dumps({"view": view.name, "table": table})[:-1]
            for row in made.rows_as_json(table):
                typer.echo(f'{named}, "row": {row}}}')
