"""How a command shows a list of the interface: a table, or the page as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from api.cli.logins import Login, connect
from api.cli.tables import print_json, print_table

OneCentre = Annotated[str | None, typer.Option("--centre", help="Only of this centre.")]
_Item = dict[str, Any]


def _as_it_is(item: _Item) -> _Item:
    return item


def show_list(
    login: Login,
    path: str,
    columns: Mapping[str, str],
    *,
    empty: str,
    as_json: bool,
    of: tuple[str, str | None],
    tell: Callable[[_Item], _Item] = _as_it_is,
    **asked: Any,
) -> None:
    """A list ``of`` a thing of the catalogue, which is there where nothing is in it.

    ``tell`` makes the row of a table from an item.
    """
    noun, code = of
    with connect(login) as server:
        page = server.get(path, **asked).body
        if not page["items"] and code is not None:
            server.must_have(noun, code)
    if as_json:
        print_json(page)
        return
    print_table([tell(item) for item in page["items"]], columns, empty=empty)
    if page["next"] is not None:
        typer.echo(f"There is more than {asked['limit']}.")
