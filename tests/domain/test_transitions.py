"""Every act in every situation does what docs/reference/transitions.md says it does.

The table is written there. Here each of its cells is tried, and it is shown to be
whole: no act and no situation is missing, and what it calls the same situation is the
same.
"""

from __future__ import annotations

import ast
import copy
import inspect
import os
from functools import cache

import pytest
from eventsourcing.domain import CanMutateAggregate

from domain.aggregates import OfficeAggregate
from domain.errors import SijilError, WrongStateError
from domain.requests import ServiceRequest
from domain.services import Route
from domain.stages import NextAct, Stage
from tests.docs.pages import REFERENCE
from tests.docs.surface import subclasses
from tests.domain.transitions import (
    ACTS,
    EITHER,
    PAGE,
    SITUATIONS,
    Cell,
    Elsewhere,
    built,
    columns,
    drawn,
    elsewhere,
    names,
    reasons,
    rows,
)
from tests.running import REPOSITORY

TABLE = rows()
CELLS = [
    pytest.param(name, act_name, id=f"{name} - {act_name}")
    for name, row in TABLE.items()
    for act_name in row.cells
]
Outcome = tuple[str, ...]


def tried(request: ServiceRequest, act_name: str) -> tuple[Outcome, ServiceRequest]:
    """What the act comes to, and the request after it; the given one stays."""
    after = copy.copy(request)
    # The fields are immutable values; the list of what happened is not.
    vars(after)["_pending_events"] = []
    try:
        ACTS[act_name].do(after)
    except SijilError as error:
        assert not after.pending_events
        assert {**vars(after), "_pending_events": None} == {
            **vars(request),
            "_pending_events": None,
        }
        is_state = isinstance(error, WrongStateError)
        return ("refused", error.reason if is_state else error.code), after
    happened = [type(each).__name__ for each in after.pending_events]
    return ("happened", *happened), after


def standing(request: ServiceRequest) -> tuple[str, str, str]:
    now = request.standing
    return request.stage, now.next_act, now.waiting_for


def seen(request: ServiceRequest) -> dict[str, Outcome]:
    """What every act comes to: this is what makes two situations one.

    Where the clock goes on, the situation it goes on to belongs to it as well.
    """
    found = {}
    for act_name in ACTS:
        outcome, after = tried(request, act_name)
        goes_on = standing(after) if act_name == "supply" else ()
        found[act_name] = (*outcome, *goes_on)
    return found


@cache
def given(name: str, route: Route) -> ServiceRequest:
    return built(name, route)


@cache
def seen_in(name: str, route: Route) -> dict[str, Outcome]:
    return seen(given(name, route))


def on_route(said: str, name: str, route: Route) -> str:
    """What a cell says of this route."""
    either = said.split(EITHER)
    return either[SITUATIONS[name].routes.index(route) if len(either) > 1 else 0]


def test_every_situation_and_every_act_has_its_place() -> None:
    assert list(TABLE) == list(SITUATIONS)
    assert columns() == {name: each.event.TOPIC for name, each in ACTS.items()}
    for name, row in TABLE.items():
        assert set(row.cells) == set(ACTS), name


def test_no_act_of_the_request_and_no_event_is_missing() -> None:
    of_every_aggregate = {name for name, _ in inspect.getmembers(OfficeAggregate)}
    methods = {
        name
        for name, _ in inspect.getmembers(ServiceRequest, inspect.isroutine)
        if not name.startswith("_") and name not in of_every_aggregate
    }
    assert methods - {"submit"} == {each.method for each in ACTS.values()}
    topics = {
        made.TOPIC
        for _, made in inspect.getmembers(ServiceRequest, inspect.isclass)
        if issubclass(made, CanMutateAggregate) and hasattr(made, "TOPIC")
    }
    begins = {ServiceRequest.Created.TOPIC, ServiceRequest.Submitted.TOPIC}
    assert {each.event.TOPIC for each in ACTS.values()} == topics - begins


def test_every_stage_and_every_next_act_is_reached() -> None:
    assert {row.stage for row in TABLE.values()} == set(Stage)
    assert {row.next_act for row in TABLE.values()} == set(NextAct)


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_request_stands_where_the_table_says(name: str) -> None:
    row = TABLE[name]
    for route in SITUATIONS[name].routes:
        assert standing(given(name, route)) == (
            row.stage,
            row.next_act,
            row.waiting_for,
        )


