"""The AsyncAPI 3 document of the topics, and the files of the schemas it refers to.

Made from the catalogue and the types of the events; kept in docs/reference and written
anew by ``sijil topics describe``. A schema's file is named as its id ends, so that the
``ce_dataschema`` of a record leads to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from inspect import getdoc
from pathlib import Path
from typing import Any, Final

from consumers.dead_letters import NAMES, REPLAY_OF
from consumers.inward.messages import FOLLOWED, TYPES, Told
from consumers.inward.signatures import KEY_ID, SIGNATURE
from consumers.schemas import (
    EVENT_HEADERS,
    URN,
    UUID_PATTERN,
    Schema,
    document,
    event_headers,
    event_schemas,
)
from consumers.statuses import STATUS_HEADERS, status_headers, status_schema
from consumers.topics import (
    DEAD_LETTERS,
    EVENTS,
    RELAY_POSITION,
    REQUEST_STATUS,
    TOPICS,
    Direction,
    Topic,
)
from domain.money import LARGEST_INTEGER

INWARD_HEADERS: Final = "inward-headers"
LETTER_HEADERS: Final = "dead-letter-headers"
ASYNCAPI: Final = "asyncapi.json"
SCHEMAS: Final = "schemas"
"""The folder of the schemas, beside the document."""
_FORMAT = "application/schema+json;version=draft-07"
_BINDING = "0.5.0"
"""The version of AsyncAPI's binding for Kafka."""
_ABOUT = (
    "What Sijil sends to Kafka and takes from it. Nothing here has a value of a person,"
    " nor an id by which one person could be followed over two requests; but for what"
    " others wrote, to Sijil and set aside as dead letters, which few may read. Money"
    " may join two requests: a payment that came under the number of one and became the"
    " fee of another names both, and not who paid it. Read with"
    " isolation.level=read_committed. New topics, new types of events, new keys of"
    " `data` and new members of closed sets may be added; what exists never changes."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One kind of record of a topic. ``payload`` and ``headers`` name schemas.

    Without ``payload`` the value is whatever bytes somebody sent.
    """

    name: str
    summary: str
    payload: str | None
    key: Schema
    headers: str | None = None


def schemas() -> dict[str, Schema]:
    """Every schema there is, by what its id ends with."""
    return {
        **event_schemas(),
        EVENT_HEADERS: event_headers(),
        STATUS_HEADERS: status_headers(),
        REQUEST_STATUS.name: status_schema(),
        RELAY_POSITION.name: _relay_position(),
        **{name: _inward(name, type_) for name, type_ in _inward_types().items()},
        INWARD_HEADERS: _inward_headers(),
        LETTER_HEADERS: _letter_headers(),
    }


def _inward_types() -> dict[str, type[Told]]:
    return {name: type_ for some in TYPES.values() for name, type_ in some.items()}


def _inward(name: str, type_: type[Told]) -> Schema:
    """The schema of a message to Sijil: closed, because what is unknown is refused."""
    made = type_.model_json_schema()
    return document(name, description=getdoc(type_) or "", **_rest_of(made))


def _rest_of(schema: Schema) -> Schema:
    return {
        key: value
        for key, value in schema.items()
        if key not in {"title", "type", "description"}
    }


def _inward_headers() -> Schema:
    text = {"type": "string", "minLength": 1}
    return document(
        INWARD_HEADERS,
        description="Who signed a message; what is signed: docs/reference/kafka.md.",
        properties={
            KEY_ID: {**text, "description": "The key of the sender."},
            SIGNATURE: {**text, "description": "The signature, as Base64."},
            REPLAY_OF: {
                "type": "string",
                "description": "Of what Sijil sent again: `<dead letter>/<replay>`.",
            },
        },
        required=[KEY_ID, SIGNATURE],
        additionalProperties=True,
    )


def messages() -> dict[str, Sequence[Message]]:
    """What each topic carries, by the topic's name."""
    return {
        EVENTS.name: [
            Message(
                name=name,
                summary=schema["description"],
                payload=name,
                key={"type": "string", "pattern": UUID_PATTERN},
                headers=EVENT_HEADERS,
            )
            for name, schema in event_schemas().items()
        ],
        REQUEST_STATUS.name: [
            Message(
                name=REQUEST_STATUS.name,
                summary=REQUEST_STATUS.about,
                payload=REQUEST_STATUS.name,
                key={"type": "string", "pattern": UUID_PATTERN},
                headers=STATUS_HEADERS,
            )
        ],
        RELAY_POSITION.name: [
            Message(
                name=RELAY_POSITION.name,
                summary=RELAY_POSITION.about,
                payload=RELAY_POSITION.name,
                key={"type": "string"},
            )
        ],
        **{
            topic.name: [
                Message(
                    name=name,
                    summary=(getdoc(type_) or "").partition("\n")[0],
                    payload=name,
                    key={"type": "string"},
                    headers=INWARD_HEADERS,
                )
                for name, type_ in TYPES[kind].items()
            ]
            for topic, kind in FOLLOWED.items()
        },
        DEAD_LETTERS.name: [
            Message(
                name=DEAD_LETTERS.name,
                summary=DEAD_LETTERS.about,
                payload=None,
                key={"type": ["string", "null"]},
                headers=LETTER_HEADERS,
            )
        ],
    }


def _letter_headers() -> Schema:
    """The headers that stand behind those of the message itself."""
    return document(
        LETTER_HEADERS,
        description="Why a message was set aside, and where it came from.",
        properties={
            name: {"type": "string", "description": text}
            for name, text in zip(NAMES, _LETTER_HEADERS, strict=True)
        },
        required=list(NAMES),
        additionalProperties=True,
    )


_LETTER_HEADERS = (
    "The id of the dead letter: the aggregate of its events.",
    "The group of workers that could not use it.",
    "Where it came from: <topic>/<partition>/<offset>.",
    "Its own time, in milliseconds since 1970, UTC; -1 for none.",
    "Why it could not be used.",
    "How often it was tried.",
    "`whole`; `elsewhere`: too large, it is where it was; `nothing`: it was empty.",
    "More of the cause, without a value of the message; may be empty.",
)


def _relay_position() -> Schema:
    identity = {"type": "string", "format": "uuid", "pattern": UUID_PATTERN}
    count = {"type": "integer", "minimum": 0, "maximum": LARGEST_INTEGER}
    return document(
        RELAY_POSITION.name,
        description="How far a topic has come: the key names it.",
        properties={
            "incarnation": {**count, "description": "Of the ledger."},
            "ledger_id": identity,
            "position": {**count, "description": "The last entry that was published."},
            "topic_id": {**identity, "description": "Kafka's own id of the topic."},
        },
        additionalProperties=True,
    )


def asyncapi() -> dict[str, Any]:
    """The document: a channel a topic, an operation for Sijil's own side of it."""
    carried = messages()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sijil",
            "version": version("sijil"),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            topic.name: _channel(topic, carried[topic.name]) for topic in TOPICS
        },
        "operations": {
            f"{_action(topic)}-{topic.name}": {
                "action": _action(topic),
                "summary": f"{topic.about}. By {topic.owner}.",
                "channel": {"$ref": f"#/channels/{topic.name}"},
            }
            for topic in TOPICS
        },
        "components": {
            "messages": {
                each.name: _message(each) for some in carried.values() for each in some
            }
        },
    }


