"""Unmatched payments: one row each, told to whom it concerns, as of any position."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.access import Scope
from domain.money import Unit
from domain.payments import UnmatchedBecause
from projections.payments import Payments, UnmatchedFilter, UnmatchedQueries
from projections.sorting import PositionSort
from tests.conftest import Database
from tests.domain.office import NINE
from tests.projections.desks import EVERYTHING, Desks, everything
from tests.projections.histories import PLACES, store
from tests.projections.whole_histories import LOOK_EVERY, payment

NUMBER = 7


@pytest.fixture
def desks(database: Database) -> Desks:
    made = Desks(database, (Payments(),))
    for number in range(1, NUMBER + 1):
        store(made.recorder, payment(number * LOOK_EVERY))
    made.live(requests=3)
    return made


def test_each_is_told_as_the_event_says_it(desks: Desks) -> None:
    told = [each for each in desks.told if each.name == "payment.unmatched"]
    assert len(told) == NUMBER
    queries = UnmatchedQueries(desks.read)
    for sort, wanted in (
        (PositionSort.OLDEST, told),
        (PositionSort.NEWEST, told[::-1]),
    ):
        rows = everything(
            lambda sort=sort, **asked: queries.page(
                EVERYTHING, sort=sort, **{**asked, "limit": 2}
            )
        )
        assert [
            {
                "bank_reference": row.bank_reference,
                "amount": row.amount,
                "unit": row.unit,
                "reason": row.reason,
                "tracking_number": row.tracking_number,
                "request": None if row.request_id is None else str(row.request_id),
                "centre": row.centre,
            }
            for row in rows
        ] == [{"request": None, **_blank(), **each.data} for each in wanted]
        assert [row.position for row in rows] == [each.position for each in wanted]
        assert {row.bank for row in rows} == {"bank-1"}
        assert {row.paid_at for row in rows} == {NINE}


def _blank() -> dict[str, None]:
    return {"tracking_number": None, "centre": None}


def test_a_supervisor_sees_those_of_the_own_centres_requests(desks: Desks) -> None:
    queries = UnmatchedQueries(desks.read)
    own = queries.page(Scope(centre=PLACES[0][0])).items
    assert len(own) == NUMBER // 2
    assert {row.centre for row in own} == {PLACES[0][0]}
    assert queries.page(Scope(centre="SY-XX-01")).items == ()


def test_it_is_narrowed_and_told_as_of_a_position(desks: Desks) -> None:
    queries = UnmatchedQueries(desks.read)

    def count(as_of: int | None = None, **only: object) -> int:
        made = UnmatchedFilter(**only)  # type: ignore[arg-type]
        return len(queries.page(EVERYTHING, only=made, as_of=as_of).items)

    assert count() == NUMBER
    assert count(as_of=3) == 3
    assert count(as_of=0) == 0
    assert count(unit=Unit.NEW) == NUMBER // 2
    assert count(reason=UnmatchedBecause.UNKNOWN_NUMBER) == NUMBER - NUMBER // 2
    assert count(bank_reference=f"B-{LOOK_EVERY}") == 1
    assert count(bank="bank-2") == 0
    assert count(since=NINE, until=NINE + timedelta(seconds=1)) == NUMBER
    assert count(until=NINE) == 0
