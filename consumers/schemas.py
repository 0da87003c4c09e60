"""JSON Schemas of what the topics carry, made from the types of the events themselves.

Draft 7, which is what tools for AsyncAPI read. A schema says what every reader may rely
on while the version lives, so it is closed where the contract is (the keys of a body,
of its actor and its provenance) and open where the contract lets something be added:
keys of ``data``, and members of a closed set, which a reader MUST take for "another".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from inspect import getdoc
from typing import Any, Final

from eventsourcing.domain import CanMutateAggregate
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from domain.acts import Actor, Provenance
from domain.money import LARGEST_INTEGER
from ledger.book import AGGREGATES
from ledger.decoding import shape_of

DIALECT: Final = "http://json-schema.org/draft-07/schema#"
URN: Final = "urn:sijil:schema:"
"""What the ids of schemas begin with; the rest is the event's type or a topic's name,
and the name of the file. ``ce_dataschema`` of a record is such an id."""
EVENT_HEADERS: Final = "event-headers"
_EVENT_TYPE = r"sijil\.[a-z-]+\.[a-z-]+\.v[1-9][0-9]*"
UUID_PATTERN: Final = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
TIME_PATTERN: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
HASH_PATTERN: Final = "^[0-9a-f]{64}$"
_CODE_PATTERN = r"^[A-Za-z0-9._*-]{1,100}$"
"""Of a member of a closed set that is not known yet: a code, never words."""
_CLOSED = (Actor, Provenance)
"""Their keys are the contract's; an event has no others."""

Schema = dict[str, Any]


def event_classes() -> Iterator[type[Any]]:
    """Every class of events that the ledger can have, each once."""
    for aggregate in AGGREGATES:
        for name, made in vars(aggregate).items():
            if (
                isinstance(made, type)
                and issubclass(made, CanMutateAggregate)
                and hasattr(made, "TOPIC")
                and name not in {"Event", "Created"}
            ):
                yield made


@cache
def event_schemas() -> dict[str, Schema]:
    """The schema of each event's value (its body), by the event's type, in order."""
    made = {each.TOPIC: _event_schema(each) for each in event_classes()}
    return dict(sorted(made.items()))


def event_headers() -> Schema:
    """The schema of an event's headers."""
    return record_headers(EVENT_HEADERS, carried="an event", type_pattern=_EVENT_TYPE)


def record_headers(
    name: str, *, carried: str, type_pattern: str, id_begins: str = ""
) -> Schema:
    """The schema of a record's headers: CloudEvents 1.0 in Kafka's binary mode.

    ``carried`` says what the record is of, ``type_pattern`` which types there are.
    """
    text = {"type": "string", "pattern": "^[ -~]+$"}
    headers = {
        "content-type": {"const": "application/json"},
        "ce_specversion": {"const": "1.0"},
        "ce_id": {
            "type": "string",
            "pattern": f"^{id_begins}{UUID_PATTERN[1:-1]}/(0|[1-9][0-9]{{0,9}})$",
            "description": f"{id_begins}<aggregate>/<version>; with the source, the id"
            " for all time.",
        },
        "ce_source": {
            "type": "string",
            "pattern": f"^urn:uuid:{UUID_PATTERN[1:]}",
            "description": "The ledger, by its id.",
        },
        "ce_type": {
            "type": "string",
            "pattern": f"^{type_pattern}$",
            "maxLength": 100,
            "description": "The type: how the value is to be read.",
        },
        "ce_time": {
            "type": "string",
            "pattern": TIME_PATTERN,
            "description": "When the entry was recorded, in UTC.",
        },
        "ce_subject": {
            "type": "string",
            "pattern": UUID_PATTERN,
            "description": "The aggregate's id.",
        },
        "ce_partitionkey": {
            "type": "string",
            "pattern": UUID_PATTERN,
            "description": "The record's key: the aggregate's id.",
        },
        "ce_dataschema": {
            "type": "string",
            "pattern": f"^{URN}{type_pattern}$",
            "description": "The id of the value's schema.",
        },
        "ce_sequence": {
            "type": "string",
            "pattern": "^[1-9][0-9]{0,18}$",
            "description": "The position of the entry in the ledger.",
        },
        "ce_leafhash": {
            "type": "string",
            "pattern": HASH_PATTERN,
            "description": "The leaf hash of the entry, in hexadecimal digits.",
        },
    }
    return document(
        name,
        description=f"The headers of a record of {carried}, each as its text.",
        properties=headers,
        additionalProperties=text,
    )


def document(name: str, *, description: str, **schema: Any) -> Schema:
    """A schema of an object all of whose ``properties`` are required."""
    return {
        "$schema": DIALECT,
        "$id": f"{URN}{name}",
        "title": name,
        "description": description,
        "type": "object",
        "required": sorted(schema["properties"]),
        **schema,
    }


class _Schemas(GenerateJsonSchema):
    """What the encoder of bodies writes, where pydantic's own would say less."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: a title would say the name again."""
        return False

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        """RFC 3339, UTC, six decimals."""
        return {"type": "string", "format": "date-time", "pattern": TIME_PATTERN}

    def date_schema(self, schema: core_schema.DateSchema) -> JsonSchemaValue:
        """A day of the office."""
        return {
            "type": "string",
            "format": "date",
            "pattern": r"^\d{4}-\d\d-\d\d$",
        }

    def uuid_schema(self, schema: core_schema.UuidSchema) -> JsonSchemaValue:
        """Lower case with hyphens."""
        return {"type": "string", "format": "uuid", "pattern": UUID_PATTERN}

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        """What every reader of JSON keeps exactly."""
        return {
            "type": "integer",
            "minimum": -LARGEST_INTEGER,
            "maximum": LARGEST_INTEGER,
        }

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        """The members known now, or a code that may come later."""
        known = [member.value for member in schema["members"]]
        said = {
            "type": "string",
            "anyOf": [{"enum": known}, {"pattern": _CODE_PATTERN}],
        }
        return said | {"description": _described(schema["cls"])}

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """What is not there is absent, never null."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """A fact that may be absent has no other value then."""
        return self.generate_inner(schema["schema"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        """Closed where the contract is; a reader takes other keys elsewhere."""
        made = super().dataclass_schema(schema)
        cls = schema["cls"]
        is_closed = cls in _CLOSED or cls.__name__ == "Body"
        made["additionalProperties"] = not is_closed
        if cls.__module__.startswith("domain."):
            made["description"] = _described(cls)
        return made


def _described(cls: type[Any]) -> str:
    """What a class says of itself, as CommonMark.

    The library makes classes anew below the events; those say nothing.
    """
    written = next((each for each in cls.__mro__ if "TOPIC" in vars(each)), cls)
    return (getdoc(written) or "").replace("``", "`")


def _event_schema(event_class: type[Any]) -> Schema:
    name = event_class.TOPIC
    made = TypeAdapter(shape_of(event_class)).json_schema(
        ref_template="#/definitions/{model}", schema_generator=_Schemas
    )
    definitions = made.pop("$defs")
    described = _described(event_class)
    definitions["Data"]["description"] = described
    return {
        "$schema": DIALECT,
        "$id": f"{URN}{name}",
        **made,
        "title": name,
        "description": described.partition("\n")[0],
        "definitions": definitions,
    }
