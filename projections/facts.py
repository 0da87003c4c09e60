"""What a view folds: an entry with its body read once for all views.

The hot path of every fold: a slot costs a tenth of what a property over an entry did,
and a body that no view wants is never parsed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from ledger.bodies import read_body
from ledger.bundles import BareRow
from ledger.entries import Entry
from projections.copying import copied

OURS = "sijil."
"""What the topics of Sijil's own events begin with."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Fact:
    """One entry and its body as plain values. MUST NOT be changed by a fold."""

    __slots__ = (
        "_body",
        "_copied",
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
        self._copied: dict[str, Any] | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The body as plain values, parsed when somebody first looks."""
        body = self._body
        if body is None:
            body = self._body = read_body(self.stored)
        return body

    @property
    def is_read(self) -> bool:
        """Whether somebody has looked at the body."""
        return self._body is not None

    @property
    def copied(self) -> dict[str, Any]:
        """The body with the texts in its objects as COPY takes them.

        Canonical JSON has a backslash wherever a text holds a control character, a
        quote or a backslash: a body without one is what COPY takes as it stands.
        """
        found = self._copied
        if found is None:
            found = self.body
            if b"\\" in self.stored:
                found = copied(found)
            self._copied = found
        return found

    @property
    def recorded_at(self) -> datetime:
        """When the ledger took it, in UTC."""
        return _EPOCH + timedelta(microseconds=self.recorded_us)

    @property
    def data(self) -> dict[str, Any]:
        """The event's own facts."""
        facts: dict[str, Any] = self.body["data"]
        return facts

    @property
    def happened(self) -> str:
        """What happened to the thing: ``stamped`` of the example above."""
        return happened_in(self.topic)

    @property
    def effective_text(self) -> str:
        """When it happened, as the body has it: RFC 3339, UTC, six decimals."""
        text: str = self.body["effective_at"]
        return text

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
