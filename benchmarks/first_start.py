"""First start: from ``sijil run`` on an empty home to the history in, views level.

    python -m benchmarks.first_start [--completed N] [--out FILE]

What a newcomer waits for after installation: a cluster, tables, reference data, runner
and server, and while these serve the simulated history. It must take two minutes on two
cores. There is no rival: the bound is the number. The processor time of everything it
started is told as well, because on a machine that others use the clock tells of them.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.machine import machine
from tests.running import Running

BOUND_S = 120
TIMEOUT_S = 900.0
LOOK_EVERY_S = 0.2
_IN = "the simulated history is in"
_LEVEL = re.compile(r"history in and views level after (\d+) s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Seconds from the start of the process."""

    ready_s: float
    in_s: float
    level_s: float
    used_s: float
    position: int


def measure(completed: int) -> Measured:
    """One first start."""
    run = Running(simulate=completed)
    try:
        began = time.monotonic()
        run.start()
        run.wait_until_ready()
        ready_s = time.monotonic() - began
        in_s = _wait(run, lambda said: _IN in said, began)
        level_s = _wait(run, lambda said: _LEVEL.search(said) is not None, began)
        used_s = _used_s(run)
        head = run.sijil("ledger", "head", "--json").stdout
        found = re.search(r'"position": (\d+)', head)
        return Measured(
            ready_s=ready_s,
            in_s=in_s,
            level_s=level_s,
            used_s=used_s,
            position=int(found[1]) if found else 0,
        )
    finally:
        run.close()


def _used_s(run: Running) -> float:
    """Processor seconds of the run's processes, and of those of them that ended."""
    times = [process.cpu_times() for process in run.processes()]
    return sum(
        each.user + each.system + each.children_user + each.children_system
        for each in times
    )


def _wait(run: Running, is_so: Callable[[str], bool], began: float) -> float:
    while not is_so(run.printed()):
        if time.monotonic() - began > TIMEOUT_S:
            raise SystemExit(run.printed() + run.logs())
        time.sleep(LOOK_EVERY_S)
    return time.monotonic() - began


def main() -> None:
    """Measure and print; exit code 1 beyond the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--completed", type=int, default=44_000)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found = measure(asked.completed)
    busy = os.getloadavg()[1]
    text = (
        f"# First start, {datetime.now(UTC):%Y-%m-%d}\n\n"
        f"{machine()},\nembedded server;\n"
        f"{asked.completed:,} completed requests, {found.position:,} entries; "
        "one run,\n"
        f"load average over five minutes at its end {busy:.1f}.\n\n"
        "| from the start of `sijil run` | seconds |\n|---|---|\n"
        f"| it answers that it is ready | {found.ready_s:.0f} |\n"
        f"| the history is in | {found.in_s:.0f} |\n"
        f"| all views are level | {found.level_s:.0f} |\n"
        f"| bound | {BOUND_S} |\n\n"
        f"Processor seconds of all its processes: {found.used_s:.0f}, which two cores\n"
        f"to themselves do in {found.used_s / 2:.0f} s at best.\n"
    )
    sys.stdout.write(text)
    if asked.out is not None:
        asked.out.write_text(text, encoding="utf-8")
    sys.exit(found.level_s > BOUND_S)


if __name__ == "__main__":
    main()
