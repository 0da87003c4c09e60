"""The strict way takes all that is ours, and nothing that the lenient one refuses."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest
from eventsourcing.domain import CanInitAggregate
from eventsourcing.persistence import MapperDeserialisationError
from eventsourcing.utils import TopicError, resolve_topic
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.money import LARGEST_INTEGER, FeeLine
from ledger.bodies import BodyMapper
from ledger.decoding import (
    Decoder,
    decode,
    decoder_of,
    is_plain,
    lenient_decoder,
    strict_decoder,
)
from tests.domain.office import REQUEST_ID
from tests.domain.test_golden_events import golden_files, stored_topics

MAPPER = BodyMapper()
TOPICS = sorted(stored_topics())
GOLDEN = [
    (topic, path.read_bytes()) for topic in TOPICS for path in golden_files(topic)
]
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**30, 1.0, 1.5, 1e300),
    *("", "1", "true", "null", "self", "clerk", " ", "\u0000", "ختم", "x" * 70_000),
    *("2026-11-23", "2026-W48-1", "20261123", "2026-11-23T00:00:00"),
    *("2026-11-23T06:00:00.000000Z", "2026-11-23 06:00:00.000000Z", "06:00"),
    *("2026-W48-1T06:00:00.000000Z", "2026-11-23T06:00:00,000000Z"),
    *("2026-11-23T06:00:00.000000+03:00", "2026-11-23T06:00:00.0000001Z"),
    *("2026-11-23t06:00:00z", "2026-11-23T24:00:00.000000Z", "0000-01-01"),
    *("2026-13-01", "1764000000", "9999-12-31T23:59:59.999999Z", 1764000000),
    *("019ab1ef2e407c559b603f1d2c8a7e10", "019AB1EF-2E40-7C55-9B60-3F1D2C8A7E10"),
    *("{019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10}", "urn:uuid:" + str(REQUEST_ID)),
    *("019ab1ef-2e40-7c55-9b60-3f1d2c8a7e1_", "019ab1ef-2e40-7c55-9b60-3f1d2c8a7e١٢"),
    *([], [None], ["self"], ["self", 1], [[]], [{}], {}, {"0": "self"}),
    *({"kind": "clerk"}, {"amount": -1, "kind": "state_fee", "unit": "SYP.new"}),
    *([{"amount": -1, "kind": "state_fee", "unit": "SYP.new"}], [[1, 2]]),
)


ODD_BYTES = (b"\\ud800", b"NaN", b"1e400", b"-0", b"\xff", b"\x00", b",", b'"', b"/**/")
ODD_BODIES = (
    *(b"", b"null", b"[]", b'"marked"', b"{}", b'{"data":[]}', b'{"data":{}}'),
    *(b'{"data":"marked"', b"\xffmarked", b"[" * 100_000, b"marked", b'{"data":null}'),
)


def thing_of(topic: str) -> str:
    """The topic of an event's aggregate."""
    return ".".join(topic.split(".")[:2])


def ways(topic: str, *, otherwise: Decoder | None = None) -> tuple[Decoder, Decoder]:
    """The strict decoder of a topic, and the lenient one alone."""
    event_class = resolve_topic(topic)
    is_first = issubclass(event_class, CanInitAggregate)
    aggregate = thing_of(topic) if is_first else None
    lenient = lenient_decoder(event_class, topic, aggregate)
    return strict_decoder(
        event_class, aggregate, otherwise=otherwise or lenient
    ), lenient


WAYS = {topic: ways(topic) for topic in TOPICS}


def no_other_way(*_: object) -> Any:
    raise AssertionError("the strict way did not take it")


