"""``sijil runner``: the process that folds views, assigns requests, tells citizens."""

from __future__ import annotations

from api.cli.options import EndWithParent
from ledger.settings import LedgerSettings
from office.house import House
from office.keeping import must_not_have_returned
from office.processes import stop_when_asked
from office.runner import run


def runner(*, end_with_parent: EndWithParent = False) -> None:
    """Fold the views, assign new requests and tell citizens until stopped.

    Two at once do no harm, and neither does killing one: each part keeps its position
    together with what it wrote.
    """
    stop = stop_when_asked(with_parent=end_with_parent)
    settings = LedgerSettings.load()
    must_not_have_returned(settings)
    with House(settings) as house:
        run(house, stop)
