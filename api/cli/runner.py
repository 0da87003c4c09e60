"""``sijil runner``: the process that folds views, assigns requests, tells citizens."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from api.cli.options import EndWithParent
from domain.errors import InvalidValueError
from ledger.settings import LedgerSettings
from office.house import House
from office.keeping import must_not_have_returned
from office.processes import stop_when_asked
from office.runner import run
from projections.shares import Share

_SHARE = re.compile(r"([0-9]{1,2})/([0-9]{1,2})", re.ASCII)


def runner(
    *,
    share: Annotated[
        str,
        typer.Option(
            metavar="N/OF",
            help="Fold only this share of the views: of so many runners, the n-th. "
            "Only the first does everything else as well.",
        ),
    ] = "1/1",
    end_with_parent: EndWithParent = False,
) -> None:
    """Fold the views, assign new requests and tell citizens until stopped.

    Two at once do no harm, and neither does killing one: each part keeps its position
    together with what it wrote.
    """
    mine = _share(share)
    stop = stop_when_asked(with_parent=end_with_parent)
    settings = LedgerSettings.load()
    must_not_have_returned(settings)
    with House(settings) as house:
        run(house, stop, mine)


def _share(text: str) -> Share:
    named = _SHARE.fullmatch(text)
    if named is not None:
        try:
            return Share(number=int(named[1]), of=int(named[2]))
        except InvalidValueError:
            pass
    raise typer.BadParameter(
        "a share is written as 1/2: which of how many, of no more than there are views",
        param_hint="--share",
    )
