"""Claim: killed at random moments, assignment and rebalancing move each request once.

Requests come in, two clerks share their agency; then one of the two is away. Process
managers run by twos, as processes that are killed at random moments and started again,
while the views follow. Then the ledger is read: each request was assigned once when it
came, once more when its clerk went away, never else, and its token rose by one each
time. The outcome is kept under ``results/``. The test runs the same with fewer.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from threading import Event
from uuid import UUID

from benchmarks.append import installation
from benchmarks.timers_under_kills import Life, views_running
from domain.acts import MINISTRY, Act, Actor, ActorKind
from domain.clerks import AwayBecause, Clerk
from domain.ids import new_id
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from office.acts import utc_now
from office.assignment import NAME
from office.house import House, migrate
from office.seeding import seed
from tests.forks import forks

RESULTS = Path(__file__).parent / "results"
REQUESTS = 3_000
KILLS = 240
LONGEST_LIFE_S = 0.5
"""Long enough to have done something, short enough to be cut off at it."""
START_S = 60.0
FINISH_S = 900.0
SEED = 20261124
"""Moments are random, but the same ones in every run."""
CLERK, OTHER = "clk-DI-1", "clk-DI-2"
ASSIGNED = "sijil.request.assigned.v1"
_FORKS = forks("office.house")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run showed. ``wrong`` must be empty."""

    requests: int
    moved: int
    kills: int
    kills_at_work: int
    wrong: list[str]
    took_s: float


def _manage(settings: LedgerSettings, parent: Connection) -> None:
    with House(settings) as house:
        parent.send("ready")
        house.assignment().run(Event())


@contextmanager
def two_managing(settings: LedgerSettings) -> Iterator[None]:
    """Two process managers at the same work, killed at the end."""
    children = []
    for _ in range(2):
        ours, theirs = _FORKS.Pipe()
        child = _FORKS.Process(target=_manage, args=(settings, theirs), daemon=True)
        child.start()
        children.append((child, ours))
    try:
        for _, ours in children:
            if not ours.poll(START_S):
                raise TimeoutError
        yield
    finally:
        for child, ours in children:
            child.kill()
            child.join()
            child.close()
            ours.close()


def change(house: House, code: str, do: Callable[[Clerk, Act], None]) -> None:
    """Something that happens to a clerk, now."""
    now = utc_now()
    act = Act(
        command_id=new_id(now),
        actor=Actor(kind=ActorKind.ADMINISTRATOR, id="adm-1", place=MINISTRY),
        correlation_id=new_id(now),
        effective_at=now,
    )
    clerk = house.ledger.find(Clerk, Clerk.id_of(code))
    assert clerk is not None
    do(clerk, act)
    house.ledger.append(clerk)


def drive(settings: LedgerSettings, *, requests: int, kills: int) -> Outcome:
    """Make the requests, kill while they are assigned and while they are moved."""
    moments = Random(SEED)  # noqa: S311 -- moments of a test
    started = time.monotonic()
    at_work = struck = 0

    def strike(rounds: int, is_done: Callable[[], bool]) -> None:
        nonlocal at_work, struck
        for _ in range(rounds):
            before = house.ledger.reader.head().position
            with two_managing(settings):
                time.sleep(moments.uniform(0.01, LONGEST_LIFE_S))
                # On a busy machine such a life is over before anything was done.
                while house.ledger.reader.head().position == before and not is_done():
                    time.sleep(0.01)
            struck += 2
            at_work += house.ledger.reader.head().position > before
        deadline = time.monotonic() + FINISH_S
        with two_managing(settings):
            while not is_done():
                if time.monotonic() > deadline:
                    raise TimeoutError
                time.sleep(0.1)

    with House(settings) as house, views_running(settings):
        change(house, OTHER, lambda c, act: c.make_responsible(act, agency="CIV"))
        nine = utc_now() - timedelta(hours=1)
        made = [Life(number, nine).request for number in range(requests)]
        for request in made:
            house.ledger.append(request)
        queue, reader = house.queries.queue, house.ledger.reader

        def is_level() -> bool:
            head = reader.head().position
            return house.queries.progress.wait_for(["clerk_queue"], head, timeout_s=1)

        strike(kills // 4, lambda: is_level() and not queue.unassigned())
        away = {row.request_id for row in queue.held_by([CLERK])}
        change(house, CLERK, lambda c, act: c.be_away(act, reason=AwayBecause.LEAVE))
        strike(kills // 4, lambda: is_level() and not queue.held_by([CLERK]))
        wrong = faults(reader, {request.id for request in made}, away)
    return Outcome(
        requests=requests,
        moved=len(away),
        kills=struck,
        kills_at_work=at_work,
        wrong=wrong,
        took_s=time.monotonic() - started,
    )


def faults(reader: LedgerReader, made: set[UUID], away: set[UUID]) -> list[str]:
    """Each request that was assigned too often, too rarely, or wrongly."""
    met: dict[UUID, list[tuple[str, str, int]]] = {key: [] for key in made}
    wrong = []
    for entry in reader.stream():
        if not entry.topic.startswith("sijil.request."):
            continue
        body = json.loads(entry.body)
        if body["actor"]["kind"] != "system":
            continue
        data = body["data"]
        if entry.topic != ASSIGNED or body["actor"]["id"] != NAME:
            wrong.append(f"{entry.key} is {entry.topic}")
            continue
        met[entry.aggregate_id].append((data["clerk"], data["reason"], data["token"]))
    for key, given in met.items():
        first = CLERK if key in away else OTHER
        expected = [(first, "responsible", 1)]
        if key in away:
            expected.append((OTHER, "clerk_away", 2))
        if given != expected:
            wrong.append(f"{key}: {given} instead of {expected}")
    shares = Counter(given[0][0] for given in met.values() if given)
    if min(shares[CLERK], shares[OTHER]) < len(made) // 4:
        wrong.append(f"the work is spread {dict(shares)}")
    return wrong


def report(outcome: Outcome) -> str:
    """The outcome as a page."""
    return f"""# Assignment and rebalancing under kills, {datetime.now(UTC).date()}

{outcome.requests:,} requests assigned to two clerks; {outcome.moved:,} moved when one
of them went away. Process managers run by twos and killed {outcome.kills:,} times at
random moments of at most {LONGEST_LIFE_S} s, in {outcome.kills_at_work:,} of
{outcome.kills // 2:,} pairs while events were stored; {outcome.took_s:.0f} s on
{os.cpu_count()} cores, embedded PostgreSQL.

Each request was assigned exactly once when it came and exactly once more when its
clerk went away; nothing else was touched.
"""


def main() -> int:
    """Run, print and keep the outcome."""
    with installation() as settings:
        migrate(settings)
        with House(settings) as house:
            seed(house.catalogue)
        outcome = drive(settings, requests=REQUESTS, kills=KILLS)
    if outcome.wrong:
        print("\n".join(outcome.wrong[:50]))
        return 1
    page = report(outcome)
    print(page)
    RESULTS.mkdir(exist_ok=True)
    name = f"assignment-under-kills-{datetime.now(UTC).date()}.md"
    (RESULTS / name).write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
