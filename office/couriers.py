"""Couriers: what carries a letter to a citizen, and what each of them may say of it.

An adapter is a Courier. It MUST return only when the letter was taken over for good,
and MUST raise CourierError otherwise; an error names a code of ours and never repeats
what the other side said, because servers repeat addresses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.requests import Means


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message to one citizen. ``id`` is the same at every attempt."""

    id: UUID
    message: str
    means: Means
    to: str = field(repr=False)
    subject: str
    text: str
    caused_at: datetime


class CourierError(Exception):
    """A letter was not taken. ``code`` is ours, such as ``smtp-450`` or ``timeout``.

    ``is_final``: trying again cannot help. ``is_down``: it is the courier, not this
    letter; others need not be tried at once.
    """

    def __init__(
        self, code: str, *, is_final: bool = False, is_down: bool = False
    ) -> None:
        super().__init__(code)
        self.code = code
        self.is_final = is_final
        self.is_down = is_down


class Courier(Protocol):
    """What carries letters."""

    @property
    def name(self) -> str:
        """As SIJIL_TELLING names it."""

    @property
    def carries(self) -> tuple[Means, ...]:
        """The means it stands for, the preferred one first."""

    def send(self, letter: Letter) -> None:
        """Hand the letter over for good. Raises CourierError."""

    def sweep(self) -> int:
        """Remove what it has kept long enough; how many."""
