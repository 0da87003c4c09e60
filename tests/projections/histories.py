"""Histories for the views: requests driven through the rules, appended for real."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

from domain.acts import Act, Actor, ActorKind
from domain.clerks import AwayBecause, Clerk
from domain.ids import derived_id, tracking_number
from domain.money import Unit
from domain.post import item_number
from domain.requests import (
    Answer,
    AssignedBecause,
    Channel,
    Declined,
    Delivery,
    Means,
    Party,
    PartyRole,
    PaymentChannel,
    ReturnedBecause,
    ServiceRequest,
)
from domain.services import Relationship, SuspendedBecause
from ledger.bodies import BodyMapper
from ledger.persistence.append import ActToAppend
from ledger.persistence.recorders import PostgresProcessRecorder
from tests.domain.office import (
    DIGEST,
    NINE,
    WORKING_TIME,
    act,
    service,
    stamp,
    terms,
)

MAPPER = BodyMapper()
PLACES = (("SY-DI-01", "SY-DI"), ("SY-HL-01", "SY-HL"), ("SY-QU-01", "SY-QU"))


class Life:
    """One request that takes random lawful steps until it ends."""

    def __init__(self, number: int, random: Random) -> None:
        self.random = random
        self.minutes = number
        self.id = derived_id(f"life/{number}/{random.random()}", NINE)
        self.centre, self.governorate = random.choice(PLACES)
        self.direct = random.random() < 0.5
        self.outcome = Answer.REFUSED if random.random() < 0.3 else Answer.ISSUED
        self.party = derived_id(f"party/{self.id}", NINE)
        self.request = ServiceRequest.submit(
            self.act(ActorKind.CITIZEN),
            request_id=self.id,
            service="CIV-06",
            agency="CIV",
            centre=self.centre,
            governorate=self.governorate,
            channel=Channel.ONLINE,
            parties=(Party(role=PartyRole.APPLICANT, id=self.party),),
            relationship=Relationship.SELF,
            documents=("id-card",),
            delivery=Delivery.HOME,
            tracking_number=tracking_number(self.id),
            code_key="k1",
        )
        self.steps = self.life()

    def act(self, kind: ActorKind = ActorKind.CLERK, actor: str = "clk-1") -> Act:
        self.minutes += 1
        at = NINE + timedelta(minutes=self.minutes)
        return Act(
            command_id=derived_id(f"{self.id}/{self.minutes}", at),
            actor=Actor(kind=kind, id=actor, place=self.centre),
            correlation_id=self.id,
            effective_at=at,
        )

    def life(self) -> Any:
        request = self.request
        yield
        request.assign(
            self.act(ActorKind.SYSTEM),
            clerk=f"clk-{self.random.randint(1, 3)}",
            reason=AssignedBecause.RESPONSIBLE,
        )
        yield
        system = ActorKind.SUPERVISOR
        if self.random.random() < 0.1:
            request.decline(self.act(system), reason=Declined.INELIGIBLE, token=1)
            yield
            return
        request.accept(
            self.act(system),
            terms=terms(
                direct_in=("*",) if self.direct else (), governorate=self.governorate
            ),
            documents=("id-card",),
            token=1,
        )
        yield
        if self.random.random() < 0.2:
            request.request_information(
                self.act(system), missing=("birth_place",), token=1
            )
            yield
            request.supply_information(
                self.act(system),
                supplied=("birth_place",),
                working_time=WORKING_TIME,
                token=1,
            )
            yield
        request.pay(
            self.act(system),
            channel=PaymentChannel.CASH,
            amount=3000,
            unit=Unit.NEW,
            token=1,
        )
        yield
        if not self.direct:
            request.forward(self.act(system), working_time=WORKING_TIME, token=1)
            yield
        request.respond(
            self.act(system),
            working_time=WORKING_TIME,
            outcome=self.outcome,
            reason="no-record" if self.outcome is Answer.REFUSED else None,
            token=1,
        )
        yield
        if self.outcome is Answer.REFUSED:
            request.tell_result(self.act(system), means=Means.PHONE, token=1)
            yield
            return
        request.stamp(
            self.act(system),
            stamp=stamp(centre=self.centre),
            serial="ختم-DI-000001",
            working_time=WORKING_TIME,
            stamped_digest=DIGEST,
            token=1,
        )
        yield
        item = item_number(self.random.randint(0, 10**8 - 1))
        request.mail(self.act(system), item=item, to=Delivery.HOME, token=1)
        yield
        if self.random.random() < 0.3:
            post, absent = self.act(ActorKind.POST), ReturnedBecause.RECEIVER_ABSENT
            request.bring_back(post, item=item, reason=absent)
            yield
            item = item_number(self.random.randint(0, 10**8 - 1))
            request.mail(self.act(system), item=item, to=Delivery.HOME, token=1)
            yield
        request.deliver(self.act(ActorKind.POST), item=item, capacity=Relationship.SELF)
        yield

    def step(self) -> bool:
        """Take the next step; False when there is none."""
        try:
            next(self.steps)
        except StopIteration:
            return False
        return True


def store(recorder: PostgresProcessRecorder, *aggregates: Any) -> int:
    """Append what is pending as one act; its last position."""
    events = [
        MAPPER.to_stored_event(event)
        for aggregate in aggregates
        for event in aggregate.collect_events()
    ]
    (appended,) = recorder.append([ActToAppend(events=events)])
    assert appended.last_position is not None
    return appended.last_position


def random_history(
    recorder: PostgresProcessRecorder, *, requests: int, seed: int = 1
) -> list[Life]:
    """Requests with their steps mixed; their lives, some not at their end."""
    random = Random(seed)  # noqa: S311 -- reproducible test data
    lives = [Life(number, random) for number in range(requests)]
    going = list(lives)
    while going:
        life = random.choice(going)
        if random.random() < 0.08 or not life.step():
            going.remove(life)
        elif life.request.pending_events:
            store(recorder, life.request)
    return [life for life in lives if not life.request.pending_events]


def publish_catalogue(recorder: PostgresProcessRecorder) -> None:
    """A service and three clerks of its agency."""
    store(recorder, service())
    for number in (1, 2, 3):
        clerk = Clerk.appoint(
            Life(0, Random(9)).act(),  # noqa: S311
            code=f"clk-{number}",
            centre="SY-DI-01",
        )
        if number != 2:
            clerk.make_responsible(Life(0, Random(9)).act(), agency="CIV")  # noqa: S311
        store(recorder, clerk)


def publish_days(recorder: PostgresProcessRecorder) -> None:
    """A service that rests on two days, and a clerk who is away and then leaves."""
    by = act("days", ActorKind.ADMINISTRATOR)
    today = NINE.date()
    resting = service()
    resting.suspend(by, reason=SuspendedBecause.OTHER, first=today + timedelta(days=1))
    resting.resume(by, on=today + timedelta(days=3))
    store(recorder, resting)
    clerk = Clerk.appoint(by, code="clk-9", centre="SY-DI-01")
    for agency in ("CIV", "CRM"):
        clerk.make_responsible(by, agency=agency)
    clerk.relieve(by, agency="CRM")
    clerk.be_away(by, reason=AwayBecause.LEAVE, first=today + timedelta(days=1))
    clerk.be_back(by, on=today + timedelta(days=2))
    clerk.leave(by, on=today + timedelta(days=3))
    store(recorder, clerk)


def party_of(life: Life) -> UUID:
    return life.party
