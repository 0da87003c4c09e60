"""Writers in several processes at once, each process with its own store object."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Self

from benchmarks.writers import Round, Store, a_round

WARM_S = 0.3
"""How long a store works before its round: until its connections are made."""
ANSWER_TIMEOUT_S = 120.0
"""Far above a round: a process that has not answered by then is stuck."""


def _serve(make: Callable[..., Store], of: Any, pipe: Connection) -> None:
    """The body of one process: a round whenever it is asked for one.

    Its connections live for one round only: two sides in turn would else hold more
    than the server has.
    """
    pipe.send("ready")
    while (asked := pipe.recv()) is not None:
        threads, round_s = asked
        store = make(of)
        warmed = a_round(store, threads=threads, round_s=WARM_S)
        pipe.send("warm")
        pipe.recv()
        one = a_round(store, threads=threads, round_s=round_s)
        store.close()
        pipe.send(replace(one, before=warmed.acknowledged))


@dataclass(frozen=True)
class _Child:
    process: BaseProcess
    pipe: Connection

    def receive(self) -> Any:
        assert self.pipe.poll(ANSWER_TIMEOUT_S), "a process of writers is stuck"
        return self.pipe.recv()


class Processes:
    """So many processes of writers, made once and asked for rounds.

    ``make(of)`` gives each process its store; both must be picklable.
    """

    def __init__(self, count: int, make: Callable[..., Store], of: Any) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._children = []
        for _ in range(count):
            mine, theirs = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(make, of, theirs), daemon=True)
            process.start()
            theirs.close()
            self._children.append(_Child(process, mine))
        for child in self._children:
            child.receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for child in self._children:
            if kind is not None:
                child.process.kill()
            elif child.process.is_alive():
                child.pipe.send(None)
        for child in self._children:
            child.process.join(ANSWER_TIMEOUT_S)

    def a_round(self, *, threads: int, round_s: float) -> Round:
        """One round of so many writers in each process, all at the same time."""
        for child in self._children:
            child.pipe.send((threads, round_s))
        for child in self._children:
            child.receive()
        for child in self._children:
            child.pipe.send("go")
        rounds = [child.receive() for child in self._children]
        return Round(
            acknowledged=[each for one in rounds for each in one.acknowledged],
            took_s=max(one.took_s for one in rounds),
            before=[each for one in rounds for each in one.before],
        )
