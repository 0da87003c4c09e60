"""Trails over HTTP: of which thing, by whom, of which topic, in which times."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from api import spreadsheets
from tests.api.door import Door

SUBMITTED = "sijil.request.submitted.v1"


@pytest.fixture(scope="module")
def filled(door: Door) -> Door:
    for make in (door.submitted, door.forwarded, door.mailed):
        make()
    door.scene.level()
    return door


def trail(
    door: Door, who: str = "auditor", path: str = "/v1/trail", **asked: Any
) -> Any:
    answer = door.get(who, path, limit=200, **asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_the_whole_trail_is_every_entry_in_order(filled: Door) -> None:
    rows = trail(filled, sort="-position")
    entries = filled.scene.entries()
    newest = entries[-len(rows) :][::-1]
    assert [row["position"] for row in rows] == [each.position for each in newest]
    assert [row["leaf_hash"] for row in rows] == [
        each.leaf_hash().hex() for each in newest
    ]


def test_a_thing_has_its_own_events_and_no_other(filled: Door) -> None:
    for path, begins in (
        ("/v1/services/CIV-01/trail", "sijil.service."),
        ("/v1/agencies/CIV/trail", "sijil.agency."),
        ("/v1/centres/SY-DI-01/trail", "sijil.centre."),
        ("/v1/calendars/2026/trail", "sijil.calendar."),
        ("/v1/clerks/clk-DI-1/trail", "sijil.clerk."),
    ):
        rows = trail(filled, path=path)
        assert rows
        assert len({row["aggregate_id"] for row in rows}) == 1
        assert all(row["topic"].startswith(begins) for row in rows)


def test_a_thing_that_is_not_there_has_no_trail(filled: Door) -> None:
    for noun in ("services", "agencies", "centres", "clerks", "stamps"):
        answer = filled.get("auditor", f"/v1/{noun}/NONE/trail")
        assert answer.status_code == 404
        assert answer.json()["code"] == "not-found"


def test_what_somebody_did_is_asked_by_actor(filled: Door) -> None:
    whole = trail(filled, sort="-position")
    mine = trail(filled, actor_kind="clerk", actor="clk-DI-1", sort="-position")
    assert mine
    assert mine == [
        row
        for row in whole
        if (row["actor"]["kind"], row["actor"]["id"]) == ("clerk", "clk-DI-1")
    ]


def test_a_topic_and_both_times_narrow_it(filled: Door) -> None:
    moment = datetime.fromisoformat
    whole = trail(filled, topic=SUBMITTED)
    assert len(whole) > 2
    assert {row["topic"] for row in whole} == {SUBMITTED}
    for kind in ("recorded", "effective"):
        at = whole[1][f"{kind}_at"]
        since = trail(filled, topic=SUBMITTED, **{f"{kind}_since": at})
        until = trail(filled, topic=SUBMITTED, **{f"{kind}_until": at})
        # As times: a text without parts of a second sorts after one with them.
        later = [row for row in whole if moment(row[f"{kind}_at"]) >= moment(at)]
        assert since == later
        assert until == [row for row in whole if row not in later]
        assert since
        assert until


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_the_ends_of_time_are_no_error(filled: Door, at: str) -> None:
    assert len(trail(filled, recorded_since=at)) in {0, 200}
    assert len(trail(filled, recorded_until=at)) in {0, 200}


def test_it_is_told_as_it_was(filled: Door) -> None:
    position = filled.scene.entries()[-3].position
    rows = trail(filled, sort="-position", as_of=position)
    assert rows[0]["position"] == position
    assert all(a["position"] > b["position"] for a, b in pairwise(rows))


def test_a_clerk_sees_no_trail_of_clerks_and_no_foreign_one(filled: Door) -> None:
    path = "/v1/clerks/clk-DI-1/trail"
    assert filled.get("clerk", path).status_code == 403
    assert filled.get("foreign-supervisor", path).status_code == 404
    assert filled.get("supervisor", path).status_code == 200
    for who in ("clerk", "supervisor", "citizen", "agency"):
        assert filled.get(who, "/v1/trail").status_code == 403


def withdrawn_stamp(door: Door) -> str:
    """The way to the trail of a stamp with two events and an Arabic serial."""
    path = "/v1/stamps/ختم-HM-000002"
    made = door.post(
        "administrator",
        f"{path}/withdrawal",
        {"reason": "worn"},
        if_match=door.get("auditor", path).headers["ETag"],
    )
    assert made.status_code == 200, made.text
    door.scene.level()
    return f"{path}/trail"


def test_the_pages_of_a_thing_with_an_arabic_code_lead_on(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = withdrawn_stamp(door)
    whole = [row["topic"] for row in trail(door, path=path)]
    assert whole == ["sijil.stamp.issued.v1", "sijil.stamp.withdrawn.v1"]

    def followed(answer: Any) -> Any:
        target = answer.headers["Link"].partition(">")[0][1:]
        assert target.isascii()
        return door.client.get(target, headers=door.headers("auditor"))

    first = door.get("auditor", path, limit=1)
    second = followed(first)
    assert [a.json()["items"][0]["topic"] for a in (first, second)] == whole
    monkeypatch.setattr(spreadsheets, "MOST_ROWS", 1)
    first = door.get("auditor", path, format="csv")
    second = followed(first)
    told = [a.content.decode("utf-8-sig").splitlines()[1] for a in (first, second)]
    assert all(topic in row for topic, row in zip(whole, told, strict=True))
