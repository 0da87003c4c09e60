"""Loads a simulated history into a ledger: once, and on from where it was killed.

Every act goes through the use cases of everyone (office/bulk.py). What was stored
before is repeated and changes nothing, so that killing it at any moment costs time.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any

from domain.access import Principal
from domain.acts import ActorKind
from domain.calendars import office_day
from domain.centres import Centre
from domain.governorates import governorates
from domain.ids import code_id
from domain.services import Service
from office.acts import Envelope, translated
from office.bulk import BulkDesk, Item
from office.errors import CommandReusedError
from office.house import House
from office.seeding import centre_code, offers
from office.simulating.history import History, Options, SimulationError
from office.simulating.staffing import Staffing

SAY_EVERY = 500
"""Acts between two words on the progress."""
_SUBMITTED = "sijil.request.submitted.v1"
_BEGUN, _DONE = "simulation", "simulation-done"
_STAFFED = tuple(
    f"sijil.{thing}.v1"
    for thing in ("calendar.published", "clerk.appointed", "stamp.issued")
)
"""What a simulation does first, with its name in the provenance."""
_MOST_STAFFED = 10_000
"""More than any simulation and the reference data before it bring."""


class State(StrEnum):
    """How a ledger stands to a simulated history."""

    EMPTY = "empty"
    """It has no requests: the history may begin."""
    BEGUN = "begun"
    """This history was begun in it and is not whole."""
    DONE = "done"
    """This history is in it, whole."""
    OTHERS = "others"
    """It has requests that are not of this history."""
    OTHERWISE = "otherwise"
    """This seed was begun with other options."""
    LATE = "late"
    """What the history rests on begins after its first day: none of it can come in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How far it is: acts done so far, of them repeated, and the part of the whole."""

    acts: int
    repeated: int
    refused: int
    share: float
    acts_per_s: float

    @property
    def left_s(self) -> float | None:
        """Seconds that are left at this rate, about; None before anything is known."""
        if not self.share or not self.acts_per_s:
            return None
        return self.acts / self.share * (1 - self.share) / self.acts_per_s


@dataclass(slots=True, kw_only=True)
class SimulationReport:
    """What was done. ``acts`` = ``written`` + ``repeated`` + the refused."""

    source: str
    acts: int = 0
    written: int = 0
    repeated: int = 0
    events: int = 0
    seconds: float = 0.0
    by_activity: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "source": self.source,
            "acts": self.acts,
            "written": self.written,
            "repeated": self.repeated,
            "refused": [
                {"activity": activity, "code": code, "acts": acts}
                for (activity, code), acts in sorted(self.refused.items())
            ],
            "events_written": self.events,
            "seconds": round(self.seconds, 1),
            "by_activity": dict(sorted(self.by_activity.items())),
        }


class Simulation:
    """One simulated history and the house it is loaded into."""

    def __init__(self, house: House, options: Options) -> None:
        self._house = house
        self.options = options

    # Where it stands --------------------------------------------------------------

    def state(self) -> State:
        """How the ledger stands to this history."""
        begun = self._marker(_BEGUN)
        with translated():
            known = self._house.ledger.find_command(begun.command_id)
        if known is None:
            if self._has_requests():
                return State.OTHERS
            return State.LATE if self.late_until() is not None else State.EMPTY
        wanted = self._house.acts.command(begun, self._asked())
        if known.digest != wanted.digest:
            return State.OTHERWISE
        with translated():
            done = self._house.ledger.find_command(self._marker(_DONE).command_id)
        if done is not None:
            return State.DONE
        # A release that did not ask has begun it where it could never come in.
        return State.LATE if self.late_until() is not None else State.BEGUN

    def late_until(self) -> date | None:
        """The first day on which all services and centres are there, where too late.

        A ledger that a former release has seeded begins in 2026. None where the
        history's first day finds everything there.
        """
        with translated():
            found = [
                *(
                    self._house.ledger.find(Service, Service.id_of(offer.code))
                    for offer in offers()
                ),
                *(
                    self._house.ledger.find(
                        Centre, Centre.id_of(centre_code(each.code))
                    )
                    for each in governorates()
                ),
            ]
        begun = max(
            (office_day(thing.created_on) for thing in found if thing is not None),
            default=self.options.first,
        )
        return begun if begun > self.options.first else None

    def _has_requests(self) -> bool:
        with translated():
            found = self._house.ledger.reader.entries(
                after=0, limit=1, topics=(_SUBMITTED,)
            )
        return bool(found)

    def _has_another(self) -> bool:
        """Whether another simulated history was begun: both would staff the same."""
        with translated():
            entries = self._house.ledger.reader.entries(
                after=0, limit=_MOST_STAFFED, topics=_STAFFED
            )
        sources = {
            json.loads(entry.body).get("provenance", {}).get("source", "")
            for entry in entries
        }
        return any(
            source.startswith("simulation-") and source != self.options.source
            for source in sources
        )

    def _marker(self, kind: str) -> Envelope:
        source = self.options.source
        return Envelope(
            principal=Principal(role=ActorKind.IMPORT, id=source),
            command_id=code_id(kind, source),
            route=f"import/{kind}",
        )

    def _asked(self) -> dict[str, Any]:
        return {
            "completed": self.options.completed,
            "first": self.options.first,
            "last": self.options.last,
            "seed": self.options.seed,
        }

    # Loading ------------------------------------------------------------------------

    def run(
        self, *, progress: Callable[[Told], None] = lambda _: None
    ) -> SimulationReport:
        """Load the history. Safe to kill and to run again.

        Raises SimulationError for options that make no history, CommandReusedError
        when the seed was begun with others, and the store's troubles.
        """
        report = SimulationReport(source=self.options.source)
        began = time.monotonic()
        history = History(self.options)
        match self.state():
            case State.OTHERWISE:
                raise CommandReusedError
            case State.LATE:
                raise SimulationError(
                    f"the ledger's services and centres begin on {self.late_until()}, "
                    f"the history on {self.options.first}: nobody could ask for "
                    "anything; take a later --first-day, or another SIJIL_HOME"
                )
        if self._has_another():
            raise SimulationError(
                "the ledger has another simulated history, with the same clerks"
            )
        self._house.acts.remember(self._marker(_BEGUN), self._asked())
        staffing = Staffing(self._house.acts, history)
        staffing.before()
        source = _Source(history.items(), staffing.gone_s)
        # Nobody stands behind these parties: their ids are the same everywhere.
        key = self.options.source.encode()
        for is_last in (False, True):
            desk = BulkDesk(self._house, party_key=key)
            for settled in desk.run(source.part(is_last=is_last)):
                activity = settled.item.envelope.route.partition("/")[2]
                report.acts += 1
                report.by_activity[activity] += 1
                if settled.done is None:
                    code = "unknown" if settled.error is None else settled.error.code
                    report.refused[activity, code] += 1
                elif settled.done.is_repeat:
                    report.repeated += 1
                else:
                    report.written += 1
                    first, last = (
                        settled.done.first_position,
                        settled.done.last_position,
                    )
                    report.events += (
                        0 if first is None or last is None else last - first + 1
                    )
                if report.acts % SAY_EVERY == 0:
                    spent_s = time.monotonic() - began
                    progress(
                        Told(
                            acts=report.acts,
                            repeated=report.repeated,
                            refused=sum(report.refused.values()),
                            share=history.share(source.recorded_s),
                            acts_per_s=report.acts / spent_s,
                        )
                    )
            if not is_last:
                staffing.within()
        self._house.acts.remember(self._marker(_DONE), self._asked())
        report.seconds = time.monotonic() - began
        return report


class _Source:
    """The acts of a history in two parts: before somebody went away, and after."""

    def __init__(self, items: Iterable[tuple[int, Item]], gone_s: int | None) -> None:
        self._items = iter(items)
        self._gone_s = gone_s
        self._next: Item | None = None
        self.recorded_s = 0

    def part(self, *, is_last: bool) -> Iterator[Item]:
        if is_last and self._next is not None:
            yield self._next
        for recorded_s, item in self._items:
            self.recorded_s = recorded_s
            is_after = self._gone_s is None or recorded_s >= self._gone_s
            if not is_last and is_after:
                self._next = item
                return
            yield item
