"""Every number that any route tells equals one counted apart, in SQL over the bodies.

Over HTTP, as JSON and as CSV, by every role that may ask, now and as of the past.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg2
import pytest

from api.tokens import mint
from domain.acts import ActorKind
from ledger.persistence.recorders import PostgresProcessRecorder
from office.simulating.history import Options
from office.simulating.simulation import Simulation
from tests.api.door import Door, door_of
from tests.conftest import Server, fresh_database
from tests.domain.office import NINE
from tests.projections import wild_lives
from tests.projections.letters import Letters
from tests.recount.asking import Ask, Heard, Tally, compare
from tests.recount.moment import Asker, Moment, laid_out
from tests.recount.plan import Plan, ask_all, head_of
from tests.recount.questions import LIVE_ONLY, questions, world_of
from tests.recount.register import NAMES, RECOUNTS, UNCOUNTED

FOLDER = Path(__file__).parents[1] / "recount"
OPENAPI = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"
OURS = {"api", "consumers", "domain", "ledger", "office", "projections"}


def ask_of(door: Door) -> Ask:
    """Asks the interface of a door, with a token of whoever asks."""
    tokens: dict[Asker, str] = {}

    def ask(asker: Asker, path: str, params: Sequence[tuple[str, str]]) -> Heard:
        if asker not in tokens:
            tokens[asker] = mint(
                door.settings,
                role=ActorKind(asker.role),
                subject=asker.code,
                now=datetime.now(UTC),
                lifespan=timedelta(hours=1),
                centre=asker.centre,
                agency=asker.agency,
                governorate=asker.governorate,
            )
        answer = door.client.get(
            path,
            params=list(params),
            headers={"Authorization": f"Bearer {tokens[asker]}"},
        )
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Heard(status=answer.status_code, headers=headers, text=answer.text)

    return ask


def asked_all(door: Door, plan: Plan) -> Tally:
    """Everything asked at a door, held against the count apart."""
    tally = Tally()
    dsn = door.scene.database.superuser_dsn()
    with closing(psycopg2.connect(**dsn)) as connection:
        ask_all(ask_of(door), connection, plan, tally)
    return tally


@pytest.fixture(scope="module")
def simulated(server: Server, seeded_template: str) -> Iterator[Door]:
    """An office with a simulated history."""
    database = fresh_database(server, seeded_template)
    try:
        with door_of(database) as made:
            letters = letters_in(made)
            Simulation(made.scene.house, Options(completed=60)).run()
            some_more(letters)
            made.scene.room.runner.catch_up()
            made.scene.stray_payments()
            look_at_some(made)
            yield made
    finally:
        database.close()


@pytest.fixture(scope="module")
def wild(server: Server, seeded_template: str) -> Iterator[Door]:
    """An office with lives that nobody thought of."""
    database = fresh_database(server, seeded_template)
    try:
        with door_of(database) as made:
            recorder = PostgresProcessRecorder(database.datastore("app"))
            with pytest.MonkeyPatch.context() as patched:
                letters = letters_in(made)
                # Some of them expire days later: nothing may happen in the future.
                patched.setattr(wild_lives, "NINE", NINE - timedelta(days=28))
                wild_lives.wild_history(recorder, requests=50, seed=14)
                some_more(letters)
            made.scene.room.runner.catch_up()
            made.scene.stray_payments()
            look_at_some(made)
            yield made
    finally:
        database.close()


def letters_in(door: Door) -> Letters:
    """Messages that could not be used, before all else."""
    letters = Letters(PostgresProcessRecorder(door.scene.database.datastore("app")))
    some_more(letters)
    return letters


def some_more(letters: Letters) -> None:
    """What else happens to them."""
    for _ in range(25):
        letters.happen()


def look_at_some(door: Door) -> None:
    """Let somebody see the parties of requests, which is recorded."""
    found = door.get("supervisor", "/v1/requests", limit=5).json()["items"]
    for each in found:
        assert door.get("supervisor", f"/v1/requests/{each['id']}/parties").is_success
    door.scene.room.runner.catch_up()


PLAN = Plan(positions=(0.75,), times=(0.3,), effective=(0.5,))


def test_every_number_of_a_simulated_history(simulated: Door) -> None:
    tally = asked_all(simulated, PLAN)
    assert not tally.differing, "\n".join(tally.told)
    # No route was asked in vain: each told a number.
    assert set(tally.by_operation) == set(RECOUNTS)


def test_ages_are_those_of_the_time_that_is_asked_about(wild: Door) -> None:
    """Also of a time days after the newest entry, when all of it is known."""
    scene = wild.scene
    head = scene.house.ledger.reader.head().position
    newest = scene.house.ledger.reader.entry(head)
    assert newest is not None
    at = newest.recorded_at + timedelta(days=4)
    scene.now = at + timedelta(days=1)
    dsn = scene.database.superuser_dsn()
    tally = Tally()
    with closing(psycopg2.connect(**dsn)) as connection:
        laid_out(connection)
        moment = Moment(connection, position=head)
        random = Random(1)  # noqa: S311 -- reproducible questions
        what = questions(moment, world_of(moment), random, is_whole=True, most=16)
        for each in what:
            if each.operation not in LIVE_ONLY:
                compare(
                    ask_of(wild),
                    replace(each, now=at),
                    moment,
                    tally,
                    when=[("as_of", at.isoformat())],
                    forms=("json",),
                )
    scene.now = datetime.now(UTC)
    assert not tally.differing, "\n".join(tally.told)
    assert tally.by_operation["get_turnaround"] > 100


def test_every_number_of_wild_lives(wild: Door) -> None:
    tally = asked_all(wild, PLAN)
    assert not tally.differing, "\n".join(tally.told)
    assert set(tally.by_operation) == set(RECOUNTS)


def numbers_in(schema: dict[str, Any], told: dict[str, Any], name: str) -> set[str]:
    """The numbers that a schema may tell, by their names as a file has them."""
    if "$ref" in schema:
        kind = schema["$ref"].rpartition("/")[2]
        return numbers_in(told[kind], told, name)
    found = {name} if schema.get("type") in {"integer", "number"} else set()
    if schema.get("additionalProperties") is True:
        # Facts as their event has them, or a line of a fee.
        found.add(name)
    parts = [
        *schema.get("anyOf", ()),
        *([schema["items"]] if "items" in schema else []),
    ]
    for part in parts:
        found |= numbers_in(part, told, name)
    for inner, part in schema.get("properties", {}).items():
        found |= numbers_in(part, told, f"{name}.{inner}".lstrip("."))
    return found


def test_every_route_that_tells_a_number_is_recounted(
    simulated: Door, wild: Door
) -> None:
    """A new route, or a new number of a known one, has to be counted apart too."""
    told = json.loads(OPENAPI.read_text(encoding="utf-8"))
    recounted = counted_fields(simulated) | counted_fields(wild)
    for path, methods in told["paths"].items():
        if "get" not in methods or not path.startswith("/v1/"):
            continue
        operation = methods["get"]["operationId"]
        if operation in UNCOUNTED:
            continue
        assert operation in RECOUNTS, f"{path} is not recounted"
        content = methods["get"]["responses"]["200"]["content"]
        schema = content.get("application/json", {}).get("schema", {})
        names = {
            name.removeprefix("items.")
            for name in numbers_in(schema, told["components"]["schemas"], "")
        }
        fields = {name for known, name in recounted if known == operation}
        lacking = {
            name
            for name in names - fields
            if name.rpartition(".")[2] not in NAMES
            and name.partition(".")[0] not in fields
            and not any(each.startswith(f"{name}.") for each in fields)
        }
        assert not lacking, f"{operation} tells {lacking}, which nobody counts"


def counted_fields(door: Door) -> set[tuple[str, str]]:
    """What is counted apart, by route."""
    found: set[tuple[str, str]] = set()
    dsn = door.scene.database.superuser_dsn()
    with closing(psycopg2.connect(**dsn)) as connection:
        laid_out(connection)
        moment = Moment(connection, position=head_of(connection))
        world = world_of(moment)
        asked = questions(moment, world, Random(1), is_whole=True, most=4)  # noqa: S311
        for each in asked:
            now = replace(each, now=datetime.now(UTC))
            for row in RECOUNTS[each.operation].made(moment, now):
                found |= {(each.operation, name) for name in row}
    return found


def test_the_recount_knows_nothing_of_the_product() -> None:
    files = sorted(FOLDER.glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            assert not OURS & {each.partition(".")[0] for each in names}, file.name


CURRENT = "SELECT ctid FROM sijil_views.{} WHERE valid_to IS NULL AND {} LIMIT 1"
LAST_STEP = """
SELECT ctid FROM sijil_views.tracking t
WHERE stage = 'in_progress' AND valid_from = (
    SELECT max(valid_from) FROM sijil_views.tracking n WHERE n.request_id = t.request_id
) LIMIT 1
"""
FAULTS: tuple[tuple[str, str, set[str]], ...] = (
    (
        "agency_inbox",
        "UPDATE {table} SET state = 'waiting' WHERE ctid = ("
        + CURRENT.format("agency_inbox", "state = 'unanswered'"),
        {"get_inbox", "list_inbox_totals"},
    ),
    (
        "agency_inbox",
        "UPDATE {table} SET answer_due_at = answer_due_at - interval '9 years'"
        " WHERE ctid = (" + CURRENT.format("agency_inbox", "state = 'unanswered'"),
        {"get_inbox"},
    ),
    (
        "clerk_queue",
        "UPDATE {table} SET until = until + interval '9 years' WHERE ctid = ("
        + CURRENT.format(
            "clerk_queue",
            "waiting_for = 'clerk' AND clerk IS NOT NULL AND until < now()",
        ),
        {"list_clerk_load"},
    ),
    (
        "clerk_queue",
        "UPDATE {table} SET clerk = NULL WHERE ctid = ("
        + CURRENT.format("clerk_queue", "waiting_for = 'clerk' AND clerk IS NOT NULL"),
        {"list_clerk_load", "list_unassigned_work"},
    ),
    (
        "clerk_queue",
        "UPDATE {table} SET next_act = 'deal_with_return' WHERE ctid = ("
        + CURRENT.format("clerk_queue", "waiting_for = 'clerk'"),
        {"list_returned_post"},
    ),
    *(
        (
            table,
            "DELETE FROM {table} WHERE position = (SELECT max(position) FROM {table}",
            operations,
        )
        for table, operations in (
            ("approvals", {"list_approvals"}),
            ("refused_attempts", {"list_refused_attempts"}),
            ("stampings", {"list_stampings"}),
            ("audit_trail", {"get_trail"}),
        )
    ),
    (
        "governorate_moves",
        (
            "UPDATE {table} SET stage_entered = 'expired' WHERE position = ("
            "SELECT max(position) FROM {table} WHERE stage_entered = 'completed_issued'"
        ),
        {"get_counts", "follow_counts", "get_flows"},
    ),
    (
        "governorate_moves",
        (
            "UPDATE {table} SET day = day - 1 WHERE position = ("
            "SELECT max(position) FROM {table}"
        ),
        {"get_flows"},
    ),
    *(
        (
            "turnaround_ended",
            (
                f"UPDATE {{table}} SET {change} WHERE position = ("
                "SELECT max(position) FROM {table} WHERE answer_minutes IS NOT NULL"
            ),
            {"get_turnaround"},
        )
        for change in (
            "is_answer_in_time = NOT is_answer_in_time",
            "is_in_time = NOT is_in_time",
            "answer_minutes = answer_minutes + 100000",
            "centre_minutes = centre_minutes + 100000",
        )
    ),
    (
        "turnaround_received",
        (
            "UPDATE {table} SET post_minutes = post_minutes + 100000 WHERE position = ("
            "SELECT max(position) FROM {table}"
        ),
        {"get_turnaround"},
    ),
    (
        "turnaround_open",
        "DELETE FROM {table} WHERE ctid = ("
        + CURRENT.format("turnaround_open", "stage = 'in_progress'"),
        {"get_turnaround"},
    ),
    (
        "payments",
        "UPDATE {table} SET state_fee = state_fee + 1 WHERE ctid = ("
        + CURRENT.format("payments", "true"),
        {"list_payments"},
    ),
    (
        "payment_movements",
        (
            "UPDATE {table} SET service_charge = service_charge + 1 WHERE position = ("
            "SELECT max(position) FROM {table}"
        ),
        {"get_payment_sums"},
    ),
    (
        "unmatched_payments",
        "UPDATE {table} SET amount = amount + 1 WHERE ctid = ("
        + CURRENT.format("unmatched_payments", "state = 'open'"),
        {"list_unmatched_payments"},
    ),
    (
        "unmatched_payments",
        "UPDATE {table} SET state = 'open' WHERE ctid = ("
        + CURRENT.format("unmatched_payments", "state = 'settled'"),
        {"list_unmatched_payments"},
    ),
    (
        "postal_items",
        "UPDATE {table} SET state = 'collected' WHERE ctid = ("
        + CURRENT.format("postal_items", "state <> 'collected'"),
        {"list_mailing_days", "list_postal_items"},
    ),
    (
        "dead_letters",
        "UPDATE {table} SET state = 'settled' WHERE ctid = ("
        + CURRENT.format("dead_letters", "state = 'open'"),
        {"list_dead_letters", "list_dead_letter_totals"},
    ),
    (
        "stamp_register",
        "UPDATE {table} SET withdrawn_on = NULL WHERE ctid = ("
        + CURRENT.format("stamp_register", "withdrawn_on IS NOT NULL"),
        {"list_registered_stamps"},
    ),
    (
        "tracking",
        "UPDATE {table} SET stage = 'expired' WHERE ctid = (" + LAST_STEP,
        {"list_requests"},
    ),
    (
        "catalogue",
        "UPDATE {table} SET version = version + 1 WHERE ctid = ("
        + CURRENT.format("catalogue", "kind = 'service'"),
        {"list_services"},
    ),
    (
        "roster",
        "UPDATE {table} SET centre = 'SY-XX-01' WHERE ctid = ("
        + CURRENT.format("roster", "true"),
        {"list_clerks", "list_clerk_load"},
    ),
)


@pytest.mark.parametrize(("table", "fault", "operations"), FAULTS)
def test_a_fault_planted_in_a_view_is_seen(
    wild: Door, table: str, fault: str, operations: set[str]
) -> None:
    named = f"sijil_views.{table}"
    plan = Plan(
        positions=(),
        times=(),
        effective=(),
        most=16,
        csv=0.0,
        only=frozenset(operations),
    )
    dsn = wild.scene.database.superuser_dsn()
    with closing(psycopg2.connect(**dsn)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f"CREATE TABLE kept AS TABLE {named}")
        try:
            cursor.execute(fault.format(table=named) + ")")
            assert cursor.rowcount == 1
            tally = asked_all(wild, plan)
        finally:
            cursor.execute(f"TRUNCATE {named}; INSERT INTO {named} TABLE kept")
            cursor.execute("DROP TABLE kept")
    assert tally.wrong == operations
