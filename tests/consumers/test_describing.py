"""What the topics carry is described, as it is, and in one way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft7Validator, ValidationError

from consumers import envelope
from consumers.describing import asyncapi, described, files, schemas, write
from consumers.positions import Published
from consumers.schemas import EVENT_HEADERS, URN, event_schemas
from consumers.topics import RELAY_POSITION, TOPICS
from tests.docs.pages import REFERENCE

GOLDEN = Path(__file__).parents[1] / "golden"
BODIES = sorted((GOLDEN / "events").glob("*.json"))
ID = UUID("019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10")


def type_of(path: Path) -> str:
    return path.stem.partition("~")[0]


def body(topic: str) -> dict[str, Any]:
    path = GOLDEN / "events" / f"{topic}.json"
    said: dict[str, Any] = json.loads(path.read_bytes())
    return said


def check(topic: str, value: Any) -> None:
    Draft7Validator(schemas()[topic]).validate(value)


def test_the_golden_description_is_the_present_one() -> None:
    """When it is meant to change: `make asyncapi`, and read the difference."""
    made = files()
    for path, text in made.items():
        assert (REFERENCE / path).read_text(encoding="utf-8") == text, path
    written = {path.relative_to(REFERENCE) for path in REFERENCE.glob("schemas/*")}
    assert written == {path for path in made if path.parent.name}


def test_writing_it_anew_takes_away_what_is_no_more(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "old.json").write_text("{}", encoding="utf-8")
    write(tmp_path)
    found = {each.relative_to(tmp_path) for each in tmp_path.rglob("*.json")}
    assert found == set(files())


def test_the_document_is_one_of_asyncapi_3() -> None:
    meta = json.loads((GOLDEN / "asyncapi" / "3.0.0.json").read_bytes())
    validator = Draft7Validator(meta)
    validator.validate(asyncapi())
    broken = asyncapi()
    del broken["channels"]["sijil.events.v1"]["messages"]["sijil.stamp.issued.v1"]
    broken["channels"]["sijil.events.v1"]["bindings"]["kafka"]["partitions"] = "twelve"
    assert not validator.is_valid(broken)


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for each in value for found in references(each)]
    if isinstance(value, dict):
        below = [found for each in value.values() for found in references(each)]
        return [*below, value["$ref"]] if "$ref" in value else below
    return []


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document, made = asyncapi(), files()
    for reference in references(document):
        path, _, inside = reference.partition("#/")
        if path:
            assert Path(path) in made
            continue
        found = document
        for key in inside.split("/"):
            found = found[key]


def test_every_topic_of_the_catalogue_is_a_channel_with_messages() -> None:
    document = asyncapi()
    assert set(document["channels"]) == {topic.name for topic in TOPICS}
    for channel in document["channels"].values():
        assert channel["messages"]
    assert len(document["operations"]) == len(TOPICS)
    for topic in TOPICS:
        about = document["channels"][topic.name]["description"]
        assert ("Restricted" in about) is topic.is_restricted


def test_every_schema_is_one_and_its_id_names_its_file() -> None:
    for path, text in files().items():
        if path.parent.name:
            schema = json.loads(text)
            Draft7Validator.check_schema(schema)
            assert schema["$id"] == f"{URN}{path.stem}"
            assert schema["description"]


def test_every_type_of_events_has_a_schema() -> None:
    assert set(event_schemas()) == {type_of(path) for path in BODIES}


@pytest.mark.parametrize("path", BODIES, ids=lambda path: path.stem)
def test_every_golden_body_fits_its_schema_and_the_neighbours_never(
    path: Path,
) -> None:
    value = json.loads(path.read_bytes())
    check(type_of(path), value)
    # A schema that takes anything would take these.
    for key in value["data"]:
        broken = json.loads(path.read_bytes())
        broken["data"][key] = {"a": "wrong type"}
        with pytest.raises(ValidationError):
            check(type_of(path), broken)
    with pytest.raises(ValidationError):
        check(type_of(path), value | {"data": None})


STAMPED = "sijil.request.stamped.v1"


@pytest.mark.parametrize(
    "changed",
    [
        {"foreign": "key"},
        {"causation_id": None},
        {"effective_at": "2026-11-23T08:14:05Z"},
        {"effective_at": "2026-11-23T08:14:05.120000+03:00"},
        {"command_id": "019AB1EF-2E40-7C55-9B60-3F1D2C8A7E10"},
        {"actor": {"id": "clk-1", "kind": "clerk"}},
        {"actor": {"id": "clk-1", "kind": "clerk", "place": "p", "name": "n"}},
        {"actor": {"id": "clk-1", "kind": "two words", "place": "p"}},
        {"provenance": {"source": "s", "case": "c", "line": "1", "activity": "a"}},
    ],
)
def test_what_the_contract_closes_is_closed(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        check(STAMPED, body(STAMPED) | changed)


def test_what_the_contract_lets_be_added_is_taken() -> None:
    said = body(STAMPED)
    said["data"]["added_later"] = 7
    said["actor"]["kind"] = "notary"
    check(STAMPED, said)
    accepted = body("sijil.request.accepted.v1")
    accepted["data"]["terms"]["added_later"] = True
    accepted["data"]["terms"]["fee_lines"][0]["kind"] = "third_charge"
    check("sijil.request.accepted.v1", accepted)


def test_a_fact_that_is_always_there_is_required_and_no_float_is_taken() -> None:
    paid = body("sijil.request.fee-paid.v1")
    for wrong in (30.5, 2**53, "3000"):
        with pytest.raises(ValidationError):
            check("sijil.request.fee-paid.v1", _with(paid, amount=wrong))
    del paid["data"]["amount"]
    with pytest.raises(ValidationError):
        check("sijil.request.fee-paid.v1", paid)


def _with(said: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return said | {"data": said["data"] | facts}


def headers() -> dict[str, str]:
    row = (7, 1_790_000_000_000_000, str(ID), 3, STAMPED, b"{}")
    source = envelope.source_of(ID).encode()
    return {name: text.decode() for name, text in envelope.headers_of(row, source)}


def test_the_headers_of_a_record_fit_theirs_and_name_the_values_schema() -> None:
    check(EVENT_HEADERS, headers())
    text = described(headers()["ce_dataschema"])
    assert text is not None
    assert json.loads(text)["title"] == headers()["ce_type"] == STAMPED
    assert set(headers()) == set(schemas()[EVENT_HEADERS]["properties"])


@pytest.mark.parametrize("name", sorted(headers()))
def test_no_header_may_be_missing_or_otherwise(name: str) -> None:
    for text in ("", "ختم"):
        with pytest.raises(ValidationError):
            check(EVENT_HEADERS, headers() | {name: text})
    left = headers()
    del left[name]
    with pytest.raises(ValidationError):
        check(EVENT_HEADERS, left)


def test_the_relays_position_fits_its_schema() -> None:
    said = Published(ledger_id=ID, incarnation=1, position=48213, topic_id=ID)
    check(RELAY_POSITION.name, json.loads(said.to_bytes()))


def test_a_schema_that_is_not_there_is_none() -> None:
    assert described("sijil.request.vanished.v1") is None
