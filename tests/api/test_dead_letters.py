"""Messages that could not be used, over HTTP: seen by two roles, settled by one."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.api.door import Door

PATH = "/v1/dead-letters"


@pytest.fixture(scope="module")
def letters(door: Door) -> Door:
    return door


def one(door: Door, letter_id: str) -> dict[str, Any]:
    answer = door.get("auditor", f"{PATH}/{letter_id}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_one_is_told_as_it_was_set_aside(letters: Door) -> None:
    letter_id = letters.dead_letter(cause="wrong-state", attempts=3, sender="CIV")
    told = one(letters, letter_id)
    assert (told["cause"], told["code"]) == ("refused", "wrong-state")
    assert (told["attempts"], told["sender"]) == (3, "CIV")
    assert told["sent_at"] == "2026-10-23T06:00:00Z"
    assert told["state"] == "open"
    letters.scene.level()
    listed = letters.get("auditor", PATH, limit=1).json()["items"]
    assert [each["id"] for each in listed] == [letter_id]
    assert {**listed[0], "age_s": 0} == {**told, "age_s": 0}


def test_a_cause_that_nobody_knows_is_other_and_its_words_are_nowhere(
    letters: Door,
) -> None:
    letter_id = letters.dead_letter(cause="السيد فلان 01000099887")
    assert one(letters, letter_id)["cause"] == "other"
    assert "فلان".encode() not in letters.scene.stored_bytes()


def test_a_replay_is_recorded_once_and_counts(letters: Door) -> None:
    letter_id = letters.dead_letter()
    path, key = f"{PATH}/{letter_id}/replays", uuid4()
    body = {"partition": 3, "offset": 77}
    assert letters.post("administrator", path, body).status_code == 428
    first = letters.post("administrator", path, body, if_match='"1"', key=key)
    assert first.status_code == 200, first.text
    assert first.headers["ETag"] == '"2"'
    assert (first.json()["state"], first.json()["replays"]) == ("replayed", 1)
    assert first.json()["replayed_offset"] == 77
    again = letters.post("administrator", path, body, if_match='"1"', key=key)
    assert again.headers["Idempotency-Hit"] == "true"
    assert again.json() == first.json()
    stale = letters.post("administrator", path, body, if_match='"1"')
    assert (stale.status_code, stale.json()["code"]) == (412, "stale-version")
    second = letters.post("administrator", path, body, if_match='"2"')
    assert second.json()["replays"] == 2


def test_what_is_settled_is_neither_sent_again_nor_settled_twice(letters: Door) -> None:
    letter_id = letters.dead_letter()
    path, body = f"{PATH}/{letter_id}", {"reason": "done-by-hand"}
    settled = letters.post("administrator", f"{path}/settlement", body, if_match='"1"')
    assert settled.json()["state"] == "settled"
    assert settled.json()["settled_because"] == "done-by-hand"
    for act, asked in (
        ("settlement", body),
        ("replays", {"partition": 3, "offset": 1}),
    ):
        answer = letters.post("administrator", f"{path}/{act}", asked, if_match='"2"')
        assert answer.status_code == 409
        assert answer.json()["code"] == "already-settled"
        assert answer.json()["facts"] == {"reason": "done-by-hand"}
    # It is on the list for ever, and the tries to change it are recorded.
    letters.scene.level()
    found = letters.get("auditor", PATH, state="settled").json()["items"]
    assert letter_id in {each["id"] for each in found}
    tried = letters.get("auditor", "/v1/desk/refused-attempts").json()["items"]
    assert {"settlement", "replays"} <= {
        each["attempted"] for each in tried if each["target"] == letter_id
    }


def test_it_is_told_as_it_was_known_then(letters: Door) -> None:
    letter_id = letters.dead_letter()
    head = letters.scene.house.ledger.reader.head().position
    path = f"{PATH}/{letter_id}"
    settled = letters.post(
        "administrator", f"{path}/settlement", {"reason": "forged"}, if_match='"1"'
    )
    assert settled.status_code == 200
    then = letters.get("auditor", path, as_of=head)
    assert (then.json()["state"], then.headers["ETag"]) == ("open", '"1"')
    assert letters.get("auditor", path, as_of=head - 1).status_code == 404
    assert one(letters, letter_id)["state"] == "settled"


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("replays", {"partition": -1, "offset": 1}),
        ("replays", {"partition": 0, "offset": 2**53}),
        ("replays", {"partition": 0}),
        ("settlement", {"reason": "because I say so"}),
        ("settlement", {}),
    ],
)
def test_nonsense_is_refused(letters: Door, act: str, body: dict[str, Any]) -> None:
    path = f"{PATH}/{letters.dead_letter()}/{act}"
    answer = letters.post("administrator", path, body, if_match='"1"')
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-value")


def test_what_is_no_dead_letter_is_not_found(letters: Door) -> None:
    request_id = letters.submitted()
    for other in (request_id, str(uuid4())):
        assert letters.get("auditor", f"{PATH}/{other}").status_code == 404
        body = {"reason": "forged"}
        path = f"{PATH}/{other}/settlement"
        answer = letters.post("administrator", path, body, if_match='"1"')
        assert answer.status_code == 404
