"""A real office for the property test: a centre of its own for every example.

One database serves all examples. Each opens a centre, clerks, stamps and services under
codes of its own, so nothing of an earlier example is in sight, and an office's clock of
its own, which only a rule moves: it lies in the past of the ledger's, so that leases,
limits and approvals can run out while nobody waits.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from domain.access import Principal, Scope
from domain.acts import MINISTRY, Act, Actor, ActorKind
from domain.calendars import OFFICE_ZONE
from domain.centres import Centre
from domain.clerks import AwayBecause, Clerk
from domain.money import FeeKind, FeeLine, Unit
from domain.persons import PersonDetails
from domain.post import item_number
from domain.requests import (
    Answer,
    Channel,
    CorrectedBecause,
    CorrectedField,
    Declined,
    Delivery,
    Limit,
    Means,
    PartyRole,
    PaymentChannel,
    RefundedBecause,
    ReleasedBecause,
    ReturnedBecause,
    WarnedWhen,
    WithdrawnBecause,
)
from domain.services import (
    Document,
    FeeDue,
    Offer,
    Relationship,
    Service,
    SuspendedBecause,
)
from domain.stages import WaitingFor
from domain.stamps import LIVE, Stamp, StampWithdrawnBecause
from ledger.entries import Entry
from ledger.names import LEDGER_SCHEMA, VIEWS_SCHEMA, Role
from ledger.reader import LedgerReader
from office import commands as c
from office.acts import Done, Envelope
from office.house import House
from projections.governorate_counts import Count
from projections.queue_items import QueueItem
from projections.runner import ViewRunner
from projections.schema import VIEWS
from tests.conftest import Database
from tests.properties.hours import day_of
from tests.properties.known import Asked, Case, Offered, Who, World

GOVERNORATE = "SY-DI"
AGENCY = "CIV"
LEASE = timedelta(minutes=30)
"""The office's default."""
ITEMS = tuple(item_number(473124829 % 10**8 + number) for number in range(3))
BAD_ITEM = ITEMS[0][:10] + str((int(ITEMS[0][10]) + 1) % 10) + "SY"
DIGEST = "1f6d0c0e5a3b7c9d1e2f30415263748596a7b8c9d0e1f2031425364758697a8b"
PERSON = PersonDetails(full_name="مواطن", national_number="01000099887")
FOLDED = {"clerk_queue", "governorate_counts"}
"""The views that are looked at: folding the others at every step tells nothing new."""
BEFORE = timedelta(days=30)
"""How long a centre has been open when its example begins."""
VARIANTS: dict[str, dict[str, Any]] = {
    "direct": {},
    "reply": {
        "direct_in": (),
        "days": 5,
        "spouse": True,
        "fee": (("state_fee", 5000), ("service_charge", 500)),
    },
    "elsewhere": {"direct_in": ("SY-HL",), "fee": (), "payment_days": 1},
    "without-paper": {
        "direct_in": (),
        "fee": (),
        "required": (),
        "applicants": ("anyone",),
        "receipt": ("anyone",),
        "paper": False,
        "stamp": False,
        "post": False,
    },
    "told-and-paid": {
        "is_paid_at_hand_over": True,
        "paper": False,
        "stamp": False,
        "post": False,
    },
    "paid-at-hand-over": {"is_paid_at_hand_over": True, "acceptance_days": 3},
    "unstamped": {
        "is_paid_at_hand_over": True,
        "stamp": False,
        "applicants": ("self", "first_degree"),
        "receipt": ("self",),
    },
    "counter-only": {
        "fee": (),
        "stamp": False,
        "post": False,
        "applicants": ("self",),
        "receipt": ("self", "first_degree"),
        "spouse": True,
    },
}
"""What the services of a centre differ in from the first: every rule has its own."""

_NUMBERS = count(1)


def office_offer(code: str, offer: Offered) -> Offer:
    return Offer(
        code=code,
        agency=AGENCY,
        name_ar="خدمة",
        name_en="Service",
        direct_in=offer.direct_in,
        completion_days=offer.days,
        first_answer_days=offer.answer_days,
        payment_days=offer.payment_days,
        acceptance_days=offer.acceptance_days,
        applicants=offer.applicants,
        receipt=offer.receipt,
        spouse_counts=offer.spouse,
        documents=tuple(
            Document(
                code=each,
                name_ar="وثيقة",
                name_en="Document",
                is_required=each in offer.required,
            )
            for each in (*offer.required, *offer.optional)
        ),
        fee_lines=tuple(
            FeeLine(kind=FeeKind(kind), amount=amount, unit=Unit.NEW)
            for kind, amount in offer.fee
        ),
        fee_due=FeeDue.HAND_OVER if offer.is_paid_at_hand_over else FeeDue.ACCEPTANCE,
        paper=offer.paper,
        live_stamp=offer.stamp,
        post=offer.post,
        basis="plausible",
        fee_is_placeholder=True,
        turnaround_is_placeholder=True,
    )


