"""Claim: what an append costs beside a bare INSERT of the same rows and a COMMIT.

One event a call, from 1, 8 and 32 threads: by the product's own path (checks, command,
dense positions, one call of ``append``) and, in the same run on the same embedded
server, through plain psycopg2 into a table with the same columns and constraints,
whose positions come from a sequence and may have gaps. Rounds alternate; the median of
each is printed with the ratio, and kept under ``results/``.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.bars import Line, keep
from benchmarks.writers import BODY, BareStore, OurStore, a_round, rival_dsn
from ledger.embedded import EmbeddedServer
from ledger.migrations import migrate
from ledger.settings import LedgerSettings

THREADS = (1, 8, 32)
ROUNDS = 3
"""Odd, so that the median is a measured round."""
ROUND_S = 1.5
"""Long enough for thousands of commits; all rounds stay below half a minute."""


@contextmanager
def installation() -> Iterator[LedgerSettings]:
    """A migrated ledger on an embedded server of its own, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="sijil-bench-"))
    folder.chmod(0o711)
    server = EmbeddedServer(folder / "home")
    server.start()
    try:
        settings = LedgerSettings.load(home=folder / "home", database_url=None)
        migrate(settings)
        yield settings
    finally:
        server.stop()
        shutil.rmtree(server.place, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def measure(settings: LedgerSettings) -> list[Line]:
    """Every number of threads, ours and bare in turn."""
    bare = BareStore(rival_dsn(settings))
    lines = []
    with closing(OurStore(settings)) as ours:
        for threads in THREADS:
            rounds = [
                tuple(
                    a_round(store, threads=threads, round_s=ROUND_S).rate
                    for store in (ours, bare)
                )
                for _ in range(ROUNDS)
            ]
            mine, theirs = (
                statistics.median(side) for side in zip(*rounds, strict=True)
            )
            lines.append(Line(name=str(threads), ours=mine, rival=theirs))
    return lines


def main() -> None:
    """Measure, print and keep the result."""
    with installation() as settings:
        lines = measure(settings)
    keep(
        "append",
        title="Appends of one event",
        about=(
            f"{len(BODY)}-byte bodies;",
            f"medians of {ROUNDS} rounds of {ROUND_S:g} s each, in turn.",
        ),
        header=("threads", "Sijil, appends/s", "bare INSERT, appends/s"),
        lines=lines,
        is_trial=False,
    )


if __name__ == "__main__":
    main()
