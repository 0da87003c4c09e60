"""What ``sijil rebuild`` and ``sijil replay`` share: how they show what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from api.cli.failures import COULD_NOT_ASK, Failure
from domain.errors import NotFoundError
from projections.comparing import TableDifference
from projections.schema import VIEWS, views_named
from projections.views import View


class _Rate(ProgressColumn):
    """Entries a second."""

    def render(self, task: Task) -> Text:
        """The present speed, once there is one."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


@contextmanager
def folding_bar(words: str, total: int) -> Iterator[Callable[[int], None]]:
    """A function to be told each position reached; a bar with rate and time left."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        task = progress.add_task(words, total=total)
        yield lambda position: progress.update(task, completed=position)
        progress.update(task, completed=total)


def chosen_views(name: str) -> tuple[View, ...]:
    """The views of a name or ``all``; a Failure that says which there are."""
    try:
        return views_named(name)
    except NotFoundError as error:
        known = ", ".join(view.name for view in VIEWS)
        raise Failure(
            f"there is no view {name}",
            then=f"name one of: {known}, or all",
            exit_code=COULD_NOT_ASK,
        ) from error


def difference_rows(found: Iterable[TableDifference]) -> list[dict[str, Any]]:
    """The differences of tables as rows to print."""
    return [
        {
            "view": each.view,
            "table": each.table,
            "only_live": each.only_live,
            "only_folded": each.only_folded,
            "state": _state(each),
            "keys": list(each.keys),
        }
        for each in found
    ]


DIFFERENCE_COLUMNS = {
    "view": "view",
    "table": "table",
    "only_live": "only live",
    "only_folded": "only folded",
    "state": "state",
    "keys": "some rows",
}


def _state(each: TableDifference) -> str:
    if not each.is_compared:
        return "not compared: keeps no past"
    if each.is_other_shape:
        return "differs: other columns"
    return "same" if each.is_same else "differs"