def all_of(value: Any) -> Any:
    """A value with the types of everything in it: 1 is not True, a list no tuple."""
    if isinstance(value, tuple):
        return tuple(all_of(item) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        facts = {f.name: all_of(getattr(value, f.name)) for f in fields(value)}
        return type(value), facts
    is_time = isinstance(value, datetime)
    return type(value), value, value.utcoffset() if is_time else None


def outcome(way: Decoder, body: bytes | str) -> Any:
    """The event, or everything that is said against the body."""
    try:
        event: Any = way(REQUEST_ID, 7, body)
    except MapperDeserialisationError as error:
        return str(error), str(error.__cause__)
    return all_of(event), vars(event).keys()


@pytest.mark.parametrize("topic", TOPICS)
def test_every_event_has_the_strict_way(topic: str) -> None:
    assert is_plain(resolve_topic(topic))
    strict, _ = ways(topic, otherwise=no_other_way)
    _, lenient = WAYS[topic]
    for path in golden_files(topic):
        body = path.read_bytes()
        taken = outcome(strict, body)
        assert taken == outcome(lenient, body)
        assert taken == outcome(decoder_of(topic), body.decode())


SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    int: st.integers(-LARGEST_INTEGER, LARGEST_INTEGER),
    bool: st.booleans(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    date: st.dates(),
    UUID: st.uuids(),
    NoneType: st.none(),
}


@cache
def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any values of a type that facts have."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    if get_origin(kind) is tuple:
        return st.lists(values(get_args(kind)[0]), max_size=3).map(tuple)
    if get_origin(kind) is UnionType:
        return st.one_of([values(each) for each in get_args(kind)])
    if issubclass(kind, StrEnum):
        return st.sampled_from(kind)
    hints = get_type_hints(kind)
    facts = {field.name: values(hints[field.name]) for field in fields(kind)}
    if kind is FeeLine:
        facts["amount"] = st.integers(0, LARGEST_INTEGER)
    return st.builds(kind, **facts)


def events(topic: str) -> st.SearchStrategy[Any]:
    """Any events of a topic that the encoder can write."""
    event_class = resolve_topic(topic)
    hints = get_type_hints(event_class) | {"originator_id": UUID}
    facts = {field.name: values(hints[field.name]) for field in fields(event_class)}
    facts["originator_version"] = st.integers(1, 2**31 - 1)
    if "originator_topic" in facts:
        facts["originator_topic"] = st.just(thing_of(topic))
    made = st.builds(event_class, **facts)
    # An event's time is its act's.
    return made.map(lambda event: replace(event, act=event.act.at(event.timestamp)))


@settings(max_examples=200)
@given(st.sampled_from(TOPICS).flatmap(events))
def test_any_event_comes_back_by_either_way(event: Any) -> None:
    stored = MAPPER.to_stored_event(event)
    where = event.originator_id, event.originator_version, stored.state
    strict, _ = ways(stored.topic, otherwise=no_other_way)
    _, lenient = WAYS[stored.topic]
    assert all_of(strict(*where)) == all_of(lenient(*where)) == all_of(event)
    assert MAPPER.to_stored_event(strict(*where)) == stored


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a body with every key or index of it."""
    keys: list[Any] = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    inner = [place for key in keys for place in places(value[key])]
    return [(value, key) for key in keys] + inner


@st.composite
def broken(draw: st.DrawFn) -> tuple[str, bytes]:
    """A golden body with one or two values that are odd, missing or too many."""
    odd = st.sampled_from(ODD_VALUES).map(deepcopy)
    topic, golden = draw(st.sampled_from(GOLDEN))
    body = json.loads(golden)
    for _ in range(draw(st.integers(1, 2))):
        found = places(body)
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        what = draw(st.sampled_from(("odd", "odd", "gone", "more")))
        if what == "odd":
            container[key] = draw(odd)
        elif what == "gone":
            del container[key]
        elif isinstance(container, dict):
            more = draw(st.sampled_from(("act", "timestamp", "originator_id", "é")))
            container[more] = draw(odd)
        else:
            container.append(draw(odd))
    return topic, json.dumps(body, ensure_ascii=False).encode()


@settings(max_examples=1_500)
@given(broken())
def test_a_broken_body_fares_the_same_by_either_way(given: tuple[str, bytes]) -> None:
    topic, body = given
    strict, lenient = WAYS[topic]
    assert outcome(strict, body) == outcome(lenient, body)


@settings(max_examples=500)
@given(st.sampled_from(GOLDEN), st.data())
def test_broken_bytes_fare_the_same_by_either_way(
    golden: tuple[str, bytes], data: st.DataObject
) -> None:
    topic, body = golden
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(start + 3, len(body))))
    put = data.draw(st.binary(max_size=3) | st.sampled_from(ODD_BYTES))
    body = body[:start] + put + body[end:]
    strict, lenient = WAYS[topic]
    assert outcome(strict, body) == outcome(lenient, body)


@pytest.mark.parametrize("odd", ODD_BODIES)
def test_what_is_no_body_is_refused_in_the_stores_own_words(odd: bytes) -> None:
    with pytest.raises(MapperDeserialisationError) as caught:
        decode("sijil.request.mailed.v1", REQUEST_ID, 7, odd)
    assert f"{REQUEST_ID}/7" in str(caught.value)
    assert "marked" not in f"{caught.value} {vars(caught.value.__cause__)}"


def test_a_fact_that_its_own_class_refuses_does_not_fit() -> None:
    topic = "sijil.request.fee-paid.v1"
    body = json.loads(golden_files(topic)[0].read_bytes())
    body["data"]["lines"][0]["amount"] = -3
    with pytest.raises(MapperDeserialisationError):
        decode(topic, REQUEST_ID, 7, json.dumps(body).encode())


def test_no_act_of_a_doubled_key_is_taken_differently() -> None:
    topic = "sijil.request.mailed.v1"
    golden = golden_files(topic)[0].read_bytes()
    doubled = golden.replace(b'"item":', b'"item":"RA000000000GB","item":')
    strict, lenient = WAYS[topic]
    assert doubled != golden
    assert outcome(strict, doubled) == outcome(lenient, doubled)
    assert outcome(strict, doubled) == outcome(strict, golden)


def test_a_topic_without_a_class_says_so() -> None:
    with pytest.raises(TopicError):
        decode("sijil.request.unheard-of.v1", REQUEST_ID, 7, b"{}")
