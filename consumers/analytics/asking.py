"""Questions to a folder, answered by DuckDB: the ministry's own, or any SQL.

The questions are files in ``questions/``, to be read, copied and changed. They rest
on ``events``, the rows of the folder up to one position, and on ``views.sql``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from consumers.analytics.columns import SCHEMA
from consumers.analytics.folder import Manifest, manifest_of

QUESTIONS = Path(__file__).parent / "questions"
_VIEWS = "views"
FETCHED_ROWS = 1_000
"""Rows in memory at once, however long the answer is."""


class NothingThereError(RuntimeError):
    """Nobody has written to the folder."""


class NotThatFarError(RuntimeError):
    """The folder ends before the position that was asked for."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


class WrongQuestionError(RuntimeError):
    """DuckDB does not take the SQL; the words are its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The rows of one answer, and the position of the ledger that they are as of."""

    position: int
    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


def questions() -> dict[str, str]:
    """The SQL of each question that has a name."""
    return {
        file.stem: file.read_text(encoding="utf-8")
        for file in sorted(QUESTIONS.glob("*.sql"))
        if file.stem != _VIEWS
    }


def about(sql: str) -> str:
    """The sentences that a question's SQL begins with."""
    lines = [line[2:].strip() for line in sql.splitlines() if line.startswith("--")]
    return " ".join(lines)


@contextmanager
def asked(
    place: Path, sql: str, *, as_of: int | None = None, memory_mb: int
) -> Iterator[Answer]:
    """What a folder answers, as of a position or of all that it has.

    Raises NothingThereError, NotThatFarError, WrongQuestionError, FolderBrokenError.
    """
    manifest = manifest_of(place)
    if manifest is None:
        raise NothingThereError(str(place))
    if as_of is not None and as_of > manifest.position:
        raise NotThatFarError(manifest.position)
    position = manifest.position if as_of is None else as_of
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mb}MB",
        # What is not built in would be fetched from the network.
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,
    }
    with (
        TemporaryDirectory(prefix="sijil-analytics-") as spilled,
        # Its own choice is a folder where the command happens to run.
        duckdb.connect(config=settings | {"temp_directory": spilled}) as connection,
    ):
        try:
            _prepare(connection, place, manifest, position)
            found = connection.execute(sql)
            columns = tuple(each[0] for each in found.description or ())
            yield Answer(position=position, columns=columns, rows=_fetched(found))
        except duckdb.Error as error:
            raise WrongQuestionError(str(error)) from error


def _prepare(
    connection: duckdb.DuckDBPyConnection,
    place: Path,
    manifest: Manifest,
    position: int,
) -> None:
    """Make the views. Only files that begin at or below the position are read."""
    connection.execute("SET TimeZone = 'UTC'")
    paths = [_quoted(place / e.path) for e in manifest.files if e.first <= position]
    if paths:
        read = f"read_parquet([{', '.join(paths)}], hive_partitioning = true)"
    else:
        connection.register("nothing", SCHEMA.empty_table())
        read = "nothing"
    connection.execute(
        f"CREATE VIEW events AS SELECT * FROM {read} WHERE position <= {position}"
    )
    connection.execute((QUESTIONS / f"{_VIEWS}.sql").read_text(encoding="utf-8"))


def _quoted(path: Path) -> str:
    """A path as a text of SQL that names this one file: no pattern, no end of it."""
    named = re.sub(r"([*?\[])", r"[\1]", str(path))
    return "'" + named.replace("'", "''") + "'"


def _fetched(
    found: duckdb.DuckDBPyConnection,
) -> Iterator[tuple[Any, ...]]:
    while rows := found.fetchmany(FETCHED_ROWS):
        yield from rows
