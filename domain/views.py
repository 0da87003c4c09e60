"""Views that stopped: which entry a view passes over, who said so and why.

A view that cannot fold an entry stops there. It goes on when its code is mended, or
when an administrator says that this version of it passes over exactly that entry.
"""

from enum import StrEnum
from uuid import UUID

from domain.acts import Act
from domain.aggregates import OfficeAggregate, Renewable
from domain.ids import code_id


class SkippedBecause(StrEnum):
    """Why a view passes over an entry."""

    ENTRY_MALFORMED = "entry-malformed"
    VIEW_DEFECT = "view-defect"
    OTHER = "other"


class FollowedView(OfficeAggregate):
    """What was decided about one view. It exists from its first skip on."""

    TOPIC = "sijil.view"

    class Event(OfficeAggregate.Event):
        """An event of a view."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; a view begins with ``Skipped``."""

        TOPIC = "sijil.view.created.v1"

    class Skipped(Renewable, Created):
        """A version of the view passes over the entry at ``position``."""

        TOPIC = "sijil.view.skipped.v1"
        view: str
        view_version: int
        position: int
        reason: SkippedBecause

        def apply(self, aggregate: "FollowedView") -> None:
            """What was said before stays said, of other versions too."""
            aggregate.view = self.view
            aggregate.skipped |= {(self.view_version, self.position)}

    def __init__(self) -> None:
        """What there is to know comes with each ``Skipped``."""
        self.view: str
        self.skipped: frozenset[tuple[int, int]] = frozenset()

    @staticmethod
    def id_of(view: str) -> UUID:
        """The id under which decisions about the view stand."""
        return code_id("view", view)

    @classmethod
    def skip(
        cls,
        act: Act,
        *,
        view: str,
        view_version: int,
        position: int,
        reason: SkippedBecause,
    ) -> "FollowedView":
        """The first skip of a view."""
        return cls._create(
            cls.Skipped,
            id=cls.id_of(view),
            timestamp=act.effective_at,
            act=act,
            view=view,
            view_version=view_version,
            position=position,
            reason=reason,
        )

    def skip_also(
        self, act: Act, *, view_version: int, position: int, reason: SkippedBecause
    ) -> None:
        """One more skip; nothing where the same was said before."""
        if (view_version, position) in self.skipped:
            return
        self._renewed(
            self.Skipped,
            act,
            view=self.view,
            view_version=view_version,
            position=position,
            reason=reason,
        )
