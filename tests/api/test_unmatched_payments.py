"""Money without a request, over HTTP: seen by its centre, settled once."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx2 import Response

from tests.api.door import Door

PATH = "/v1/payments/unmatched"
RETURNED = {"reason": "returned"}


def one(door: Door, payment_id: str) -> dict[str, Any]:
    answer = door.get("auditor", f"{PATH}/{payment_id}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def settle(
    door: Door, payment_id: str, body: dict[str, Any] | None = None, **more: Any
) -> Response:
    path = f"{PATH}/{payment_id}/settlement"
    more.setdefault("if_match", '"1"')
    return door.post(more.pop("who", "administrator"), path, body or RETURNED, **more)


def taken_as_fee(door: Door) -> tuple[str, str]:
    """A payment that a clerk took as the fee of a request, and that request."""
    payment_id = door.stray_payment()
    request_id = door.submitted()
    paid = door.act(
        "clerk",
        request_id,
        "payment",
        channel="bank",
        bank_reference=one(door, payment_id)["bank_reference"],
        amount=3000,
        unit="SYP.new",
    )
    assert paid.status_code == 200, paid.text
    return payment_id, request_id


def test_one_is_told_as_it_was_reported(door: Door) -> None:
    payment_id = door.stray_payment_here()
    told = one(door, payment_id)
    assert (told["reason"], told["amount"]) == ("wrong_amount", 1)
    assert (told["state"], told["settled_at"]) == ("open", None)
    door.scene.level()
    listed = door.get("auditor", PATH, limit=1).json()["items"]
    assert listed == [told]


def test_it_is_settled_once_and_stays_on_the_list(door: Door) -> None:
    payment_id, key = door.stray_payment(), uuid4()
    assert settle(door, payment_id, if_match=None).status_code == 428
    first = settle(door, payment_id, key=key)
    assert first.status_code == 200, first.text
    assert first.headers["ETag"] == '"2"'
    assert first.json()["state"] == "settled"
    assert first.json()["settled_because"] == "returned"
    again = settle(door, payment_id, key=key)
    assert again.headers["Idempotency-Hit"] == "true"
    assert again.json() == first.json()
    stale = settle(door, payment_id, {"reason": "other"})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale-version")
    twice = settle(door, payment_id, {"reason": "other"}, if_match='"2"')
    assert (twice.status_code, twice.json()["code"]) == (409, "already-settled")
    assert twice.json()["facts"] == {"reason": "returned"}
    door.scene.level()
    for state, is_there in (("open", False), ("settled", True)):
        found = door.get("auditor", PATH, state=state).json()["items"]
        assert (payment_id in {each["payment_id"] for each in found}) is is_there
    assert one(door, payment_id) == first.json()


def test_it_is_told_as_it_was_known_then(door: Door) -> None:
    payment_id = door.stray_payment()
    head = door.scene.house.ledger.reader.head().position
    assert settle(door, payment_id).status_code == 200
    path = f"{PATH}/{payment_id}"
    then = door.get("auditor", path, as_of=head)
    assert (then.json()["state"], then.headers["ETag"]) == ("open", '"1"')
    assert door.get("auditor", path, as_of=head - 1).status_code == 404
    door.scene.level()
    listed = door.get("auditor", PATH, as_of=head, limit=1).json()["items"]
    assert listed == [then.json()]


def test_a_supervisor_settles_those_of_the_own_centre(door: Door) -> None:
    payment_id = door.stray_payment_here()
    foreign = settle(door, payment_id, who="foreign-supervisor")
    assert foreign.status_code == 404
    assert door.get("foreign-supervisor", f"{PATH}/{payment_id}").status_code == 404
    assert settle(door, payment_id, who="supervisor").status_code == 200


def test_a_fee_is_told_with_its_request(door: Door) -> None:
    payment_id, request_id = taken_as_fee(door)
    body = {"reason": "taken-as-fee", "request_id": request_id}
    settled = settle(door, payment_id, body)
    assert settled.status_code == 200, settled.text
    assert settled.json()["fee_request_id"] == request_id
    door.scene.level()
    trail = door.get("clerk", f"/v1/requests/{request_id}/trail").json()["items"]
    assert trail[-1]["topic"] == "sijil.payment.settled.v1"


def test_what_is_no_fee_of_a_request_is_refused(door: Door) -> None:
    payment_id, request_id = taken_as_fee(door)
    unpaid, kept = door.submitted(), door.stray_payment()
    for body, payment, status, detail in (
        ({"reason": "taken-as-fee"}, payment_id, 422, "reason"),
        ({"reason": "other", "request_id": request_id}, payment_id, 422, "reason"),
        (
            {"reason": "taken-as-fee", "request_id": unpaid},
            payment_id,
            422,
            "not-paid-with-it",
        ),
        (
            {"reason": "taken-as-fee", "request_id": request_id},
            kept,
            422,
            "not-paid-with-it",
        ),
        ({"reason": "taken-as-fee", "request_id": str(uuid4())}, kept, 404, None),
    ):
        answer = settle(door, payment, body)
        assert answer.status_code == status, answer.text
        if detail is not None:
            [error] = answer.json()["errors"]
            assert (error["pointer"], error["detail"]) == ("/request_id", detail)
    assert one(door, payment_id)["state"] == one(door, kept)["state"] == "open"


@pytest.mark.parametrize(
    "body",
    [
        {"reason": "because I say so"},
        {"reason": "done-by-hand"},
        {"reason": "returned", "request_id": "nobody's"},
        {"reason": "returned", "note": "to Ahmad"},
        {"request_id": None},
    ],
)
def test_nonsense_is_refused(door: Door, body: dict[str, Any]) -> None:
    answer = settle(door, door.stray_payment(), body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-value")


def test_what_is_no_payment_is_not_found(door: Door) -> None:
    request_id, letter_id = door.submitted(), door.dead_letter()
    for other in (request_id, letter_id, str(uuid4())):
        assert door.get("auditor", f"{PATH}/{other}").status_code == 404
        assert settle(door, other).status_code == 404
    payment_id = door.stray_payment()
    assert door.get("auditor", f"/v1/dead-letters/{payment_id}").status_code == 404
    assert door.scene.entries(UUID(payment_id))