class Desk:
    """The house, the two views, and what the newest example opened in them."""

    def __init__(self, database: Database) -> None:
        self.now = datetime(2026, 4, 1, tzinfo=UTC)
        self.house = House(database.settings, clock=lambda: self.now)
        self._views = ViewRunner(
            database.datastore(Role.RUNNER, schema=VIEWS_SCHEMA),
            LedgerReader(database.datastore(Role.RUNNER, schema=LEDGER_SCHEMA)),
            [view for view in VIEWS if view.name in FOLDED],
        )
        self.reader = self.house.ledger.reader
        self.position = self.reader.head().position
        self.number = 0
        self.parties: dict[UUID, dict[str, str]] = {}

    def close(self) -> None:
        self.house.close()

    # An example's own centre ------------------------------------------------------

    def open(self, now: datetime) -> World:
        self.now = now
        self.number = next(_NUMBERS)
        since = now - BEFORE
        act = self._act(since)
        n = self.number
        world = World(centre=f"PC-{n}", governorate=GOVERNORATE, agency=AGENCY)
        things: list[Any] = [
            Centre.open(
                act,
                code=world.centre,
                governorate=GOVERNORATE,
                name_ar="مركز",
                name_en="Centre",
            )
        ]
        for number in (1, 2, 3):
            code = f"pc-{n}-{number}"
            clerk = Clerk.appoint(act, code=code, centre=world.centre)
            clerk.make_responsible(act, agency=AGENCY)
            world.clerks.add(code)
            things.append(clerk)
        for number in (1, 2):
            serial = f"PS-{n}-{number}"
            things.append(
                Stamp.issue(act, serial=serial, kind=LIVE, centre=world.centre)
            )
            world.stamps[serial] = (since, None)
        for name, differences in VARIANTS.items():
            code = f"P{n}-{name}"
            # The last one is so new that it cannot have been asked for a week ago.
            at = since if name != "counter-only" else now - timedelta(days=4)
            offer = Offered(since=at, **differences)
            things.append(Service.publish(self._act(at), office_offer(code, offer)))
            world.offers[code] = [offer]
        self.house.ledger.append(*things)
        self.take_in()
        self.level()
        return world

    def _act(self, at: datetime) -> Act:
        actor = Actor(kind=ActorKind.ADMINISTRATOR, id="adm-1", place=MINISTRY)
        return Act(
            command_id=uuid4(), actor=actor, correlation_id=uuid4(), effective_at=at
        )

    def _change(self, kind: Any, thing_id: UUID, change: Callable[[Any], None]) -> None:
        thing = self.house.ledger.find(kind, thing_id)
        change(thing)
        self.house.ledger.append(thing)
        self.take_in()

    def suspend(self, world: World, service: str, last: date | None) -> None:
        self._change(
            Service,
            Service.id_of(service),
            lambda found: found.suspend(
                self._act(self.now), reason=SuspendedBecause.OTHER, last=last
            ),
        )
        world.rests.setdefault(service, []).append((day_of(self.now), last))

    def resume(self, world: World, service: str) -> None:
        self._change(
            Service,
            Service.id_of(service),
            lambda found: found.resume(self._act(self.now)),
        )
        world.rests[service] = _ended(world.rests[service], day_of(self.now))

    def publish(self, world: World, service: str, offer: Offered) -> None:
        self._change(
            Service,
            Service.id_of(service),
            lambda found: found.publish_again(
                self._act(self.now), office_offer(service, offer)
            ),
        )
        world.offers[service].append(offer)

    def away(self, world: World, clerk: str, last: date | None) -> None:
        self._change(
            Clerk,
            Clerk.id_of(clerk),
            lambda found: found.be_away(
                self._act(self.now), reason=AwayBecause.LEAVE, last=last
            ),
        )
        world.away.setdefault(clerk, []).append((day_of(self.now), last))

    def back(self, world: World, clerk: str) -> None:
        self._change(
            Clerk, Clerk.id_of(clerk), lambda found: found.be_back(self._act(self.now))
        )
        world.away[clerk] = _ended(world.away[clerk], day_of(self.now))

    def withdraw_stamp(self, world: World, serial: str) -> None:
        self._change(
            Stamp,
            Stamp.id_of(serial),
            lambda found: found.withdraw(
                self._act(self.now), reason=StampWithdrawnBecause.LOST
            ),
        )
        world.stamps[serial] = (world.stamps[serial][0], day_of(self.now))

    def issue_stamp(self, world: World) -> None:
        serial = f"PS-{self.number}-{len(world.stamps) + 1}"
        self.house.ledger.append(
            Stamp.issue(
                self._act(self.now), serial=serial, kind=LIVE, centre=world.centre
            )
        )
        world.stamps[serial] = (self.now, None)
        self.take_in()

    # Acts -------------------------------------------------------------------------

    def principal(self, who: Who) -> Principal:
        if who.role == "citizen":
            return self.house.citizen(who.id)
        return Principal(
            role=ActorKind(who.role),
            id=who.id,
            centre=who.centre,
            agency=who.agency,
            governorate=who.governorate,
        )

    def envelope(
        self, asked: Asked, case: Case | None, command_id: UUID, supervisor: Who
    ) -> Envelope:
        approval = None
        if asked.approval != "none":
            of = command_id if asked.approval == "right" else uuid4()
            approval, _ = self.house.acts.approvals.give(
                self.principal(supervisor), of, None if case is None else case.id
            )
        return Envelope(
            principal=self.principal(asked.who),
            command_id=command_id,
            route=f"property/{asked.act}",
            if_version=asked.seen,
            effective_at=asked.at,
            approval=approval,
            approved_by=asked.who.id if asked.is_own_word else None,
        )

    def send(self, asked: Asked, case: Case | None, envelope: Envelope) -> Done:
        act = getattr(self.house.requests, asked.act)
        done: Done = act(command(asked, case), envelope)
        return done

    # What came of it --------------------------------------------------------------

    def take_in(self) -> list[Entry]:
        """The entries since the last look."""
        entries: list[Entry] = []
        while batch := self.reader.entries(after=self.position, limit=200):
            entries += batch
            self.position = batch[-1].position
        return entries

    def level(self) -> None:
        """Fold the views to the head."""
        self._views.catch_up()

    def queue(self, world: World) -> list[tuple[str, QueueItem]]:
        """The centre's queue: whom each item waits for, and the item, in order."""
        scope = Scope(centre=world.centre)
        return [
            (str(waiting_for), item)
            for waiting_for in WaitingFor
            if waiting_for is not WaitingFor.POST  # On its way, and no work yet.
            for item in self.house.queries.queue.page(
                scope, now=self.now, waiting_for=waiting_for
            ).items
        ]

    def stocks(self, world: World) -> tuple[Count, ...]:
        return self.house.queries.counts.stocks(Scope(centre=world.centre), by=())

    def flows(self, world: World) -> tuple[Count, ...]:
        return self.house.queries.counts.flows(
            Scope(centre=world.centre), first=date(2020, 1, 1), last=date(2030, 1, 1)
        )