def _action(topic: Topic) -> str:
    """What Sijil itself does with the topic."""
    return "receive" if topic.direction is Direction.INWARD else "send"


_RESTRICTED = " Restricted: what others wrote in it may be of persons."


def _channel(topic: Topic, carried: Sequence[Message]) -> dict[str, Any]:
    return {
        "address": topic.name,
        "title": topic.about,
        "description": f"Key: {topic.key}. Value: {topic.value}."
        + (_RESTRICTED if topic.is_restricted else ""),
        "messages": {
            each.name: {"$ref": f"#/components/messages/{each.name}"}
            for each in carried
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": [topic.keeping.value],
                    "retention.ms": topic.retention_ms,
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _message(message: Message) -> dict[str, Any]:
    made = {
        "name": message.name,
        "title": message.name,
        "summary": message.summary,
        "contentType": "application/octet-stream",
        "bindings": {"kafka": {"key": message.key, "bindingVersion": _BINDING}},
    }
    if message.payload is not None:
        made["contentType"] = "application/json"
        made["payload"] = _schema(message.payload)
    if message.headers is not None:
        made["headers"] = _schema(message.headers)
    return made


def _schema(name: str) -> dict[str, Any]:
    return {"schemaFormat": _FORMAT, "schema": {"$ref": f"{SCHEMAS}/{name}.json"}}


def described(name: str | None = None) -> str | None:
    """The text of the document, or of a schema by its id, type or topic.

    None where there is no such schema.
    """
    if name is None:
        return _text(asyncapi())
    schema = schemas().get(name.removeprefix(URN))
    return None if schema is None else _text(schema)


def files() -> dict[Path, str]:
    """Every file of the description with its text, by its place in a folder."""
    return {
        Path(ASYNCAPI): _text(asyncapi()),
        **{
            Path(SCHEMAS) / f"{name}.json": _text(schema)
            for name, schema in schemas().items()
        },
    }


def write(folder: Path) -> None:
    """Write the description into a folder; schemas that are no more are removed."""
    made = files()
    (folder / SCHEMAS).mkdir(parents=True, exist_ok=True)
    for old in (folder / SCHEMAS).glob("*.json"):
        if old.relative_to(folder) not in made:
            old.unlink()
    for path, text in made.items():
        (folder / path).write_text(text, encoding="utf-8")


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
