"""The body of an event: one RFC 8785 object, written once and stored as bytes.

Keys and values: docs/reference/contract.md, "The body". For such values (no floats,
ASCII keys, integers below 2**53) a JSON encoder with sorted keys gives exactly the
RFC 8785 bytes; a property test holds it against ``rfc8785`` and its vectors.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, cast
from uuid import UUID

import orjson
from eventsourcing.domain import CanInitAggregate, DomainEventProtocol
from eventsourcing.persistence import (
    JSONTranscoder,
    Mapper,
    MapperDeserialisationError,
    StoredEvent,
)
from eventsourcing.utils import get_topic, resolve_topic
from pydantic import TypeAdapter, ValidationError

from domain.acts import Act
from domain.errors import InvalidValueError
from domain.money import LARGEST_INTEGER

LARGEST_BODY_BYTES = 60_000
"""An entry stays below 65,536 bytes, as C2SP entry bundles require."""

Json = str | int | bool | list["Json"] | dict[str, "Json"]
_NOT_FACTS = frozenset(
    {"originator_id", "originator_version", "timestamp", "originator_topic", "act"}
)
_encode = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
).encode


def rfc3339(time: datetime) -> str:
    """A time as the contract writes it: UTC, six decimals, ``Z``."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def canonical(value: Mapping[str, Any]) -> bytes:
    """The RFC 8785 bytes of an object of plain values.

    Raises InvalidValueError for a lone surrogate, which has no UTF-8.
    """
    try:
        return _encode(value).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidValueError(field="text", reason="surrogate") from error


def plain(value: Any) -> Json:  # noqa: C901, PLR0911 -- one line a type
    """A typed value as plain JSON values. None inside an object is left out.

    Raises InvalidValueError for floats, large integers and keys that are not ASCII.
    """
    match value:
        case bool():
            return value
        case int():
            if abs(value) > LARGEST_INTEGER:
                raise InvalidValueError(field="integer", reason="range")
            return int(value)
        case str():
            return str(value)
        case datetime():
            return rfc3339(value)
        case date():
            return value.isoformat()
        case UUID():
            return str(value)
        case Mapping():
            return _plain_object(value)
        case Sequence():
            return [plain(item) for item in value]
        case _ if dataclasses.is_dataclass(value):
            return _plain_object(
                {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            )
        case _:
            raise InvalidValueError(field=type(value).__name__, reason="type")


def _plain_object(items: Mapping[str, Any]) -> dict[str, Json]:
    if not all(isinstance(key, str) and key.isascii() for key in items):
        raise InvalidValueError(field="key", reason="not-ascii")
    return {key: plain(value) for key, value in items.items() if value is not None}


def encode_body(event: DomainEventProtocol[UUID]) -> bytes:
    """The body of a domain event as it is stored and hashed.

    Raises InvalidValueError when it is over 60,000 bytes.
    """
    facts = dict(vars(event))
    act = cast("Act", facts["act"])
    body = _plain_object(
        {
            "actor": act.actor,
            "approved_by": act.approved_by,
            "causation_id": act.causation_id,
            "command_id": act.command_id,
            "correlation_id": act.correlation_id,
            "data": {k: v for k, v in facts.items() if k not in _NOT_FACTS},
            "effective_at": facts["timestamp"],
            "provenance": act.provenance,
        }
    )
    encoded = canonical(body)
    if len(encoded) > LARGEST_BODY_BYTES:
        raise InvalidValueError(field="body", reason="too-long")
    return encoded


def parse_body(body: bytes) -> dict[str, Any]:
    """The stored body as plain values, for those who fold without domain classes."""
    return cast("dict[str, Any]", json.loads(body))


def read_body(body: bytes | memoryview) -> dict[str, Any]:
    """The stored body as plain values, fast: what ``parse_body`` gives of our own.

    Of foreign bodies it does not: an integer beyond 64 bits would become a float.
    """
    return cast("dict[str, Any]", orjson.loads(body))


@cache
def _reader(event_class: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(event_class)


class BodyMapper(Mapper[UUID]):
    """Maps domain events to stored events and back, by the contract's body."""

    def __init__(self) -> None:
        super().__init__(transcoder=JSONTranscoder())

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """The stored event: topic and canonical body."""
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=get_topic(type(domain_event)),
            state=encode_body(domain_event),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """The domain event, its facts validated against its class.

        Raises MapperDeserialisationError, without values, when they do not fit.
        """
        event_class = resolve_topic(stored_event.topic)
        try:
            body = parse_body(stored_event.state)
            facts = {
                **body.pop("data"),
                "originator_id": stored_event.originator_id,
                "originator_version": stored_event.originator_version,
                "timestamp": body["effective_at"],
                "act": body,
            }
            if issubclass(event_class, CanInitAggregate):
                facts["originator_topic"] = ".".join(
                    stored_event.topic.split(".", maxsplit=2)[:2]
                )
            event = _reader(event_class).validate_python(facts)
        except (ValidationError, ValueError, KeyError) as error:
            raise MapperDeserialisationError(
                f"{stored_event.topic} does not fit its class at "
                f"{stored_event.originator_id}/{stored_event.originator_version}"
            ) from _without_values(error)
        return cast("DomainEventProtocol[UUID]", event)


def _without_values(error: Exception) -> Exception:
    """What is wrong and where, but not what stood there."""
    if isinstance(error, ValidationError):
        places = [
            (".".join(map(str, e["loc"])), e["type"])
            for e in error.errors(include_input=False, include_context=False)
        ]
        return ValueError(str(places))
    return error
