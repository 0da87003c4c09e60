"""Lives cut off while they write: what imports and simulations have to survive.

A process that reads a long file from its start, or repeats what is there, is seldom at
work when it dies at a random moment. So each is let come to its first write, and dies
some random time after it. What counts is a kill after which more was left to write.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from office.house import ViewsRoom

LOOK_EVERY_S = 0.002
FOLD_EVERY_S = 0.01


def fold(settings: LedgerSettings) -> None:
    """The body of a process that folds all views beside a writer, until it dies."""
    room = ViewsRoom(settings)
    while True:
        room.runner.catch_up()
        time.sleep(FOLD_EVERY_S)


@dataclass(kw_only=True)
class Cutting:
    """Cuts off writers of one ledger, that nobody else writes to.

    ``begin`` makes the processes of a life, not started: the writer, then those that
    die with it. A life ends at most so long after its first write.
    """

    reader: LedgerReader
    begin: Callable[[], Sequence[Any]]
    moments: Random
    longest_s: float
    heads: list[int] = field(default_factory=list)
    """Where the ledger was after each kill of a writer that had written."""
    lives: int = 0

    def cut(self, kills: int) -> None:
        """Cut off so many, or fewer when one comes to its end before."""
        for _ in range(kills):
            if not self._live():
                return

    def _live(self) -> bool:
        """One life; whether it was cut off."""
        before = self._head()
        writer, *others = processes = self.begin()
        for process in processes:
            process.start()
        while writer.is_alive() and self._head() == before:
            time.sleep(LOOK_EVERY_S)
        time.sleep(self.moments.uniform(0.0, self.longest_s))
        for process in (writer, *others):
            process.kill()
            process.join()
        is_cut = bool(writer.exitcode == -signal.SIGKILL)
        for process in processes:
            process.close()
        self.lives += 1
        if is_cut:
            self.heads.append(self._head())
        return is_cut

    def while_writing(self) -> int:
        """The kills after which more was written; to be asked when all is done."""
        last = self._head()
        return sum(head < last for head in self.heads)

    def _head(self) -> int:
        return self.reader.head().position
