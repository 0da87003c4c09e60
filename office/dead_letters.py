"""Dead letters: what workers set aside, and what an administrator does about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from eventsourcing.persistence import Tracking

from domain.access import Permission, Principal
from domain.acts import MINISTRY, Act, ActorKind
from domain.dead_letters import DeadBecause, DeadLetter, SettledBecause
from domain.errors import NotFoundError, SijilError
from domain.ids import derived_id, time_at
from office.acts import Acts, Done, Envelope, On, translated

ROUTE = "dead-letter"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """Record that a group could not use the message at a place of a topic.

    ``sent_ms`` is the message's own time (milliseconds since 1970, UTC; -1 for none).
    ``cause`` is a code; what nobody knows is kept as ``other``. ``sender`` is who it
    was proved to be from, and ``replay_of`` the dead letter it claims to replay.
    """

    group: str
    topic: str
    partition: int
    offset: int
    sent_ms: int
    cause: str
    attempts: int
    kept_partition: int
    kept_offset: int
    sender: str | None = None
    replay_of: UUID | None = None

    @property
    def letter_id(self) -> UUID:
        """The id of the dead letter, which repeats with the message."""
        return DeadLetter.id_of(
            self.group, self.topic, self.partition, self.offset, self.sent_ms
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayLetter:
    """Record that a dead letter was sent again, and where it stands now."""

    letter_id: UUID
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleLetter:
    """Say that nothing more comes of a dead letter."""

    letter_id: UUID
    reason: SettledBecause


class DeadLettersDesk:
    """Records dead letters. Raises the errors of the rules."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts
        self._ledger = acts.ledger

    def set_aside(self, command: SetAside, *, tracking: Tracking) -> Done:
        """Record a message that could not be used, and its offset, in one act.

        A repeat changes nothing. Raises TrackingConflictError where the offset, or one
        above it, was passed before.
        """
        place = f"{command.topic}/{command.partition}/{command.offset}"
        at = time_at(command.sent_ms)
        envelope = Envelope(
            principal=Principal(role=ActorKind.SYSTEM, id=command.group),
            command_id=derived_id(f"set-aside/{command.group}/{place}", at),
            route=ROUTE,
            # Of its own cause's time; of a message from the future, of now.
            effective_at=None if command.sent_ms < 0 else min(at, self._acts.clock()),
            causation_id=f"kafka/{place}",
            tracking=tracking,
        )
        cause, code = cause_of(command.cause)

        def decide(letter: DeadLetter | None, act: Act) -> DeadLetter:
            return letter or DeadLetter.set_aside(
                act,
                letter_id=command.letter_id,
                group=command.group,
                topic=command.topic,
                partition=command.partition,
                offset=command.offset,
                cause=cause,
                attempts=command.attempts,
                kept_partition=command.kept_partition,
                kept_offset=command.kept_offset,
                sender=command.sender,
                code=code,
                replay_of=self._known(command.replay_of),
            )

        return self._acts.on(
            envelope,
            # The digest covers the trigger alone: tried again after a crash, the same
            # message is kept at another place, and one from the future is of a later
            # now.
            self._acts.command(
                replace(envelope, effective_at=None),
                {"place": place, "sent_ms": command.sent_ms},
            ),
            On(
                thing_id=command.letter_id,
                load=lambda: self._find(command.letter_id),
                actor=lambda _: envelope.principal.actor,
                centre=lambda _: MINISTRY,
            ),
            decide,
        )

    def replay(self, command: ReplayLetter, envelope: Envelope) -> Done:
        """Record that a dead letter was sent again. Raises AlreadySettledError."""

        def decide(letter: DeadLetter, act: Act) -> None:
            letter.replay(act, partition=command.partition, offset=command.offset)

        return self._on(command, envelope, decide)

    def settle(self, command: SettleLetter, envelope: Envelope) -> Done:
        """Record that nothing more comes of it. Raises AlreadySettledError."""

        def decide(letter: DeadLetter, act: Act) -> None:
            letter.settle(act, reason=command.reason)

        return self._on(command, envelope, decide)

    def first_name(self, letter_id: UUID, *, topic: str, partition: int) -> str | None:
        """What the message of a dead letter was first called, before any replay of it.

        ``kafka/<topic>/<partition>/<offset>``; None where there is no such dead letter,
        or it is of another partition: anybody may write a header that names one.
        """
        name = None
        found = self._find(letter_id)
        # A letter names one that was there before it, so this comes to an end.
        while found is not None:
            if (found.topic, found.partition) != (topic, partition):
                return None
            name = f"kafka/{topic}/{partition}/{found.offset}"
            found = None if found.replay_of is None else self._find(found.replay_of)
        return name

    def _on(
        self,
        command: ReplayLetter | SettleLetter,
        envelope: Envelope,
        decide: Callable[[DeadLetter, Act], None],
    ) -> Done:
        envelope.principal.must_be_allowed(Permission.ADMINISTER)

        def load() -> DeadLetter:
            letter = self._find(command.letter_id)
            if letter is None:
                raise NotFoundError(thing="dead-letter")
            return letter

        def decided(letter: DeadLetter | None, act: Act) -> DeadLetter:
            if letter is None:
                raise NotFoundError(thing="dead-letter")
            decide(letter, act)
            return letter

        return self._acts.on(
            envelope,
            self._acts.command(envelope, command),
            On(
                thing_id=command.letter_id,
                load=load,
                actor=lambda _: envelope.principal.actor,
                centre=lambda _: MINISTRY,
            ),
            decided,
        )

    def _find(self, letter_id: UUID) -> DeadLetter | None:
        with translated():
            return self._ledger.find(DeadLetter, letter_id)

    def _known(self, letter_id: UUID | None) -> UUID | None:
        """The id, where there is such a dead letter: anybody may write a header."""
        if letter_id is None or self._find(letter_id) is None:
            return None
        return letter_id


def cause_of(code: str) -> tuple[DeadBecause, str | None]:
    """The cause that a worker's code names, and the office's own code of a refusal.

    What nobody knows blocks nobody: it is OTHER, and its words are in no event.
    """
    if code in set(DeadBecause):
        return DeadBecause(code), None
    if code in _refusals(SijilError):
        return DeadBecause.REFUSED, code
    return DeadBecause.OTHER, None


def _refusals(error: type[SijilError]) -> set[str]:
    """The codes of everything that the office refuses with."""
    below = (_refusals(each) for each in error.__subclasses__())
    return {error.code}.union(*below)
