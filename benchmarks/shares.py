"""Views folded by several processes, each its share: ``sijil runner --share``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier

from benchmarks.cpu import server_s
from ledger.settings import LedgerSettings
from office.house import ViewsRoom
from projections.shares import Share
from tests.forks import forks

_FORKS = forks("benchmarks.shares")


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What folding up to ``head`` took: by the wall, and of processors."""

    head: int
    wall_s: float
    python_s: float
    server_s: float


def folded_by(processes: int, settings: LedgerSettings, postmaster: int) -> Spent:
    """All views from where they stand to the head, by so many processes.

    They are there, with their connections, before the clock starts.
    """
    ready = _FORKS.Barrier(processes + 1)
    told: SimpleQueue[tuple[int, float]] = _FORKS.SimpleQueue()
    shares = [Share(number=n, of=processes) for n in range(1, processes + 1)]
    workers = [
        _FORKS.Process(target=_fold, args=(settings, share, ready, told), daemon=True)
        for share in shares
    ]
    for worker in workers:
        worker.start()
    ready.wait()
    began, before_s = time.perf_counter(), server_s(postmaster)
    ends = [told.get() for _ in workers]
    wall_s = time.perf_counter() - began
    spent = Spent(
        head=min(head for head, _ in ends),
        wall_s=wall_s,
        python_s=sum(python_s for _, python_s in ends),
        server_s=server_s(postmaster) - before_s,
    )
    for worker in workers:
        worker.join()
    return spent


def _fold(
    settings: LedgerSettings,
    share: Share,
    ready: Barrier,
    told: SimpleQueue[tuple[int, float]],
) -> None:
    room = ViewsRoom(settings, share)
    try:
        ready.wait()
        before_s = time.process_time()
        head = room.runner.catch_up()
        told.put((head, time.process_time() - before_s))
    finally:
        room.close()
