"""Payments say of every fee what the events say, and the sums are those of the fees."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.access import Scope
from domain.calendars import OFFICE_ZONE
from domain.money import Unit
from domain.requests import PaymentChannel
from projections.payments import (
    PayBy,
    PaymentFilter,
    Payments,
    PaymentSort,
    PaymentsQueries,
    PaymentState,
)
from tests.conftest import Database
from tests.domain.office import NINE
from tests.projections.desks import (
    EVERYTHING,
    Desks,
    Happened,
    everything,
    submissions,
)

SPAN = {"since": NINE - timedelta(days=2), "until": NINE + timedelta(days=900)}
KINDS = ("state_fee", "service_charge")


@pytest.fixture
def desks(database: Database) -> Desks:
    desks = Desks(database, (Payments(),))
    desks.live(requests=80, seed=23)
    return desks


def amounts(lines: list[dict[str, Any]]) -> tuple[int, ...]:
    return tuple(
        sum(line["amount"] for line in lines if line["kind"] == kind) for kind in KINDS
    )


def recount(told: list[Happened]) -> dict[str, dict[str, Any]]:
    """Every fee that acceptance made, with what became of it."""
    requests, fees = submissions(told), {}
    for each in told:
        name, fee = each.name.removeprefix("request."), fees.get(each.key)
        if name == "accepted":
            terms = each.data["terms"]
            if sum(amounts(terms["fee_lines"])):
                fees[each.key] = {
                    "centre": requests[each.key]["centre"],
                    "service": requests[each.key]["service"],
                    "agency": terms["agency"],
                    "unit": terms["fee_lines"][0]["unit"],
                    "amounts": amounts(terms["fee_lines"]),
                    "fee_due": terms["fee_due"],
                    "expected_at": each.at,
                    "due_at": terms.get("payment_due_at"),
                    "state": "expected",
                    "paid": None,
                    "refunds": [],
                    "answer": None,
                }
        elif fee is None:
            continue
        elif name == "fee-paid":
            fee["state"], fee["paid"] = "paid", each
        elif name == "fee-refunded":
            fee["refunds"].append(each)
        elif fee["state"] == "expected":
            if name in {"withdrawn", "expired", "result-told", "mailed", "handed-over"}:
                fee["state"], fee["ended_at"] = "cancelled", each.at
            elif name == "agency-responded":
                fee["due_at"] = each.data.get("payment_due_at")
                fee["answer"] = each.data["outcome"]
            elif name == "stamped" and "payment_due_at" in each.data:
                fee["due_at"] = each.data["payment_due_at"]
    return fees


def expected_row(request_id: str, fee: dict[str, Any]) -> dict[str, Any]:
    paid, refunds = fee["paid"], fee["refunds"]
    back = [amounts(each.data["lines"]) for each in refunds]
    state_fee, service_charge = (sum(each[at] for each in back) for at in (0, 1))
    state = fee["state"]
    if refunds:
        is_all = (state_fee, service_charge) == fee["amounts"]
        state = "refunded" if is_all else "partly_refunded"
    will_never_be_due = fee["fee_due"] == "hand_over" and fee["answer"] == "refused"
    due_at = fee["due_at"]
    return {
        "request_id": request_id,
        "centre": fee["centre"],
        "service": fee["service"],
        "agency": fee["agency"],
        "unit": fee["unit"],
        "state_fee": fee["amounts"][0],
        "service_charge": fee["amounts"][1],
        "fee_due": fee["fee_due"],
        "state": state,
        "is_fee_outstanding": state == "expected" and not will_never_be_due,
        "expected_at": fee["expected_at"],
        "due_at": None if due_at is None else datetime.fromisoformat(due_at),
        "paid_at": None if paid is None else paid.at,
        "channel": None if paid is None else paid.data["channel"],
        "bank_reference": None if paid is None else paid.data.get("bank_reference"),
        "refunded_state_fee": state_fee,
        "refunded_service_charge": service_charge,
        "refunded_at": refunds[-1].at if refunds else None,
        "refund_reason": refunds[-1].data["reason"] if refunds else None,
        "ended_at": fee.get("ended_at"),
    }


def rows_of(told: list[Happened]) -> list[dict[str, Any]]:
    rows = [expected_row(key, fee) for key, fee in recount(told).items()]
    return sorted(rows, key=lambda row: (row["expected_at"], row["request_id"]))[::-1]


def shown(row: Any, names: Any) -> dict[str, Any]:
    return {
        name: str(row.request_id) if name == "request_id" else getattr(row, name)
        for name in names
    }


def test_fees_are_those_of_the_events_as_of_any_position(desks: Desks) -> None:
    queries = PaymentsQueries(desks.read)
    states: set[PaymentState] = set()
    for position in desks.positions():
        told = desks.until(desks.head if position is None else position)
        wanted = rows_of(told)
        rows = everything(queries.page, scope=EVERYTHING, as_of=position)
        assert [shown(r, w) for r, w in zip(rows, wanted, strict=True)] == wanted
        states |= {row.state for row in rows}
    assert states == set(PaymentState)


def movements(told: list[Happened]) -> list[tuple[Any, ...]]:
    """What moved: its name, fee, channel, amounts and time."""
    found: list[tuple[Any, ...]] = []
    for fee in recount(told).values():
        found.append(("expected", fee, None, fee["amounts"], fee["expected_at"]))
        if (paid := fee["paid"]) is not None:
            lines, channel = amounts(paid.data["lines"]), paid.data["channel"]
            found.append(("paid", fee, channel, lines, paid.at))
        if "ended_at" in fee:
            found.append(("cancelled", fee, None, fee["amounts"], fee["ended_at"]))
        for back in fee["refunds"]:
            lines, channel = amounts(back.data["lines"]), back.data["channel"]
            found.append(("refunded", fee, channel, lines, back.at))
    return found


@pytest.mark.parametrize(
    "by",
    [
        [],
        [PayBy.CENTRE],
        [PayBy.DAY, PayBy.CHANNEL],
        [PayBy.SERVICE, PayBy.CENTRE, PayBy.DAY],
        [PayBy.AGENCY, PayBy.GOVERNORATE],
    ],
)
def test_sums_are_those_of_the_movements(desks: Desks, by: list[PayBy]) -> None:
    queries = PaymentsQueries(desks.read)
    for position in desks.positions(4):
        told = desks.until(desks.head if position is None else position)
        counted: Counter[tuple[Any, ...]] = Counter()
        for name, fee, channel, lines, at in movements(told):
            values = {
                "day": at.astimezone(OFFICE_ZONE).date().isoformat(),
                "channel": channel,
                "governorate": fee["centre"][:5],
                **{k: fee[k] for k in ("centre", "service", "agency")},
            }
            group = (fee["unit"], *(values[each] for each in by), name)
            counted[*group, "count"] += 1
            for kind, amount in zip(KINDS, lines, strict=True):
                counted[*group, kind] += amount
        shown: Counter[tuple[Any, ...]] = Counter()
        for sums in queries.sums(EVERYTHING, by=by, as_of=position, **SPAN):
            for name in ("expected", "paid", "cancelled", "refunded"):
                for part in ("count", *KINDS):
                    value = getattr(getattr(sums, name), part)
                    shown[sums.unit, *sums.group.values(), name, part] += value
        assert +shown == +counted


def test_what_was_expected_is_paid_cancelled_or_outstanding(desks: Desks) -> None:
    queries = PaymentsQueries(desks.read)
    for position in desks.positions(6):
        for sums in queries.sums(EVERYTHING, as_of=position, **SPAN):
            only = PaymentFilter(state=PaymentState.EXPECTED, unit=sums.unit)
            outstanding = everything(
                queries.page, scope=EVERYTHING, only=only, as_of=position
            )
            assert sums.expected.amount == (
                sums.paid.amount
                + sums.cancelled.amount
                + sum(row.state_fee + row.service_charge for row in outstanding)
            )


def test_filters_and_sorts_tell_the_same_rows(desks: Desks) -> None:
    queries = PaymentsQueries(desks.read)
    rows = everything(queries.page, scope=EVERYTHING)
    back = everything(queries.page, scope=EVERYTHING, sort=PaymentSort.OLDEST)
    assert back == rows[::-1]
    reference = next(r.bank_reference for r in rows if r.bank_reference)
    late = max(r.due_at for r in rows if r.due_at)
    for only, keeps in (
        (PaymentFilter(centre="SY-HL-01"), lambda r: r.centre == "SY-HL-01"),
        (PaymentFilter(service="CIV-02"), lambda r: r.service == "CIV-02"),
        (PaymentFilter(unit=Unit.OLD), lambda r: r.unit is Unit.OLD),
        (
            PaymentFilter(channel=PaymentChannel.BANK),
            lambda r: r.channel is PaymentChannel.BANK,
        ),
        (
            PaymentFilter(bank_reference=reference),
            lambda r: r.bank_reference == reference,
        ),
        (PaymentFilter(due_before=late), lambda r: r.due_at and r.due_at < late),
        (PaymentFilter(since=late), lambda r: r.expected_at >= late),
        (PaymentFilter(until=late), lambda r: r.expected_at < late),
    ):
        found = everything(queries.page, scope=EVERYTHING, only=only)
        assert found == [row for row in rows if keeps(row)]


def test_a_bank_sees_what_can_still_be_paid_and_nothing_else(desks: Desks) -> None:
    queries = PaymentsQueries(desks.read)
    for position in desks.positions(6):
        told = desks.until(desks.head if position is None else position)
        seen = everything(queries.page, scope=Scope(only_unpaid=True), as_of=position)
        wanted = [r["request_id"] for r in rows_of(told) if r["is_fee_outstanding"]]
        assert [str(row.request_id) for row in seen] == wanted


@pytest.mark.parametrize("size", [1, 7, 100])
def test_batches_of_any_size_make_the_same_payments(
    desks: Desks, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desks.is_same_in_batches(size, monkeypatch)
