"""Claim: a whole use case at 32 callers runs three times as often as the library's.

A use case is: load a thing, let it decide, append its two events. Both sides run the
same aggregate class, a clerk who is given an agency and relieved of another. Ours is
the ledger as the office uses it: with a command (its id looked for before the decision,
together with the thing), a keyed digest, the canonical body and every check. The rival
is an ``Application`` of ``eventsourcing`` on its own PostgreSQL module as shipped; it
knows no commands, so it looks for none. Both also run with the other choice of memory:
ours with nothing kept between calls, the library's with its own cache of aggregates.

Each caller has ten things at work in turn; each is used eight times, and then another
takes its place. The second table is the office's real acts (benchmarks/counter.py).

``python -m benchmarks.use_case [ROUND_S]`` takes shorter rounds.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing, nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.persistence import Transcoder, Transcoding

from benchmarks.append import installation
from benchmarks.bars import Line, keep, table, written
from benchmarks.counter import Counter
from benchmarks.writers import Append, a_round, rival_dsn
from domain.acts import Act, Actor, ActorKind
from domain.clerks import Clerk
from domain.ids import new_id
from ledger.book import Ledger
from ledger.persistence.append import Command
from ledger.settings import LedgerSettings
from office.house import House
from office.seeding import seed
from projections.schema import ensure_views

ROUNDS = 3
"""Odd, so that the median is a measured round."""
ROUND_S = 1.5
"""Long enough for thousands of calls; all rounds stay below a minute."""
BARS = {1: None, 32: 3.0}
"""Callers, and how many times the library's rate is wanted."""
THINGS_AT_WORK = 10
USES = 8
"""Of one thing, two events each: as many events as a request has in its life."""
KEPT = 10_000
AGENCIES = tuple(f"A-{number:02}" for number in range(USES + 1))
ACTOR = Actor(kind=ActorKind.ADMINISTRATOR, id="adm-1", place="ministry")

Use = Callable[[str, int], int]
"""One use of the clerk with this code, the n-th; gives the position of its last event.
"""


def decided(clerk: Clerk | None, act: Act, code: str, use: int) -> Clerk:
    """The clerk with two pending events."""
    if clerk is None:
        made = Clerk.appoint(act, code=code, centre="SY-DI-01")
        made.make_responsible(act, agency=AGENCIES[0])
        return made
    clerk.relieve(act, agency=clerk.agencies[0])
    clerk.make_responsible(act, agency=AGENCIES[use])
    return clerk


def act_now() -> Act:
    """An act of now, under a command of its own."""
    now = datetime.now(UTC)
    return Act(
        command_id=new_id(now),
        actor=ACTOR,
        correlation_id=new_id(now),
        effective_at=now,
    )


class Callers:
    """Callers of one side, each with its own things; counts what was done."""

    def __init__(self, use: Use, close: Callable[[], None]) -> None:
        self._use = use
        self.close = close
        self.calls = 0

    def writer(self) -> nullcontext[Append]:
        """One caller: what it is called with only names its things."""
        codes: list[str] = []
        used = 0

        def call(fresh: UUID) -> int:
            nonlocal used
            number, turn = used % THINGS_AT_WORK, used // THINGS_AT_WORK % USES
            if turn == 0:
                codes[number : number + 1] = [f"clk-{fresh}"]
            used += 1
            return self._use(codes[number], turn)

        return nullcontext(call)


def ours(settings: LedgerSettings, *, kept: int) -> Callers:
    """The ledger as the office uses it."""
    ledger = Ledger(settings.model_copy(update={"recent_things": kept}))

    def use(code: str, turn: int) -> int:
        act = act_now()
        thing_id = Clerk.id_of(code)
        with ledger.glance(thing_id, command_id=act.command_id):
            assert ledger.find_command(act.command_id) is None
            clerk = decided(ledger.find(Clerk, thing_id), act, code, turn)
        appended = ledger.append(
            clerk,
            command=Command(
                id=act.command_id, actor="adm-1", digest=thing_id.bytes * 2
            ),
        )
        assert appended.last_position is not None
        return appended.last_position

    return Callers(use, ledger.close)


class ActTranscoding(Transcoding):
    """How the library is told to write an act: the least that gives it back."""

    type = Act
    name = "act"

    def encode(self, obj: Act) -> dict[str, Any]:
        """The act's own facts; nothing else is set here."""
        return {
            "c": obj.command_id.hex,
            "k": obj.actor.kind.value,
            "i": obj.actor.id,
            "p": obj.actor.place,
            "r": obj.correlation_id.hex,
            "t": obj.effective_at.isoformat(),
        }

    def decode(self, data: dict[str, Any]) -> Act:
        """The act again."""
        return Act(
            command_id=UUID(data["c"]),
            actor=Actor(kind=ActorKind(data["k"]), id=data["i"], place=data["p"]),
            correlation_id=UUID(data["r"]),
            effective_at=datetime.fromisoformat(data["t"]),
        )


