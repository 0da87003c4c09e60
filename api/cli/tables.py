"""How commands print: tables for people, one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDEST = 400
"""Columns of a file or a pipe, where nothing has to be wrapped."""
NOT_MEASURED = "not measured"
"""What stands where there is no figure: never a 0."""


def cell(value: Any) -> Text:
    """A value as people read it; None is nothing that was measured or happened."""
    match value:
        case None:
            return Text("-")
        case bool():
            return Text("yes" if value else "no")
        case list() | tuple():
            return Text(", ".join(map(str, value)))
        case _:
            return Text(str(value))


def _console() -> Console:
    """As wide as the terminal; without one, as wide as any table wants to be."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDEST)


def print_table(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, empty: str
) -> None:
    """A table of ``rows``; ``columns`` maps a key to its heading."""
    console = _console()
    if not rows:
        console.print(Text(empty))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in columns.values():
        table.add_column(heading, overflow="fold", no_wrap=not console.is_terminal)
    for row in rows:
        table.add_row(*(cell(row.get(key)) for key in columns))
    console.print(table)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Names and values, one pair a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(Text(name), cell(value))
    _console().print(table)


def print_json(document: Any) -> None:
    """One JSON document, Arabic as it is written."""
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
