"""A ledger that came back from a backup: when it went on as another incarnation.

What stands before a resumption is what the backup had. Whoever followed the ledger no
further than that has seen nothing that is not there any more, and may go on.
"""

from enum import StrEnum
from uuid import UUID

from domain.acts import Act
from domain.aggregates import OfficeAggregate, Renewable
from domain.ids import code_id


class ResumedBecause(StrEnum):
    """Why a ledger that refused appends takes them again."""

    RESTORED = "restored"
    FAILED_OVER = "failed-over"
    EXERCISE = "exercise"
    OTHER = "other"


class ReturnedLedger(OfficeAggregate):
    """The incarnations of a ledger. It exists from its first resumption on."""

    TOPIC = "sijil.ledger"

    class Event(OfficeAggregate.Event):
        """An event of the ledger itself."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; it begins with ``Resumed``."""

        TOPIC = "sijil.ledger.created.v1"

    class Resumed(Renewable, Created):
        """From this entry on the ledger is the incarnation of this number."""

        TOPIC = "sijil.ledger.resumed.v1"
        incarnation: int
        reason: ResumedBecause

        def apply(self, aggregate: "ReturnedLedger") -> None:
            """The newest incarnation counts."""
            aggregate.incarnation = self.incarnation

    def __init__(self) -> None:
        """What there is to know comes with each ``Resumed``."""
        self.incarnation: int

    @staticmethod
    def id_of(ledger_id: UUID) -> UUID:
        """The id under which the resumptions of a ledger stand."""
        return code_id("ledger", str(ledger_id))

    @classmethod
    def resume(
        cls, act: Act, *, ledger_id: UUID, incarnation: int, reason: ResumedBecause
    ) -> "ReturnedLedger":
        """The first resumption of a ledger."""
        return cls._create(
            cls.Resumed,
            id=cls.id_of(ledger_id),
            timestamp=act.effective_at,
            act=act,
            incarnation=incarnation,
            reason=reason,
        )

    def resume_again(
        self, act: Act, *, incarnation: int, reason: ResumedBecause
    ) -> None:
        """One more resumption."""
        self._renewed(self.Resumed, act, incarnation=incarnation, reason=reason)
