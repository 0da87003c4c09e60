"""A message says what its type has, and nothing else."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft7Validator

from consumers.describing import schemas
from consumers.inward.messages import (
    LARGEST_MESSAGE_BYTES,
    AgencyReply,
    BankPaid,
    Correspondence,
    PostalScanned,
    must_have_a_size,
    read,
)
from consumers.inward.records import Unusable, UnusableError
from domain.money import Unit
from domain.requests import Answer, ReturnedBecause
from domain.services import Relationship
from office.reports import Scanned
from tests.consumers.inward.letters import letter, written

NINE = datetime(2026, 11, 23, 6, tzinfo=UTC)
REQUEST = "019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10"
REPLY: dict[str, Any] = {
    "type": "sijil.agency-reply.v1",
    "happened_at": "2026-11-23T09:00:00+03:00",
    "request_id": REQUEST,
    "outcome": "issued",
}
SCAN: dict[str, Any] = {
    "type": "sijil.postal-scan.v1",
    "happened_at": "2026-11-23T06:00:00Z",
    "item": "RA473124829GB",
    "scanned": "delivered",
    "capacity": "self",
}
PAYMENT: dict[str, Any] = {
    "type": "sijil.bank-payment.v1",
    "happened_at": "2026-11-23T06:00:00.000000Z",
    "tracking_number": "A77W-EAA2-E5G9-Q",
    "amount": 4500,
    "unit": "SYP.new",
    "bank_reference": "B-20261123-77",
}


def refused(kind: Correspondence, value: bytes) -> UnusableError:
    with pytest.raises(UnusableError) as error:
        read(kind, value)
    return error.value


def test_each_topic_has_its_type() -> None:
    reply = read(Correspondence.REPLIES, written(**REPLY))
    assert isinstance(reply, AgencyReply)
    assert reply.happened_at == NINE
    assert reply.happened_at.tzinfo is UTC
    assert reply.command.request_id == UUID(REQUEST)
    assert (reply.command.outcome, reply.command.token) == (Answer.ISSUED, None)
    scan = read(Correspondence.SCANS, written(**SCAN))
    assert isinstance(scan, PostalScanned)
    assert scan.command.scanned is Scanned.DELIVERED
    assert scan.command.capacity is Relationship.SELF
    back = {**SCAN, "scanned": "returned", "reason": "damaged"}
    del back["capacity"]
    returned = read(Correspondence.SCANS, written(**back))
    assert isinstance(returned, PostalScanned)
    assert returned.command.reason is ReturnedBecause.DAMAGED
    paid = read(Correspondence.PAYMENTS, written(**PAYMENT))
    assert isinstance(paid, BankPaid)
    assert (paid.command.amount, paid.command.unit) == (4500, Unit.NEW)


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (b"", Unusable.NOT_JSON),
        (b"{", Unusable.NOT_JSON),
        (b"\xff\xfe", Unusable.NOT_JSON),
        (b"[" * 10_000, Unusable.NOT_JSON),
        (b"[]", Unusable.UNKNOWN_TYPE),
        (b"null", Unusable.UNKNOWN_TYPE),
        (b'{"type":["sijil.agency-reply.v1"]}', Unusable.UNKNOWN_TYPE),
        (written(**{**REPLY, "type": "sijil.agency-reply.v2"}), Unusable.UNKNOWN_TYPE),
        (written(**PAYMENT), Unusable.UNKNOWN_TYPE),
    ],
)
def test_no_json_and_no_type_of_the_topic(value: bytes, cause: Unusable) -> None:
    assert refused(Correspondence.REPLIES, value).cause is cause


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"outcome": "granted"}, "outcome: enum"),
        ({"outcome": None}, "outcome: enum"),
        ({"request_id": "MARKED"}, "request_id: uuid_parsing"),
        ({"request_id": 7}, "request_id: uuid_type"),
        ({"supersedes": "1"}, "supersedes: int_type"),
        ({"supersedes": 0}, "supersedes: greater_than_equal"),
        ({"supersedes": 2**31}, "supersedes: less_than"),
        ({"document_digest": "MARKED"}, "document_digest: string_pattern_mismatch"),
        ({"reason": "M" * 65}, "reason: string_too_long"),
        ({"reason": ""}, "reason: string_too_short"),
        ({"happened_at": "2026-11-23T09:00:00"}, "happened_at: timezone_aware"),
        ({"happened_at": 1_764_000_000}, "happened_at: datetime_type"),
        ({"happened_at": "1999-12-31T23:59:59Z"}, "happened_at: value_error"),
        ({"happened_at": "9999-12-31T23:59:59-14:00"}, "happened_at: value_error"),
        ({"happened_at": "0001-01-01T00:00:00+14:00"}, "happened_at: value_error"),
        ({"MARKED": 1}, "-: extra_forbidden"),
    ],
)
def test_what_is_not_of_its_form_is_named_without_its_value(
    changes: dict[str, Any], detail: str
) -> None:
    error = refused(Correspondence.REPLIES, written(**{**REPLY, **changes}))
    assert (error.cause, error.detail) == (Unusable.MALFORMED, detail)


@pytest.mark.parametrize("amount", [0, -1, 2**53, 1.5, "4500", True])
def test_an_amount_is_a_whole_number_that_every_reader_keeps(amount: Any) -> None:
    value = written(**{**PAYMENT, "amount": amount})
    assert refused(Correspondence.PAYMENTS, value).cause is Unusable.MALFORMED


def test_a_missing_part_is_named() -> None:
    for name in REPLY:
        if name not in {"type", "happened_at"}:
            left = {key: value for key, value in REPLY.items() if key != name}
            assert refused(Correspondence.REPLIES, written(**left)).detail == (
                f"{name}: missing"
            )


def test_a_message_has_a_value_and_not_too_large_a_one() -> None:
    for empty in (letter(value=b""), dataclasses.replace(letter(), value=None)):
        with pytest.raises(UnusableError, match=Unusable.NO_VALUE):
            must_have_a_size(empty)
    with pytest.raises(UnusableError, match=Unusable.TOO_LARGE):
        must_have_a_size(letter(value=b"x" * (LARGEST_MESSAGE_BYTES + 1)))
    fits = b"x" * LARGEST_MESSAGE_BYTES
    assert must_have_a_size(letter(value=fits)) == fits


def test_a_time_of_any_zone_is_the_same_moment() -> None:
    zone = timezone(timedelta(hours=-11))
    value = written(**{**REPLY, "happened_at": NINE.astimezone(zone)})
    assert read(Correspondence.REPLIES, value).happened_at == NINE


@pytest.mark.parametrize("facts", [REPLY, SCAN, PAYMENT])
def test_the_published_schema_takes_what_we_take(facts: dict[str, Any]) -> None:
    validator = Draft7Validator(schemas()[facts["type"]])
    validator.validate(facts)
    for broken in (
        {**facts, "name": "x"},
        {**facts, "type": "other"},
        {key: value for key, value in facts.items() if key != "happened_at"},
    ):
        assert not validator.is_valid(broken)
