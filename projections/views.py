"""What a view is to the runner: a name, its tables, and how it folds a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, Self, runtime_checkable

import psycopg2.extensions

from projections.facts import Fact


class View(Protocol):
    """A read model. ``fold`` MUST depend on the facts and its own rows only."""

    @property
    def name(self) -> str:
        """Stable; names its progress row."""

    @property
    def version(self) -> int:
        """Raised when the tables or the fold change: the view is then made anew."""

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables it owns, dropped when its version changes."""

    @property
    def ddl(self) -> str:
        """The statements that make its tables, with unqualified names."""

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in, in order. MUST NOT commit."""


Write = Callable[[psycopg2.extensions.cursor], None]
"""Writes the rows of a batch. MUST NOT commit."""


@runtime_checkable
class Plans(Protocol):
    """A view that can tell the rows of a batch while those before it are written."""

    def plan(self, facts: Sequence[Fact]) -> Write | None:
        """What ``fold`` would write, by the facts and the memory alone.

        None, and nothing is changed, where a row would have to be read.
        """


@runtime_checkable
class Remembers(View, Protocol):
    """A view that need not read back what it has just written: projections.memory."""

    def remembering(self) -> Self:
        """The view with a memory, which is right only while nobody else folds it."""

    def forget(self) -> None:
        """Begin the memory anew: it may not be what the rows are."""
