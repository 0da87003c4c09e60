"""``sijil analytics``: the topic as Parquet, and questions to it.

What needs the extra is imported by the command that needs it: without pyarrow and
DuckDB the rest of the program works.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumers.cli import in_words, never_silent, say_how_far
from consumers.positions import read_published
from consumers.settings import AnalyticsSettings, KafkaSettings
from consumers.topics import EVENTS
from ledger.settings import LedgerSettings
from office.errors import OperatorError
from office.processes import stop_when_asked

if TYPE_CHECKING:
    from consumers.analytics.asking import Answer

MOST_SHOWN = 1_000
"""Rows of a table; a longer answer is for programs."""
WIDEST = 400
"""Columns of a file or a pipe, where nothing has to be wrapped."""
_NEEDED = ("pyarrow", "duckdb")

analytics = typer.Typer(
    no_args_is_help=True, help="The topic of events as Parquet, and questions to it."
)


def is_installed() -> bool:
    """Whether the extra is there."""
    return all(find_spec(name) is not None for name in _NEEDED)


def _must_be_installed() -> None:
    if not is_installed():
        raise OperatorError(
            "analytics needs pyarrow and DuckDB, which are not installed; they are the "
            "extra `analytics`: `pip install 'sijil[analytics]'`, or "
            "`make .venv/analytics.installed` in a clone"
        )


@contextmanager
def _in_words(place: Path) -> Iterator[None]:
    """The troubles of a folder as sentences for the operator."""
    from consumers.analytics import asking, folder, following  # noqa: PLC0415

    anew = f"move {place} away and start again: it is filled from the topic anew"
    try:
        with in_words():
            yield
    except folder.FolderTakenError as error:
        raise OperatorError(f"another process writes into {place}") from error
    except folder.FolderBrokenError as error:
        raise OperatorError(
            f"{place} is not whole, because {error}; {anew}", exit_code=1
        ) from error
    except following.OtherOriginError as error:
        raise OperatorError(
            f"{place} was filled from another topic or ledger, because the "
            f"{error.what} differs; {anew}",
            exit_code=1,
        ) from error
    except following.BegunLateError as error:
        raise OperatorError(
            f"the topic {error} has no longer what {place} lacks; follow one that has "
            "all of it, with --topic and another SIJIL_ANALYTICS",
            exit_code=1,
        ) from error
    except following.PositionMissingError as error:
        raise OperatorError(
            f"the topic lacks position {error.position}; is the relay running? "
            "`sijil verify-topic` says what the topic has"
        ) from error
    except following.RecordUnusableError as error:
        raise OperatorError(
            f"the record at {error} is not an entry as the ledger wrote it; "
            "`sijil verify-topic` says more",
            exit_code=1,
        ) from error
    except asking.NothingThereError as error:
        raise OperatorError(
            f"there is nothing in {error}; `sijil analytics follow` fills it"
        ) from error
    except asking.NotThatFarError as error:
        raise OperatorError(f"the folder ends at position {error.position}") from error
    except asking.WrongQuestionError as error:
        raise OperatorError(f"DuckDB says: {error}") from error


@analytics.command("follow")
def follow(
    topic: Annotated[str, typer.Option(help="Which topic.")] = EVENTS.name,
    *,
    until_level: Annotated[
        bool,
        typer.Option("--until-level", help="End once it has what the topic had."),
    ] = False,
    end_with_parent: Annotated[
        bool, typer.Option("--end-with-parent", hidden=True, help="For the supervisor.")
    ] = False,
) -> None:
    """Keep the folder level with the topic, until stopped.

    At the first error it ends with 2 and is to be started again: what the folder has is
    whole, and says where to go on. With 1 where folder or topic has to be seen to
    first.
    """
    _must_be_installed()
    from consumers.analytics.folder import Folder  # noqa: PLC0415
    from consumers.analytics.following import Follower  # noqa: PLC0415

    home = LedgerSettings.load().home
    options = KafkaSettings.load(home).client()
    place = AnalyticsSettings().place(home)
    stop = stop_when_asked(with_parent=end_with_parent)
    with (
        _in_words(place),
        Folder.opened(place) as folder,
        never_silent("analytics") as silence,
    ):
        Follower(folder, options, topic=topic, at_work=silence.broken).run(
            stop, until_level=until_level
        )
        if until_level and not stop.is_set():
            typer.echo(f"{place}: every position up to {folder.position}")


@analytics.command("query")
def query(
    question: Annotated[
        str | None, typer.Argument(help="Which question; without one they are listed.")
    ] = None,
    *,
    sql: Annotated[
        Path | None,
        typer.Option(help="A file of SQL instead.", exists=True, dir_okay=False),
    ] = None,
    as_of: Annotated[
        int | None, typer.Option(min=0, help="As of a position of the ledger.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Answer a question from the folder: counts, days, refusals, times, any SQL."""
    _must_be_installed()
    from consumers.analytics.asking import about, asked, questions  # noqa: PLC0415

    known = questions()
    if question is None and sql is None:
        _print_table(
            ("question", "what it asks"), ((n, about(known[n])) for n in known)
        )
        return
    if question is not None and sql is not None:
        raise OperatorError("either a question's name or --sql, not both")
    if sql is not None:
        text = sql.read_text(encoding="utf-8")
    elif question in known:
        text = known[question]
    else:
        raise OperatorError(
            f"there is no question {question!r}; there are {', '.join(known)}"
        )
    settings = AnalyticsSettings()
    place = settings.place(LedgerSettings.load().home)
    with (
        _in_words(place),
        asked(
            place, text, as_of=as_of, memory_mb=settings.analytics_memory_mb
        ) as found,
    ):
        if as_csv:
            _print_csv(found)
        elif as_json:
            _print_json(found)
        else:
            _print_table(found.columns, found.rows)
            typer.echo(f"As of position {found.position}.")


