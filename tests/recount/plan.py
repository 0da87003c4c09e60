"""All questions, as of now, of earlier positions and times, and of effective times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any
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
    "follow_queue",
    "get_payment_sums",
    "list_governorates",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which moments are asked about: shares of the ledger and of its effective time.

    ``is_whole``: the longest lists too; ``most`` narrowings of one route by one asker;
    ``csv``: of how many answers the file is asked for too; ``only``: these routes.
    """

    positions: tuple[float, ...]
    times: tuple[float, ...]
    effective: tuple[float, ...]
    seed: int = 1
    is_whole: bool = True
    most: int = 4
    csv: float = 0.4
    only: frozenset[str] | None = None


def ask_all(
    ask: Ask,
    connection: psycopg2.extensions.connection,
    plan: Plan,
    tally: Tally,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Ask everything and hold it against the count apart. The ledger MUST rest."""
    random = Random(plan.seed)  # noqa: S311 -- reproducible questions
    laid_out(connection)
    head = head_of(connection)
    moment = Moment(connection, position=head)
    world = world_of(moment)

    def asked(
        moment: Moment, what: Iterator[Asked], when: list[tuple[str, str]], now: Any
    ) -> None:
        for each in what:
            if when and each.operation in LIVE_ONLY:
                continue
            if plan.only is not None and each.operation not in plan.only:
                continue
            is_csv = (
                random.random() < plan.csv
                and each.operation not in WITHOUT_CSV
                and (RECOUNTS[each.operation].items is not None)
            )
            begun = datetime.now(UTC) if now is None else now
            compare(
                ask,
                replace(each, now=begun),
                moment,
                tally,
                when=when,
                is_live=now is None,
                forms=("json", "csv") if is_csv else ("json",),
            )
        say(f"{dict(when) or 'now'}: {tally.numbers:,} numbers so far")

    asked(
        moment,
        questions(moment, world, random, is_whole=plan.is_whole, most=plan.most),
        [],
        None,
    )
    for share in plan.positions:
        position = max(1, int(head * share))
        moment = Moment(connection, position=position)
        what = questions(moment, world, random, is_whole=plan.is_whole, most=plan.most)
        asked(moment, what, [("as_of", str(position))], moment.recorded_at())
    for share in plan.times:
        position = max(1, int(head * share))
        moment = Moment(connection, position=position)
        at = moment.recorded_at()
        what = questions(moment, world, random, is_whole=plan.is_whole, most=plan.most)
        asked(moment, what, [("as_of", at.isoformat())], at)
    for number, share in enumerate(plan.effective):
        begun = datetime.combine(world.first, time(), OFFICE)
        at = begun + share * (world.last - world.first)
        for position in {head, max(1, head * (number + 2) // (number + 3))}:
            bounds = (position, at)
            _effective(connection, bounds, (world, random, plan), asked)


def _effective(
    connection: psycopg2.extensions.connection,
    bounds: tuple[int, datetime],
    about: tuple[World, Random, Plan],
    asked: Callable[..., None],
) -> None:
    """What had happened by a time, and by the end of a day, as known at a position."""
    position, at = bounds
    world, random, plan = about
    day = at.date()
    for told, before in (
        (at.astimezone(UTC).isoformat(), at + INSTANT),
        (day.isoformat(), datetime.combine(day + timedelta(days=1), time(), OFFICE)),
    ):
        moment = Moment(connection, position=position, before=before)
        what = (
            each
            for each in questions(
                moment, world, random, is_whole=plan.is_whole, most=plan.most
            )
            if each.operation in WITH_EFFECTIVE
        )
        when = [("as_of", str(position)), ("effective_at", told)]
        asked(moment, what, when, before)


def head_of(connection: psycopg2.extensions.connection) -> int:
    """The newest position of what was laid out."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(position) FROM bodies")
        (head,) = cursor.fetchone() or (0,)
    return int(head)