def _ended(
    periods: list[tuple[date, date | None]], on: date
) -> list[tuple[date, date | None]]:
    left = []
    for first, last in periods:
        if first <= on and (last is None or on <= last):
            if first < on:
                left.append((first, on - timedelta(days=1)))
        else:
            left.append((first, last))
    return left


def command(asked: Asked, case: Case | None) -> c.Command:
    """What is asked, as the office's command."""
    args = asked.args
    if asked.act == "submit":
        again = args["again"]
        return c.SubmitRequest(
            service=args["service"],
            centre=args["centre"],
            channel=Channel(args["channel"]),
            applicant=PERSON,
            concerned=PERSON if args["concerned"] else None,
            relationship=Relationship(args["relationship"]),
            documents=args["documents"],
            delivery=Delivery(args["delivery"]),
            accept_now=args["accept_now"],
            decline_reason=None
            if args["decline"] is None
            else Declined(args["decline"]),
            missing=args["missing"],
            asks_again=None if again is None else again.id,
        )
    assert case is not None
    on, held = {"request_id": case.id}, {"request_id": case.id, "token": asked.token}
    makers: dict[str, Callable[[], c.Command]] = {
        "accept": lambda: c.AcceptRequest(**held, documents=args["documents"]),
        "decline": lambda: c.DeclineRequest(
            **held, reason=Declined(args["reason"]), missing=args["missing"]
        ),
        "assign": lambda: c.AssignRequest(**held, clerk=args["clerk"]),
        "claim": lambda: c.ClaimRequest(**on),
        "release": lambda: c.ReleaseRequest(
            **held,
            reason=ReleasedBecause(args["reason"]) if args["reason"] else None,
        ),
        "warn": lambda: c.WarnOfLimit(
            **on,
            limit=Limit(args["limit"]),
            when=WarnedWhen(args["when"]),
            due_at=args["due_at"],
        ),
        "pay": lambda: c.PayFee(
            **held,
            channel=PaymentChannel(args["channel"]),
            amount=args["amount"],
            unit=Unit.NEW if args["unit"] == "new" else Unit.OLD,
            bank_reference=args["reference"],
        ),
        "refund": lambda: c.RefundFee(
            **on,
            kinds=tuple(FeeKind(kind) for kind in args["kinds"]),
            reason=RefundedBecause(args["reason"]),
            channel=PaymentChannel(args["channel"]),
            bank_reference=args["reference"],
        ),
        "forward": lambda: c.ForwardRequest(**held),
        "respond": lambda: c.RecordResponse(
            **held,
            outcome=Answer(args["outcome"]),
            reason=args["reason"],
            document_digest=args["digest"],
            supersedes=args["supersedes"],
        ),
        "request_information": lambda: c.RequestInformation(
            **held, missing=args["missing"]
        ),
        "supply_information": lambda: c.SupplyInformation(
            **held, supplied=args["supplied"]
        ),
        "stamp": lambda: c.StampDocument(
            **held, serial=args["serial"], stamped_digest=DIGEST
        ),
        "mail": lambda: c.MailDocument(
            **held, item=args["item"], to=Delivery(args["to"])
        ),
        "deliver": lambda: c.ConfirmDelivery(
            **on, item=args["item"], capacity=Relationship(args["capacity"])
        ),
        "collect": lambda: c.ConfirmCollection(
            **on, item=args["item"], capacity=Relationship(args["capacity"])
        ),
        "bring_back": lambda: c.BringBack(
            **on, item=args["item"], reason=ReturnedBecause.RECEIVER_ABSENT
        ),
        "hand_over": lambda: c.HandOver(
            **held, capacity=Relationship(args["capacity"])
        ),
        "tell_result": lambda: c.TellResult(**held, means=Means.PHONE),
        "inform": lambda: c.InformCitizen(
            **on, message=c.Message.READY, means=Means.SMS
        ),
        "withdraw": lambda: c.WithdrawRequest(**on, reason=WithdrawnBecause.NOT_NEEDED),
        "expire": lambda: c.ExpireRequest(**on, due_at=args["due_at"]),
        "correct": lambda: c.CorrectRequest(
            **on,
            field=CorrectedField(args["field"]),
            reason=CorrectedBecause.TYPING_ERROR,
            party=None if args["party"] is None else PartyRole(args["party"]),
            value=args["value"],
            delivery=None if args["delivery"] is None else Delivery(args["delivery"]),
        ),
    }
    return makers[asked.act]()


