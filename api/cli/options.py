"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from projections.pages import LARGEST_PAGE

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
"""For programs: one JSON document instead of a table."""

EndWithParent = Annotated[
    bool,
    typer.Option(
        "--end-with-parent",
        hidden=True,
        help="End when standard input closes; for the supervisor.",
    ),
]

MinPosition = Annotated[
    int | None,
    typer.Option(help="Wait until the view has taken in this position."),
]
AsOf = Annotated[
    str | None,
    typer.Option(help="As it was known at a position, or at a time (RFC 3339)."),
]
"""A position of the ledger or a recorded time."""
Limit = Annotated[int, typer.Option(min=1, max=LARGEST_PAGE, help="How many items.")]
