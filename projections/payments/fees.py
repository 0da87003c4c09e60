"""The tables of payments, and how events fold into them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg2.extensions

from domain.money import FeeKind
from domain.requests import Answer
from domain.services import FeeDue
from projections.copying import append_rows, array_of
from projections.facts import Fact
from projections.origins import SUBMITTED, Origin, Origins
from projections.requests import rfc3339_sql
from projections.versioned import Change, VersionedTable

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
_ORIGINS = Origins("payment_origins")
_FACTS = ("tracking_number", "service", "centre", "governorate", "agency", "unit")
FEES = VersionedTable(
    name="payments",
    key=("request_id",),
    values=(
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
    ),
    casts={"request_id": "uuid"},
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
CREATE UNIQUE INDEX payments_current ON payments (request_id) WHERE valid_to IS NULL;
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
"""


_TIMES = frozenset({"expected_at", "due_at", "paid_at", "refunded_at", "ended_at"})
_KEPT = ", ".join(
    rfc3339_sql(f"t.{name}") if name in _TIMES else f"t.{name}" for name in FEES.values
)
_LOAD = f"""
SELECT t.request_id::text, {_KEPT}
FROM payments AS t JOIN unnest(%s::uuid[]) AS k (request_id) USING (request_id)
WHERE t.valid_to IS NULL
    AND (t.state = 'expected' OR t.request_id = ANY(%s::uuid[]))
"""
_FEE_KINDS = tuple(kind.value for kind in FeeKind)


class Payments:
    """The view: a versioned row a fee, an appended one for each movement of it."""

    name = "payments"
    version = 2
    tables = ("payments", "payment_movements", _ORIGINS.table)
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [fact for fact in facts if fact.topic in _OURS]
        accepted = {fact.key for fact in ours if fact.topic == _ACCEPTED}
        origins = _ORIGINS.take_in(cursor, ours, accepted)
        rows = _load(cursor, ours, accepted)
        changes = []
        movements = []
        for fact in ours:
            key = fact.key
            if fact.topic == _ACCEPTED:
                row = _expected(origins[key], fact)
            elif key in rows and fact.topic in _LATER:
                row = _after(rows[key], fact)
            else:
                continue
            if row is None:
                continue
            rows[key] = row
            changes.append(Change(position=fact.position, key=(key,), row=row))
            if (moved := _movement(row, fact)) is not None:
                movements.append(moved)
        FEES.write(cursor, changes)
        append_rows(cursor, "payment_movements", _MOVEMENT_COLUMNS, movements)


def _load(
    cursor: psycopg2.extensions.cursor, facts: Sequence[Fact], accepted: set[str]
) -> dict[str, dict[str, Any]]:
    """The present rows that a batch can change, with times as the bodies have them.

    Of what is settled only a refund changes anything: most answers and stamps are of
    requests whose fee was paid long before, and their rows are not worth carrying.
    """
    touched = {f.key for f in facts if f.topic in _LATER} - accepted
    if not touched:
        return {}
    refunded = {f.key for f in facts if f.topic == _REFUNDED}
    cursor.execute(_LOAD, (array_of(touched), array_of(refunded)))
    return {
        key: dict(zip(FEES.values, values, strict=True))
        for key, *values in cursor.fetchall()
    }


def _lines(lines: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The amounts of a fee by the kind of the line."""
    amounts = dict.fromkeys(_FEE_KINDS, 0)
    for line in lines:
        amounts[line["kind"]] += line["amount"]
    return amounts


def _expected(origin: Origin, fact: Fact) -> dict[str, Any] | None:
    """The row of a fee that acceptance made due; None where nothing is to be paid."""
    terms = fact.data["terms"]
    amounts = _lines(terms["fee_lines"])
    if not any(amounts.values()):
        return None
    return {
        "tracking_number": origin.tracking_number,
        "service": origin.service,
        "centre": origin.centre,
        "governorate": origin.governorate,
        "agency": terms["agency"],
        "unit": terms["fee_lines"][0]["unit"],
        **amounts,
        "fee_due": terms["fee_due"],
        "state": "expected",
        "is_fee_outstanding": True,
        "expected_at": fact.effective_text,
        "due_at": terms.get("payment_due_at"),
        "paid_at": None,
        "channel": None,
        "bank_reference": None,
        "refunded_state_fee": 0,
        "refunded_service_charge": 0,
        "refunded_at": None,
        "refund_channel": None,
        "refund_reference": None,
        "refund_reason": None,
        "ended_at": None,
    }


def _after(row: dict[str, Any], fact: Fact) -> dict[str, Any] | None:
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
            "channel": fact.data["channel"],
            "bank_reference": fact.data.get("bank_reference"),
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


def _due_with(row: dict[str, Any], fact: Fact) -> dict[str, Any]:
    """What an answer or a stamp says of the fee: whether and until when it is due."""
    due_at = fact.data.get("payment_due_at")
    if fact.topic == _RESPONDED:
        # Each answer says anew whether a fee falls due with it. What a refusal leaves
        # nothing to hand over for is not taken, unless another answer comes.
        is_refused = fact.data["outcome"] == Answer.REFUSED
        is_outstanding = not (is_refused and row["fee_due"] == FeeDue.HAND_OVER)
        return {"due_at": due_at, "is_fee_outstanding": is_outstanding}
    return {} if due_at is None else {"due_at": due_at}


def _refunded(row: dict[str, Any], fact: Fact) -> dict[str, Any]:
    data = fact.data
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
        "refund_reference": data.get("bank_reference"),
        "refund_reason": data["reason"],
    }


def _movement(row: dict[str, Any], fact: Fact) -> tuple[Any, ...] | None:
    """What moved with a fact; None where only the due time did."""
    topic = fact.topic
    lines: tuple[int, ...] = (row["state_fee"], row["service_charge"])
    channel = None
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
    return (
        fact.position,
        fact.key,
        movement,
        row["service"],
        row["centre"],
        row["governorate"],
        row["agency"],
        row["unit"],
        channel,
        *lines,
        fact.effective_text,
    )
