"""Acts and what becomes of them: the client side of the one append function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from eventsourcing.persistence import (
    IntegrityError,
    OperationalError,
    StoredEvent,
    Tracking,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The id of an act, who sent it, and a keyed digest of what was asked.

    ``digest`` MUST be keyed: a plain hash of a national number is no secret.
    """

    id: UUID
    actor: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ActToAppend:
    """One act: its events side by side, stored whole or not at all.

    An act may have no events: then its command, or its tracking, is remembered.
    """

    events: Sequence[StoredEvent]
    command: Command | None = None
    tracking: Tracking | None = None


class Outcome(StrEnum):
    """What became of one act of a batch."""

    APPENDED = "appended"
    REPEATED = "repeated"
    COMMAND_REUSED = "command-reused"
    VERSION_CONFLICT = "version-conflict"
    VERSION_GAP = "version-gap"
    TRACKING_CONFLICT = "tracking-conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """The outcome of one act.

    Positions count from 1 and are None where the act has no events, or lost.
    ``recorded_at`` is the time of its last entry.
    """

    outcome: Outcome
    first_position: int | None
    last_position: int | None
    recorded_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCommand:
    """A command that the ledger remembers, with the positions of its events."""

    id: UUID
    actor: str
    digest: bytes
    first_position: int | None
    last_position: int | None


class VersionConflictError(IntegrityError):
    """Somebody else stored this version of the aggregate first."""


class TrackingConflictError(IntegrityError):
    """The followed stream is tracked up to this position, or beyond, already."""


class CommandReusedError(IntegrityError):
    """The command id was used before, by another actor or for something else."""


class CommandRepeatedError(IntegrityError):
    """The same command was stored before; its positions are the answer."""

    def __init__(self, appended: Appended) -> None:
        super().__init__("command stored before")
        self.appended = appended


class ClockSkewError(OperationalError):
    """Two clocks are over a minute apart; nothing was stored."""


class LedgerSuspendedError(OperationalError):
    """The ledger came back from a backup and its operator has not resumed it."""


class NotWholeError(IntegrityError):
    """Acts that only count together were not stored: one lost, or a mark had moved.

    The message is the first outcome that was not ``appended``.
    """


class LedgerBusyError(OperationalError):
    """Too many acts wait, or no turn came in time; nothing was stored."""


class OutcomeUnknownError(OperationalError):
    """The act was sent, and what became of it could not be learnt.

    Its command id tells: stored, or not. An act without one has to be looked for.
    """


class AppendOnlyError(IntegrityError):
    """The guard of the events table refused a change."""


def must_be_appended(appended: Appended) -> Appended:
    """``appended`` itself when the act is stored; else the error that says why not."""
    match appended.outcome:
        case Outcome.APPENDED:
            return appended
        case Outcome.REPEATED:
            raise CommandRepeatedError(appended)
        case Outcome.COMMAND_REUSED:
            raise CommandReusedError(appended.outcome)
        case Outcome.TRACKING_CONFLICT:
            raise TrackingConflictError(appended.outcome)
        case _:
            raise VersionConflictError(appended.outcome)
