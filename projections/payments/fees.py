"""The tables of payments, and how events fold into them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg2.extensions

from domain.money import FeeKind
from domain.requests import Answer
from domain.services import FeeDue
from ledger.copying import NOTHING, copied_text
from projections.copying import copy_lines
from projections.facts import Fact
from projections.memory import Remembering
from projections.origins import SUBMITTED, Origin, Origins
from projections.payments import unmatched
from projections.succession import SucceedingRows

_REQUEST = "sijil.request."
_ACCEPTED = f"{_REQUEST}accepted.v1"
_PAID = f"{_REQUEST}fee-paid.v1"
_REFUNDED = f"{_REQUEST}fee-refunded.v1"
_DUE_WITH = frozenset({f"{_REQUEST}agency-responded.v1", f"{_REQUEST}stamped.v1"})
_RESPONDED = f"{_REQUEST}agency-responded.v1"
_ENDED_UNPAID = frozenset(
    f"{_REQUEST}{name}.v1" for name in ("withdrawn", "expired", "result-told")
)
"""Ends that an unpaid fee does not bar; nothing is mailed or handed over unpaid."""
_LATER = frozenset({_PAID, _REFUNDED, *_DUE_WITH, *_ENDED_UNPAID})
_OURS = _LATER | {SUBMITTED, _ACCEPTED}
_REFUSED_ANSWER = Answer.REFUSED.value
_AT_HAND_OVER = FeeDue.HAND_OVER.value
_ORIGINS = Origins("payment_origins")
_FACTS = ("tracking_number", "service", "centre", "governorate", "agency", "unit")
FEE_VALUES = (
    *_FACTS,
    "state_fee",
    "service_charge",
    "fee_due",
    "state",
    "is_fee_outstanding",
    "expected_at",
    "due_at",
    "paid_at",
    "channel",
    "bank_reference",
    "refunded_state_fee",
    "refunded_service_charge",
    "refunded_at",
    "refund_channel",
    "refund_reference",
    "refund_reason",
    "ended_at",
)
FEES = SucceedingRows(
    name="payments",
    key={"request_id": "uuid"},
    columns=(
        "request_id",
        *FEE_VALUES,
        "valid_from",
    ),
    times=frozenset({"expected_at", "due_at", "paid_at", "refunded_at", "ended_at"}),
    numbers=frozenset(
        {
            "state_fee",
            "service_charge",
            "refunded_state_fee",
            "refunded_service_charge",
            "is_fee_outstanding",
        }
    ),
)
_MOVEMENT_COLUMNS = (
    "position",
    "request_id",
    "movement",
    "service",
    "centre",
    "governorate",
    "agency",
    "unit",
    "channel",
    "state_fee",
    "service_charge",
    "moved_at",
)
_DDL = f"""
{_ORIGINS.ddl}
CREATE TABLE payments (
    request_id uuid NOT NULL,
    tracking_number text NOT NULL,
    service text NOT NULL,
    centre text NOT NULL,
    governorate text NOT NULL,
    agency text NOT NULL,
    unit text NOT NULL,
    state_fee bigint NOT NULL,
    service_charge bigint NOT NULL,
    fee_due text NOT NULL,
    state text NOT NULL,
    is_fee_outstanding boolean NOT NULL,
    expected_at timestamptz NOT NULL,
    due_at timestamptz,
    paid_at timestamptz,
    channel text,
    bank_reference text,
    refunded_state_fee bigint NOT NULL,
    refunded_service_charge bigint NOT NULL,
    refunded_at timestamptz,
    refund_channel text,
    refund_reference text,
    refund_reason text,
    ended_at timestamptz,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (request_id, valid_from)
);
CREATE INDEX payments_of_centre ON payments (centre, expected_at, request_id)
    WHERE valid_to IS NULL;
CREATE INDEX payments_outstanding ON payments (expected_at, request_id)
    WHERE is_fee_outstanding AND valid_to IS NULL;
CREATE INDEX payments_by_reference ON payments (bank_reference)
    WHERE bank_reference IS NOT NULL;
CREATE TABLE payment_movements (
    position bigint PRIMARY KEY,
    request_id uuid NOT NULL,
    movement text NOT NULL,
    service text NOT NULL,
    centre text NOT NULL,
    governorate text NOT NULL,
    agency text NOT NULL,
    unit text NOT NULL,
    channel text,
    state_fee bigint NOT NULL,
    service_charge bigint NOT NULL,
    moved_at timestamptz NOT NULL
);
CREATE INDEX payment_movements_by_time ON payment_movements (moved_at);
{unmatched.DDL}"""


_FEE_KINDS = tuple(kind.value for kind in FeeKind)
_Row = dict[str, Any]
_NONE: _Row = {}
"""Remembered of a request without a fee: so it is not looked for again."""


class Payments(Remembering[_Row]):
    """The view: a versioned row a fee, an appended one for each movement of it.

    And a versioned one a payment that no fee was waiting for.
    """

    name = "payments"
    version = 5
    tables = ("payments", "payment_movements", _ORIGINS.table, unmatched.TABLE.name)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [fact for fact in facts if fact.topic in _OURS]
        accepted = {fact.key for fact in ours if fact.topic == _ACCEPTED}
        origins = _ORIGINS.take_in(cursor, ours, accepted)
        memory = self.memory()
        missing = memory.unknown({f.key for f in ours if f.topic in _LATER}) - accepted
        rows = memory.young
        rows |= dict.fromkeys(missing, _NONE)
        for row in FEES.load(cursor, missing):
            rows[row["request_id"]] = row
        fees = FEES.begin()
        movements = []
        for fact in ours:
            key, position = fact.key, fact.position
            before = rows.get(key) or None
            if fact.topic == _ACCEPTED:
                after = _expected(origins[key], fact)
            elif before is not None and fact.topic in _LATER:
                after = _after(before, fact)
            else:
                continue
            if after is None:
                rows.setdefault(key, _NONE)
                continue
            rows[key] = after
            fees.put_row(key, before, position, after)
            if (moved := _movement(after, fact)) is not None:
                movements.append(moved)
        fees.write(cursor)
        copy_lines(cursor, "payment_movements", _MOVEMENT_COLUMNS, movements)
        unmatched.fold(cursor, facts)


def _lines(lines: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The amounts of a fee by the kind of the line."""
    amounts = dict.fromkeys(_FEE_KINDS, 0)
    for line in lines:
        amounts[line["kind"]] += line["amount"]
    return amounts


