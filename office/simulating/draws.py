"""Draws that are the same on every machine: of integers and exact fractions only.

``Random.random`` is defined bit for bit; logarithms and roots are not, so nothing here
uses them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


class Weighted(Generic[T]):
    """Things with integer weights, to be drawn from."""

    def __init__(self, weights: Sequence[tuple[T, int]]) -> None:
        self.things = tuple(thing for thing, _ in weights)
        self._sums = tuple(accumulate(weight for _, weight in weights))
        self._total = self._sums[-1]

    def draw(self, draws: Draws) -> T:
        """One of the things, by weight."""
        return self.things[bisect_right(self._sums, draws.below(self._total))]


class Draws:
    """The draws of one case: they depend on its number and on nothing before it."""

    def __init__(self, *numbers: int) -> None:
        seed = 0
        for number in numbers:
            seed = seed << 32 | number
        # The same numbers, the same draws: a history for show, and no secret.
        self._random = Random(seed).random  # noqa: S311

    def below(self, end: int) -> int:
        """A whole number from 0 to below ``end``."""
        return int(self._random() * end)

    def between(self, first: int, last: int) -> int:
        """A whole number from ``first`` to ``last`` inclusive."""
        return first + int(self._random() * (last - first + 1))

    def chance(self, per_mille: int) -> bool:
        """Whether what happens so many times in a thousand happens now."""
        return self._random() * 1_000 < per_mille

    def one_of(self, things: Sequence[T]) -> T:
        """One of the things, each as likely."""
        return things[int(self._random() * len(things))]

    def from_table(self, table: Sequence[int]) -> int:
        """A value between the steps of a table of equal shares, first to last."""
        place = self._random() * (len(table) - 1)
        step = int(place)
        return table[step] + int((place - step) * (table[step + 1] - table[step]))
