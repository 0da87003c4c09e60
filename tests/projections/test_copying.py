"""Whatever a view writes by COPY is what it reads back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg2.extensions
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.stages import Stage
from ledger.names import VIEWS_SCHEMA
from projections.copying import append_rows, array_of
from projections.schema import VIEWS
from projections.tables import TableKind, columns_of, kind_of
from projections.versioned import Change, VersionedTable
from tests.conftest import Database

# PostgreSQL's text holds neither NUL nor a lone surrogate.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
hostile = st.sampled_from(
    [
        "",
        "\\N",
        "\\.",
        "\t",
        "\n",
        "\r\n",
        "\\",
        "NULL",
        "null",
        "{}",
        '"',
        "a,b",
        "\\t",
    ]
)
WORKING: set[str] = set()
"""Tables that keep no past: each here is one whose past nobody can be told."""


@pytest.fixture
def cursor(database: Database) -> Iterator[psycopg2.extensions.cursor]:
    owner = database.datastore("owner", schema=VIEWS_SCHEMA)
    with owner.transaction(commit=False) as made:
        yield made


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.none() | texts | hostile,
            st.none() | st.lists(st.none() | texts | hostile, max_size=3),
            st.none() | st.binary(max_size=40),
            st.none() | st.booleans(),
            st.none() | st.integers(-(2**63), 2**63 - 1),
        ),
        max_size=5,
    )
)
def test_every_value_comes_back_as_it_went(
    cursor: psycopg2.extensions.cursor, rows: list[tuple[Any, ...]]
) -> None:
    cursor.execute("DROP TABLE IF EXISTS copied")
    cursor.execute(
        "CREATE TABLE copied (t text, a text[], b bytea, y boolean, n bigint)"
    )
    append_rows(cursor, "copied", ("t", "a", "b", "y", "n"), rows)
    cursor.execute("SELECT t, a, b, y, n FROM copied")
    found = [
        (t, a, None if b is None else bytes(b), y, n)
        for t, a, b, y, n in cursor.fetchall()
    ]
    assert found == rows


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.none() | texts | hostile))
def test_an_array_of_any_texts_is_read_as_these_texts(
    cursor: psycopg2.extensions.cursor, values: list[str | None]
) -> None:
    cursor.execute("SELECT %s::text[]", (array_of(values),))
    assert cursor.fetchone() == (values,)


def test_times_codes_and_ids_are_written_as_the_column_reads_them(
    cursor: psycopg2.extensions.cursor,
) -> None:
    cursor.execute("CREATE TABLE copied (at timestamptz, told timestamptz, stage text)")
    at = datetime(2026, 11, 23, 8, 14, 5, 120000, tzinfo=UTC)
    row = (at, "2026-11-23T08:14:05.120000Z", Stage.WAITING)
    append_rows(cursor, "copied", ("at", "told", "stage"), [row])
    cursor.execute("SELECT at, told, stage FROM copied")
    assert cursor.fetchone() == (at, at, "waiting")


def test_a_versioned_table_ends_what_was_and_loads_what_is(
    cursor: psycopg2.extensions.cursor,
) -> None:
    cursor.execute(
        "CREATE TABLE kept (id bigint, code text, value text,"
        " valid_from bigint, valid_to bigint)"
    )
    table = VersionedTable(
        name="kept", key=("id", "code"), values=("value",), casts={"id": "bigint"}
    )
    a, b = (1, "a,\\b"), (2, '"')
    table.write(
        cursor,
        [
            Change(position=1, key=a, row={"value": "x"}),
            Change(position=1, key=a, row={"value": "y"}),
            Change(position=2, key=b, row={"value": "\t"}),
            Change(position=3, key=a, row={"value": None}),
        ],
    )
    assert table.load(cursor, [a, b, a, (9, "no")]) == {
        a: {"value": None},
        b: {"value": "\t"},
    }
    table.write(cursor, [Change(position=4, key=b, row=None)])
    assert table.load(cursor, [a, b]) == {a: {"value": None}}
    cursor.execute("SELECT value, valid_from, valid_to FROM kept ORDER BY valid_from")
    assert cursor.fetchall() == [("y", 1, 3), ("\t", 2, 4), (None, 3, None)]


def test_each_table_of_a_view_can_be_seen_as_of_a_position_or_is_named_here(
    cursor: psycopg2.extensions.cursor,
) -> None:
    kinds = {
        table: kind_of(columns_of(cursor, table))
        for view in VIEWS
        for table in view.tables
    }
    assert {t for t, kind in kinds.items() if kind is TableKind.WORKING} == WORKING
    assert TableKind.VERSIONED in kinds.values()
    assert TableKind.APPENDED in kinds.values()
    assert [t for t, kind in kinds.items() if kind is TableKind.STEPS] == ["tracking"]
