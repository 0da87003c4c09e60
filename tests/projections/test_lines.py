"""What a fact says is what a row says, whatever characters it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg2.extensions
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ledger.bodies import canonical
from ledger.copying import NOTHING, copied_text
from ledger.names import VIEWS_SCHEMA
from projections.agency_inbox import AgencyInbox
from projections.copying import array_of, copy_lines
from projections.facts import Fact
from tests.conftest import Database

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
HOSTILE = "\\N\t\\.\n\r\\\\t\x01\u2028'\"ختم"
AT = "2026-11-23T08:14:05.120000Z"


@pytest.fixture
def cursor(database: Database) -> Iterator[psycopg2.extensions.cursor]:
    owner = database.datastore("owner", schema=VIEWS_SCHEMA)
    with owner.transaction(commit=False) as made:
        yield made


def fact(position: int, key: str, name: str, **data: Any) -> Fact:
    body = {"data": data, "effective_at": AT}
    topic = f"sijil.request.{name}.v1"
    return Fact((position, 0, key, position, topic, canonical(body)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(texts, texts, st.lists(texts, max_size=3)), max_size=4))
@example([("\\N", "\\.", ["\\N", "NULL", ""]), ("", "\t", []), (HOSTILE, "x", [])])
def test_a_line_comes_back_as_the_fact_had_it(
    cursor: psycopg2.extensions.cursor, rows: list[tuple[str, str, list[str]]]
) -> None:
    cursor.execute("DROP TABLE IF EXISTS lines")
    cursor.execute("CREATE TABLE lines (n integer, a text, b text, c text[], d text)")
    facts = [
        fact(number, "key", "said", a=a, nested={"b": b}, c=c)
        for number, (a, b, c) in enumerate(rows)
    ]
    lines = []
    for one in facts:
        data = one.copied_data
        assert (data is one.data) == (b"\\" not in one.stored)
        c = copied_text(array_of(data["c"]))
        lines.append(
            f"{one.position}\t{data['a']}\t{data['nested']['b']}\t{c}\t{NOTHING}"
        )
    copy_lines(cursor, "lines", ("n", "a", "b", "c", "d"), lines)
    cursor.execute("SELECT a, b, c, d FROM lines ORDER BY n")
    assert cursor.fetchall() == [(*row, None) for row in rows]


def inbox_rows(cursor: psycopg2.extensions.cursor) -> list[tuple[Any, ...]]:
    cursor.execute(
        "SELECT agency_reference, reason, service, state FROM agency_inbox"
        " ORDER BY valid_from"
    )
    return cursor.fetchall()


@pytest.mark.parametrize("is_remembered", [True, False])
def test_a_view_goes_on_from_hostile_texts(
    cursor: psycopg2.extensions.cursor, *, is_remembered: bool
) -> None:
    key = str(uuid4())
    view = AgencyInbox().remembering()
    origin = {"centre": "c", "governorate": "g", "tracking_number": "t"}
    batches = (
        [
            fact(1, key, "submitted", service=HOSTILE, **origin),
            fact(
                2,
                key,
                "forwarded",
                agency="a",
                agency_reference=HOSTILE,
                answer_due_at=AT,
            ),
        ],
        [fact(3, key, "agency-responded", outcome="refused", reason=HOSTILE)],
        [fact(4, key, "agency-responded", outcome="issued")],
    )
    for batch in batches:
        view.fold(cursor, batch)
        if not is_remembered:
            view.forget()
    assert inbox_rows(cursor) == [
        (HOSTILE, None, HOSTILE, "unanswered"),
        (HOSTILE, HOSTILE, HOSTILE, "answered"),
        (HOSTILE, None, HOSTILE, "answered"),
    ]
