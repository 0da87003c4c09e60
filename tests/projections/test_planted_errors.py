"""An error planted in the code of each view is named by a comparison with a replay.

A fold that forgets one kind of event, or misreads one fact, is the error; every table
of every view has one that shows in it, on a ledger where none of them is empty.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from projections.facts import Fact
from projections.replay import Until, replaying
from projections.schema import VIEWS, views_named
from projections.views import View
from tests.conftest import Server, fresh_database
from tests.projections.live import Views
from tests.projections.whole_histories import BLOCK, whole_history

Misread = Callable[[Fact], Fact | None]
REQUEST = "sijil.request."


@dataclass
class Mistaken:
    """A view whose code has an error: it reads its facts as ``misread`` has them."""

    view: View
    misread: Misread

    @property
    def name(self) -> str:
        return self.view.name

    @property
    def version(self) -> int:
        return self.view.version

    @property
    def tables(self) -> tuple[str, ...]:
        return self.view.tables

    @property
    def ddl(self) -> str:
        return self.view.ddl

    def fold(self, cursor: Any, facts: Any) -> None:
        read = [self.misread(fact) for fact in facts]
        self.view.fold(cursor, [fact for fact in read if fact is not None])


def forgets(topic: str) -> Misread:
    """It never hears of one kind of event."""
    return lambda fact: None if fact.topic == topic else fact


def misreads(topic: str, *path: str, value: Any) -> Misread:
    """It takes one fact of a kind of event for another."""

    def misread(fact: Fact) -> Fact:
        if topic not in {fact.topic, "*"}:
            return fact
        body = json.loads(fact.stored)
        within = body
        for name in path[:-1]:
            within = within[name]
        if path[-1] not in within:
            return fact
        within[path[-1]] = value
        stored = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        row = (fact.position, fact.recorded_us, fact.key, fact.version, fact.topic)
        return Fact((*row, stored))

    return misread


ELSEWHERE = misreads(f"{REQUEST}submitted.v1", "data", "service", value="CIV-99")
LATER_CLOSED = misreads("sijil.calendar.published.v1", "data", "closes", value="19:30")
ERRORS: tuple[tuple[str, Misread, set[str]], ...] = (
    ("agency_inbox", forgets(f"{REQUEST}agency-responded.v1"), {"agency_inbox"}),
    ("agency_inbox", ELSEWHERE, {"agency_inbox", "inbox_origins"}),
    ("audit_trail", forgets(f"{REQUEST}stamped.v1"), {"audit_trail"}),
    (
        "catalogue",
        misreads("sijil.service.published.v1", "data", "completion_days", value=9),
        {"catalogue"},
    ),
    ("clerk_queue", forgets(f"{REQUEST}fee-paid.v1"), {"clerk_queue"}),
    ("dead_letters", forgets("sijil.message.replayed.v1"), {"dead_letters"}),
    (
        "governorate_counts",
        forgets(f"{REQUEST}withdrawn.v1"),
        {"governorate_moves"},
    ),
    (
        "governorate_counts",
        ELSEWHERE,
        {"governorate_moves", "governorate_stocks", "governorate_days"},
    ),
    (
        "looks",
        misreads("sijil.read.looked.v1", "data", "purpose", value="search"),
        {"looks"},
    ),
    (
        "payments",
        misreads(f"{REQUEST}fee-paid.v1", "data", "channel", value="elsewhere"),
        {"payments", "payment_movements"},
    ),
    ("payments", ELSEWHERE, {"payments", "payment_movements", "payment_origins"}),
    (
        "payments",
        misreads("sijil.payment.unmatched.v1", "data", "amount", value=1),
        {"unmatched_payments"},
    ),
    ("payments", forgets("sijil.payment.settled.v1"), {"unmatched_payments"}),
    ("postal_manifest", forgets(f"{REQUEST}returned.v1"), {"postal_items"}),
    ("postal_manifest", ELSEWHERE, {"postal_origins"}),
    ("roster", forgets("sijil.clerk.made-responsible.v1"), {"roster"}),
    ("stamp_register", forgets("sijil.stamp.withdrawn.v1"), {"stamp_register"}),
    (
        "stamp_register",
        misreads(f"{REQUEST}stamped.v1", "data", "officer", value="clk-9"),
        {"stampings"},
    ),
    (
        "stamp_register",
        forgets(f"{REQUEST}agency-responded.v1"),
        {"stampings_superseded"},
    ),
    ("stamp_register", ELSEWHERE, {"stampings", "stamping_origins"}),
    ("supervisor_desk", misreads("*", "approved_by", value="sup-9"), {"approvals"}),
    (
        "supervisor_desk",
        misreads("sijil.attempt.refused.v1", "data", "code", value="unpaid"),
        {"refused_attempts"},
    ),
    ("timers", forgets(f"{REQUEST}information-requested.v1"), {"timers"}),
    ("tracking", forgets(f"{REQUEST}fee-paid.v1"), {"tracking"}),
    ("tracking", ELSEWHERE, {"tracking_requests"}),
    ("turnaround", LATER_CLOSED, {"turnaround_calendars", "turnaround_ended"}),
    ("turnaround", forgets(f"{REQUEST}information-supplied.v1"), {"turnaround_open"}),
    ("turnaround", ELSEWHERE, {"turnaround_open", "turnaround_received"}),
)


@pytest.fixture(scope="module")
def views(server: Server, template: str) -> Iterator[Views]:
    database = fresh_database(server, template)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("projections.governorate_counts.folding.BLOCK", BLOCK)
            made = Views(database)
            whole_history(made.recorder, requests=70, seed=14)
            made.runner.catch_up()
            yield made
    finally:
        database.close()


def differing(views: Views, folded: tuple[View, ...]) -> dict[str, list[str]]:
    """The tables that a comparison says differ, each with rows that it names."""
    head = views.reader.head().position
    with replaying(views.database.settings, folded) as (made, _):
        made.fold(Until(position=head))
        return {
            each.table: list(each.keys)
            for each in made.compare(head)
            if not each.is_same
        }


def test_no_table_is_empty_and_none_differs_without_an_error(views: Views) -> None:
    assert all(views.contents().values()), [
        table for table, rows in views.contents().items() if not rows
    ]
    assert differing(views, VIEWS) == {}


def test_every_table_of_every_view_has_an_error_that_shows_in_it() -> None:
    shown = {table for _, _, tables in ERRORS for table in tables}
    assert shown == {table for view in VIEWS for table in view.tables}


@pytest.mark.parametrize(
    ("name", "misread", "tables"),
    ERRORS,
    ids=[f"{name}-{number}" for number, (name, _, _) in enumerate(ERRORS)],
)
def test_an_error_in_a_views_code_is_named(
    views: Views, name: str, misread: Misread, tables: set[str]
) -> None:
    (view,) = views_named(name)
    found = differing(views, (Mistaken(view, misread),))
    assert tables <= found.keys()
    assert all(found.values())
