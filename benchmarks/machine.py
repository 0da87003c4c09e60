"""What a figure was measured on: processors, and an interpreter and its own speed.

One release of Python is half as fast again when its makers had it optimized by what it
does (as Debian's and the official images are) than when it was just compiled. So the
time of a fixed piece of work stands beside its version.
"""

from __future__ import annotations

import os
import sys
import time
from functools import cache

STEPS = 60_000
TIMES = 5


class _Thing:
    __slots__ = ("key", "number")

    def __init__(self, key: str, number: int) -> None:
        self.key = key
        self.number = number

    @property
    def line(self) -> str:
        """A line as a view makes it."""
        return f"{self.key}\t{self.number}"


@cache
def machine() -> str:
    """Cores, Python, and how fast that is: for the head of a result."""
    version = sys.version.split()[0]
    fastest_ms = min(_work_ms() for _ in range(TIMES))
    return (
        f"{os.cpu_count()} cores, Python {version} (a fixed piece of work in"
        f" {fastest_ms:.0f} ms)"
    )


def _work_ms() -> float:
    """Milliseconds of objects, looks into a dict, and texts: what a fold is made of."""
    began = time.perf_counter()
    known: dict[str, _Thing] = {}
    lines = []
    for number in range(STEPS):
        thing = _Thing(str(number % 977), number)
        if known.get(thing.key) is None:
            known[thing.key] = thing
        lines.append(thing.line)
    "\n".join(lines).encode()
    return (time.perf_counter() - began) * 1_000
