"""What is held on one person over all requests, as it is told to that person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from domain.persons import PersonDetails, PersonField
from domain.requests import PartyRole, ServiceRequest
from ledger.bodies import parse_body
from ledger.corrections import KeptCorrection
from ledger.entries import Entry
from office.sweeping import CORRECTED
from projections.looks import LookRow

_IDENTIFIERS = (PersonField.NATIONAL_NUMBER, PersonField.OTHER_IDENTIFIER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A correction that counts: what was corrected, to what, why and when."""

    correction: KeptCorrection
    reason: str | None
    corrected_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldParty:
    """All that is held on a person for one part in one request."""

    role: PartyRole
    told: PersonDetails | None = field(repr=False)
    corrections: tuple[Corrected, ...]
    notes: dict[str, str] = field(repr=False)

    @property
    def identifiers(self) -> set[tuple[PersonField, str]]:
        """The person's number and identifier as they stand after corrections."""
        values = {name: getattr(self.told, name, None) for name in _IDENTIFIERS}
        for each in self.corrections:
            if each.correction.field in values:
                values[each.correction.field] = each.correction.value
        return {(name, value) for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldEvent:
    """Something that happened to a request: by office and role, no clerk."""

    topic: str
    happened_at: datetime
    recorded_at: datetime
    actor_kind: str
    actor_place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRequest:
    """All that is held on a person in one request."""

    request: ServiceRequest
    parties: tuple[HeldParty, ...]
    asks_again_of: UUID | None
    events: tuple[HeldEvent, ...]
    looks: tuple[LookRow, ...]
    is_every_look: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """All that is held on one person: the request asked by, then the newest."""

    made_at: datetime
    is_complete: bool
    merged_at: tuple[datetime, ...]
    asked_by: frozenset[tuple[PersonField, str]] = field(repr=False)
    requests: tuple[HeldRequest, ...]

    def is_identified_alike(self, party: HeldParty) -> bool:
        """Whether a party has an identifier of the one that was asked by.

        Where not, records were merged or a number was corrected, and whoever hands
        the paper over makes sure first that all of it is this person's.
        """
        return not self.asked_by.isdisjoint(party.identifiers)


def held_event(entry: Entry) -> HeldEvent:
    """What happened, of an entry: the actor by kind and place alone."""
    body = parse_body(entry.body)
    return HeldEvent(
        topic=entry.topic,
        happened_at=datetime.fromisoformat(body["effective_at"]),
        recorded_at=entry.recorded_at,
        actor_kind=body["actor"]["kind"],
        actor_place=body["actor"]["place"],
    )


def corrected_in(
    entries: Sequence[Entry], corrections: dict[UUID, KeptCorrection]
) -> Iterable[Corrected]:
    """The corrections that events name, in the order of the ledger."""
    for entry in entries:
        if not entry.topic.startswith(CORRECTED):
            continue
        body = parse_body(entry.body)
        kept = corrections.get(UUID(body["command_id"]))
        if kept is not None:
            yield Corrected(
                correction=kept,
                reason=body["data"].get("reason"),
                corrected_at=datetime.fromisoformat(body["effective_at"]),
            )