def _expected(origin: Origin, fact: Fact) -> _Row | None:
    """The row of a fee that acceptance made due; None where nothing is to be paid."""
    terms = fact.copied_data["terms"]
    amounts = _lines(terms["fee_lines"])
    if not any(amounts.values()):
        return None
    return {
        "request_id": fact.key,
        "tracking_number": origin.tracking_number,
        "service": origin.service,
        "centre": origin.centre,
        "governorate": origin.governorate,
        "agency": terms["agency"],
        "unit": copied_text(terms["fee_lines"][0]["unit"]),
        **amounts,
        "fee_due": terms["fee_due"],
        "state": "expected",
        "is_fee_outstanding": True,
        "expected_at": fact.effective_text,
        "due_at": terms.get("payment_due_at", NOTHING),
        "paid_at": NOTHING,
        "channel": NOTHING,
        "bank_reference": NOTHING,
        "refunded_state_fee": 0,
        "refunded_service_charge": 0,
        "refunded_at": NOTHING,
        "refund_channel": NOTHING,
        "refund_reference": NOTHING,
        "refund_reason": NOTHING,
        "ended_at": NOTHING,
    }


def _after(row: _Row, fact: Fact) -> _Row | None:
    """The row after a later fact; None where the fact changes nothing of the fee."""
    if fact.topic == _REFUNDED:
        return _refunded(row, fact)
    if row["state"] != "expected":
        return None
    if fact.topic == _PAID:
        return {
            **row,
            "state": "paid",
            "is_fee_outstanding": False,
            "paid_at": fact.effective_text,
            "channel": fact.copied_data["channel"],
            "bank_reference": fact.copied_data.get("bank_reference", NOTHING),
        }
    if fact.topic in _ENDED_UNPAID:
        return {
            **row,
            "state": "cancelled",
            "is_fee_outstanding": False,
            "ended_at": fact.effective_text,
        }
    due = _due_with(row, fact)
    is_changed = any(row[name] != value for name, value in due.items())
    return {**row, **due} if is_changed else None


def _due_with(row: _Row, fact: Fact) -> _Row:
    """What an answer or a stamp says of the fee: whether and until when it is due."""
    due_at = fact.copied_data.get("payment_due_at", NOTHING)
    if fact.topic == _RESPONDED:
        # Each answer says anew whether a fee falls due with it. What a refusal leaves
        # nothing to hand over for is not taken, unless another answer comes.
        is_refused = fact.copied_data["outcome"] == _REFUSED_ANSWER
        is_outstanding = not (is_refused and row["fee_due"] == _AT_HAND_OVER)
        return {"due_at": due_at, "is_fee_outstanding": is_outstanding}
    return {} if due_at == NOTHING else {"due_at": due_at}


def _refunded(row: _Row, fact: Fact) -> _Row:
    data = fact.copied_data
    amounts = _lines(data["lines"])
    state_fee = row["refunded_state_fee"] + amounts["state_fee"]
    service_charge = row["refunded_service_charge"] + amounts["service_charge"]
    is_all = (state_fee, service_charge) == (row["state_fee"], row["service_charge"])
    return {
        **row,
        "state": "refunded" if is_all else "partly_refunded",
        "refunded_state_fee": state_fee,
        "refunded_service_charge": service_charge,
        "refunded_at": fact.effective_text,
        "refund_channel": data["channel"],
        "refund_reference": data.get("bank_reference", NOTHING),
        "refund_reason": data["reason"],
    }


def _movement(row: _Row, fact: Fact) -> str | None:
    """The line of what moved with a fact; None where only the due time did."""
    topic = fact.topic
    lines: tuple[int, ...] = (row["state_fee"], row["service_charge"])
    channel = NOTHING
    if topic == _ACCEPTED:
        movement = "expected"
    elif topic == _PAID:
        movement, channel = "paid", row["channel"]
    elif topic in _ENDED_UNPAID:
        movement = "cancelled"
    elif topic == _REFUNDED:
        movement, channel = "refunded", row["refund_channel"]
        lines = tuple(_lines(fact.data["lines"]).values())
    else:
        return None
    state_fee, service_charge = lines
    return (
        f"{fact.position}\t{fact.key}\t{movement}\t{row['service']}\t{row['centre']}"
        f"\t{row['governorate']}\t{row['agency']}\t{row['unit']}\t{channel}"
        f"\t{state_fee}\t{service_charge}\t{fact.effective_text}"
    )
