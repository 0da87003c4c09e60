"""What a view folds: an entry with its body read once for all views.

The hot path of every fold: a slot costs a tenth of what a property over an entry did,
and a body that no view wants is never parsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, cast
from uuid import UUID

from ledger.bodies import read_body
from ledger.bundles import BareRow
from ledger.entries import Entry
from projections.copying import copied

OURS = "sijil."
"""What the topics of Sijil's own events begin with."""
_ACTOR = b'{"actor":{'
_COMMAND_ID = b',"command_id":"'
_DATA = b',"data":'
_EFFECTIVE_AT = b',"effective_at":"'
_TIME_BYTES = len("2026-11-23T08:14:05.473912Z")
_ID_BYTES = 36
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Fact:
    """One entry and its body as plain values. MUST NOT be changed by a fold."""

    __slots__ = (
        "_at",
        "_body",
        "_copied",
        "_data",
        "key",
        "position",
        "recorded_us",
        "stored",
        "topic",
        "version",
    )

    position: int
    """Where the entry stands."""
    recorded_us: int
    """When the ledger took it, in microseconds since 1970, UTC."""
    key: str
    """The aggregate's id as text."""
    version: int
    """The aggregate's version."""
    topic: str
    """The event's type, as ``sijil.request.stamped.v1``."""
    stored: bytes
    """The body's bytes as they are stored."""

    def __init__(self, row: BareRow) -> None:
        (
            self.position,
            self.recorded_us,
            self.key,
            self.version,
            self.topic,
            self.stored,
        ) = row
        self._body: dict[str, Any] | None = None
        self._data: dict[str, Any] | None = None
        self._copied: dict[str, Any] | None = None
        self._at: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The body as plain values, parsed when somebody first looks."""
        body = self._body
        if body is None:
            body = self._body = read_body(self.stored)
        return body

    @property
    def is_read(self) -> bool:
        """Whether somebody has looked at its own facts."""
        return self._data is not None

    def read(self) -> None:
        """Parse its own facts: all of the body that most views want.

        Keys stand in order in canonical JSON, and a quote inside of a text is escaped:
        so the first ``,"data":`` is the body's own, for nothing before it has such a
        key, and so is the last ``,"effective_at":``. What is not of that form is parsed
        whole.
        """
        stored = self.stored
        begin, end = stored.find(_DATA), stored.rfind(_EFFECTIVE_AT)
        if 0 < begin < end:
            try:
                self._data = read_body(stored[begin + len(_DATA) : end])
            except ValueError:
                pass
            else:
                return
        self._data = self.body["data"]

    @property
    def recorded_at(self) -> datetime:
        """When the ledger took it, in UTC."""
        return _EPOCH + timedelta(microseconds=self.recorded_us)

    @property
    def data(self) -> dict[str, Any]:
        """The event's own facts."""
        data = self._data
        if data is None:
            self.read()
            data = cast("dict[str, Any]", self._data)
        return data

    @property
    def copied_data(self) -> dict[str, Any]:
        """Its own facts with the texts in their objects as COPY takes them.

        Canonical JSON has a backslash wherever a text holds a control character, a
        quote or a backslash: a body without one is what COPY takes as it stands.
        """
        found = self._copied
        if found is None:
            found = copied(self.data) if b"\\" in self.stored else self.data
            self._copied = found
        return found

    @property
    def actor(self) -> Mapping[str, str]:
        """Who acted: kind, id and place."""
        stored = self.stored
        # An actor that ends another way leaves what is no JSON.
        actor = _actor_of(stored[len(_ACTOR) - 1 : stored.find(b'},"') + 1])
        if actor is not None and stored.startswith(_ACTOR):
            return actor
        return cast("Mapping[str, str]", self.body["actor"])

    @property
    def command_id(self) -> str:
        """The act that it is of."""
        at = self.stored.find(_COMMAND_ID) + len(_COMMAND_ID)
        found = self.stored[at : at + _ID_BYTES]
        return str(found, "ascii")

    @property
    def happened(self) -> str:
        """What happened to the thing: ``stamped`` of the example above."""
        return happened_in(self.topic)

    @property
    def effective_text(self) -> str:
        """When it happened, as the body has it: RFC 3339, UTC, six decimals."""
        at = self._at
        if at is None:
            at = self._at = _time_in(self.stored) or str(self.body["effective_at"])
        return at

    @property
    def effective_at(self) -> datetime:
        """When it happened, in UTC."""
        return datetime.fromisoformat(self.effective_text)

    @property
    def entry(self) -> Entry:
        """The entry itself, as the ledger attests it."""
        return Entry(
            position=self.position,
            recorded_at=self.recorded_at,
            aggregate_id=UUID(self.key),
            version=self.version,
            topic=self.topic,
            body=self.stored,
        )


@lru_cache(maxsize=4_096)
def _actor_of(stored: bytes) -> Mapping[str, str] | None:
    with suppress(ValueError):
        return read_body(stored)
    return None


def _time_in(stored: bytes) -> str | None:
    begin = stored.rfind(_EFFECTIVE_AT) + len(_EFFECTIVE_AT)
    end = begin + _TIME_BYTES
    is_found = begin >= len(_EFFECTIVE_AT) and stored[end : end + 1] == b'"'
    return str(stored[begin:end], "ascii") if is_found else None


@cache
def happened_in(topic: str) -> str:
    """``stamped`` of ``sijil.request.stamped.v1``; there are some fifty topics."""
    return topic.rpartition(".v")[0].rpartition(".")[2]


def fact_of(entry: Entry) -> Fact | None:
    """The fact of an entry; None for one that is not Sijil's own."""
    if not entry.topic.startswith(OURS):
        return None
    return Fact(
        (
            entry.position,
            (entry.recorded_at - _EPOCH) // _MICROSECOND,
            str(entry.aggregate_id),
            entry.version,
            entry.topic,
            entry.body,
        )
    )
