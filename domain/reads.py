"""Looks: that somebody of the office saw the values of a party, and what for."""

from enum import StrEnum
from uuid import UUID

from domain.acts import Act
from domain.aggregates import OfficeAggregate


class Purpose(StrEnum):
    """What a party's values were looked at for."""

    COUNTER = "counter"
    EXPORT = "export"


class Look(OfficeAggregate):
    """One look: an aggregate of its own, so that what was looked at never moves."""

    TOPIC = "sijil.read"

    class Event(OfficeAggregate.Event):
        """An event of a look."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; a look begins with ``Looked``."""

        TOPIC = "sijil.read.created.v1"

    class Looked(Created):
        """The values of ``party`` in ``request`` were shown to the actor."""

        TOPIC = "sijil.read.looked.v1"
        party: UUID
        request: UUID
        purpose: Purpose

    def __init__(self) -> None:
        """A look has no state: it is never acted upon."""

    @classmethod
    def look(
        cls, act: Act, *, look_id: UUID, party: UUID, request: UUID, purpose: Purpose
    ) -> "Look":
        """The record of one look."""
        return cls._create(
            cls.Looked,
            id=look_id,
            timestamp=act.effective_at,
            act=act,
            party=party,
            request=request,
            purpose=purpose,
        )
