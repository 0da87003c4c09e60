"""Claim: whoever is killed, a topic has every entry once, a reply one effect.

One node of Apache Kafka, then three (replication 3, two in sync), and a PostgreSQL that
waits for the disk. Lives of requests come in all the while, each is answered twice on a
topic, and two workers, each with every partition, use the answers; a relay publishes
all of it, another stands by. In hundreds of rounds one of them is struck: a node gets
SIGKILL at a random moment or in the middle of a commit, is stopped for a while, its
disk fills up, all nodes at once get SIGKILL, relay, standby, worker or PostgreSQL get
SIGKILL. Every few rounds ``verify-topic`` judges what is there; at the end the topic is
level and whole, every message has had its one effect in its partition's order, each
mark is at its partition's end, and every status is the ledger's.

Beside it relays of two simpler ways under the same kills, which MUST be caught.

``python -m benchmarks.relay_under_kills [ROUNDS [NODES]]``
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from multiprocessing import forkserver
from pathlib import Path

from benchmarks.bars import heading, table, written_down
from benchmarks.blows import POWER, WRITTEN_DOWN
from benchmarks.struck_relays import trial

ROUNDS = 200
"""For each size of the cluster."""
LOOK_EVERY = 10
"""Rounds between two looks at the topic."""
NODES = (1, 3)
PLANTED = {
    "trusts the commit": ((POWER,), 24),
    "believes its position record": ((WRITTEN_DOWN,), 60),
}
"""What catches each, and in how many tries. Of records that are gone only the futures
of the next ones say something, and the commit says nothing; and a node that comes back
to a commit that was written down may write it off for some partitions."""
POWER_ROUNDS = 40
"""Power cuts of a single node. What they took is missing until the relay has noticed,
so they are not among the other blows."""
PLANTED_LOOK_EVERY = 4
"""A look reads the whole topic, and what is lost or doubled stays so."""


class Storm:
    """What came of all trials so far."""

    def __init__(self) -> None:
        self.blows: Counter[str] = Counter()
        self.rows: list[tuple[str, ...]] = []
        self.wrong: list[str] = []

    def over(self, nodes: int, rounds: int, *, is_power_cut: bool = False) -> None:
        """One cluster under so many blows."""
        began = time.monotonic()
        cluster = f"{_nodes(nodes)}, power cuts" if is_power_cut else _nodes(nodes)
        with trial(nodes=nodes, blows=(POWER,) if is_power_cut else ()) as struck:
            for number in range(1, rounds + 1):
                struck.strike()
                if number % LOOK_EVERY == 0:
                    self.wrong += [] if is_power_cut else struck.findings()
                    print(cluster, f"round {number}", *self.wrong, flush=True)
            found = struck.end()
        self.wrong += found
        for blow, times in struck.blows.items():
            self.blows[f"{blow}, {_nodes(nodes)}"] += times
        self.rows.append(
            (
                cluster,
                f"{rounds}",
                f"{struck.head:,}",
                f"{len(struck.sent):,}",
                f"{struck.starts}",
                f"{len(found)}",
                f"{time.monotonic() - began:,.0f}",
            )
        )
        print(*self.rows[-1], *found, sep="; ", flush=True)
        for blow in struck.left_out:
            self.blows[f"{blow}, {_nodes(nodes)} (left out: it takes root)"] = 0


def caught(which: str) -> str | None:
    """After how many rounds a simpler relay was caught, and at what; or None."""
    blows, rounds = PLANTED[which]
    with trial(nodes=1, which=which, blows=blows) as struck:
        for number in range(1, rounds + 1):
            struck.strike()
            if number % PLANTED_LOOK_EVERY:
                continue
            found = struck.findings(is_alone=True)
            if found:
                return f"caught after {number} rounds, first: {found[0]}"
    return None


def log_children_to(path: Path) -> None:
    """Whatever the processes say goes there: it is much, and theirs."""
    kept = [os.dup(1), os.dup(2)]
    with path.open("wb") as log:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
        # All of them are forked from this one, and inherit where it writes to.
        forkserver.ensure_running()
    for number, before in enumerate(kept, start=1):
        os.dup2(before, number)
        os.close(before)
    print(f"the processes write to {path}", flush=True)


def _nodes(number: int) -> str:
    return "one node" if number == 1 else f"{number} nodes"


def main() -> None:
    """Strike, judge, plant, print and keep; end with 1 where the claim fails."""
    log_children_to(Path(tempfile.gettempdir()) / "sijil-relay-under-kills.log")
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    sizes = tuple(map(int, sys.argv[2:])) or NODES
    storm = Storm()
    for nodes in sizes:
        storm.over(nodes, rounds)
    storm.over(1, min(rounds, POWER_ROUNDS), is_power_cut=True)
    is_trial = rounds < ROUNDS or sizes != NODES
    planted = []
    for which in PLANTED:
        told = caught(which)
        print(which, told, sep="; ", flush=True)
        planted.append(f"- A relay that {which}: {told or 'NOT CAUGHT'}")
        if told is None:
            storm.wrong.append(f"not caught: {which}")
    cells = [(blow, str(times)) for blow, times in sorted(storm.blows.items())]
    lines = [
        *heading(
            "The relay under kills",
            [
                "A relay and one that stands by; two workers, each on all partitions;",
                f"{LOOK_EVERY} rounds between two looks at the topic.",
            ],
        ),
        *table(
            ("cluster", "rounds", "entries", "messages", "relays", "wrong", "seconds"),
            storm.rows,
        ),
        "",
        *table(("blow", "times"), cells),
        "",
        "Simpler ways, under blows on one node and on the relay:",
        "",
        *planted,
        *(f"- WRONG: {each}" for each in storm.wrong[:20]),
    ]
    written_down("relay-under-kills", "\n".join(lines) + "\n", is_trial=is_trial)
    if storm.wrong:
        sys.exit("the claim does not hold")


if __name__ == "__main__":
    main()
