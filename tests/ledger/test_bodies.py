"""The body is canonical, typed both ways, and says nothing when it does not fit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
import rfc8785
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import InvalidValueError
from ledger.bodies import (
    BodyMapper,
    canonical,
    parse_body,
    plain,
    read_body,
    rfc3339,
)
from tests.domain.office import REQUEST_ID, mailed

MAPPER = BodyMapper()

plain_values = st.recursive(
    st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(max_codepoint=127), max_size=8), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.text(st.characters(max_codepoint=127)), plain_values, max_size=6)
)
def test_canonical_bytes_are_those_of_rfc8785(value: dict[str, object]) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.text(st.characters(max_codepoint=127)), plain_values, max_size=6)
)
def test_the_fast_reader_reads_what_the_plain_one_reads(
    value: dict[str, object],
) -> None:
    stored = canonical(value)
    assert read_body(stored) == read_body(memoryview(stored)) == parse_body(stored)


def test_of_a_doubled_key_both_readers_take_the_last() -> None:
    doubled = b'{"data":{"a":1,"a":2}}'
    assert read_body(doubled) == parse_body(doubled) == {"data": {"a": 2}}


def test_the_published_vectors_without_floats_come_out() -> None:
    # RFC 8785, 3.2.2 and 3.2.3, with their ASCII keys.
    value = {
        "string": '€$\u000f\nA\'B"\\\\"/',
        "literals": [True, False],
        "1": "One",
        "\r": "CR",
    }
    assert (
        canonical(value)
        == (
            '{"\\r":"CR","1":"One","literals":[true,false],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )


@pytest.mark.parametrize("value", [1.5, 2**53, -(2**53), {"é": 1}, object(), {1: 2}])
def test_what_the_contract_forbids_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError):
        plain(value)


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(InvalidValueError):
        canonical({"a": "\ud800"})


def test_absent_rather_than_null() -> None:
    assert plain({"a": None, "b": {"c": None}}) == {"b": {}}


def test_times_have_six_decimals_and_z() -> None:
    assert rfc3339(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("zone", "written"),
    [
        ("Asia/Damascus", "2026-01-01T21:00:00.000007Z"),
        ("Europe/London", "2026-01-02T00:00:00.000007Z"),
        ("America/New_York", "2026-01-02T05:00:00.000007Z"),
    ],
)
def test_times_of_other_zones_are_written_in_utc(zone: str, written: str) -> None:
    assert rfc3339(datetime(2026, 1, 2, 0, 0, 0, 7, ZoneInfo(zone))) == written


def test_every_event_of_a_life_reads_back_equal() -> None:
    for event in mailed().pending_events:
        stored = MAPPER.to_stored_event(event)
        assert rfc8785.dumps(json.loads(stored.state)) == stored.state
        assert MAPPER.to_domain_event(stored) == event


def test_a_body_has_the_contracts_keys_only() -> None:
    for event in mailed().pending_events:
        body = json.loads(MAPPER.to_stored_event(event).state)
        assert set(body) <= {
            "actor",
            "approved_by",
            "causation_id",
            "command_id",
            "correlation_id",
            "data",
            "effective_at",
            "provenance",
        }
        assert "timestamp" not in body["data"]
        assert "originator_topic" not in body["data"]


def test_a_body_over_the_bound_is_refused() -> None:
    request = mailed()
    request.inform(
        request.pending_events[-1].act,
        message="x" * 60_000,
        means="sms",  # type: ignore[arg-type]
    )
    with pytest.raises(InvalidValueError):
        MAPPER.to_stored_event(request.pending_events[-1])


def test_an_error_over_a_stored_body_repeats_no_value() -> None:
    body = json.loads(MAPPER.to_stored_event(mailed().pending_events[0]).state)
    body["data"]["channel"] = "marked-value"
    stored = StoredEvent(
        originator_id=REQUEST_ID,
        originator_version=1,
        topic="sijil.request.submitted.v1",
        state=canonical(body),
    )
    with pytest.raises(MapperDeserialisationError) as caught:
        MAPPER.to_domain_event(stored)
    assert "marked-value" not in f"{caught.value} {caught.value.__cause__}"
    assert "channel" in str(caught.value.__cause__)
