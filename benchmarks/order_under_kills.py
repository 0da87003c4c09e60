"""Claim: whoever is killed, no event is lost, doubled, out of order or passed over.

Writers in several processes and tailing readers, ours and the library's, on a server of
their own that waits for the disk. In hundreds of rounds one of them is struck at a
random moment: a writer or a reader gets SIGKILL, a session is ended, a backend or the
whole server gets SIGKILL and recovers, the server is restarted. Several ledgers one
after the other; each is examined whole at its end. Beside it the stores with a planted
fault, in the same run, under the same load: each MUST be caught.

``python -m benchmarks.order_under_kills [ROUNDS]``
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ledger.names import Role
from tests.ledger import order, planted
from tests.ledger.order import Observed, violations
from tests.ledger.trial import BACKEND, ROUGH, WRITER, Trial
from tests.own_server import own_server

ROUNDS = 300
ROUNDS_A_LEDGER = 75
"""Then it is examined, and another begins: a fault is found near to where it was."""
ACTS_BETWEEN = 20
"""After each blow they must have come back to work before the next."""
PLANTED_ROUNDS = 20
"""Tries to catch a planted fault."""
RESULTS = Path(__file__).parent / "results"


def storm(rounds: int, seed: int) -> tuple[Observed, Counter[str], set[str]]:
    """One ledger under so many blows; what was seen, and whose outcome stayed open."""
    chance = random.Random(seed)  # noqa: S311 -- reproducible
    with own_server() as (server, settings):
        superuser = server.dsn(dbname=settings.database_name)
        with Trial(
            settings,
            superuser,
            server=server,
            seed=seed,
            readers=("follow", "follow", "subscribe"),
        ) as trial:
            trial.wait_for_more(50)
            for _ in range(rounds):
                time.sleep(chance.uniform(0.0, 0.3))
                trial.strike(ROUGH)
                trial.wait_for_more(ACTS_BETWEEN)
            return trial.end(), trial.blows, trial.unknown()


def order_off() -> str | None:
    """Our store without the head's lock: in which round a reader passed one over."""
    with own_server() as (server, settings):
        superuser = server.dsn(dbname=settings.database_name)
        planted.switch_order_off(superuser, Role.OWNER.login)
        with Trial(settings, superuser, fresh_share=1.0) as trial:
            for number in range(1, PLANTED_ROUNDS + 1):
                trial.wait_for_more(200)
                trial.strike([WRITER])
                seen = order.observe(superuser, tails=trial.tails())
                if order.PASSED_OVER in violations(seen):
                    return f"in round {number}, {len(seen.rows):,} entries"
    return None


def librarys_functions() -> str | None:
    """The library's unordered path: how many entries its tailing reader missed."""
    with own_server() as (server, settings):
        superuser = server.dsn(dbname=settings.database_name)
        with planted.library(superuser, db_functions=True) as recorder:
            for number in range(1, PLANTED_ROUNDS + 1):
                seen = planted.watched(recorder, superuser)
                if order.PASSED_OVER in violations(seen):
                    missed = len(seen.rows) - len(seen.tails[0])
                    return f"in round {number}, {missed:,} of {len(seen.rows):,} missed"
    return None


def too_early() -> str | None:
    """Commits acknowledged before they are durable: how many were lost in a crash."""
    with own_server() as (server, settings):
        superuser = server.dsn(dbname=settings.database_name)
        planted.risk_commits(superuser)
        with Trial(settings, superuser, server=server) as trial:
            for _ in range(4):
                trial.wait_for_more(100)
                trial.strike([BACKEND])
            seen = trial.end()
    if order.LOST not in violations(seen):
        return None
    stored = {name for name, *_ in seen.commands}
    lost = sum(name not in stored for name, *_ in seen.acknowledged)
    return f"after 4 crashes, {lost:,} acknowledged acts lost"


PLANTED: dict[str, Callable[[], str | None]] = {
    "our store with the ordering switched off": order_off,
    "the library with POSTGRES_ENABLE_DB_FUNCTIONS": librarys_functions,
    "our store on commits that are not durable": too_early,
}


def main() -> None:
    """Strike, examine, plant, print and keep."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    began = time.monotonic()
    blows: Counter[str] = Counter()
    wrong: list[str] = []
    entries = acknowledged = refused = open_ = read = 0
    for number, first in enumerate(range(0, rounds, ROUNDS_A_LEDGER)):
        seen, struck, unknown = storm(min(ROUNDS_A_LEDGER, rounds - first), number + 1)
        found = violations(seen)
        wrong += found
        blows += struck
        entries += len(seen.rows)
        acknowledged += len(list(seen.acknowledged))
        refused += len(seen.refused)
        open_ += len(unknown)
        read += sum(len(tail) for tail in seen.tails)
        print(f"ledger {number + 1}: {len(seen.rows):,} entries, {found or 'sound'}")
    took_s = time.monotonic() - began
    lines = [
        "# Order under kills, " + (day := datetime.now(UTC).date().isoformat()),
        "",
        (
            f"{blows.total()} blows in {took_s:.0f} s on {os.cpu_count()} cores, "
            "embedded PostgreSQL with fsync.\n3 processes of 4 writing threads each, "
            "3 tailing readers."
        ),
        "",
        "| | |",
        "|---|---|",
        *(f"| {blow} | {times} |" for blow, times in sorted(blows.items())),
        f"| entries | {entries:,} |",
        f"| acknowledgements held against them | {acknowledged:,} |",
        f"| acts refused, none of them stored | {refused:,} |",
        f"| acts whose sender had at some time no answer | {open_:,} |",
        f"| entries seen by readers | {read:,} |",
        f"| violations | {len(wrong)} |",
        "",
        "Planted faults, same load:",
        "",
    ]
    for name, plant in PLANTED.items():
        caught = plant()
        lines.append(f"- {name}: {'NOT CAUGHT' if caught is None else caught}")
        if caught is None:
            wrong.append(f"not caught: {name}")
    text = "\n".join(lines) + "\n"
    print(text)
    (RESULTS / f"order-under-kills-{day}.md").write_text(text, encoding="utf-8")
    if wrong:
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
