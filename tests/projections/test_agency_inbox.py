"""The inbox says of every forwarded request what the events say, at any position."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.access import Scope
from projections.agency_inbox import (
    AgencyInbox,
    AgencyInboxQueries,
    InboxFilter,
    InboxState,
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

NOW = NINE + timedelta(days=3)


@pytest.fixture
def desks(database: Database) -> Desks:
    desks = Desks(database, (AgencyInbox(),))
    desks.live(requests=80, seed=31)
    return desks


def recount(told: list[Happened]) -> list[dict[str, Any]]:
    """Every forwarded request by itself, told from all of its events again."""
    requests = submissions(told)
    by_request: dict[str, list[Happened]] = {}
    for each in told:
        if each.name.startswith("request."):
            by_request.setdefault(each.key, []).append(each)
    items = (item_of(key, events) for key, events in by_request.items())
    return [
        {
            **item,
            "centre": requests[item["request_id"]]["centre"],
            "service": requests[item["request_id"]]["service"],
            "governorate": requests[item["request_id"]]["governorate"],
        }
        for item in items
        if item is not None
    ]


def item_of(key: str, events: list[Happened]) -> dict[str, Any] | None:
    named = [(each.name.removeprefix("request."), each) for each in events]
    forwarded = next((each for name, each in named if name == "forwarded"), None)
    if forwarded is None:
        return None
    later = [pair for pair in named if pair[1].position > forwarded.position]
    due_at, answer, asked, state, since = (
        forwarded.data["answer_due_at"],
        None,
        None,
        "unanswered",
        forwarded.at,
    )
    for name, each in later:
        if name == "agency-responded":
            answer = each.data
        elif name == "information-requested":
            asked = each
        elif name == "information-supplied":
            asked = None
            due_at = each.data.get("answer_due_at") or due_at
            if answer is not None and answer["outcome"] == "information_needed":
                answer = None
        elif name in {"withdrawn", "expired"} and (
            answer is None or answer["outcome"] == "information_needed"
        ):
            return None
        else:
            continue
        now = (
            "answered"
            if answer is not None and answer["outcome"] != "information_needed"
            else "waiting"
            if asked is not None or answer is not None
            else "unanswered"
        )
        if now != state or name == "agency-responded":
            state, since = now, each.at
    return {
        "request_id": key,
        "agency": forwarded.data["agency"],
        "forwarded_at": forwarded.at,
        "answer_due_at": datetime.fromisoformat(due_at),
        "state": state,
        "since": since,
        "outcome": None if answer is None else answer["outcome"],
        "reason": None if answer is None else answer.get("reason"),
    }


def sorted_as(items: list[dict[str, Any]], state: InboxState) -> list[dict[str, Any]]:
    kept = [item for item in items if item["state"] == state]
    name = "answer_due_at" if state is InboxState.UNANSWERED else "since"
    kept.sort(key=lambda item: (item[name], item["request_id"]))
    return kept[::-1] if state is InboxState.ANSWERED else kept


def shown(row: Any, like: dict[str, Any]) -> dict[str, Any]:
    return {
        name: str(row.request_id) if name == "request_id" else getattr(row, name)
        for name in like
    }


def test_items_are_those_of_the_events_as_of_any_position(desks: Desks) -> None:
    queries = AgencyInboxQueries(desks.read)
    seen: Counter[InboxState] = Counter()
    for position in desks.positions(16):
        told = recount(desks.until(desks.head if position is None else position))
        for state in InboxState:
            wanted = sorted_as(told, state)
            rows = everything(
                queries.page,
                scope=EVERYTHING,
                now=NOW,
                only=InboxFilter(state=state),
                as_of=position,
            )
            assert [shown(r, w) for r, w in zip(rows, wanted, strict=True)] == wanted
            for row in rows:
                is_open = state is InboxState.UNANSWERED
                assert row.is_overdue is (is_open and row.answer_due_at < NOW)
            seen[state] += len(rows)
    assert all(seen[state] for state in InboxState)


def test_an_officer_sees_what_was_forwarded_to_the_own_office(desks: Desks) -> None:
    queries = AgencyInboxQueries(desks.read)
    told = sorted_as(recount(desks.told), InboxState.ANSWERED)
    for scope, keeps in (
        (Scope(agency="CIV", governorate="SY-DI", only_forwarded=True), {"SY-DI"}),
        (
            Scope(agency="CIV", only_forwarded=True),
            {"SY-DI", "SY-HL", "SY-QU"},
        ),
        (Scope(agency="LND", only_forwarded=True), set()),
        (Scope(agency="CIV", governorate="", only_forwarded=True), set()),
    ):
        rows = everything(
            queries.page,
            scope=scope,
            now=NOW,
            only=InboxFilter(state=InboxState.ANSWERED),
        )
        assert [str(row.request_id) for row in rows] == [
            item["request_id"] for item in told if item["governorate"] in keeps
        ]


def test_what_is_overdue_stands_first_and_can_stand_alone(desks: Desks) -> None:
    queries = AgencyInboxQueries(desks.read)
    late = NINE + timedelta(days=60)
    position = max(
        range(0, desks.head, 10),
        key=lambda at: len(sorted_as(recount(desks.until(at)), InboxState.UNANSWERED)),
    )
    asked = {"scope": EVERYTHING, "now": late, "as_of": position}
    rows = everything(queries.page, **asked)
    middle = rows[len(rows) // 2].answer_due_at
    overdue = everything(queries.page, **asked, only=InboxFilter(overdue_at=middle))
    assert overdue == [row for row in rows if row.answer_due_at < middle]
    assert all(row.is_overdue for row in rows)


def test_totals_add_up_to_the_items(desks: Desks) -> None:
    queries = AgencyInboxQueries(desks.read)
    for position in desks.positions(6):
        told = recount(desks.until(desks.head if position is None else position))
        counted: dict[Any, Counter[str]] = {}
        for item in told:
            if item["state"] != "answered":
                counts = counted.setdefault(
                    (item["agency"], item["governorate"]), Counter()
                )
                counts[item["state"]] += 1
                is_open = item["state"] == "unanswered"
                counts["overdue"] += is_open and item["answer_due_at"] < NOW
        rows = everything(queries.totals, scope=EVERYTHING, now=NOW, as_of=position)
        assert [(row.agency, row.governorate) for row in rows] == sorted(counted)
        for row in rows:
            counts = counted[row.agency, row.governorate]
            for name in ("unanswered", "waiting", "overdue"):
                assert getattr(row, name) == counts[name]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_batches_of_any_size_make_the_same_inbox(
    desks: Desks, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desks.is_same_in_batches(size, monkeypatch)
