"""Shares of the views, for runners that fold them together.

Each view is one share's alone. A runner that folds another's by mistake does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.errors import InvalidValueError
from projections.schema import VIEWS
from projections.views import View

HEAVIEST = (
    "clerk_queue",
    "tracking",
    "audit_trail",
    "turnaround",
    "governorate_counts",
    "payments",
    "postal_manifest",
    "stamp_register",
    "timers",
    "agency_inbox",
)
"""What takes most of a fold, about the heaviest first (benchmarks/views.py).

Each of the others is hardly more than reading.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Which of several runners of one ledger this is: number ``number`` of ``of``.

    Raises InvalidValueError unless it is one of them, and each has a view.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of <= len(VIEWS):
            raise InvalidValueError(field="share", reason="range")

    @property
    def views(self) -> tuple[View, ...]:
        """Its views, dealt so that all shares have about as much to do."""
        mine = set()
        for place, view in enumerate(sorted(VIEWS, key=_rank)):
            turn, card = divmod(place, self.of)
            # There and back: who had the heaviest of one turn has the lightest next.
            whose = card if turn % 2 == 0 else self.of - 1 - card
            if whose == self.number - 1:
                mine.add(view.name)
        return tuple(view for view in VIEWS if view.name in mine)


def _rank(view: View) -> tuple[int, str]:
    is_heavy = view.name in HEAVIEST
    return (HEAVIEST.index(view.name) if is_heavy else len(HEAVIEST), view.name)


WHOLE = Share(number=1, of=1)
"""One runner that folds everything."""
