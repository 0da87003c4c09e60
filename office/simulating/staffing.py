"""What the simulated history needs of the catalogue: told as acts, each once.

Clerks beside the seeded three, absences, a sixth stamp that wears out, the calendar of
2025. All of it is an import's, so that seeding again changes none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from domain.access import Principal
from domain.acts import MINISTRY, Act, Actor, ActorKind, Provenance
from domain.aggregates import OfficeAggregate
from domain.calendars import Calendar
from domain.clerks import AwayBecause, Clerk
from domain.ids import derived_id
from domain.stamps import LIVE, Stamp, StampWithdrawnBecause
from ledger.persistence.append import CommandRepeatedError, VersionConflictError
from office.acts import Acts, Envelope, translated
from office.errors import ConcurrencyError
from office.seeding import OPENED_AT, stamp_serial
from office.simulating import assumptions as a
from office.simulating.case import moment
from office.simulating.days import calendar_of_2025
from office.simulating.history import History
from office.simulating.places import (
    Absence,
    SimulatedCentre,
    SimulatedClerk,
    days_of,
    further,
)

A = TypeVar("A", bound=OfficeAggregate)

TRIES = 20
_OPENED_S = int(OPENED_AT.timestamp())


class Staffing:
    """Tells who works where and when, before the requests and within them."""

    def __init__(self, acts: Acts, history: History) -> None:
        self._acts = acts
        self._ledger = acts.ledger
        self._history = history
        self._days = history.days
        self._source = history.options.source

    def before(self) -> None:
        """What holds before the first request, and absences with an end."""
        self._once(
            Calendar,
            Calendar.id_of(2025),
            "calendar/2025",
            _OPENED_S,
            lambda found, act: (
                found or Calendar.publish(act, year=2025, holidays=calendar_of_2025())
            ),
        )
        for centre in self._history.centres:
            for clerk in further(centre.clerks):
                self._appoint(centre, clerk)
            for clerk in centre.clerks:
                for absence in sorted(clerk.absences, key=lambda each: each.first):
                    if absence.last is not None:
                        self._send_away(clerk, absence)
            self._issue_stamp(centre)

    @property
    def gone_s(self) -> int | None:
        """When those went who are away at the end; None when there is nobody."""
        gone = [
            clerk.left_at_the_end.first
            for centre in self._history.centres
            for clerk in centre.clerks
            if clerk.left_at_the_end is not None
        ]
        return self._days.opening_s(min(gone)) if gone else None

    def within(self) -> None:
        """Who goes and has not come back: told when it happened, and not before.

        The runner moves the work of those who are away now.
        """
        for centre in self._history.centres:
            for clerk in centre.clerks:
                if clerk.left_at_the_end is not None:
                    self._send_away(clerk, clerk.left_at_the_end)

    # Each thing -------------------------------------------------------------------

    def _appoint(self, centre: SimulatedCentre, clerk: SimulatedClerk) -> None:
        thing_id = Clerk.id_of(clerk.code)
        self._once(
            Clerk,
            thing_id,
            f"clerk/{clerk.code}",
            _OPENED_S,
            lambda found, act: (
                found or Clerk.appoint(act, code=clerk.code, centre=centre.code)
            ),
        )
        for agency in clerk.agencies:

            def give(found: Clerk | None, act: Act, agency: str = agency) -> Clerk:
                return _changed(
                    found, lambda it: it.make_responsible(act, agency=agency)
                )

            self._once(Clerk, thing_id, f"clerk/{clerk.code}/{agency}", _OPENED_S, give)

    def _send_away(self, clerk: SimulatedClerk, absence: Absence) -> None:
        first, last = days_of(absence, self._days)
        self._once(
            Clerk,
            Clerk.id_of(clerk.code),
            f"clerk/{clerk.code}/away/{first}",
            self._days.opening_s(absence.first),
            lambda found, act: _changed(
                found,
                lambda it: it.be_away(
                    act, reason=AwayBecause.LEAVE, first=first, last=last
                ),
            ),
        )

    def _issue_stamp(self, centre: SimulatedCentre) -> None:
        """A sixth stamp, until it is worn."""
        serial = stamp_serial(centre.governorate, a.EXTRA_STAMP)
        thing_id = Stamp.id_of(serial)
        self._once(
            Stamp,
            thing_id,
            f"stamp/{centre.code}",
            _OPENED_S,
            lambda found, act: (
                found or Stamp.issue(act, serial=serial, kind=LIVE, centre=centre.code)
            ),
        )
        worn = a.EXTRA_STAMP_WORN_ON
        days = self._days.days[: self._days.count]
        if worn in days:
            self._once(
                Stamp,
                thing_id,
                f"stamp/{centre.code}/worn",
                self._days.opening_s(days.index(worn)),
                lambda found, act: _changed(
                    found,
                    lambda it: it.withdraw(
                        act, reason=StampWithdrawnBecause.WORN, on=worn
                    ),
                ),
            )

    def _once(
        self,
        kind: type[A],
        thing_id: UUID,
        name: str,
        at_s: int,
        decide: Callable[[A | None, Act], A],
    ) -> None:
        """One act on a thing under an id of its own: again it does nothing.

        Raises ConcurrencyError when others keep changing the thing.
        """
        at = moment(at_s)
        command_id = derived_id(f"import/{self._source}/{name}", at)
        envelope = Envelope(
            principal=Principal(role=ActorKind.IMPORT, id=self._source),
            command_id=command_id,
            route="import/staffing",
            effective_at=at,
        )
        command = self._acts.command(envelope, {"name": name})
        act = Act(
            command_id=command_id,
            actor=Actor(kind=ActorKind.IMPORT, id=self._source, place=MINISTRY),
            correlation_id=command_id,
            effective_at=at,
            provenance=Provenance(
                source=self._source, case=name, line=0, activity="staffing"
            ),
        )
        for _ in range(TRIES):
            with translated():
                if self._ledger.find_command(command_id) is not None:
                    return
                thing = decide(self._ledger.find(kind, thing_id), act)
                try:
                    self._ledger.append(thing, command=command)
                except VersionConflictError:
                    continue
                except CommandRepeatedError:
                    return
            return
        raise ConcurrencyError


def _changed(found: A | None, change: Callable[[A], None]) -> A:
    """A thing that is there, changed. Whatever it is was seeded or made before."""
    if found is None:
        raise LookupError("the reference data is missing: run `sijil migrate --seed`")
    change(found)
    return found
