"""One simulated case: what happened to it so far, step by step, as commands.

The record that a life is written into. It keeps the clocks apart: when a step happened,
and when it was written down; and it knows in whose hands the case is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from domain.access import Principal
from domain.acts import Provenance
from domain.ids import derived_id
from domain.requests import AssignedBecause
from office import commands
from office.acts import Envelope
from office.bulk import Item
from office.commands import Command
from office.simulating import assumptions as a
from office.simulating.days import MINUTE, OPEN_S, OfficeDays
from office.simulating.draws import Draws
from office.simulating.places import SimulatedCentre, SimulatedClerk

if TYPE_CHECKING:
    from uuid import UUID

POST_REPORT_S = 10 * 3600
"""From opening to the evening's report of the post."""

Recorded = tuple[int, str, int, Item]
"""When a step was written down, the case, the step's number, and the act itself."""


class CutError(Exception):
    """The period is over: what would come next has not happened yet."""


class Case:
    """The steps of one case, in order. Effective and recorded times never go back."""

    def __init__(
        self,
        *,
        code: str,
        source: str,
        principal: Principal,
        centre: SimulatedCentre,
        agency: str,
        days: OfficeDays,
        draws: Draws,
        until_s: int,
    ) -> None:
        self.code = code
        self.centre = centre
        self.clerk: SimulatedClerk | None = None
        self.is_open = True
        self.is_completed = False
        self.version = 0
        self.request_id: UUID
        self.recorded: list[Recorded] = []
        self.now_s = 0
        self._source = source
        self._principal = principal
        self._agency = agency
        self._days = days
        self._draws = draws
        self._until_s = until_s
        self._recorded_s = 0

    def id_of(self, line: int, at_s: int) -> UUID:
        """The id of a step's act (docs/reference/contract.md, "Ids")."""
        return derived_id(f"import/{self._source}/{self.code}/{line}", moment(at_s))

    def do(
        self,
        at_s: int,
        command: Command,
        activity: str,
        *,
        events: int = 1,
        because: AssignedBecause | None = None,
        by_post: bool = False,
    ) -> None:
        """Write a step down. Raises CutError when nobody has written it down yet."""
        if because is None and self.is_open:
            self._find_keeper(at_s)
        at_s = max(at_s, self.now_s)
        recorded_s = max(self._written_s(at_s, by_post=by_post), self._recorded_s)
        if recorded_s > self._until_s:
            raise CutError
        line = len(self.recorded) + 1
        at = moment(at_s)
        envelope = Envelope(
            principal=self._principal,
            command_id=derived_id(f"import/{self._source}/{self.code}/{line}", at),
            route=f"import/{activity}",
            effective_at=at,
            provenance=Provenance(
                source=self._source,
                case=self.code,
                line=line,
                activity=activity,
                clerk=None if self.clerk is None else self.clerk.code,
            ),
        )
        item = Item(command=command, envelope=envelope, because=because)
        self.recorded.append((recorded_s, self.code, line, item))
        self.now_s, self._recorded_s = at_s, recorded_s
        self.version += events

    # In whose hands -------------------------------------------------------------

    def assign(self, at_s: int, number: int) -> bool:
        """Give the new case to whoever is responsible; whether somebody is.

        Where nobody is there, the supervisor gives it to somebody; on the last days
        the supervisor has not come to that yet.
        """
        responsible, there = self.centre.responsible(self._agency, number)
        if responsible:
            self._give(at_s, responsible, AssignedBecause.RESPONSIBLE)
            return True
        if number >= self._days.count - a.AWAY_DAYS_AT_THE_END:
            return False
        at_s += self._draws.between(20, 90) * MINUTE
        self._give(at_s, there, AssignedBecause.SUPERVISOR)
        return True

    def _find_keeper(self, at_s: int) -> None:
        """Before a step: whoever has the case and is away leaves it to a colleague."""
        clerk, number = self.clerk, self._days.number(at_s)
        if clerk is None or clerk.is_there(number):
            return
        gone = clerk.left_at_the_end
        if gone is not None and gone.includes(number):
            number = gone.first
        responsible, there = self.centre.responsible(self._agency, number)
        self._give(
            self._days.opening_s(number),
            responsible or there,
            AssignedBecause.CLERK_AWAY if responsible else AssignedBecause.SUPERVISOR,
        )

    def _give(
        self, at_s: int, clerks: list[SimulatedClerk], because: AssignedBecause
    ) -> None:
        self.clerk = self._draws.one_of(clerks)
        self.do(
            at_s,
            commands.AssignRequest(request_id=self.request_id, clerk=self.clerk.code),
            "assigned",
            because=because,
        )

    def leave_to_colleague(self) -> None:
        """What is still open in the hands of one who went away goes to a colleague."""
        clerk = self.clerk
        if self.is_open and clerk is not None and clerk.left_at_the_end is not None:
            first = clerk.left_at_the_end.first
            if first < self._days.count:
                self._find_keeper(self._days.opening_s(first))

    # When it was written down -----------------------------------------------------

    def _written_s(self, at_s: int, *, by_post: bool) -> int:
        number = self._days.number(at_s)
        opening_s = self._days.opening_s(number)
        if by_post:
            return max(at_s, opening_s + POST_REPORT_S)
        down = self.centre.line_down.get(number)
        if down is not None and opening_s + down * 3600 <= at_s <= opening_s + OPEN_S:
            # Written down the next morning, in the order in which it happened.
            after_s = (at_s - opening_s - down * 3600) // 4
            return self._days.opening_s(number + 1) + after_s
        if self._draws.chance(a.NOTED_LATER):
            return at_s + self._draws.between(*a.NOTED_LATER_MINUTES) * MINUTE
        return at_s


def moment(at_s: int) -> datetime:
    """A moment as the contract has it."""
    return datetime.fromtimestamp(at_s, UTC)
