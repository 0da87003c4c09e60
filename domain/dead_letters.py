"""Dead letters: messages from outside that could not be used, and what became of them.

What was in a message stays on the dead-letter topic alone: it may hold a person's
value, and a plain digest of one is no secret.
"""

from enum import StrEnum
from uuid import UUID

from eventsourcing.domain import event

from domain.acts import Act
from domain.aggregates import OfficeAggregate
from domain.errors import AlreadySettledError
from domain.ids import derived_id, time_at


class DeadBecause(StrEnum):
    """Why a message could not be used."""

    NO_VALUE = "no-value"
    TOO_LARGE = "too-large"
    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "unknown-key"
    WRONG_SIGNATURE = "wrong-signature"
    WRONG_SENDER = "wrong-sender"
    NOT_JSON = "not-json"
    UNKNOWN_TYPE = "unknown-type"
    MALFORMED = "malformed"
    REFUSED = "refused"
    FAULT = "fault"
    OTHER = "other"


class SettledBecause(StrEnum):
    """Why nothing more comes of a dead letter."""

    DONE_BY_HAND = "done-by-hand"
    SENT_AGAIN = "sent-again"
    NOT_OURS = "not-ours"
    FORGED = "forged"
    OUT_OF_DATE = "out-of-date"
    OTHER = "other"


class DeadLetter(OfficeAggregate):
    """One message that could not be used. It disappears only by somebody's word."""

    TOPIC = "sijil.message"

    class Event(OfficeAggregate.Event):
        """An event of a dead letter."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; a dead letter begins with ``DeadLettered``."""

        TOPIC = "sijil.message.created.v1"

    class DeadLettered(Created):
        """The message at ``offset`` was passed over, after so many ``attempts``.

        ``kept_partition`` and ``kept_offset`` are its place on the dead-letter topic
        of ``group``. ``sender`` is whose signature was checked; ``code`` is what the
        office refused it with; ``replay_of`` is the dead letter that it repeats.
        """

        TOPIC = "sijil.message.dead-lettered.v1"
        group: str
        topic: str
        partition: int
        offset: int
        cause: DeadBecause
        attempts: int
        kept_partition: int
        kept_offset: int
        sender: str | None = None
        code: str | None = None
        replay_of: UUID | None = None

    def __init__(
        self, *, topic: str, partition: int, offset: int, replay_of: UUID | None = None
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.replay_of = replay_of
        self.replays = 0
        self.settled_because: SettledBecause | None = None

    @staticmethod
    def id_of(
        group: str, topic: str, partition: int, offset: int, sent_ms: int
    ) -> UUID:
        """The id of the dead letter of a message, which repeats with the message.

        ``sent_ms`` is the message's own time (milliseconds since 1970, UTC): the topic
        may be made again, and another message have these coordinates.
        """
        return derived_id(
            f"dead-letter/{group}/{topic}/{partition}/{offset}", time_at(sent_ms)
        )

    @classmethod
    def set_aside(
        cls,
        act: Act,
        *,
        letter_id: UUID,
        group: str,
        topic: str,
        partition: int,
        offset: int,
        cause: DeadBecause,
        attempts: int,
        kept_partition: int,
        kept_offset: int,
        sender: str | None = None,
        code: str | None = None,
        replay_of: UUID | None = None,
    ) -> "DeadLetter":
        """The record of a message that could not be used."""
        return cls._create(
            cls.DeadLettered,
            id=letter_id,
            timestamp=act.effective_at,
            act=act,
            group=group,
            topic=topic,
            partition=partition,
            offset=offset,
            cause=cause,
            attempts=attempts,
            kept_partition=kept_partition,
            kept_offset=kept_offset,
            sender=sender,
            code=code,
            replay_of=replay_of,
        )

    class Replayed(Event):
        """It was sent again as it came, for the ``replay``-th time.

        ``partition`` and ``offset`` are its new place on the topic it came from.
        """

        TOPIC = "sijil.message.replayed.v1"
        replay: int
        partition: int
        offset: int

    class Settled(Event):
        """Nothing more comes of it."""

        TOPIC = "sijil.message.settled.v1"
        reason: SettledBecause

    def replay(self, act: Act, *, partition: int, offset: int) -> None:
        """Record that it was sent again. Raises AlreadySettledError."""
        self._must_not_be_settled()
        self._happened(
            self.Replayed,
            act,
            replay=self.replays + 1,
            partition=partition,
            offset=offset,
        )

    @event(Replayed)
    def _replayed(self, replay: int) -> None:
        self.replays = replay

    def settle(self, act: Act, *, reason: SettledBecause) -> None:
        """Record that nothing more comes of it. Raises AlreadySettledError."""
        self._must_not_be_settled()
        self._happened(self.Settled, act, reason=reason)

    @event(Settled)
    def _settled(self, reason: SettledBecause) -> None:
        self.settled_because = reason

    def _must_not_be_settled(self) -> None:
        if self.settled_because is not None:
            raise AlreadySettledError(reason=self.settled_because)
