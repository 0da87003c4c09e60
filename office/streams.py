"""What a door needs of the streams, which it must not import: found by entry point."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol
from uuid import UUID

from ledger.settings import LedgerSettings
from office.errors import OperatorError

GROUP = "sijil.streams"
"""The group of the entry point ``letters``: gives an open LetterBox for settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterPlace:
    """A dead letter's coordinates: where it came from, and where its content is."""

    id: UUID
    group: str
    topic: str
    partition: int
    offset: int
    kept_partition: int
    kept_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterContent:
    """What was in a message, byte for byte. The repr shows nothing of it."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    detail: str

    def __repr__(self) -> str:
        return "LetterContent(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentAgain:
    """Where a message stands that was sent again, and since when.

    ``sent_ms`` is in milliseconds since 1970, UTC. ``is_repeat``: it had been sent for
    this replay before.
    """

    partition: int
    offset: int
    sent_ms: int
    is_repeat: bool


class LetterBox(Protocol):
    """The dead letters as Kafka has them."""

    def content(self, letter: LetterPlace) -> LetterContent:
        """What was in a message. Raises OperatorError where it is gone."""

    def send_again(self, letter: LetterPlace, *, replay: int) -> SentAgain:
        """Send a message to where it came from, as it came.

        Once for each ``replay`` (1 for the first), also when it is asked for again.
        Raises OperatorError where its content is gone or nobody answers.
        """


def letter_box(settings: LedgerSettings) -> AbstractContextManager[LetterBox]:
    """The letter box that an installed package gives. Raises OperatorError for none."""
    for point in entry_points(group=GROUP, name="letters"):
        opened: AbstractContextManager[LetterBox] = point.load()(settings)
        return opened
    raise OperatorError("this installation has no streams")
