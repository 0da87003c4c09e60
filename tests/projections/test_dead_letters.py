"""The view of dead letters says what the events say, as of any position."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.dead_letters import DeadBecause
from domain.errors import InvalidValueError
from projections.dead_letters import (
    DeadLetterRow,
    DeadLetters,
    DeadLettersQueries,
    LetterFilter,
    LetterSort,
    LetterState,
    letter_from,
)
from projections.facts import fact_of
from tests.conftest import Database
from tests.projections.desks import Desks, Happened, everything
from tests.projections.letters import Letters

HAPPENED = 60


@pytest.fixture
def desks(database: Database) -> Desks:
    desks = Desks(database, (DeadLetters(),))
    letters = Letters(desks.recorder)
    for _ in range(HAPPENED):
        letters.happen()
    desks.live(requests=1)
    return desks


def recount(told: list[Happened]) -> dict[str, dict[str, Any]]:
    """Every letter by its id, as its events say."""
    found: dict[str, dict[str, Any]] = {}
    for each in told:
        match each.name:
            case "message.dead-lettered":
                found[each.key] = {
                    **each.data,
                    "sent_at": each.at,
                    "set_aside_at": each.recorded_at,
                    "state": "open",
                    "replays": 0,
                }
            case "message.replayed":
                found[each.key] |= {
                    "state": "replayed",
                    "replays": found[each.key]["replays"] + 1,
                    "replayed_at": each.at,
                    "replayed_partition": each.data["partition"],
                    "replayed_offset": each.data["offset"],
                }
            case "message.settled":
                found[each.key] |= {
                    "state": "settled",
                    "settled_at": each.at,
                    "settled_because": each.data["reason"],
                }
            case _:
                continue
        found[each.key]["position"] = each.position
    return found


def shown(row: DeadLetterRow) -> dict[str, Any]:
    """A row as its events say it: what was not said is left out."""
    told = {name: getattr(row, name) for name in DeadLetterRow.__slots__}
    told = {
        name: str(value) if isinstance(value, UUID) else value
        for name, value in told.items()
        if value is not None
    }
    del told["version"]
    return {name: value for name, value in told.items() if name != "id"}


def test_it_says_of_every_letter_what_the_events_say(desks: Desks) -> None:
    queries = DeadLettersQueries(desks.read)
    states: Counter[str] = Counter()
    for position in desks.positions():
        told = recount(desks.until(desks.head if position is None else position))
        rows = everything(queries.page, as_of=position)
        assert {str(row.id): shown(row) for row in rows} == told
        assert [row.set_aside_at for row in rows] == sorted(
            (each["set_aside_at"] for each in told.values()), reverse=True
        )
        states.update(row.state for row in rows)
    assert set(states) == set(LetterState)


def test_one_letter_of_the_ledger_is_the_row_of_the_view(desks: Desks) -> None:
    for row in everything(DeadLettersQueries(desks.read).page):
        facts = [fact_of(each) for each in desks.reader.aggregate(row.id)]
        assert letter_from(filter(None, facts)) == row
    assert letter_from([]) is None
    (request, *_) = (each.key for each in desks.told if "request" in each.name)
    facts = [fact_of(each) for each in desks.reader.aggregate(UUID(request))]
    assert letter_from(filter(None, facts)) is None


def test_totals_are_those_of_the_letters(desks: Desks) -> None:
    queries = DeadLettersQueries(desks.read)
    for position in desks.positions():
        rows = everything(queries.page, as_of=position)
        totals = everything(queries.totals, as_of=position)
        for state in LetterState:
            counted = Counter((r.group, r.cause) for r in rows if r.state is state)
            told = {(t.group, t.cause): getattr(t, state) for t in totals}
            assert counted == Counter(told)
        for each in totals:
            of_it = [r for r in rows if (r.group, r.cause) == (each.group, each.cause)]
            waiting = [r.set_aside_at for r in of_it if r.state is LetterState.OPEN]
            assert each.oldest_open_at == min(waiting, default=None)


def test_every_filter_narrows_to_what_it_says(desks: Desks) -> None:
    queries = DeadLettersQueries(desks.read)
    rows = everything(queries.page)
    middle = rows[len(rows) // 2].set_aside_at
    for only, is_in in (
        (LetterFilter(state=LetterState.OPEN), lambda r: r.state == "open"),
        (LetterFilter(cause=rows[0].cause), lambda r: r.cause == rows[0].cause),
        (LetterFilter(group="other"), lambda r: r.group == "other"),
        (LetterFilter(topic=rows[0].topic), lambda r: r.topic == rows[0].topic),
        (LetterFilter(sender="CIV"), lambda r: r.sender == "CIV"),
        (LetterFilter(since=middle), lambda r: r.set_aside_at >= middle),
        (LetterFilter(until=middle), lambda r: r.set_aside_at < middle),
    ):
        wanted = [row for row in rows if is_in(row)]
        assert 0 < len(wanted) < len(rows)
        found = everything(queries.page, only=only, sort=LetterSort.OLDEST)
        assert [row.id for row in found] == [row.id for row in reversed(wanted)]


def test_it_ages_until_somebody_deals_with_it(desks: Desks) -> None:
    rows = everything(DeadLettersQueries(desks.read).page)
    now = datetime.now(UTC) + timedelta(hours=1)
    for row in rows:
        is_open = row.state is LetterState.OPEN
        assert (row.age_s(now) >= 3_600) is is_open
        assert row.age_s(row.set_aside_at - timedelta(hours=1)) == 0


def test_batches_of_any_size_make_the_same_rows(
    desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (1, 7):
        assert desks.is_same_in_batches(size, monkeypatch)


def test_a_cursor_of_another_list_is_refused(desks: Desks) -> None:
    queries = DeadLettersQueries(desks.read)
    cursor = queries.totals(limit=1).next
    assert cursor is not None
    with pytest.raises(InvalidValueError):
        queries.page(after=cursor)
    assert {row.cause for row in everything(queries.page)} <= set(DeadBecause)
