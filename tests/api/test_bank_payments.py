"""A bank pays fees over HTTP: each payment once, and heard however often it is told."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx2 import Response

from projections.progress import ProgressQueries
from tests.api.door import Door

FEE = {"channel": "bank", "amount": 3000, "unit": "SYP.new"}
PAID = "sijil.request.fee-paid.v1"


def pay(door: Door, request_id: str, reference: str, **more: Any) -> Response:
    more.setdefault("if_match", door.etag(request_id))
    body = {**FEE, "bank_reference": reference}
    return door.post("bank", f"/v1/requests/{request_id}/payment", body, **more)


def fees_paid(door: Door, request_id: str) -> int:
    topics = [entry.topic for entry in door.scene.entries(UUID(request_id))]
    return topics.count(PAID)


def test_a_payment_that_is_told_again_is_one_payment(door: Door) -> None:
    request_id = door.submitted()
    etag, key = door.etag(request_id), uuid4()
    first = pay(door, request_id, "B-1", key=key)
    assert first.status_code == 200, first.text
    # With its key, and with another after the answer was lost; the page is old.
    for again in (key, uuid4()):
        told = pay(door, request_id, "B-1", if_match=etag, key=again)
        assert told.status_code == 200, told.text
        assert told.headers["ETag"] == first.headers["ETag"]
    assert fees_paid(door, request_id) == 1
    assert door.get("bank", f"/v1/requests/{request_id}").status_code == 404


def test_a_reference_pays_one_request(door: Door) -> None:
    first, second = door.submitted(), door.submitted()
    assert pay(door, first, "B-2").status_code == 200
    door.scene.level()
    refused = pay(door, second, "B-2")
    assert refused.status_code == 422
    assert refused.json()["code"] == "invalid-value"
    (error,) = refused.json()["errors"]
    assert error == {"pointer": "/bank_reference", "detail": "another-payment"}
    assert fees_paid(door, second) == 0


def test_while_it_cannot_be_told_what_a_reference_paid_nothing_is_taken(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = door.submitted()
    with monkeypatch.context() as patch:
        patch.setattr(ProgressQueries, "wait_for", lambda *_, **__: False)
        refused = pay(door, request_id, "B-3")
    assert refused.status_code == 503
    assert refused.json()["code"] == "not-fresh-enough"
    assert pay(door, request_id, "B-3").status_code == 200
