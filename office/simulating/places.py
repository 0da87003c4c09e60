"""The centres of the simulated history: who works there, who is away, which stamps.

The reference data has a centre in every governorate, with three clerks and five
stamps. The simulation adds what it needs to these, and never takes what they have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from domain.governorates import governorates
from office.seeding import CLERKS_A_CENTRE, agency_codes, centre_code, clerk_code
from office.seeding import stamp_serial as serial_of
from office.simulating import assumptions as a
from office.simulating.days import OfficeDays
from office.simulating.draws import Draws, Weighted


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """A clerk is away on these working days, by number; without ``last`` till told."""

    first: int
    last: int | None = None

    def includes(self, number: int) -> bool:
        """Whether the clerk is away on a working day."""
        return self.first <= number and (self.last is None or number <= self.last)


@dataclass(slots=True, kw_only=True)
class SimulatedClerk:
    """One clerk. ``is_further``: appointed by the simulation."""

    code: str
    agencies: tuple[str, ...]
    is_further: bool
    absences: list[Absence] = field(default_factory=list)
    left_at_the_end: Absence | None = None
    _away: set[int] = field(default_factory=set)

    def is_there(self, number: int) -> bool:
        """Whether the clerk works on a working day."""
        gone = self.left_at_the_end
        return number not in self._away and (gone is None or number < gone.first)

    def be_away(self, first: int, last: int | None) -> None:
        """Be away on these working days; without ``last`` till somebody says so."""
        absence = Absence(first=first, last=last)
        self.absences.append(absence)
        if last is None:
            self.left_at_the_end = absence
        else:
            self._away.update(range(first, last + 1))


@dataclass(slots=True, kw_only=True)
class SimulatedCentre:
    """One centre; ``line_down`` has the hour from which it was cut off, by day."""

    code: str
    governorate: str
    clerks: list[SimulatedClerk]
    line_down: dict[int, int]

    def responsible(
        self, agency: str, number: int
    ) -> tuple[list[SimulatedClerk], list[SimulatedClerk]]:
        """Who of those there is responsible for an agency, and who is there at all."""
        there = [clerk for clerk in self.clerks if clerk.is_there(number)]
        return [clerk for clerk in there if agency in clerk.agencies], there

    def stamp_on(self, number: int, days: OfficeDays, draws: Draws) -> str:
        """The serial of the stamp that somebody took on a working day."""
        most = a.STAMPS_USED
        if days.days[number] < a.EXTRA_STAMP_WORN_ON:
            most = a.EXTRA_STAMP
        return serial_of(self.governorate, draws.between(1, most))


def centres(
    seed: int, days: OfficeDays, completed: int
) -> tuple[list[SimulatedCentre], Weighted[SimulatedCentre]]:
    """Every centre, and the same to be drawn from by resident population."""
    agencies = agency_codes()
    places = governorates()
    people = sum(place.population for place in places)
    # The busiest day has more than the mean by half the growth.
    busiest = completed / days.count * 2 * a.GROWTH_PER_MILLE
    busiest /= 1_000 + a.GROWTH_PER_MILLE
    made = []
    for number, place in enumerate(places):
        draws = Draws(seed, 1, number)
        wanted = int(busiest * place.population / people / a.REQUESTS_A_CLERK) + 1
        clerks = [
            SimulatedClerk(
                code=clerk_code(place.code, each),
                agencies=tuple(agencies[each - 1 :: CLERKS_A_CENTRE]),
                is_further=False,
            )
            for each in range(1, CLERKS_A_CENTRE + 1)
        ]
        clerks += [
            SimulatedClerk(
                code=clerk_code(place.code, each),
                agencies=a.BUSY_AGENCIES,
                is_further=True,
            )
            for each in range(CLERKS_A_CENTRE + 1, wanted + 1)
        ]
        made.append(
            SimulatedCentre(
                code=centre_code(place.code),
                governorate=place.code,
                clerks=clerks,
                line_down=_line_down(draws, days),
            )
        )
        _send_away(made[-1], draws, days)
    weights = [
        (centre, place.population) for centre, place in zip(made, places, strict=True)
    ]
    return made, Weighted(weights)


def _line_down(draws: Draws, days: OfficeDays) -> dict[int, int]:
    return {
        number: draws.between(1, 5)
        for number in range(days.count - 1)
        if draws.chance(a.LINE_DOWN)
    }


def _send_away(centre: SimulatedCentre, draws: Draws, days: OfficeDays) -> None:
    """Absences, never of more than one clerk of a centre on one day."""
    last_free = days.count - a.AWAY_DAYS_AT_THE_END - 1
    taken: Counter[int] = Counter()
    for clerk in centre.clerks:
        for _ in range(a.ABSENCES_A_CLERK):
            length = draws.one_of(a.ABSENCE_DAYS)
            first = draws.below(max(last_free - length, 1))
            absence = range(first, first + length)
            if first + length < last_free and not any(taken[day] for day in absence):
                taken.update(absence)
                clerk.be_away(first, first + length - 1)
    gone = a.AWAY_AT_THE_END.get(centre.governorate)
    if gone is not None and last_free > 0:
        centre.clerks[gone - 1].be_away(last_free + 1, None)


def days_of(absence: Absence, days: OfficeDays) -> tuple[date, date | None]:
    """The first and the last day of an absence on the calendar."""
    last = None if absence.last is None else days.days[absence.last]
    return days.days[absence.first], last


def further(clerks: Sequence[SimulatedClerk]) -> list[SimulatedClerk]:
    """Those that the simulation has to appoint."""
    return [clerk for clerk in clerks if clerk.is_further]
