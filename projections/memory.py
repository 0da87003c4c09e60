"""What a view remembers of the things that it folds, from one batch to the next.

A memory saves reading back what was just written. It is right at exactly the position
that its view has reached by its own folding; who holds it forgets it after an error,
after a transaction undone, and when anybody else has touched the view's progress.
"""

from __future__ import annotations

import copy
from collections.abc import Set as AbstractSet
from typing import Generic, Self, TypeVar

Thing = TypeVar("Thing")

REMEMBERED = 8_192
"""Things of one generation. Two are kept, some kilobyte each: more than are open at one
time in the country's first year, and few enough for a runner of all views."""


class Memory(Generic[Thing]):
    """Things by their keys: those that were touched of late, a bounded number.

    Two generations take the place of an order of use: what is touched moves to the
    young one, and the old one is dropped when the young one is full.
    """

    __slots__ = ("_old", "young")

    def __init__(self) -> None:
        self.young: dict[str, Thing] = {}
        """Everything that this batch knows, after ``unknown`` was asked for its keys.

        A fold reads and writes it as the dict it is."""
        self._old: dict[str, Thing] = {}

    def unknown(self, keys: AbstractSet[str]) -> set[str]:
        """Begin a batch: those of its keys that have to be read."""
        if len(self.young) > REMEMBERED:
            self._old, self.young = self.young, {}
        young, old = self.young, self._old
        missing = set()
        for key in keys:
            if key in young:
                continue
            if key in old:
                young[key] = old.pop(key)
            else:
                missing.add(key)
        return missing

    def __len__(self) -> int:
        return len(self.young) + len(self._old)


class Remembering(Generic[Thing]):
    """A view that may remember. As it is made, it remembers nothing between batches."""

    _memory: Memory[Thing] | None = None

    def remembering(self) -> Self:
        """The same view with a memory of its own, for one that holds it to its rows."""
        view = copy.copy(self)
        view.forget()
        return view

    def forget(self) -> None:
        """Begin a memory anew."""
        self._memory = Memory()

    def memory(self) -> Memory[Thing]:
        """The memory of this batch: an empty one where none is kept."""
        kept = self._memory
        return Memory() if kept is None else kept
