"""All questions, as of now, of earlier positions and times, and of effective times."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from random import Random
from zoneinfo import ZoneInfo

import psycopg2.extensions

from tests.recount.asking import Ask, Tally, compare
from tests.recount.moment import Asked, Moment, laid_out
from tests.recount.questions import (
    LIVE_ONLY,
    WITH_EFFECTIVE,
    World,
    questions,
    world_of,
)
from tests.recount.register import RECOUNTS

OFFICE = ZoneInfo("Asia/Damascus")
INSTANT = timedelta(microseconds=1)
WITHOUT_CSV = {
    "check_paper",
    "follow_counts",
    "follow_desk",
    "follow_inbox",
    "follow_queue",
}
_When = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which moments are asked about: shares of the ledger and of its effective time.

    ``is_whole``: the longest lists as of now too; ``is_past_whole``: those as of the
    past; ``most`` narrowings of one route by one asker; ``csv``: of how many answers
    the file is asked for too; ``only``: these routes; ``parts``: these moments, by
    number from 0.
    """

    positions: tuple[float, ...]
    times: tuple[float, ...]
    effective: tuple[float, ...]
    seed: int = 1
    is_whole: bool = True
    is_past_whole: bool = True
    most: int = 4
    csv: float = 0.4
    only: frozenset[str] | None = None
    parts: frozenset[int] | None = None

    @property
    def names(self) -> list[str]:
        """The parts in words: now, and each moment of the past."""
        return [
            "now",
            *(f"as of the position at {share:.0%}" for share in self.positions),
            *(f"as of the recorded time at {share:.0%}" for share in self.times),
            *(
                f"of the effective time and day at {share:.0%}, known at two positions"
                for share in self.effective
            ),
        ]


def ask_all(
    ask: Ask,
    connection: psycopg2.extensions.connection,
    plan: Plan,
    tally: Tally,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Ask everything and hold it against the count apart. The ledger MUST rest."""
    laid_out(connection)
    asking = _Asking(ask, connection, plan, tally, say)
    parts = [
        asking.now,
        *(partial(asking.at_position, share) for share in plan.positions),
        *(partial(asking.at_time, share) for share in plan.times),
        *(partial(asking.effective, share) for share in plan.effective),
    ]
    for number, part in enumerate(parts):
        if plan.parts is None or number in plan.parts:
            asking.random = Random(f"{plan.seed}/{number}")  # noqa: S311 -- reproducible
            part()


class _Asking:
    """The questions of one plan, moment by moment."""

    def __init__(
        self,
        ask: Ask,
        connection: psycopg2.extensions.connection,
        plan: Plan,
        tally: Tally,
        say: Callable[[str], None],
    ) -> None:
        self._ask = ask
        self._connection = connection
        self._plan = plan
        self._tally = tally
        self._say = say
        self._head = head_of(connection)
        self.random = Random(plan.seed)  # noqa: S311 -- reproducible questions

    def now(self) -> None:
        moment = Moment(self._connection, position=self._head)
        what = self._questions(moment, world_of(moment), is_whole=self._plan.is_whole)
        self._asked(moment, what, [], None)

    def at_position(self, share: float) -> None:
        moment, world = self._moment(share)
        when = [("as_of", str(moment.position))]
        what = self._questions(moment, world)
        self._asked(moment, what, when, moment.recorded_at())

    def at_time(self, share: float) -> None:
        moment, world = self._moment(share)
        at = moment.recorded_at()
        what = self._questions(moment, world)
        self._asked(moment, what, [("as_of", at.isoformat())], at)

    def effective(self, share: float) -> None:
        """What had happened by a time, and by a day's end, known at two positions."""
        world = world_of(Moment(self._connection, position=self._head))
        begun = datetime.combine(world.first, time(), OFFICE)
        at = begun + share * (world.last - world.first)
        end = datetime.combine(at.date() + timedelta(days=1), time(), OFFICE)
        known = max(1, int(self._head * (1 + share) / 2))
        for position in (self._head, known):
            for told, before in (
                (at.astimezone(UTC).isoformat(), at + INSTANT),
                (at.date().isoformat(), end),
            ):
                moment = Moment(self._connection, position=position, before=before)
                when = [("as_of", str(position)), ("effective_at", told)]
                what = (
                    each
                    for each in self._questions(moment, world)
                    if each.operation in WITH_EFFECTIVE
                )
                self._asked(moment, what, when, before)

    def _moment(self, share: float) -> tuple[Moment, World]:
        """A moment, and what there is to ask about: also what was not known yet."""
        position = max(1, int(self._head * share))
        moment = Moment(self._connection, position=position)
        world = world_of(moment)
        if not world.places:
            world = world_of(Moment(self._connection, position=self._head))
            moment = Moment(self._connection, position=position)
        return moment, world

    def _questions(
        self, moment: Moment, world: World, *, is_whole: bool | None = None
    ) -> Iterable[Asked]:
        plan = self._plan
        if is_whole is None:
            is_whole = plan.is_past_whole
        found = questions(moment, world, self.random, is_whole=is_whole, most=plan.most)
        return (
            each for each in found if plan.only is None or each.operation in plan.only
        )

    def _asked(
        self,
        moment: Moment,
        what: Iterable[Asked],
        when: _When,
        now: datetime | None,
    ) -> None:
        for each in what:
            if when and each.operation in LIVE_ONLY:
                continue
            is_csv = (
                self.random.random() < self._plan.csv
                and each.operation not in WITHOUT_CSV
                and RECOUNTS[each.operation].items is not None
            )
            compare(
                self._ask,
                replace(each, now=now or datetime.now(UTC)),
                moment,
                self._tally,
                when=when,
                is_live=now is None,
                forms=("json", "csv") if is_csv else ("json",),
            )
        self._say(f"{dict(when) or 'now'}: {self._tally.numbers:,} numbers so far")


def head_of(connection: psycopg2.extensions.connection) -> int:
    """The newest position of what was laid out."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(position) FROM bodies")
        (head,) = cursor.fetchone() or (0,)
    return int(head)
