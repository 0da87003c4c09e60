"""Unmatched payments: told to whom they concern, and settled, as of any position."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.access import Scope
from domain.acts import ActorKind
from domain.ids import derived_id
from domain.money import Unit
from domain.payments import Payment, PaymentSettledBecause, UnmatchedBecause
from domain.requests import PaymentChannel
from projections.facts import fact_of
from projections.payments import (
    Payments,
    UnmatchedFilter,
    UnmatchedPayment,
    UnmatchedQueries,
    UnmatchedState,
    unmatched_from,
)
from projections.replay import Until, replaying
from projections.sorting import PositionSort
from tests.conftest import Database
from tests.domain.office import NINE, accepted, act
from tests.projections.desks import EVERYTHING, Desks, Happened, everything
from tests.projections.histories import PLACES, store
from tests.projections.whole_histories import LOOK_EVERY, payment

NUMBER = 7
NOT_A_FEE = [
    each for each in PaymentSettledBecause if each != PaymentSettledBecause.TAKEN_AS_FEE
]


def settle(made: Payment, number: int) -> None:
    """Say of a payment what became of it: of the first that it was a fee."""
    by = act(
        f"settle/{number}",
        ActorKind.ADMINISTRATOR,
        actor="adm-1",
        place="ministry",
        minutes=30,
    )
    if number == 1:
        fee = accepted()
        fee.pay(
            act("pay"),
            channel=PaymentChannel.BANK,
            amount=3000,
            unit=Unit.NEW,
            bank_reference=made.bank_reference,
            token=1,
        )
        # The rules want the fee that is due; a view takes what it is told.
        made.amount, made.unit = 3000, Unit.NEW
        made.settle(by, reason=PaymentSettledBecause.TAKEN_AS_FEE, fee_of=fee)
    else:
        made.settle(by, reason=NOT_A_FEE[number % len(NOT_A_FEE)])


@pytest.fixture
def desks(database: Database) -> Desks:
    made = Desks(database, (Payments(),))
    strays = [payment(number * LOOK_EVERY) for number in range(1, NUMBER + 1)]
    for number, stray in enumerate(strays):
        store(made.recorder, stray)
        # The one before has been settled by then, but for two.
        if number > 2:
            settle(strays[number - 2], number - 2)
            store(made.recorder, strays[number - 2])
    made.live(requests=3)
    return made


def recount(told: list[Happened]) -> dict[str, dict[str, Any]]:
    """Every payment by its id, as its events say."""
    found: dict[str, dict[str, Any]] = {}
    for each in told:
        if each.name == "payment.unmatched":
            found[each.key] = {
                "tracking_number": None,
                "request": None,
                "centre": None,
                **each.data,
                "position": each.position,
                "bank": each.body["actor"]["id"],
                "paid_at": each.at,
                "state": "open",
                "settled": None,
            }
        if each.name == "payment.settled":
            found[each.key] |= {
                "state": "settled",
                "settled": (each.at, each.data["reason"], each.data.get("request")),
            }
    return found


def shown(row: UnmatchedPayment) -> dict[str, Any]:
    """A row as its events say it."""
    names = ("bank_reference", "amount", "unit", "reason", "tracking_number", "centre")
    names = (*names, "position", "bank", "paid_at", "state")
    is_settled = row.settled_at is not None
    assert (row.settled_because is not None) is is_settled
    assert row.version == (2 if is_settled else 1)
    told = (row.settled_at, row.settled_because, _text(row.fee_request_id))
    return {
        **{name: getattr(row, name) for name in names},
        "request": _text(row.request_id),
        "settled": told if is_settled else None,
    }


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def test_it_says_of_every_payment_what_the_events_say(desks: Desks) -> None:
    queries = UnmatchedQueries(desks.read)
    states: Counter[str] = Counter()
    for position in [*range(2 * NUMBER), None]:
        told = recount(desks.until(desks.head if position is None else position))
        for sort in PositionSort:
            rows = everything(
                lambda sort=sort, **asked: queries.page(
                    EVERYTHING, sort=sort, **{**asked, "limit": 2}
                ),
                as_of=position,
            )
            assert {str(row.payment_id): shown(row) for row in rows} == told
            positions = [row.position for row in rows]
            is_descending = sort is PositionSort.NEWEST
            assert positions == sorted(positions, reverse=is_descending)
        states.update(row.state for row in rows)
    assert set(states) == set(UnmatchedState)
    reasons = {row.settled_because for row in rows}
    assert reasons == {None, *PaymentSettledBecause}


def test_a_fold_from_the_events_has_the_same_rows_at_every_position(
    desks: Desks,
) -> None:
    with replaying(desks.database.settings, (Payments(),)) as (made, _):
        for position in range(1, 2 * NUMBER):
            made.fold(Until(position=position))
            assert [each for each in made.compare(position) if not each.is_same] == []


def test_batches_of_any_size_make_the_same_rows(
    desks: Desks, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (1, 5):
        assert desks.is_same_in_batches(size, monkeypatch)


def test_one_payment_of_the_ledger_is_the_row_of_the_view(desks: Desks) -> None:
    for row in UnmatchedQueries(desks.read).page(EVERYTHING).items:
        facts = [fact_of(each) for each in desks.reader.aggregate(row.payment_id)]
        assert unmatched_from(filter(None, facts)) == row
    assert unmatched_from([]) is None
    (request, *_) = (each.key for each in desks.told if "request" in each.name)
    facts = [fact_of(each) for each in desks.reader.aggregate(UUID(request))]
    assert unmatched_from(filter(None, facts)) is None


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
    for state, number in ((UnmatchedState.OPEN, 3), (UnmatchedState.SETTLED, 4)):
        assert count(state=state) == number
    # The fourth was reported before the second was settled.
    assert count(as_of=4, state=UnmatchedState.SETTLED) == 0
    assert count(as_of=5, state=UnmatchedState.SETTLED) == 1


def test_what_became_of_a_payment_that_was_passed_over_is_passed_over_too(
    desks: Desks,
) -> None:
    """The view went on past an entry that it cannot fold; this must not stop it."""
    before = desks.contents()
    [settled] = [each for each in desks.told if each.name == "payment.settled"][:1]
    entry = desks.reader.entry(settled.position)
    assert entry is not None
    fact = fact_of(entry)
    assert fact is not None
    fact.key = str(derived_id("nobody's", NINE))
    with desks.written.transaction() as cursor:
        Payments().fold(cursor, [fact])
    assert desks.contents() == before