@analytics.command("files")
def files() -> None:
    """Print the files that count now, one a line, for other tools to read."""
    _must_be_installed()
    from consumers.analytics.asking import NothingThereError  # noqa: PLC0415
    from consumers.analytics.folder import manifest_of  # noqa: PLC0415

    place = AnalyticsSettings().place(LedgerSettings.load().home)
    with _in_words(place):
        manifest = manifest_of(place)
        if manifest is None:
            raise NothingThereError(str(place))
    for each in manifest.files:
        typer.echo(str((place / each.path).absolute()))


@analytics.command("check")
def check() -> None:
    """Say how far the folder is behind what the relay has published; 1 if far."""
    _must_be_installed()
    from consumers.analytics.folder import manifest_of  # noqa: PLC0415

    home = LedgerSettings.load().home
    place = AnalyticsSettings().place(home)
    options = KafkaSettings.load(home).client()
    with _in_words(place):
        manifest = manifest_of(place)
        topic = EVENTS.name if manifest is None else manifest.origin.topic
        said = read_published(options).get(topic)
    position = 0 if manifest is None else manifest.position
    say_how_far(str(place), position, position if said is None else said.position)


def _print_csv(found: Answer) -> None:
    lines = csv.writer(sys.stdout, lineterminator="\n")
    lines.writerow(found.columns)
    for row in found.rows:
        lines.writerow(["" if value is None else _text(value) for value in row])


def _print_json(found: Answer) -> None:
    """One document, written row by row."""
    sys.stdout.write(f'{{"position": {found.position}, "rows": [')
    for number, row in enumerate(found.rows):
        plain = {
            name: _plain(value) for name, value in zip(found.columns, row, strict=True)
        }
        sys.stdout.write(",\n" if number else "\n")
        json.dump(plain, sys.stdout, ensure_ascii=False)
    sys.stdout.write("\n]}\n")


def _print_table(columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDEST)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=not console.is_terminal)
    for row in islice(rows, MOST_SHOWN):
        table.add_row(*(Text("-" if v is None else _text(v)) for v in row))
    console.print(table)
    if next(rows, None) is not None:
        typer.echo(f"The first {MOST_SHOWN} rows; --csv and --json have all.")


def _text(value: Any) -> str:
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _plain(value: Any) -> Any:  # noqa: PLR0911 -- one line a type
    """A value of DuckDB as JSON has it."""
    match value:
        case bytes():
            return value.hex()
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return str(value)
