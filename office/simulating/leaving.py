"""How a simulated paper leaves: over the counter or by post, and back again."""

from __future__ import annotations

import hashlib
from functools import cache
from uuid import UUID

from domain.ids import derived_id
from domain.post import item_number
from domain.requests import (
    CorrectedBecause,
    CorrectedField,
    Delivery,
    Means,
    PaymentChannel,
    ReturnedBecause,
)
from domain.services import Offer, Relationship, is_allowed
from office import commands
from office.commands import Command, Message
from office.simulating import assumptions as a
from office.simulating.case import Case, moment
from office.simulating.days import MINUTE, OPEN_S, OfficeDays
from office.simulating.draws import Draws, Weighted

_RETURN_REASONS = Weighted(
    [(ReturnedBecause(code), n) for code, n in a.RETURN_REASONS.items()]
)
_MOST_ITEMS = 3
"""Journeys of one paper at most; each has an item number that no other has."""
_CASES_A_DAY = 60_000
_WORKDAY_OF_POST = (1 * 3600, 9 * 3600)
"""Seconds after opening between which the post hands over: 09:00 to 17:00."""


@cache
def _capacities(receivers: tuple[str, ...]) -> Weighted[Relationship]:
    """Who receives, of those who may."""
    return Weighted(
        [
            (Relationship(code), weight)
            for code, weight in a.RELATIONSHIPS.items()
            if is_allowed(Relationship(code), receivers, spouse_counts=False)
        ]
    )


class Leaving:
    """The part of a life from the stamp on, with what every part of it needs."""

    def __init__(
        self, case: Case, offer: Offer, days: OfficeDays, draws: Draws
    ) -> None:
        self.case = case
        self.offer = offer
        self.days = days
        self.draws = draws
        self.place = 0
        self.delivery = Delivery.COUNTER
        self.item_serial = 0
        self.item_indicator = "RA"
        self._paid_by = PaymentChannel.CASH
        self._journeys = 0
        self._capacities = _capacities(offer.received_by)

    # The clock -------------------------------------------------------------------

    def _office(self, table: tuple[int, ...]) -> int:
        """The moment at which the office comes to the next step."""
        minutes = self.draws.from_table(table)
        if self.draws.chance(a.PILED_UP):
            minutes += self.draws.from_table(a.PILED_UP_MINUTES)
        self.place += minutes * MINUTE + self.draws.below(MINUTE)
        return self.days.at(self.place)

    def _do(
        self, at_s: int, command: Command, activity: str, *, by_post: bool = False
    ) -> None:
        self.case.do(at_s, command, activity, by_post=by_post)
        self.place = max(self.place, self.days.place(self.case.now_s))

    def _digest(self, what: str) -> str:
        """A digest of nothing: the shape of one, and the same at every run."""
        return hashlib.sha256(f"{self.case.code}/{what}".encode()).hexdigest()

    def _request_id(self, at_s: int) -> UUID:
        """The id that the office gives to what the first step submits."""
        submitted = self.case.id_of(1, at_s)
        return derived_id(f"request/{submitted}", moment(at_s))

    # To the citizen ---------------------------------------------------------------

    def give_to_citizen(self, *, waits: bool) -> None:
        """Mailed, or handed over to whoever waits or comes later."""
        if self.offer.post and self.delivery is not Delivery.COUNTER:
            self._mail(self._post_leaves())
            self._travel()
            return
        is_there = waits and self.draws.chance(a.WAITS_AT_COUNTER)
        if not is_there:
            if self.draws.chance(a.INFORMED_READY):
                self._inform(self.days.at(self.place), Message.READY)
            self._office(a.COLLECTS_MINUTES)
        self._hand_over(self._office(a.STAMP_MINUTES))

    def _hand_over(self, at_s: int) -> None:
        self._do(
            at_s,
            commands.HandOver(
                request_id=self.case.request_id,
                token=None,
                capacity=self._capacities.draw(self.draws),
            ),
            "handed-over",
        )
        self._completed()

    def _completed(self) -> None:
        self.case.is_open, self.case.is_completed = False, True

    def _inform(self, at_s: int, message: Message) -> None:
        self._do(
            at_s,
            commands.InformCitizen(
                request_id=self.case.request_id, message=message, means=Means.SMS
            ),
            "informed",
        )

    # By post -----------------------------------------------------------------------

    def _post_leaves(self) -> int:
        """When the next bag leaves the centre."""
        number, within = divmod(self.place, OPEN_S)
        number += within > a.POST_LEAVES_MINUTE * MINUTE
        number += self.draws.chance(a.POST_MISSED)
        self.place = number * OPEN_S + a.POST_LEAVES_MINUTE * MINUTE
        self.place += self.draws.below(20 * MINUTE)
        return self.days.at(self.place)

    def _mail(self, at_s: int) -> None:
        serial = self.item_serial + self._journeys
        self._journeys += 1
        self._item = item_number(serial, indicator=self.item_indicator)
        self._do(
            at_s,
            commands.MailDocument(
                request_id=self.case.request_id,
                token=None,
                item=self._item,
                to=self.delivery,
            ),
            "mailed",
        )
        self._completed()

    def _travel(self) -> None:
        """What the post does with the item, until it is received or nobody knows."""
        if self.draws.chance(a.NEVER_SCANNED):
            return
        if self.draws.chance(a.RETURNED):
            self._come_back()
            return
        is_home = self.delivery is Delivery.HOME
        table = a.HOME_DAYS if is_home else a.POST_OFFICE_DAYS
        kind = commands.ConfirmDelivery if is_home else commands.ConfirmCollection
        self._do(
            self._post_day(self.draws.from_table(table)),
            kind(
                request_id=self.case.request_id,
                item=self._item,
                capacity=self._capacities.draw(self.draws),
            ),
            "delivered" if is_home else "collected",
            by_post=True,
        )

    def _post_day(self, after: int) -> int:
        number = self.place // OPEN_S + after
        self.place = number * OPEN_S
        return self.days.opening_s(number) + self.draws.between(*_WORKDAY_OF_POST)

    def _come_back(self) -> None:
        self._do(
            self._post_day(self.draws.from_table(a.RETURNED_DAYS)),
            commands.BringBack(
                request_id=self.case.request_id,
                item=self._item,
                reason=_RETURN_REASONS.draw(self.draws),
            ),
            "returned",
            by_post=True,
        )
        self.case.is_open = True
        if self.draws.chance(a.RETURN_LEFT):
            return
        self.place += self.draws.one_of(a.RETURN_DAYS) * OPEN_S
        if self.draws.chance(a.RETURN_HANDED_OVER) or self._journeys == _MOST_ITEMS:
            self._hand_over(self._office(a.STAMP_MINUTES))
            return
        if self.delivery is Delivery.HOME:
            self._correct_delivery(CorrectedBecause.CHANGED_SINCE)
        self._mail(self._post_leaves())
        self._travel()

    def _correct_delivery(self, reason: CorrectedBecause) -> None:
        """Home instead of the post office, or the other way round."""
        is_home = self.delivery is Delivery.HOME
        self.delivery = Delivery.POST_OFFICE if is_home else Delivery.HOME
        self._do(
            self._office(a.STAMP_MINUTES),
            commands.CorrectRequest(
                request_id=self.case.request_id,
                field=CorrectedField.DELIVERY,
                reason=reason,
                delivery=self.delivery,
            ),
            "corrected",
        )


def serial_of_case(day: int, number: int) -> int:
    """The first item number of a case: of its own, whatever the seed."""
    return (day * _CASES_A_DAY + number) * _MOST_ITEMS