class Rival(Application[UUID]):
    """The library's application, as shipped; only acts have to be told."""

    def register_transcodings(self, transcoder: Transcoder) -> None:
        """The library's own, and acts."""
        super().register_transcodings(transcoder)
        transcoder.register(ActTranscoding())


def library(dsn: dict[str, Any], *, name: str, kept: int | None) -> Callers:
    """The library on its own PostgreSQL module."""
    names = ("dbname", "host", "port", "user", "password")
    rival = Rival(
        {
            "APPLICATION_NAME": name,
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            **({} if kept is None else {"AGGREGATE_CACHE_MAXSIZE": str(kept)}),
            **{f"POSTGRES_{each.upper()}": str(dsn[each]) for each in names},
        }
    )

    def use(code: str, turn: int) -> int:
        act = act_now()
        clerk: Clerk | None = None
        try:
            clerk = rival.repository.get(Clerk.id_of(code))
        except AggregateNotFoundError:
            clerk = None
        recordings = rival.save(decided(clerk, act, code, turn))
        return recordings[-1].notification.id

    return Callers(use, rival.close)


def measure(settings: LedgerSettings, round_s: float) -> tuple[list[Line], list[Line]]:
    """What has a bar, and what each side does with the other choice of memory."""
    rival = rival_dsn(settings)
    barred, beside = [], []
    with ExitStack() as stack:
        sides = [
            stack.enter_context(closing(each))
            for each in (
                ours(settings, kept=KEPT),
                library(rival, name="shipped", kept=None),
                ours(settings, kept=0),
                library(rival, name="cached", kept=KEPT),
            )
        ]
        for callers, bar in BARS.items():
            rates: list[list[float]] = [[] for _ in sides]
            for _ in range(ROUNDS):
                for side, told in zip(sides, rates, strict=True):
                    done = a_round(side, threads=callers, round_s=round_s)
                    side.calls += len(done.acknowledged)
                    told.append(done.rate)
            kept, shipped, unkept, cached = map(statistics.median, rates)
            at = f"{callers} callers"
            barred.append(Line(name=at, ours=kept, rival=shipped, at_least=bar))
            beside += [
                Line(name=f"{at}, nothing kept", ours=unkept, rival=shipped),
                Line(name=f"{at}, the library's cache", ours=kept, rival=cached),
            ]
        verify(settings, sides[0].calls + sides[2].calls)
    return barred, beside


def verify(settings: LedgerSettings, calls: int) -> None:
    """Every call left its two events and its command, densely, and nothing else."""
    with closing(Ledger(settings)) as ledger, ledger.datastore.autocommit() as cursor:
        cursor.execute(
            "SELECT (SELECT position FROM ledger_head), (SELECT count(*) FROM events),"
            " 2 * (SELECT count(*) FROM commands)"
        )
        assert cursor.fetchone() == (2 * calls,) * 3


def at_the_counter(settings: LedgerSettings, round_s: float) -> list[str]:
    """The table of the office's real acts, with things kept in memory and without."""
    ensure_views(settings)
    with House(settings) as house:
        seed(house.catalogue)
    rows = []
    with (
        closing(Counter(settings, kept=KEPT)) as kept,
        closing(Counter(settings, kept=0)) as unkept,
    ):
        for clerks in BARS:
            rates = [
                [
                    a_round(side, threads=clerks, round_s=round_s).rate
                    for side in (kept, unkept)
                ]
                for _ in range(ROUNDS)
            ]
            with_memory, without = map(statistics.median, zip(*rates, strict=True))
            rows.append((str(clerks), written(with_memory), written(without)))
    return [
        "Real acts at the counter, through rules and vault (benchmarks/counter.py):",
        "",
        *table(("clerks at once", "acts/s", "acts/s, nothing kept"), rows),
    ]


def main() -> None:
    """Measure, verify, print and keep the result."""
    round_s = float(sys.argv[1]) if len(sys.argv) > 1 else ROUND_S
    with installation() as settings:
        barred, beside = measure(settings, round_s)
        counter = at_the_counter(settings, round_s)
    keep(
        "use-case",
        title="Whole use cases: load, decide, append two events",
        about=(
            f"Medians of {ROUNDS} rounds of {round_s:g} s each, in turn.",
            "Every call of ours is there with two events and its command.",
        ),
        header=("callers", "Sijil, calls/s", "library, calls/s"),
        lines=[*barred, *beside],
        more=counter,
        is_trial=round_s < ROUND_S,
    )


if __name__ == "__main__":
    main()
