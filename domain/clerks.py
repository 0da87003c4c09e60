"""Clerks: who works at which centre, responsible for which agencies.

Events name a clerk by a code only; names of staff live with the identity provider.
"""

from uuid import UUID

from eventsourcing.domain import event

from domain.acts import Act
from domain.aggregates import OfficeAggregate
from domain.ids import code_id


class Clerk(OfficeAggregate):
    """One clerk of one centre."""

    TOPIC = "sijil.clerk"

    class Event(OfficeAggregate.Event):
        """An event of a clerk."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; a clerk begins with ``Appointed``."""

        TOPIC = "sijil.clerk.created.v1"

    class Appointed(Created):
        """The clerk works at ``centre`` from the effective time on."""

        TOPIC = "sijil.clerk.appointed.v1"
        code: str
        centre: str

    class MadeResponsible(Event):
        """New requests of ``agency`` at the clerk's centre may come to this clerk."""

        TOPIC = "sijil.clerk.made-responsible.v1"
        agency: str

    def __init__(self, *, code: str, centre: str) -> None:
        self.code = code
        self.centre = centre
        self.agencies: tuple[str, ...] = ()

    @staticmethod
    def id_of(code: str) -> UUID:
        """The id of the clerk with this code."""
        return code_id("clerk", code)

    @classmethod
    def appoint(cls, act: Act, *, code: str, centre: str) -> "Clerk":
        """A new clerk, responsible for no agency yet."""
        return cls._create(
            cls.Appointed,
            id=cls.id_of(code),
            timestamp=act.effective_at,
            act=act,
            code=code,
            centre=centre,
        )

    def make_responsible(self, act: Act, *, agency: str) -> None:
        """Give the clerk an agency; giving it again changes nothing."""
        if agency not in self.agencies:
            self._happened(self.MadeResponsible, act, agency=agency)

    @event(MadeResponsible)
    def _made_responsible(self, agency: str) -> None:
        self.agencies = (*self.agencies, agency)
