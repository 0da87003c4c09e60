"""Wild lives: requests on which any act is tried, and the lawful ones count.

Every event of a request comes up in them, in orders that nobody thought of.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

from domain.acts import Act, Actor, ActorKind
from domain.attempts import Attempt
from domain.errors import SijilError
from domain.ids import derived_id, tracking_number
from domain.money import FeeKind, FeeLine, Unit, total
from domain.post import item_number
from domain.requests import (
    Answer,
    AssignedBecause,
    Channel,
    CorrectedBecause,
    CorrectedField,
    Declined,
    Delivery,
    Means,
    Party,
    PartyRole,
    PaymentChannel,
    RefundedBecause,
    ReleasedBecause,
    ReturnedBecause,
    ServiceRequest,
    WithdrawnBecause,
)
from domain.services import FeeDue, Relationship, Service
from domain.stamps import LIVE, Stamp, StampWithdrawnBecause
from ledger.persistence.recorders import PostgresProcessRecorder
from tests.domain.office import NINE, WORKING_TIME, service
from tests.projections.histories import PLACES, store

SUPERVISOR = "sup-1"
FEES = (
    (),
    (FeeLine(kind=FeeKind.STATE_FEE, amount=3000, unit=Unit.NEW),),
    (
        FeeLine(kind=FeeKind.STATE_FEE, amount=500000, unit=Unit.OLD),
        FeeLine(kind=FeeKind.SERVICE_CHARGE, amount=700, unit=Unit.OLD),
    ),
    (
        FeeLine(kind=FeeKind.STATE_FEE, amount=3000, unit=Unit.NEW),
        FeeLine(kind=FeeKind.SERVICE_CHARGE, amount=1500, unit=Unit.NEW),
    ),
)


class WildLife:
    """One request; ``step`` tries acts until one is lawful, or gives up."""

    def __init__(self, number: int, random: Random, stamps: list[Stamp]) -> None:
        self.random = random
        self.minutes = number * 7
        self.number = number
        self.id = derived_id(f"wild/{number}/{random.random()}", NINE)
        self.centre, self.governorate = random.choice(PLACES)
        self.code = f"CIV-{random.randint(1, 3):02d}"
        self.stamps = stamps
        self.service: Service = service(
            code=self.code,
            direct_in=("*",) if random.random() < 0.4 else (),
            fee_lines=random.choice(FEES),
            fee_due=random.choice([FeeDue.ACCEPTANCE, FeeDue.HAND_OVER]),
            live_stamp=random.random() < 0.8,
            applicants=("self", "representative"),
        )
        is_at_counter = random.random() < 0.2
        by = (
            self.act(ActorKind.CLERK, "clk-1")
            if is_at_counter
            else self.act(ActorKind.CITIZEN, "party")
        )
        self.request = ServiceRequest.submit(
            by,
            request_id=self.id,
            service=self.code,
            agency="CIV",
            centre=self.centre,
            governorate=self.governorate,
            channel=random.choice(list(Channel)),
            parties=(
                Party(role=PartyRole.APPLICANT, id=derived_id(f"p/{number}", NINE)),
            ),
            relationship=Relationship.SELF,
            documents=("id-card",),
            delivery=random.choice(list(Delivery)),
            tracking_number=tracking_number(self.id),
            code_key="k1",
            expires_at=NINE + timedelta(days=5),
        )
        if is_at_counter:
            # One act of several events: a batch may end between them.
            terms = self.service.terms(
                governorate=self.governorate,
                accepted_at=by.effective_at,
                working_time=WORKING_TIME,
            )
            self.request.accept(by, terms=terms, documents=("id-card",), token=None)

    def act(
        self, kind: ActorKind = ActorKind.SUPERVISOR, actor: str = SUPERVISOR
    ) -> Act:
        self.minutes += self.random.choice([0, 1, 5, 60, 700])
        at = NINE + timedelta(minutes=self.minutes)
        is_approved = kind is ActorKind.CLERK and self.random.random() < 0.3
        return Act(
            command_id=derived_id(f"{self.id}/{self.random.random()}", at),
            actor=Actor(kind=kind, id=actor, place=self.centre),
            correlation_id=self.id,
            effective_at=at,
            approved_by=SUPERVISOR if is_approved else None,
        )

    def by_clerk(self) -> Act:
        """An act of whoever has it."""
        holder = self.request.clerk
        return self.act() if holder is None else self.act(ActorKind.CLERK, holder)

    def step(self) -> bool:
        """One lawful act; False when none of some tries is."""
        for _ in range(60):
            minutes = self.minutes
            try:
                act, chance = self.random.choice(self.ACTS)
                if self.random.random() < chance:
                    act(self)
            except SijilError:
                self.minutes = minutes
                continue
            if self.request.pending_events:
                return True
        return False

    @property
    def token(self) -> int:
        return self.request.token

    def accept(self) -> None:
        at = NINE + timedelta(minutes=self.minutes)
        self.request.accept(
            self.by_clerk(),
            terms=self.service.terms(
                governorate=self.governorate, accepted_at=at, working_time=WORKING_TIME
            ),
            documents=("id-card",),
            token=self.token,
        )

    def decline(self) -> None:
        reason = self.random.choice(list(Declined))
        self.request.decline(self.by_clerk(), reason=reason, token=self.token)

    def assign(self) -> None:
        self.request.assign(
            self.act(ActorKind.SYSTEM, "assignment"),
            clerk=f"clk-{self.random.randint(1, 4)}",
            reason=AssignedBecause.RESPONSIBLE,
        )

    def release(self) -> None:
        self.request.release(
            self.act(),
            reason=ReleasedBecause.SUPERVISOR,
            token=self.token,
        )

    def pay(self) -> None:
        amount, unit = total(self.service.published.fee_lines)
        channel = self.random.choice(list(PaymentChannel))
        is_bank = channel is PaymentChannel.BANK
        self.request.pay(
            self.by_clerk(),
            channel=channel,
            amount=amount,
            unit=unit,
            bank_reference=f"B-{self.number}" if is_bank else None,
            token=self.token,
        )

    def refund(self) -> None:
        lines = list(self.service.published.fee_lines)
        if lines:
            kinds = self.random.sample(lines, self.random.randint(1, len(lines)))
            self.request.refund(
                self.act(),
                kinds=tuple(line.kind for line in kinds),
                reason=self.random.choice(list(RefundedBecause)),
                channel=PaymentChannel.BANK,
                bank_reference=f"R-{self.number}",
            )

    def forward(self) -> None:
        self.request.forward(
            self.by_clerk(),
            working_time=WORKING_TIME,
            agency_reference=self.random.choice([None, "REF-1"]),
            token=self.token,
        )

    def respond(self) -> None:
        outcome = self.random.choice([Answer.ISSUED, *Answer])
        is_agency = self.random.random() < 0.5
        self.request.respond(
            self.act(ActorKind.AGENCY, "officer") if is_agency else self.by_clerk(),
            outcome=outcome,
            reason=None if outcome is Answer.ISSUED else "no-record",
            agency="CIV",
            supersedes=self.request.answer_version
            if self.random.random() < 0.3
            else None,
            working_time=WORKING_TIME,
            token=self.token,
        )

    def ask(self) -> None:
        self.request.request_information(
            self.by_clerk(), missing=("birth_place",), token=self.token
        )

    def supply(self) -> None:
        self.request.supply_information(
            self.by_clerk(),
            supplied=("birth_place",),
            working_time=WORKING_TIME,
            token=self.token,
        )

    def stamp(self) -> None:
        chosen = self.random.choice(self.stamps)
        self.request.stamp(
            self.by_clerk(),
            stamp=chosen,
            serial=chosen.serial,
            working_time=WORKING_TIME,
            stamped_digest=f"{self.random.randint(0, 9):064x}",
            token=self.token,
        )

    def mail(self) -> None:
        self.request.mail(
            self.by_clerk(),
            item=item_number(self.random.randint(0, 10**8 - 1)),
            to=self.random.choice([Delivery.HOME, Delivery.POST_OFFICE]),
            token=self.token,
        )

    def end_journey(self) -> None:
        if (item := self.request.item) is None:
            return
        by = self.act(ActorKind.POST, "post-1")
        capacity = self.random.choice([Relationship.SELF, Relationship.REPRESENTATIVE])
        match self.random.randint(0, 2):
            case 0:
                self.request.deliver(by, item=item, capacity=capacity)
            case 1:
                self.request.collect(by, item=item, capacity=capacity)
            case _:
                reason = self.random.choice(list(ReturnedBecause))
                self.request.bring_back(by, item=item, reason=reason)

    def hand_over(self) -> None:
        self.request.hand_over(
            self.by_clerk(), capacity=Relationship.SELF, token=self.token
        )

    def tell(self) -> None:
        self.request.tell_result(self.by_clerk(), means=Means.PHONE, token=self.token)

    def inform(self) -> None:
        self.request.inform(self.act(), message="ready", means=Means.SMS)

    def withdraw(self) -> None:
        self.request.withdraw(self.act(), reason=WithdrawnBecause.NOT_NEEDED)

    def expire(self) -> None:
        due = self.request.payment_due_at or self.request.expires_at
        if due is not None:
            self.minutes = max(self.minutes, (due - NINE) // timedelta(minutes=1) + 1)
            self.request.expire(self.act(ActorKind.SYSTEM, "timers"), due_at=due)

    def correct(self) -> None:
        self.request.correct(
            self.act(),
            field=CorrectedField.DELIVERY,
            reason=CorrectedBecause.CHANGED_SINCE,
            delivery=self.random.choice(list(Delivery)),
        )

    ACTS: tuple[tuple[Callable[[WildLife], None], float], ...] = (
        (accept, 1.0),
        (decline, 0.05),
        (assign, 0.1),
        (release, 0.05),
        (pay, 1.0),
        (refund, 0.5),
        (forward, 1.0),
        (respond, 0.6),
        (ask, 0.07),
        (supply, 1.0),
        (stamp, 1.0),
        (mail, 1.0),
        (end_journey, 1.0),
        (hand_over, 0.25),
        (tell, 1.0),
        (inform, 0.05),
        (withdraw, 0.02),
        (expire, 0.01),
        (correct, 0.05),
    )
    """What is tried, and how likely: what goes on is, what ends it all is not."""


def issue_stamps(recorder: PostgresProcessRecorder) -> list[Stamp]:
    """Two stamps a centre; the second of each is withdrawn on the next day."""
    stamps = []
    for number, (centre, _) in enumerate(PLACES):
        for second in (False, True):
            at = NINE + timedelta(minutes=number)
            by = Act(
                command_id=derived_id(f"stamp/{centre}/{second}", at),
                actor=Actor(kind=ActorKind.ADMINISTRATOR, id="adm-1", place="ministry"),
                correlation_id=derived_id("stamps", NINE),
                effective_at=at,
            )
            made = Stamp.issue(
                by, serial=f"ختم-{number}{second:d}", kind=LIVE, centre=centre
            )
            if second:
                made.withdraw(
                    by,
                    reason=StampWithdrawnBecause.WORN,
                    on=NINE.date() + timedelta(days=1),
                )
            store(recorder, made)
            stamps.append(made)
    return stamps


def refused_attempt(life: WildLife) -> Attempt:
    """An attempt on the request, refused."""
    return Attempt.refuse(
        life.act(ActorKind.CLERK, "clk-1"),
        attempt_id=derived_id(f"attempt/{life.random.random()}", NINE),
        attempted="mail",
        target=life.id,
        target_version=life.request.version,
        centre=life.centre,
        code="wrong-state",
        reason="not-answered",
        holder=life.request.clerk,
    )


def wild_history(
    recorder: PostgresProcessRecorder, *, requests: int, seed: int
) -> list[WildLife]:
    """Wild lives side by side, refused attempts among them."""
    random = Random(seed)  # noqa: S311 -- reproducible test data
    stamps = issue_stamps(recorder)
    lives = [WildLife(number, random, stamps) for number in range(requests)]
    for life in lives:
        store(recorder, life.request)
    going: list[Any] = list(lives)
    while going:
        life = random.choice(going)
        if random.random() < 0.015 or not life.step():
            going.remove(life)
        else:
            store(recorder, life.request)
        if random.random() < 0.04:
            store(recorder, refused_attempt(life))
    return lives