# A count of its own ---------------------------------------------------------------

_STAGES = {
    "submitted": "waiting",
    "accepted": "in_progress",
    "not-accepted": "not_accepted",
    "mailed": "completed_issued",
    "handed-over": "completed_issued",
    "withdrawn": "withdrawn",
    "expired": "expired",
}


class Recount:
    """Counts by stage and by day from nothing but the stored bodies."""

    def __init__(self) -> None:
        self.stages: dict[UUID, str] = {}
        self.centres: dict[UUID, str] = {}
        self.flows: Counter[tuple[str, date, str]] = Counter()

    def take(self, entry: Entry) -> None:
        body = json.loads(entry.body)
        name = entry.topic.split(".")[2]
        if not entry.topic.startswith("sijil.request."):
            return
        if name == "submitted":
            self.centres[entry.aggregate_id] = body["data"]["centre"]
        stage = _STAGES.get(name)
        if name == "result-told":
            stage = f"completed_{body['data']['outcome']}"
        if stage is None or self.stages.get(entry.aggregate_id) == stage:
            return
        self.stages[entry.aggregate_id] = stage
        at = datetime.fromisoformat(body["effective_at"])
        day = at.astimezone(OFFICE_ZONE).date()
        self.flows[self.centres[entry.aggregate_id], day, stage] += 1

    def of(self, centre: str) -> Counter[str]:
        return Counter(
            stage for case, stage in self.stages.items() if self.centres[case] == centre
        )
