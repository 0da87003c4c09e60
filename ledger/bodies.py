"""The body of an event: one RFC 8785 object, written once and stored as bytes.

Keys and values: docs/reference/contract.md, "The body". For such values (no floats,
ASCII keys, integers below 2**53) a JSON encoder with sorted keys gives exactly the
RFC 8785 bytes; a property test holds it against ``rfc8785`` and its vectors.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Any, cast
from uuid import UUID

import orjson
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from eventsourcing.utils import get_topic

from domain.acts import Act, Actor
from domain.errors import InvalidValueError
from domain.money import LARGEST_INTEGER
from ledger.decoding import decode

LARGEST_BODY_BYTES = 60_000
"""An entry stays below 65,536 bytes, as C2SP entry bundles require."""

Json = str | int | bool | list["Json"] | dict[str, "Json"]
_PLAIN_ALREADY: frozenset[type[Any]] = frozenset({str, bool})
"""Types that most facts are of: a call for each would cost more than all the rest."""
_MOST_ACTORS = 1_024
"""Actors whose plain form is kept: clerks come back, citizens hardly do."""
_VALUE = attrgetter("_value_")
_NO_OFFSET = timedelta(0)
_WITHOUT_OFFSET = len("2026-11-23T08:14:05.473912")
_NOT_FACTS = frozenset(
    {"originator_id", "originator_version", "timestamp", "originator_topic", "act"}
)
_CANONICAL = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
"""Plain values only: the encoder has shapes of its own for the others."""


def rfc3339(time: datetime) -> str:
    """A time as the contract writes it: UTC, six decimals, ``Z``."""
    in_utc = time if time.utcoffset() == _NO_OFFSET else time.astimezone(UTC)
    # Up to here it is always as long: what follows is the offset.
    return in_utc.isoformat(timespec="microseconds")[:_WITHOUT_OFFSET] + "Z"


def canonical(value: Mapping[str, Any]) -> bytes:
    """The RFC 8785 bytes of an object of plain values.

    Raises InvalidValueError for a lone surrogate, which has no UTF-8.
    """
    try:
        return orjson.dumps(value, option=_CANONICAL)
    except orjson.JSONEncodeError as error:
        if "surrogate" not in str(error):
            raise
        raise InvalidValueError(field="text", reason="surrogate") from None


def plain(value: Any) -> Json:
    """A typed value as plain JSON values. None inside an object is left out.

    Raises InvalidValueError for floats, large integers and keys that are not ASCII.
    """
    kind = type(value)
    way = _WAYS.get(kind)
    if way is None:
        way = _WAYS[kind] = _way_of(kind)
    return way(value)


@lru_cache(maxsize=_MOST_ACTORS)
def _plain_actor(actor: Actor) -> Json:
    """An actor, plain. It MUST NOT be changed: who acts again gets the same object."""
    return plain(actor)


_WAYS: dict[type[Any], Callable[[Any], Json]] = {}


def _way_of(kind: type[Any]) -> Callable[[Any], Json]:  # noqa: PLR0911 -- one line a type
    """How values of a type become plain: looked up once a type, not once a value."""
    if issubclass(kind, bool):
        return bool
    if issubclass(kind, int):
        return _plain_integer
    if issubclass(kind, str):
        return _VALUE if issubclass(kind, StrEnum) else str
    if issubclass(kind, datetime):
        return rfc3339
    if issubclass(kind, date):
        return date.isoformat
    if issubclass(kind, UUID):
        return str
    if issubclass(kind, Mapping):
        return _plain_object
    if issubclass(kind, Sequence):
        return _plain_list
    if dataclasses.is_dataclass(kind):
        return _way_of_dataclass(kind)
    return _refused


def _way_of_dataclass(kind: type[Any]) -> Callable[[Any], Json]:
    """How a dataclass becomes an object of its fields."""
    names = tuple(field.name for field in dataclasses.fields(kind))
    if not all(name.isascii() for name in names):
        return _not_ascii

    def as_object(value: Any) -> Json:
        return {
            name: fact if fact.__class__ in _PLAIN_ALREADY else plain(fact)
            for name in names
            if (fact := getattr(value, name)) is not None
        }

    return as_object


def _plain_integer(value: int) -> int:
    if -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
        return int(value)
    raise InvalidValueError(field="integer", reason="range")


def _plain_list(value: Sequence[Any]) -> list[Json]:
    return [item if item.__class__ in _PLAIN_ALREADY else plain(item) for item in value]


def _plain_object(items: Mapping[str, Any]) -> dict[str, Json]:
    for key in items:
        if not isinstance(key, str) or not key.isascii():
            raise InvalidValueError(field="key", reason="not-ascii")
    return {key: plain(value) for key, value in items.items() if value is not None}


def _not_ascii(_: Any) -> Json:
    raise InvalidValueError(field="key", reason="not-ascii")


def _refused(value: Any) -> Json:
    raise InvalidValueError(field=type(value).__name__, reason="type")


def encode_body(event: DomainEventProtocol[UUID]) -> bytes:
    """The body of a domain event as it is stored and hashed.

    Raises InvalidValueError when it is over 60,000 bytes.
    """
    facts = vars(event)
    act = cast("Act", facts["act"])
    body: dict[str, Any] = {
        "actor": _plain_actor(act.actor),
        "command_id": act.command_id,
        "correlation_id": act.correlation_id,
        "data": {
            name: fact if fact.__class__ in _PLAIN_ALREADY else plain(fact)
            for name, fact in facts.items()
            if fact is not None and name not in _NOT_FACTS
        },
        "effective_at": rfc3339(facts["timestamp"]),
    }
    if act.approved_by is not None:
        body["approved_by"] = act.approved_by
    if act.causation_id is not None:
        body["causation_id"] = act.causation_id
    if act.provenance is not None:
        body["provenance"] = plain(act.provenance)
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
        return decode(
            stored_event.topic,
            cast("UUID", stored_event.originator_id),
            stored_event.originator_version,
            stored_event.state,
        )
