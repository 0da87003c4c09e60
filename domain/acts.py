"""Who did one thing, when, and because of what: the part every event shares."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class ActorKind(StrEnum):
    """The kinds of actor the contract knows."""

    CLERK = "clerk"
    SUPERVISOR = "supervisor"
    ADMINISTRATOR = "administrator"
    AGENCY = "agency"
    POST = "post"
    BANK = "bank"
    CITIZEN = "citizen"
    AUDITOR = "auditor"
    SYSTEM = "system"
    IMPORT = "import"


OUTSIDE_KINDS = frozenset(
    {ActorKind.AGENCY, ActorKind.POST, ActorKind.BANK, ActorKind.IMPORT}
)
"""Reports from outside: an earlier claimed time is clamped and kept beside."""

MINISTRY = "ministry"
"""The place of whoever is bound to no centre and no agency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: never a person's name. A citizen's ``id`` is the request's party.

    ``place`` is a centre's code, ``<agency>/<governorate>``, an agency's code, or
    ``ministry``.
    """

    kind: ActorKind
    id: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What was taken over from another system, so that it can be found there again."""

    source: str
    case: str
    line: int
    activity: str
    clerk: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One command of one actor. All its events carry it.

    ``effective_at`` is when it happened (aware, UTC). ``causation_id`` is
    ``<aggregate>/<version>`` or ``kafka/<topic>/<partition>/<offset>``.
    """

    command_id: UUID
    actor: Actor
    correlation_id: UUID
    effective_at: datetime
    causation_id: str | None = None
    approved_by: str | None = None
    provenance: Provenance | None = None

    @property
    def is_message(self) -> bool:
        """Whether a message brought it: nobody saw the thing as it is now."""
        return self.causation_id is not None and self.causation_id.startswith("kafka/")

    def at(self, effective_at: datetime) -> "Act":
        """The same act at another effective time."""
        if effective_at == self.effective_at:
            return self
        return replace(self, effective_at=effective_at)
