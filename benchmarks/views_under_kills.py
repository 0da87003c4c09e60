"""Claim: whoever is killed, the views are what a clean fold from the events makes.

Lives of requests in which everything comes up come in all the while, on a server that
waits for the disk. Two runners fold all views, a third process makes all of them anew
and puts them in their place, again and again. In hundreds of rounds one of them is
struck at a random moment, or in the middle of a fold or of a switch: a runner or the
rebuild gets SIGKILL, a session is ended, a backend or the whole server gets SIGKILL
and recovers. Several ledgers one after the other; each is examined at its end: every
row of every view, and what was shown and answered at positions on the way. Beside it
the same with a planted fault, which MUST be caught.

``python -m benchmarks.views_under_kills [BLOWS]``
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from projections.schema import VIEWS, ensure_views
from tests.own_server import own_server
from tests.projections.at_work import DROPPED_APART, MOVED_APART, PROGRESS_APART
from tests.projections.trial import (
    REBUILD_BETWEEN,
    ROUGH,
    RUNNER_FOLDING,
    Trial,
    history,
)

BLOWS = 320
BLOWS_A_LEDGER = 80
"""Then it is examined, and another begins: a fault is found near to where it was."""
ACTS_A_BLOW = 60
ACTS_A_REQUEST = 7
"""Of a wild life at least, on average."""
LOOK_EVERY = 4
"""Blows between two looks at what is shown."""
LONGEST_REST_S = 0.4
PLANTED_BLOWS = 12
"""Tries to catch a planted fault."""
RESULTS = Path(__file__).parent / "results"

PLANTED: dict[str, tuple[Sequence[str], int]] = {
    PROGRESS_APART: ([RUNNER_FOLDING], 2),
    # Where a live view is level the progress is the same before and after: no runner.
    MOVED_APART: ([REBUILD_BETWEEN], 0),
    DROPPED_APART: ([REBUILD_BETWEEN], 2),
}
"""What is struck to catch it, and how many runners there are."""


class Storm:
    """What came of all ledgers so far."""

    def __init__(self) -> None:
        self.blows: Counter[str] = Counter()
        self.undone: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.events = self.positions = self.answers = self.switches = 0

    def over(self, blows: int, seed: int) -> None:
        """One ledger under so many blows."""
        chance = Random(seed)  # noqa: S311 -- reproducible
        acts = history(requests=blows * ACTS_A_BLOW // ACTS_A_REQUEST, seed=seed)
        with own_server() as (server, settings):
            ensure_views(settings)
            with Trial(
                settings,
                server.dsn(dbname=settings.database_name),
                acts,
                server=server,
                seed=seed,
                acts_a_blow=ACTS_A_BLOW,
            ) as trial:
                for number in range(blows):
                    time.sleep(chance.uniform(0.0, LONGEST_REST_S))
                    trial.strike(ROUGH)
                    if number % LOOK_EVERY == 0:
                        trial.come_level()
                        trial.look()
                found = trial.end()
                self.switches += trial.switches
        self.blows += trial.blows
        self.undone += trial.undone
        self.wrong += found
        self.events += trial.events
        self.positions += len({then.position for then in trial.seen})
        self.answers += sum(len(then.answers) for then in trial.seen)
        print(f"ledger {seed}: {trial.events:,} events, {found or 'sound'}", flush=True)


def caught(plant: str) -> str | None:
    """After how many blows a planted fault was seen, and how it showed; or None."""
    blows, runners = PLANTED[plant]
    acts = history(requests=40, seed=1)
    with own_server() as (server, settings):
        ensure_views(settings)
        superuser = server.dsn(dbname=settings.database_name)
        with Trial(settings, superuser, acts, plant=plant, runners=runners) as trial:
            for _ in range(PLANTED_BLOWS):
                trial.strike(blows)
                trial.come_level()
                if trial.told():
                    break
            found = trial.end()
    if not found:
        return None
    return f"after {trial.blows.total()} blows; {len(found)} faults, first: {found[0]}"


def main() -> None:
    """Strike, examine, plant, print and keep."""
    blows = int(sys.argv[1]) if len(sys.argv) > 1 else BLOWS
    began = time.monotonic()
    storm = Storm()
    for seed, first in enumerate(range(0, blows, BLOWS_A_LEDGER), start=1):
        storm.over(min(BLOWS_A_LEDGER, blows - first), seed)
    took_s = time.monotonic() - began
    lines = [
        "# Views under kills, " + (day := datetime.now(UTC).date().isoformat()),
        "",
        (
            f"{storm.blows.total()} blows in {took_s:.0f} s on {os.cpu_count()} cores, "
            "embedded PostgreSQL with fsync.\n"
            f"{len(VIEWS)} views, two runners, one process that makes all anew; "
            f"{storm.events:,} events."
        ),
        "",
        "| | blows | of these seen to undo a transaction |",
        "|---|---|---|",
        *(
            f"| {blow} | {times} | {storm.undone[blow]} |"
            for blow, times in sorted(storm.blows.items())
        ),
        "",
        "| | |",
        "|---|---|",
        f"| views switched meanwhile | {storm.switches:,} |",
        f"| positions remembered with all that was shown | {storm.positions:,} |",
        f"| answers remembered there | {storm.answers:,} |",
        f"| rows, positions, answers that differ | {len(storm.wrong)} |",
        "",
        "Planted faults, the same blows:",
        "",
    ]
    wrong = storm.wrong
    for plant in PLANTED:
        told = caught(plant)
        lines.append(f"- {plant}: {'NOT CAUGHT' if told is None else told}")
        if told is None:
            wrong.append(f"not caught: {plant}")
    text = "\n".join([*lines, *(f"- WRONG: {each}" for each in storm.wrong)]) + "\n"
    print(text)
    (RESULTS / f"views-under-kills-{day}.md").write_text(text, encoding="utf-8")
    if wrong:
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
