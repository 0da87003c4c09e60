"""``sijil openapi``: the description of the HTTP interface, for the documentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from api.app import create_app
from api.settings import ApiSettings
from ledger.settings import LedgerSettings
from office.house import House


def openapi(
    *,
    output: Annotated[
        Path | None, typer.Option(help="Write it there instead of printing it.")
    ] = None,
) -> None:
    """Print the OpenAPI document. Nothing has to run."""
    with House(LedgerSettings.load()) as house:
        document = create_app(house, ApiSettings.load()).openapi()
    text = json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
