"""The plan of a catalogue file: what would change, field by field, by which acts.

The rules of the domain are tried on copies in memory, so that a dry run can tell what
would be refused; what only the server knows it says when it is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from domain.acts import MINISTRY, Act, Actor, ActorKind
from domain.calendars import Calendar
from domain.errors import SijilError
from domain.governorates import governorates
from domain.ids import new_id
from domain.services import EVERYWHERE, Offer
from office.catalogue_commands import IssueStamp, OpenCentre, PublishCalendar
from office.catalogue_files import (
    ClerkWanted,
    Kind,
    Said,
    Wanted,
    command_id,
    facts_of,
    must_be_whole,
)


class Fate(StrEnum):
    """What becomes of one thing of a file."""

    NEW = "new"
    CHANGES = "changes"
    STAYS = "stays"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A thing as it is now. ``is_closed``: closed, left or withdrawn, or about to be.

    ``is_active`` says whether it is there today.
    """

    version: int
    facts: Mapping[str, Any]
    is_active: bool = True
    is_closed: bool = False


Present = Mapping[Kind, Mapping[str, Known]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAct:
    """One act to ask for: where, with what, under which id."""

    path: str
    body: Mapping[str, Any]
    command_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What becomes of one thing: its changes by field (before, after), or why not."""

    kind: Kind
    code: str
    place: str
    fate: Fate
    version: int
    changes: Mapping[str, tuple[Any, Any]]
    acts: tuple[PlannedAct, ...] = ()
    reason: str | None = None


def plan(
    wanted: Iterable[Wanted], present: Present, *, now: datetime
) -> tuple[Planned, ...]:
    """What a file would change, thing by thing, in the order of acting."""
    everything = tuple(wanted)
    planner = _Planner(everything, present, now)
    return tuple(planner.planned(each) for each in everything)


class _Planner:
    def __init__(
        self, wanted: tuple[Wanted, ...], present: Present, now: datetime
    ) -> None:
        self._present = present
        self._now = now
        self._coming = {(each.kind, each.code) for each in wanted if not each.fault}

    def planned(self, wanted: Wanted) -> Planned:
        known = self._present.get(wanted.kind, {}).get(wanted.code)
        facts = {} if wanted.said is None else self._facts(wanted, known)
        changes = {} if known is None else _changes(known.facts, facts)
        reason = wanted.fault or self._refusal(wanted, known, facts, changes)
        acts: tuple[PlannedAct, ...] = ()
        if reason is not None:
            fate = Fate.REFUSED
        elif known is not None and not changes:
            fate = Fate.STAYS
        else:
            fate = Fate.NEW if known is None else Fate.CHANGES
            acts = tuple(_acts(wanted, known, facts))
        return Planned(
            kind=wanted.kind,
            code=wanted.code,
            place=wanted.place,
            fate=fate,
            version=0 if known is None else known.version,
            changes=changes if known else {n: (None, v) for n, v in facts.items()},
            acts=acts,
            reason=reason,
        )

    def _facts(self, wanted: Wanted, known: Known | None) -> dict[str, Any]:
        """The facts to send: what the file says, and what it leaves as it is."""
        said = must_be_whole(wanted.said)
        facts = facts_of(said)
        if known is not None:
            kept = wanted.kept & set(known.facts)
            facts |= {name: known.facts[name] for name in kept}
            if isinstance(said, OpenCentre) and not known.is_closed:
                # A day of opening is only for a centre that is new or closed.
                facts.pop("opens_on", None)
        return facts

    def _refusal(
        self,
        wanted: Wanted,
        known: Known | None,
        facts: Mapping[str, Any],
        changes: Mapping[str, Any],
    ) -> str | None:
        """Why the server would refuse it, as far as that can be known here."""
        said = must_be_whole(wanted.said)
        if known is not None:
            reopens = isinstance(said, OpenCentre) and said.opens_on is not None
            if not changes:
                return None
            if known.is_closed and not reopens:
                return _CLOSED[wanted.kind]
            if isinstance(said, IssueStamp):
                return f"stamp-issued(centre={known.facts['centre']})"
            if "governorate" in changes:
                return f"governorate-fixed({known.facts['governorate']})"
        if isinstance(said, PublishCalendar):
            return self._calendar_refusal(known, facts)
        return self._not_there(said)

    def _not_there(self, said: Said) -> str | None:
        """The first place that it rests on and that is not there, or None."""
        match said:
            case Offer():
                regions, needed = set(said.direct_in), [(Kind.AGENCIES, said.agency)]
            case OpenCentre():
                regions, needed = {said.governorate}, []
            case ClerkWanted():
                regions, needed = set(), [(Kind.CENTRES, said.centre)]
                needed += [(Kind.AGENCIES, agency) for agency in said.agencies or ()]
            case IssueStamp():
                regions, needed = set(), [(Kind.CENTRES, said.centre)]
            case _:
                regions, needed = set(), []
        known = {EVERYWHERE, *(each.code for each in governorates())}
        if unknown := regions - known:
            return f"no governorate: {', '.join(sorted(unknown))}"
        missing = (f"not-open({k}, {c})" for k, c in needed if not self._is_open(k, c))
        return next(missing, None)

    def _is_open(self, kind: Kind, code: str) -> bool:
        """Whether the agency or centre is open, or comes in the same file."""
        known = self._present.get(kind, {}).get(code)
        return (kind, code) in self._coming if known is None else known.is_active

    def _calendar_refusal(
        self, known: Known | None, facts: Mapping[str, Any]
    ) -> str | None:
        try:
            wanted = _calendar_facts(facts)
            if known is None:
                Calendar.publish(self._act(ActorKind.ADMINISTRATOR), **wanted)
                return None
            # As it was taken in: its past is not this file's matter.
            calendar = Calendar.publish(
                self._act(ActorKind.IMPORT), **_calendar_facts(known.facts)
            )
            wanted.pop("year")
            calendar.publish_again(self._act(ActorKind.ADMINISTRATOR), **wanted)
        except SijilError as error:
            return str(error)
        return None

    def _act(self, kind: ActorKind) -> Act:
        """An act that is tried and never stored."""
        trial = new_id(self._now)
        return Act(
            command_id=trial,
            actor=Actor(kind=kind, id="plan", place=MINISTRY),
            correlation_id=trial,
            effective_at=self._now,
        )


_CLOSED = {
    Kind.AGENCIES: "closed; `sijil catalogue publish-agency` opens it again",
    Kind.CENTRES: "closed; say `opens_on`, or `sijil catalogue open-centre`",
    Kind.CLERKS: "clerk-left; `sijil catalogue appoint-clerk` takes the clerk back",
    Kind.STAMPS: "stamp-withdrawn; it is never issued again",
    Kind.SERVICES: "closed",
    Kind.CALENDARS: "closed",
}
"""Why a file leaves what is closed as it is."""


_LEFT_ALONE = frozenset({"opens_on", "agencies", "claimed_at"})
"""Facts that stay as they are where a file does not speak of them."""
_CALENDAR: TypeAdapter[PublishCalendar] = TypeAdapter(PublishCalendar)


def _calendar_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    read = _CALENDAR.validate_python(dict(facts))
    return {name: getattr(read, name) for name in PublishCalendar.__dataclass_fields__}


def _changes(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """The fields that differ, before and after; of long lists only what differs."""
    left_alone = _LEFT_ALONE - set(after)
    found = {}
    for name in sorted({*before, *after} - left_alone):
        old, new = before.get(name), after.get(name)
        if name == "agencies":
            old, new = sorted(old or ()), sorted(new or ())
        if old != new:
            found[name] = _what_differs(old, new)
    return found


def _what_differs(old: Any, new: Any) -> tuple[Any, Any]:
    if not (isinstance(old, list) and isinstance(new, list)):
        return old, new
    if not any(isinstance(each, dict) for each in (*old, *new)):
        return old, new
    gone = [each for each in old if each not in new]
    come = [each for each in new if each not in old]
    # The same ones in another order are told whole.
    return (gone, come) if gone or come else (old, new)


def _acts(
    wanted: Wanted, known: Known | None, facts: dict[str, Any]
) -> Iterable[PlannedAct]:
    version = 0 if known is None else known.version

    def act(path: str, body: dict[str, Any]) -> PlannedAct:
        return PlannedAct(
            path=path,
            body=body,
            command_id=command_id(path, wanted.code, version, body),
        )

    if wanted.kind is not Kind.CLERKS:
        yield act(f"/v1/{wanted.kind}", facts)
        return
    had = [] if known is None else list(known.facts["agencies"])
    if known is None or known.facts["centre"] != facts["centre"]:
        yield act("/v1/clerks", {"code": wanted.code, "centre": facts["centre"]})
        # At a new centre a clerk is responsible for nothing yet.
        had = []
    if "agencies" not in facts:
        return
    gone = [agency for agency in had if agency not in facts["agencies"]]
    come = [agency for agency in facts["agencies"] if agency not in had]
    if gone:
        yield act(f"/v1/clerks/{wanted.code}/relief", {"agencies": gone})
    if come:
        yield act(f"/v1/clerks/{wanted.code}/responsibility", {"agencies": come})
