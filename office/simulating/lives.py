"""The life of one simulated request, from the counter to the post or to an end.

It decides nothing that the rules decide: it says what people did, and each step goes
through the same use cases as everyone's.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cache

from domain.money import FeeLine, in_old_pounds, total
from domain.requests import (
    Answer,
    Channel,
    CorrectedBecause,
    Declined,
    Delivery,
    Means,
    PaymentChannel,
    RefundedBecause,
    WithdrawnBecause,
)
from domain.services import (
    EVERYWHERE,
    Applicants,
    Offer,
    Relationship,
    is_allowed,
)
from office import commands
from office.seeding import SEEDED_AT
from office.simulating import assumptions as a
from office.simulating.case import Case, CutError
from office.simulating.days import MINUTE, OPEN_S, OfficeDays
from office.simulating.draws import Draws, Weighted
from office.simulating.leaving import Leaving
from office.simulating.people import invented

_NEW_POUNDS_S = int(SEEDED_AT.timestamp())
_MEANS = Weighted(
    [(Means.PHONE, 450), (Means.SMS, 250), (Means.COUNTER, 250), (Means.POST, 50)]
)
_RELATIONSHIPS = {Relationship(code): n for code, n in a.RELATIONSHIPS.items()}
_DELIVERIES = Weighted([(Delivery(code), n) for code, n in a.DELIVERIES.items()])
_CHANNELS = Weighted([(Channel(code), n) for code, n in a.CHANNELS.items()])
_HOURS = Weighted(list(enumerate(a.HOUR_WEIGHTS)))
_HOUR_S = 3600
_THOUSAND = 1_000


@cache
def _relationships(applicants: tuple[str, ...]) -> Weighted[Relationship]:
    """Who applies for a service, of those who may."""
    if Applicants.ANYONE in applicants:
        return Weighted([(Relationship.SELF, 1)])
    return Weighted(
        [
            (relationship, weight)
            for relationship, weight in _RELATIONSHIPS.items()
            if is_allowed(relationship, applicants, spouse_counts=False)
        ]
    )


@cache
def _in_old_pounds(lines: tuple[FeeLine, ...]) -> tuple[FeeLine, ...]:
    return tuple(map(in_old_pounds, lines))


class Life(Leaving):
    """Lives one case and leaves its steps in ``case.recorded``."""

    def __init__(
        self, case: Case, offer: Offer, days: OfficeDays, draws: Draws, *, number: int
    ) -> None:
        super().__init__(case, offer, days, draws)
        self._number = number
        self._channel = _CHANNELS.draw(draws)
        self._fee: tuple[FeeLine, ...] = ()
        self._is_paid = False
        direct = offer.direct_in
        self._is_direct = EVERYWHERE in direct or case.centre.governorate in direct

    def live(self, city_ar: str) -> None:
        """All of it, as far as the period goes."""
        for part in (self._live, self.case.leave_to_colleague):
            with suppress(CutError):
                part()
        if self.case.is_open and self.case.recorded:
            self._name_somebody(city_ar)

    def _name_somebody(self, city_ar: str) -> None:
        """What is still open has an applicant, so that a desk has somebody to call."""
        recorded_s, code, line, item = self.case.recorded[0]
        command = item.command
        if isinstance(command, commands.SubmitRequest):
            told = replace(command, applicant=invented(self.draws, city_ar))
            self.case.recorded[0] = (
                recorded_s,
                code,
                line,
                replace(item, command=told),
            )

    # From the counter ------------------------------------------------------------

    def _live(self) -> None:
        draws, case = self.draws, self.case
        fate = draws.below(_THOUSAND)
        is_declined = fate < a.DECLINED
        self._withdraws = not is_declined and fate < a.DECLINED + a.WITHDRAWN
        unpaid = a.DECLINED + a.WITHDRAWN + a.EXPIRED_UNPAID
        self._never_pays = not is_declined and not self._withdraws and fate < unpaid
        at_s = self._asked_s()
        case.request_id = self._request_id(at_s)
        self._fee = self._fee_at(at_s)
        if self._channel is Channel.COUNTER:
            self._submit(at_s, is_declined=is_declined)
            if is_declined:
                case.is_open = False
                return
            if not case.assign(at_s, self._number) and self._is_stuck(at_s):
                return
        else:
            self._submit(at_s, is_declined=False)
            if not case.assign(at_s, self._number):
                return
            if not self._wait_to_be_accepted(at_s, is_declined=is_declined):
                return
        self._work()

    def _asked_s(self) -> int:
        opening_s = self.days.opening_s(self._number)
        if self._channel is Channel.COUNTER:
            return opening_s + _HOURS.draw(self.draws) * _HOUR_S + self._below_hour()
        first, last = a.ONLINE_HOURS
        hour = self.draws.between(first, last - 1)
        return opening_s + (hour - 8) * _HOUR_S + self._below_hour()

    def _below_hour(self) -> int:
        return self.draws.below(_HOUR_S)

    def _fee_at(self, at_s: int) -> tuple[FeeLine, ...]:
        lines = self.offer.fee_lines
        return lines if at_s >= _NEW_POUNDS_S else _in_old_pounds(lines)

    def _submit(self, at_s: int, *, is_declined: bool) -> None:
        is_counter = self._channel is Channel.COUNTER
        relationship = _relationships(self.offer.applicants).draw(self.draws)
        self.delivery = _DELIVERIES.draw(self.draws)
        if not self.offer.post:
            self.delivery = Delivery.COUNTER
        documents = self._documents()
        reason: Declined | None = None
        missing: tuple[str, ...] = ()
        if is_declined and is_counter:
            reason, missing, documents = self._why_declined(documents)
            if reason is Declined.INELIGIBLE:
                relationship = Relationship.OTHER
        command = commands.SubmitRequest(
            service=self.offer.code,
            centre=self.case.centre.code,
            channel=self._channel,
            applicant=None,
            concerned=None,
            relationship=relationship,
            documents=documents,
            delivery=self.delivery,
            accept_now=is_counter and not is_declined,
            decline_reason=reason,
            missing=missing,
        )
        self.case.do(at_s, command, "submitted", events=1 + is_counter)

    def _documents(self) -> tuple[str, ...]:
        return tuple(
            document.code
            for document in self.offer.documents
            if document.is_required or self.draws.chance(a.OPTIONAL_DOCUMENT)
        )

    def _why_declined(
        self, documents: tuple[str, ...]
    ) -> tuple[Declined, tuple[str, ...], tuple[str, ...]]:
        """The reason, what is missing, and what was shown instead."""
        required = [each.code for each in self.offer.documents if each.is_required]
        everybody_may = Applicants.ANYONE in self.offer.applicants
        if not everybody_may and self.draws.chance(a.DECLINED_INELIGIBLE):
            return Declined.INELIGIBLE, (), documents
        lacking = self.draws.one_of(required)
        shown = tuple(code for code in documents if code != lacking)
        return Declined.DOCUMENTS_MISSING, (lacking,), shown

    def _is_stuck(self, at_s: int) -> bool:
        """Nobody is there for it: the fee was taken at the counter, and it lies."""
        if self._fee:
            self._pay(at_s + self._minutes(a.PAY_CASH_MINUTES), PaymentChannel.CASH)
        return True

    def _minutes(self, bounds: tuple[int, int]) -> int:
        return self.draws.between(*bounds) * MINUTE + self.draws.below(MINUTE)

    def _wait_to_be_accepted(self, at_s: int, *, is_declined: bool) -> bool:
        """What came by another way waits for a clerk; whether it was accepted."""
        self.place = self.days.place(at_s)
        if self.draws.chance(a.EXPIRED_WAITING):
            # Thirty working days, and the day it came: nobody looked at it.
            self._expire((self.place // OPEN_S) + 30)
            return False
        if self.draws.chance(a.WAITING_INFORMATION):
            self._office(a.ACCEPT_MINUTES)
            self._ask_and_get(self.draws.one_of(a.CITIZEN_ASKS))
        accepted_s = self._office(a.ACCEPT_MINUTES)
        if is_declined:
            reason, missing, _ = self._why_declined(self._documents())
            if reason is Declined.INELIGIBLE:
                reason, missing = Declined.DOCUMENTS_MISSING, (self._first_document(),)
            self._do(
                accepted_s,
                commands.DeclineRequest(
                    request_id=self.case.request_id,
                    token=None,
                    reason=reason,
                    missing=missing,
                ),
                "not-accepted",
            )
            self.case.is_open = False
            return False
        documents = tuple(e.code for e in self.offer.documents if e.is_required)
        self._fee = self._fee_at(accepted_s)
        self._do(
            accepted_s,
            commands.AcceptRequest(
                request_id=self.case.request_id, token=None, documents=documents
            ),
            "accepted",
        )
        return True

    def _first_document(self) -> str:
        return next(each.code for each in self.offer.documents if each.is_required)

    # The work --------------------------------------------------------------------

    def _work(self) -> None:
        self.place = self.days.place(self.case.now_s)
        withdraws_early = self._withdraws and self.draws.chance(500)
        if withdraws_early:
            self._withdraw()
            return
        if self._fee:
            if self._never_pays:
                self._expire(self.place // OPEN_S + self.offer.payment_days)
                return
            self._take_fee()
        if self._withdraws:
            if not self._is_direct:
                self._forward()
            self._withdraw()
            return
        if self._ask_agency():
            self._leave()

    def _take_fee(self) -> None:
        day = self.days.days[min(self.days.number(self.case.now_s), self.days.count)]
        share = 0
        if day >= a.BANK_FROM:
            so_far, all_days = (day - a.BANK_FROM).days, (a.LAST_DAY - a.BANK_FROM).days
            share = a.BANK_LAST_PER_MILLE * so_far // all_days
        if self.draws.chance(share):
            self._pay(self._office(a.PAY_LATER_MINUTES), PaymentChannel.BANK)
        elif self._channel is Channel.COUNTER:
            self.place += self._minutes(a.PAY_CASH_MINUTES)
            self._pay(self.days.at(self.place), PaymentChannel.CASH)
        else:
            self._pay(self._office(a.PAY_LATER_MINUTES), PaymentChannel.CASH)

    def _pay(self, at_s: int, channel: PaymentChannel) -> None:
        amount, unit = total(self._fee)
        is_bank = channel is PaymentChannel.BANK
        self._do(
            at_s,
            commands.PayFee(
                request_id=self.case.request_id,
                token=None,
                channel=channel,
                amount=amount,
                unit=unit,
                bank_reference=f"BK-{self.case.code}" if is_bank else None,
            ),
            "fee-paid",
        )
        self._is_paid, self._paid_by = True, channel

    def _forward(self) -> None:
        self._do(
            self._office(a.FORWARD_MINUTES),
            commands.ForwardRequest(
                request_id=self.case.request_id,
                token=None,
                agency_reference=f"{self.offer.agency}-{self.case.code}",
            ),
            "forwarded",
        )

    def _ask_agency(self) -> bool:
        """The agency's answer; whether there is something to give to the citizen."""
        if not self._is_direct:
            self._forward()
        needs = (
            a.NEEDS_INFORMATION_DIRECT if self._is_direct else a.NEEDS_INFORMATION_REPLY
        )
        if self.draws.chance(needs):
            self._respond(Answer.INFORMATION_NEEDED, reason="information-incomplete")
            self._office(a.ASK_MINUTES)
            self._ask_and_get(self.draws.one_of(a.CITIZEN_ASKS))
        if self.draws.chance(a.REFUSED.get(self.offer.code, a.REFUSED_ELSE)):
            self._respond(Answer.REFUSED, reason=self.draws.one_of(a.REFUSALS))
            self._tell(Answer.REFUSED)
            return False
        self._respond(Answer.ISSUED)
        if self.draws.chance(a.SUPERSEDED):
            self._respond(Answer.ISSUED, supersedes=self.case.version)
        return True

    def _respond(
        self,
        outcome: Answer,
        *,
        reason: str | None = None,
        supersedes: int | None = None,
    ) -> None:
        if supersedes is not None:
            at_s = self._office(a.STAMP_MINUTES)
        elif self._is_direct:
            is_down = self.draws.chance(a.DIRECT_DOWN)
            at_s = self._office(a.DIRECT_DOWN_MINUTES if is_down else a.DIRECT_MINUTES)
        else:
            share = self.draws.from_table(a.ANSWER_PER_MILLE)
            allowed = max(self.offer.completion_days, 1) * OPEN_S
            self.place += allowed * share // _THOUSAND
            at_s = self.days.at(self.place)
        digest = None
        if outcome is Answer.ISSUED:
            digest = self._digest(f"answer/{self.case.version}")
        self._do(
            at_s,
            commands.RecordResponse(
                request_id=self.case.request_id,
                token=None,
                outcome=outcome,
                reason=reason,
                document_digest=digest,
                supersedes=supersedes,
            ),
            "agency-responded",
        )

    def _tell(self, outcome: Answer) -> None:
        self._do(
            self._office(a.TELL_MINUTES),
            commands.TellResult(
                request_id=self.case.request_id,
                token=None,
                means=_MEANS.draw(self.draws),
            ),
            "result-told",
        )
        self.case.is_open, self.case.is_completed = False, True
        is_refused = outcome is Answer.REFUSED
        if is_refused and self._is_paid and self.draws.chance(a.REFUND_REFUSED):
            self._refund(RefundedBecause.REFUSED)

    def _leave(self) -> None:
        """The paper is stamped and leaves; what has none is told."""
        if not self.offer.paper:
            self._tell(Answer.ISSUED)
            return
        if self.offer.live_stamp:
            at_s = self._office(a.STAMP_MINUTES)
            number = self.days.number(at_s)
            self._do(
                at_s,
                commands.StampDocument(
                    request_id=self.case.request_id,
                    token=None,
                    serial=self.case.centre.stamp_on(number, self.days, self.draws),
                    stamped_digest=self._digest("stamped"),
                ),
                "stamped",
            )
        is_home_or_post = self.delivery is not Delivery.COUNTER
        if is_home_or_post and self.draws.chance(a.CORRECTED_DELIVERY):
            self._correct_delivery(CorrectedBecause.TYPING_ERROR)
        self.give_to_citizen(waits=self._is_direct)

    # Ends ------------------------------------------------------------------------

    def _withdraw(self) -> None:
        self._do(
            self._office(a.PAY_LATER_MINUTES),
            commands.WithdrawRequest(
                request_id=self.case.request_id,
                reason=self.draws.one_of(tuple(WithdrawnBecause)),
            ),
            "withdrawn",
        )
        self.case.is_open = False
        if self._is_paid and self.draws.chance(a.REFUND_WITHDRAWN):
            self._refund(RefundedBecause.WITHDRAWN)

    def _refund(self, reason: RefundedBecause) -> None:
        is_bank = self._paid_by is PaymentChannel.BANK
        self._do(
            self._office(a.COLLECTS_MINUTES),
            commands.RefundFee(
                request_id=self.case.request_id,
                kinds=tuple(line.kind for line in self._fee),
                reason=reason,
                channel=self._paid_by,
                bank_reference=f"RF-{self.case.code}" if is_bank else None,
            ),
            "fee-refunded",
        )

    def _expire(self, number: int) -> None:
        """The limit passed at closing; the rules say which limit it was."""
        closing_s = self.days.closing_s(number)
        self._do(
            closing_s + MINUTE,
            commands.ExpireRequest(request_id=self.case.request_id),
            "expired",
        )
        self.case.is_open = False

    def _ask_and_get(self, fact: str) -> None:
        """The citizen is asked for what is missing, and brings it some days later."""
        self._do(
            self.days.at(self.place),
            commands.RequestInformation(
                request_id=self.case.request_id, token=None, missing=(fact,)
            ),
            "information-requested",
        )
        self.place += self.draws.one_of(a.SUPPLY_DAYS) * OPEN_S
        self._do(
            self._office(a.ASK_MINUTES),
            commands.SupplyInformation(
                request_id=self.case.request_id, token=None, supplied=(fact,)
            ),
            "information-supplied",
        )
