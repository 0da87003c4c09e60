"""Refused attempts: what an actor tried on a thing in its scope, and why not."""

from uuid import UUID

from domain.acts import Act
from domain.aggregates import OfficeAggregate


class Attempt(OfficeAggregate):
    """One refused attempt: an aggregate of its own, so that its target never moves."""

    TOPIC = "sijil.attempt"

    class Event(OfficeAggregate.Event):
        """An event of an attempt."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; an attempt begins with ``Refused``."""

        TOPIC = "sijil.attempt.created.v1"

    class Refused(Created):
        """``attempted`` on ``target`` broke the rule ``code``.

        ``target`` is an aggregate's id; ``target_version`` is where it stood;
        ``centre`` is the target's, so that its supervisor sees the attempt.
        ``holder`` is the code of who had it, where that was the reason.
        """

        TOPIC = "sijil.attempt.refused.v1"
        attempted: str
        target: UUID
        target_version: int
        centre: str
        code: str
        reason: str | None = None
        holder: str | None = None

    def __init__(self) -> None:
        """An attempt has no state: it is never acted upon."""

    @classmethod
    def refuse(
        cls,
        act: Act,
        *,
        attempt_id: UUID,
        attempted: str,
        target: UUID,
        target_version: int,
        centre: str,
        code: str,
        reason: str | None,
        holder: str | None = None,
    ) -> "Attempt":
        """The record of one refused attempt."""
        return cls._create(
            cls.Refused,
            id=attempt_id,
            timestamp=act.effective_at,
            act=act,
            attempted=attempted,
            target=target,
            target_version=target_version,
            centre=centre,
            code=code,
            reason=reason,
            holder=holder,
        )
