"""Ends a process that has been silent for too long, whatever it waits for.

A client may wait for ever for an answer that was dropped. Whoever watches over a
process sees that it runs, and the turn stays with it; so it watches over itself.
"""

from __future__ import annotations

import faulthandler
import sys
import time
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Self

LIMIT_S = 180.0
"""More than the timeouts that one meets between two signs of life: 30 s until what was
sent is written, 45 s for a transaction's end, 60 s for where partitions begin and as
long for where they end."""
_LOOKS = 20
"""In one limit."""


class Silence:
    """Calls ``end`` in a thread of its own once nothing was heard for ``limit_s``.

    ``end`` is to end the process: whatever hangs cannot be asked to. Where each thread
    stood is written to the standard error output first, without any value.
    """

    def __init__(self, end: Callable[[], object], *, limit_s: float = LIMIT_S) -> None:
        self._end = end
        self._limit_s = limit_s
        self._at = time.monotonic()
        self._over = Event()
        self._thread = Thread(target=self._watch, name="silence", daemon=True)

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Listen no more."""
        self._over.set()
        self._thread.join()

    def broken(self) -> None:
        """Hear a sign of life."""
        self._at = time.monotonic()

    def _watch(self) -> None:
        while not self._over.wait(self._limit_s / _LOOKS):
            if time.monotonic() - self._at > self._limit_s:
                if sys.__stderr__ is not None:
                    faulthandler.dump_traceback(sys.__stderr__)
                self._end()
                return
