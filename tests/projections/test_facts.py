"""What a fact has of a body without parsing all of it is what the body says."""

from __future__ import annotations

from dataclasses import fields
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.acts import Actor, Provenance
from ledger.bodies import canonical, read_body
from projections.facts import Fact

AT = "2026-11-23T08:14:05.120000Z"
MISLEADING = (
    ',"data":{},"effective_at":"2020-01-01T00:00:00.000000Z"},"},","command_id":"'
)
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from([MISLEADING, '},"', "}", "\\", '"', "ختم", ""]),
)
keys = st.sampled_from(["data", "effective_at", "actor", "command_id", "x"])
values = st.recursive(
    texts | st.integers(-(2**52), 2**52) | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=8,
)


def fact_of(body: dict[str, Any]) -> Fact:
    topic = "sijil.request.stamped.v1"
    return Fact((1, 0, str(uuid4()), 1, topic, canonical(body)))


def check(body: dict[str, Any]) -> None:
    fact = fact_of(body)
    whole = read_body(fact.stored)
    assert fact.actor == whole["actor"]
    assert fact.command_id == whole["command_id"]
    assert fact.effective_text == whole["effective_at"]
    assert fact.data == whole["data"]
    assert fact.is_read


@given(
    actor=st.fixed_dictionaries({"id": texts, "kind": texts, "place": texts}),
    around=st.fixed_dictionaries(
        {}, optional={"approved_by": texts, "causation_id": texts}
    ),
    data=st.dictionaries(keys, values, max_size=4),
    provenance=st.none()
    | st.fixed_dictionaries({"activity": texts, "case": texts, "source": texts}),
)
@example(
    actor={"id": MISLEADING, "kind": "},", "place": '},"'},
    around={"approved_by": MISLEADING, "causation_id": MISLEADING},
    data={"data": {"data": {}}, "effective_at": "2020-01-01T00:00:00.000000Z"},
    provenance={"activity": MISLEADING, "case": "x", "source": MISLEADING},
)
def test_a_body_looked_into_says_what_a_body_parsed_says(
    actor: dict[str, str],
    around: dict[str, str],
    data: dict[str, Any],
    provenance: dict[str, str] | None,
) -> None:
    body = {
        "actor": actor,
        **around,
        "command_id": str(uuid4()),
        "correlation_id": str(uuid4()),
        "data": data,
        "effective_at": AT,
    }
    if provenance is not None:
        body["provenance"] = provenance
    check(body)


def test_a_key_between_the_known_ones_only_costs_the_short_way() -> None:
    check(
        {
            "actor": {"id": "a", "kind": "clerk", "place": "p"},
            "command_id": str(uuid4()),
            "data": {"a": 1},
            "datum": "new",
            "effective_at": AT,
            "later": {"a": "b"},
        }
    )


def test_a_body_without_its_own_facts_is_no_fact() -> None:
    with pytest.raises(KeyError):
        _ = fact_of({"effective_at": AT}).data


def test_what_stands_around_the_facts_has_no_key_that_misleads() -> None:
    names = {field.name for kind in (Actor, Provenance) for field in fields(kind)}
    assert names.isdisjoint({"data", "effective_at", "command_id"})
