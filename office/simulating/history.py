"""The whole history: how many cases a day, and their steps in the order of recording.

A day takes requests until as many of them as planned will be completed in the period,
so that the history completes exactly what was asked for. The last days come first in
the reckoning: what of them is still open at the end is not known before it is lived.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from domain.access import Principal
from domain.acts import ActorKind
from domain.governorates import governorates
from domain.services import Offer
from office.bulk import Item
from office.seeding import offers
from office.simulating import assumptions as a
from office.simulating.case import POST_REPORT_S, Case, Recorded
from office.simulating.days import MINUTE, OfficeDays
from office.simulating.draws import Draws, Weighted
from office.simulating.leaving import serial_of_case
from office.simulating.lives import Life
from office.simulating.places import centres

TAIL_DAYS = 40
"""Days at the end whose requests may still be open: they are counted beforehand."""
MOST_TRIES = 20
"""Requests a completed one may cost before something is wrong with the numbers."""


class SimulationError(ValueError):
    """No history can be made of these options; the message is a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a simulated history is made of: the same, the same history."""

    completed: int = a.COMPLETED
    seed: int = 1
    first: date = a.FIRST_DAY
    last: date = a.LAST_DAY

    @property
    def source(self) -> str:
        """The source that the acts of this history name."""
        return f"simulation-{self.seed}"


class History:
    """The acts of one simulated history. The same options give the same bytes."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.days = OfficeDays(options.first, options.last)
        if self.days.count < 1:
            raise SimulationError("the period has no working day")
        self.centres, self._by_people = centres(
            options.seed, self.days, options.completed
        )
        self._until_s = (
            self.days.opening_s(self.days.count - 1) + POST_REPORT_S + 30 * MINUTE
        )
        self._services = _services()
        self._cities = {place.code: place.city_ar for place in governorates()}
        self._principals = {
            centre.code: Principal(
                role=ActorKind.IMPORT, id=options.source, centre=centre.code
            )
            for centre in self.centres
        }
        self._tail = max(self.days.count - TAIL_DAYS, 0)
        self._weights = [self._weight(day) for day in range(self.days.count)]
        self._planned = self._plan()

    def share(self, recorded_s: int) -> float:
        """Which part of the history was recorded by a moment, about."""
        day = min(self.days.number(recorded_s), self.days.count - 1)
        return sum(self._weights[: day + 1]) / sum(self._weights)

    def items(self) -> Iterator[tuple[int, Item]]:
        """Every act in the order of recording, with the moment of recording."""
        heap: list[Recorded] = []
        for day in range(self.days.count):
            for case in self._cases_of(day):
                for each in case.recorded:
                    heapq.heappush(heap, each)
            is_last = day == self.days.count - 1
            before_s = None if is_last else self._midnight_s(day + 1)
            while heap and (before_s is None or heap[0][0] < before_s):
                recorded_s, _, _, item = heapq.heappop(heap)
                yield recorded_s, item

    # How many a day ----------------------------------------------------------------

    def _weight(self, number: int) -> int:
        last = max(self.days.count - 1, 1)
        growth = 1_000 + (a.GROWTH_PER_MILLE - 1_000) * number // last
        return growth * a.WEEKDAY_WEIGHTS[self.days.days[number].weekday()]

    def _plan(self) -> list[int]:
        """Requests of each day of the tail, and completed ones of the days before."""
        wanted = self.options.completed
        total = sum(self._weights)
        # What is submitted for each that is completed, about; exactly does not matter.
        asked = wanted * 1_075 // 1_000
        tail = _shares(self._weights[self._tail :], total, asked)
        completed = sum(
            self._case(self._tail + day, number).is_completed
            for day, cases in enumerate(tail)
            for number in range(cases)
        )
        rest = wanted - completed
        head = self._weights[: self._tail]
        if rest < 0 or (rest > 0 and not head):
            raise SimulationError(
                f"{wanted} completed requests do not fit into {self.days.count} days"
            )
        return _shares(head, sum(head), rest) + tail if head else tail

    def _cases_of(self, day: int) -> Iterator[Case]:
        planned = self._planned[day]
        if day >= self._tail:
            for number in range(planned):
                yield self._case(day, number)
            return
        completed = number = 0
        while completed < planned:
            case = self._case(day, number)
            completed += case.is_completed
            number += 1
            if number > MOST_TRIES * (planned + MOST_TRIES):
                raise SimulationError("too few requests of a day are ever completed")
            yield case

    # One case ------------------------------------------------------------------------

    def _case(self, day: int, number: int) -> Case:
        draws = Draws(self.options.seed, 2, day, number)
        centre = self._by_people.draw(draws)
        offer = self._services.draw(draws).draw(draws)
        on = self.days.days[day]
        case = Case(
            code=f"{on:%Y}-{on:%m%d}-{number:04d}",
            source=self.options.source,
            principal=self._principals[centre.code],
            centre=centre,
            agency=offer.agency,
            days=self.days,
            draws=draws,
            until_s=self._until_s,
        )
        life = Life(case, offer, self.days, draws, number=day)
        life.item_serial = serial_of_case(day, number)
        life.item_indicator = f"R{chr(ord('A') + self.options.seed % 26)}"
        life.live(self._cities[centre.governorate])
        return case

    def _midnight_s(self, day: int) -> int:
        return self.days.opening_s(day) - 8 * 60 * MINUTE


def _services() -> Weighted[Weighted[Offer]]:
    """The groups of the documented mix, each with its services."""
    known = offers()
    left = list(known)
    groups: list[tuple[Weighted[Offer], int]] = []
    for beginnings, weight in a.SERVICE_MIX:
        members = [
            offer
            for offer in left
            if not beginnings or offer.code.startswith(beginnings)
        ]
        left = [offer for offer in left if offer not in members]
        groups.append(
            (
                Weighted([(e, a.SERVICE_WEIGHTS.get(e.code, 1)) for e in members]),
                weight,
            )
        )
    return Weighted(groups)


def _shares(weights: list[int], total: int, wanted: int) -> list[int]:
    """``wanted`` spread by weight in whole numbers, of which none is lost."""
    shares, so_far, given = [], 0, 0
    for weight in weights:
        so_far += weight
        upto = wanted * so_far // total
        shares.append(upto - given)
        given = upto
    return shares
