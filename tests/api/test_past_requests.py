"""One request as it was known at a position, or a moment."""

from __future__ import annotations

from uuid import UUID

from tests.api.door import Door


def test_it_is_told_as_it_was_at_each_of_its_entries(door: Door) -> None:
    request_id = door.mailed()
    entries = door.scene.entries(UUID(request_id))
    path = f"/v1/requests/{request_id}"
    told = [door.get("clerk", path, as_of=entry.position).json() for entry in entries]
    assert [each["version"] for each in told] == [e.version for e in entries]
    assert told[0]["stage"] == "waiting"
    assert told[-1] == door.get("clerk", path).json()
    times = [
        door.get("clerk", path, as_of=entry.recorded_at.isoformat()).json()
        for entry in entries
    ]
    assert times == told


def test_before_it_was_there_it_was_not_found(door: Door) -> None:
    request_id = door.submitted()
    [first, *_] = door.scene.entries(UUID(request_id))
    path = f"/v1/requests/{request_id}"
    answer = door.get("clerk", path, as_of=first.position - 1)
    assert answer.status_code == 404


def test_whoever_sees_it_now_sees_nothing_of_before(door: Door) -> None:
    request_id = door.forwarded()
    entries = door.scene.entries(UUID(request_id))
    path = f"/v1/requests/{request_id}"
    assert door.get("agency", path).status_code == 200
    before = door.get("agency", path, as_of=entries[0].position)
    assert before.status_code == 404
    assert door.get("agency", path, as_of=entries[-1].position).status_code == 200
    foreign = door.get("foreign-agency", path, as_of=entries[-1].position)
    assert foreign.status_code == 404


def test_it_is_not_sent_again_to_whoever_has_it(door: Door) -> None:
    request_id = door.submitted()
    [first, *_] = door.scene.entries(UUID(request_id))
    path = f"/v1/requests/{request_id}"
    asked = {"params": {"as_of": first.position}}
    answer = door.client.get(path, headers=door.headers("clerk"), **asked)
    headers = door.headers("clerk", If_None_Match=answer.headers["ETag"])
    again = door.client.get(path, headers=headers, **asked)
    assert again.status_code == 304
    assert not again.content


def test_a_position_that_is_not_there_is_not_fresh_enough(door: Door) -> None:
    path = f"/v1/requests/{door.submitted()}"
    answer = door.get("clerk", path, min_position=2**62)
    assert answer.status_code == 503
    assert answer.json()["code"] == "not-fresh-enough"
