"""Claim: whatever is asked of the API, by whomever, no promise of it breaks.

    python -m benchmarks.fuzz [--seconds S] [--seed N] [--who NAME ...]

Schemathesis over the whole description (tests/fuzz): generated calls, its examples, its
boundary values, and calls that follow from the answers of others; by everybody in one
run and by each role alone. Each call is judged by the answer and by both databases: no
failure of ours, an answer as described, nothing changed by a refusal or a reading.

A turn that finds something says what, and ends the run. Each that finds nothing is
added to those of the day, which stand together in ``results/fuzz-DATE.md``: the whole
may be asked in pieces. There is no rival: what counts is how much was asked.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from tests.api.door import WHO
from tests.fuzz.running import NOBODY, PHASES

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
KEPT = ROOT / "build"
"""What was asked today, turn by turn; never committed."""
EVERYBODY = "everybody"
ALL = (EVERYBODY, *WHO, NOBODY)
SHORTEST_ALONE_S = 55
"""Under this a turn does not get through the boundary values of all routes."""


def ask(seconds: int, seed: int, turns: Sequence[str], kept: Path) -> None:
    """Let the test ask and keep each turn. Exits when one found something."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--show-capture=no"),
            str(ROOT / "tests" / "fuzz" / "test_api.py"),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "SIJIL_FUZZ_S": str(seconds),
            "SIJIL_FUZZ_SEED": str(seed),
            "SIJIL_FUZZ_WHO": ",".join(turns),
            "SIJIL_FUZZ_RECORD": str(kept),
            "SIJIL_FUZZ_STATE": state_of_the_code(),
        },
        check=False,
    )
    if done.returncode != 0:
        sys.exit(done.returncode)


def state_of_the_code() -> str:
    """Which state of the code was asked."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 -- whichever is there
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or "unknown"


def row(told: dict[str, Any]) -> str:
    """One turn as a line of the table."""
    by_class = Counter[str]()
    for status, number in told["statuses"].items():
        by_class["503" if status == "503" else f"{status[0]}xx"] += number
    cases = [told["cases"].get(phase, 0) for phase in PHASES]
    answers = [by_class[each] for each in ("2xx", "3xx", "4xx", "503", "5xx")]
    numbers = [told["seed"], told["seconds"], *cases, *answers]
    cells = [told["turn"], told["state"], *(f"{number:,}" for number in numbers)]
    return f"| {' | '.join(cells)} |"


def report(turns: Sequence[dict[str, Any]], day: str) -> str:
    """The dated page."""
    cases = Counter[str]()
    askers = Counter[str]()
    statuses = Counter[str]()
    for told in turns:
        cases.update(told["cases"])
        askers.update(told["askers"])
        statuses.update(told["statuses"])
    by_role = "\n".join(f"| {who} | {n:,} |" for who, n in sorted(askers.items()))
    by_status = ", ".join(f"{status} {n:,}" for status, n in sorted(statuses.items()))
    lines = "\n".join(row(told) for told in turns)
    failures = sum(n for s, n in statuses.items() if s.startswith("5") and s != "503")
    return f"""# Generated calls to the whole API, {day}

{machine()}, Schemathesis over the
{turns[-1]["operations"]} operations of the description, with its checks, and a witness
that asks both databases after each call; `make fuzz`, in {len(turns)} turns of
{sum(told["seconds"] for told in turns):,} s at most in all. None found anything.

{sum(cases.values()):,} cases ({", ".join(f"{p} {cases[p]:,}" for p in PHASES)}),
{sum(statuses.values()):,} calls; answers: {by_status}.
{failures} failures of ours; 503 is a view that was asked for a position it did not have
yet, and says when to come again. Nothing was changed by a refused call or by a reading,
nobody got in without a login, no marked value got out, every answer was as described.

| who asks | state of the code | seed | s | {" | ".join(PHASES)} | 2xx | 3xx | 4xx \
| 503 | other 5xx |
|{"---|" * (9 + len(PHASES))}
{lines}

| role | calls |
|---|---|
{by_role}
"""


def main() -> None:
    """Ask, add it to what was asked today, and write the page anew."""
    parser = argparse.ArgumentParser(prog="benchmarks.fuzz")
    parser.add_argument("--seconds", type=int, default=900, help="in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--who", action="append", choices=ALL, help="these turns only")
    given = parser.parse_args()
    is_long = given.seconds // len(ALL) >= SHORTEST_ALONE_S
    turns = given.who or (ALL if is_long else (EVERYBODY,))
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    KEPT.mkdir(exist_ok=True)
    kept = KEPT / f"fuzz-{day}.jsonl"
    ask(given.seconds, given.seed, turns, kept)
    of_the_day = [json.loads(line) for line in kept.read_text().splitlines()]
    page = report(of_the_day, day)
    print(page)
    (RESULTS / f"fuzz-{day}.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