@pytest.mark.parametrize(("name", "act_name"), CELLS)
def test_an_act_comes_to_what_the_table_says(name: str, act_name: str) -> None:
    cell = TABLE[name].cells[act_name]
    for route in SITUATIONS[name].routes:
        outcome, after = tried(given(name, route), act_name)
        assert outcome == expected(cell, name, act_name, route), route
        if cell.leads_to is not None:
            target = on_route(cell.leads_to, name, route)
            must_be_in(after, target, act_name, route)


def expected(cell: Cell, name: str, act_name: str, route: Route) -> Outcome:
    if cell.refused is not None:
        return ("refused", on_route(cell.refused, name, route))
    if cell.leads_to is not None:
        return ("happened", ACTS[act_name].event.__name__)
    return ("happened",)


def must_be_in(
    request: ServiceRequest, target: str, act_name: str, route: Route
) -> None:
    """It stands where the target's row says, and every act comes to the same there."""
    row = TABLE[target]
    assert standing(request) == (row.stage, row.next_act, row.waiting_for)
    routes = SITUATIONS[target].routes
    same = seen_in(target, route if route in routes else routes[0])
    is_taken_away = act_name == "release" and target != "waiting, with nobody"
    if not is_taken_away:
        # Done once, the act itself may come to something else: it was done.
        assert {**seen(request), act_name: ()} == {**same, act_name: ()}


@pytest.mark.parametrize("cell", elsewhere(), ids=str)
def test_another_service_leads_where_the_table_says(cell: Elsewhere) -> None:
    assert cell.leads_to != TABLE[cell.situation].cells[cell.act].leads_to
    for route in SITUATIONS[cell.situation].routes:
        request = built(cell.situation, route, cell.service)
        _, after = tried(request, cell.act)
        must_be_in(after, cell.leads_to, cell.act, route)


def test_the_picture_is_drawn_from_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    if os.environ.get("SIJIL_WRITE_GOLDEN"):
        PAGE.write_text(drawn(page), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == drawn(page)


def test_the_stages_are_named_as_in_the_glossary() -> None:
    glossary = (REFERENCE / "glossary.md").read_text(encoding="utf-8")
    known = names()
    assert set(known) == set(Stage) | set(NextAct)
    for stage in Stage:
        arabic, english = known[stage]
        assert f"| {arabic} | {english} | `{stage}` |" in glossary


def test_every_reason_of_wrong_state_is_explained_and_no_other_is() -> None:
    assert said_in_code() == reasons()
    said_in_table = {
        each
        for row in TABLE.values()
        for cell in row.cells.values()
        for each in (cell.refused or "").split(EITHER)
    }
    codes = {made.code for made in subclasses(SijilError)}
    assert said_in_table - {""} <= reasons() | codes


def said_in_code() -> set[str]:
    """Every reason that the rules give a wrong state, read from their source."""
    found = set()
    for folder in ("domain", "office"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                found |= reasons_of(node)
    return found


def reasons_of(node: ast.AST) -> set[str]:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return set()
    given_as = {
        "wrong_state": node.args[2:],
        "WrongStateError": [
            each.value for each in node.keywords if each.arg == "reason"
        ],
    }.get(node.func.id, [])
    return {
        part.value
        for argument in given_as
        for part in ast.walk(argument)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


@pytest.mark.parametrize("wrong", ["refused", "stamped, to be posted", "forwarded"])
def test_a_planted_wrong_target_is_found(wrong: str) -> None:
    _, after = tried(given("forwarded", Route.REPLY), "answer issued")
    must_be_in(after, "issued, to be stamped", "answer issued", Route.REPLY)
    with pytest.raises(AssertionError):
        must_be_in(after, wrong, "answer issued", Route.REPLY)


def test_an_act_said_twice_in_a_row_is_found() -> None:
    page = PAGE.read_text(encoding="utf-8")
    planted = page.replace("| warn, expire |", "| warn, expire, warn |", 1)
    assert planted != page
    with pytest.raises(AssertionError, match="said twice"):
        rows(planted)
