"""Domain events from stored bodies: one decoder an event class, made once.

The strict way, which all of our own bodies take, reads the JSON straight into the types
of the facts: a number is no text there, and a text no number. What does not fit so goes
the lenient way, twice as slow, which takes a little more or says what is wrong. The
strict way never takes what the lenient one refuses, nor makes another event of it; a
property test holds the two side by side over whole and broken bodies.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import cache
from json import JSONDecodeError
from typing import Any, cast, get_type_hints
from uuid import UUID

from eventsourcing.domain import CanInitAggregate, DomainEvent, DomainEventProtocol
from eventsourcing.persistence import MapperDeserialisationError
from eventsourcing.utils import resolve_topic
from pydantic import ConfigDict, TypeAdapter, ValidationError

from domain.acts import Act
from domain.errors import SijilError

Decoder = Callable[[UUID, int, bytes | str], DomainEventProtocol[UUID]]
"""From the aggregate's id, a version and a stored body to the event.

Raises MapperDeserialisationError, without values, when the body does not fit.
"""

_ENVELOPE = frozenset(
    {"originator_id", "originator_version", "timestamp", "originator_topic", "act"}
)
"""What an event has beside the facts of ``data``."""
_STRICT = ConfigDict(strict=True)
_MISFITS = (ValidationError, SijilError)
"""What the strict way raises over a body that is not as the encoder writes it."""

_new = object.__new__
# Acts and events are frozen. They are filled as the library fills its own: once, here.
_put = object.__setattr__


def decode(
    topic: str, originator_id: UUID, version: int, body: bytes | str
) -> DomainEventProtocol[UUID]:
    """The domain event of a stored body.

    Raises MapperDeserialisationError, without values, when the body does not fit its
    class, and TopicError when there is no such class.
    """
    return decoder_of(topic)(originator_id, version, body)


@cache
def decoder_of(topic: str) -> Decoder:
    """The decoder of a topic's events. Raises TopicError when it has no class."""
    event_class: type[Any] = resolve_topic(topic)
    aggregate = None
    if issubclass(event_class, CanInitAggregate):
        aggregate = ".".join(topic.split(".", maxsplit=2)[:2])
    lenient = lenient_decoder(event_class, topic, aggregate)
    if not is_plain(event_class):
        return lenient
    return strict_decoder(event_class, aggregate, otherwise=lenient)


def is_plain(event_class: type[Any]) -> bool:
    """Whether events of a class may be filled: nothing happens in making one."""
    return (
        "act" in event_class.__dataclass_fields__
        and event_class.__post_init__ is DomainEvent.__post_init__
        and all(
            field.init and field.default_factory is dataclasses.MISSING
            for field in dataclasses.fields(event_class)
        )
    )


def shape_of(event_class: type[Any]) -> type[Any]:
    """The body of an event of this class: the act's keys, and ``data``."""
    hints = get_type_hints(event_class, include_extras=True)
    facts = [
        (field.name, hints[field.name], dataclasses.field(default=field.default))
        for field in dataclasses.fields(event_class)
        if field.name not in _ENVELOPE
    ]
    act = get_type_hints(Act)
    keys = [
        (field.name, act[field.name], dataclasses.field(default=field.default))
        for field in dataclasses.fields(Act)
    ]
    data = dataclasses.make_dataclass("Data", facts, kw_only=True)
    shape = dataclasses.make_dataclass("Body", [*keys, ("data", data)], kw_only=True)
    for made in (data, shape):
        made.__pydantic_config__ = _STRICT  # type: ignore[attr-defined]
    return shape


def strict_decoder(
    event_class: type[Any], aggregate: str | None, *, otherwise: Decoder
) -> Decoder:
    """A decoder that reads the JSON straight into the types of the facts.

    Bodies that do not fit so go to ``otherwise``.
    """
    read = TypeAdapter(shape_of(event_class)).validate_json
    put_actor, put_command_id, put_correlation_id, put_effective_at = (
        getattr(Act, name).__set__
        for name in ("actor", "command_id", "correlation_id", "effective_at")
    )
    put_causation_id, put_approved_by, put_provenance = (
        getattr(Act, name).__set__
        for name in ("causation_id", "approved_by", "provenance")
    )

    def decoded(
        originator_id: UUID, version: int, body: bytes | str
    ) -> DomainEventProtocol[UUID]:
        try:
            said = read(body).__dict__
        except _MISFITS:
            return otherwise(originator_id, version, body)
        act = _new(Act)
        effective_at = said["effective_at"]
        put_actor(act, said["actor"])
        put_command_id(act, said["command_id"])
        put_correlation_id(act, said["correlation_id"])
        put_effective_at(act, effective_at)
        put_causation_id(act, said["causation_id"])
        put_approved_by(act, said["approved_by"])
        put_provenance(act, said["provenance"])
        facts = said["data"].__dict__
        facts["originator_id"] = originator_id
        facts["originator_version"] = version
        facts["timestamp"] = effective_at
        facts["act"] = act
        if aggregate is not None:
            facts["originator_topic"] = aggregate
        event = _new(event_class)
        _put(event, "__dict__", facts)
        return cast("DomainEventProtocol[UUID]", event)

    return decoded


def lenient_decoder(
    event_class: type[Any], topic: str, aggregate: str | None
) -> Decoder:
    """A decoder that validates plain values against the class, and says what is wrong.

    Its validator is made when it is first needed: hardly ever.
    """

    @cache
    def validator() -> TypeAdapter[Any]:
        return TypeAdapter(event_class)

    def decoded(
        originator_id: UUID, version: int, body: bytes | str
    ) -> DomainEventProtocol[UUID]:
        try:
            said = json.loads(body)
            if not isinstance(said, dict) or not isinstance(said["data"], dict):
                raise ValueError("no object")  # noqa: TRY004, TRY301 -- a value's fault
            facts = {
                **said.pop("data"),
                "originator_id": originator_id,
                "originator_version": version,
                "timestamp": said["effective_at"],
                "act": said,
            }
            if aggregate is not None:
                facts["originator_topic"] = aggregate
            event = validator().validate_python(facts)
        except (SijilError, ValueError, KeyError, RecursionError) as error:
            raise MapperDeserialisationError(
                f"{topic} does not fit its class at {originator_id}/{version}"
            ) from _without_values(error)
        return cast("DomainEventProtocol[UUID]", event)

    return decoded


def _without_values(error: Exception) -> Exception:
    """What is wrong and where, but not what stood there."""
    if isinstance(error, ValidationError):
        places = [
            (".".join(map(str, e["loc"])), e["type"])
            for e in error.errors(include_input=False, include_context=False)
        ]
        return ValueError(str(places))
    if isinstance(error, JSONDecodeError):
        # The error itself keeps the whole text.
        return ValueError(f"no JSON from character {error.pos} on")
    if isinstance(error, UnicodeDecodeError):
        return ValueError(f"no UTF-8 from byte {error.start} on")
    return error
