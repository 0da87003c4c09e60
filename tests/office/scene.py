"""A seeded office and the people in it, for the tests of use cases and doors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Event
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.persistence import Tracking

from domain.access import Principal, Scope
from domain.acts import ActorKind
from domain.money import Unit
from domain.payments import PaymentSettledBecause
from domain.persons import PersonDetails
from domain.requests import (
    Answer,
    Channel,
    Delivery,
    Means,
    PaymentChannel,
    ServiceRequest,
)
from domain.services import Relationship
from ledger.entries import Entry
from ledger.names import Role
from office.acts import Done, Envelope
from office.commands import (
    AcceptRequest,
    ConfirmDelivery,
    ForwardRequest,
    MailDocument,
    PayFee,
    RecordResponse,
    StampDocument,
    SubmitRequest,
    TellResult,
)
from office.fees import BankPayment
from office.house import House, ViewsRoom
from office.payments import SettlePayment
from tests.conftest import Database

DIGEST = "1f6d0c0e5a3b7c9d1e2f30415263748596a7b8c9d0e1f2031425364758697a8b"
ITEM = "RA473124829GB"
STAMP = "ختم-DI-000001"
CENTRE = "SY-DI-01"
CLERK = Principal(role=ActorKind.CLERK, id="clk-DI-1", centre=CENTRE)
OTHER_CLERK = Principal(role=ActorKind.CLERK, id="clk-DI-2", centre=CENTRE)
FOREIGN_CLERK = Principal(role=ActorKind.CLERK, id="clk-HL-1", centre="SY-HL-01")
SUPERVISOR = Principal(role=ActorKind.SUPERVISOR, id="sup-DI", centre=CENTRE)
AGENCY = Principal(
    role=ActorKind.AGENCY, id="officer-1", agency="CIV", governorate="SY-DI"
)
POST = Principal(role=ActorKind.POST, id="post-1")
BANK = Principal(role=ActorKind.BANK, id="bank-1")
ADMINISTRATOR = Principal(role=ActorKind.ADMINISTRATOR, id="adm-1")
AUDITOR = Principal(role=ActorKind.AUDITOR, id="auditor-1")

_STRAYS = count()
"""Offsets of the stream that stray payments come by, and what their bank calls them."""

MARKED_NAME = "علامة فارقة الاختبار"
MARKED_NUMBER = "01000099887"
MARKED_PHONE = "+963933123498"
MARKED_ADDRESS = "شارع العلامة الفارقة ٧٧"
PERSON = PersonDetails(
    full_name=MARKED_NAME,
    national_number=MARKED_NUMBER,
    phone=MARKED_PHONE,
    address=MARKED_ADDRESS,
)


def envelope(
    principal: Principal, route: str = "POST /v1/requests", **more: Any
) -> Envelope:
    return Envelope(
        principal=principal, **{"command_id": uuid4(), "route": route, **more}
    )


def submission(**changes: Any) -> SubmitRequest:
    facts: dict[str, Any] = {
        "service": "CIV-01",
        "centre": None,
        "channel": Channel.COUNTER,
        "applicant": PERSON,
        "concerned": None,
        "relationship": Relationship.SELF,
        "documents": ("id-card",),
        "delivery": Delivery.HOME,
        "accept_now": True,
    }
    return SubmitRequest(**{**facts, **changes})


class Scene:
    """A house with its views and process managers run by hand."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = datetime.now(UTC)
        self.house = House(database.settings, clock=self.clock)
        self.room = ViewsRoom(database.settings)
        self.requests = self.house.requests

    def clock(self) -> datetime:
        """The real clock, unless a test has moved ahead or back."""
        self.now = max(self.now, datetime.now(UTC))
        return self.now

    def close(self) -> None:
        self.room.close()
        self.house.close()

    def level(self) -> None:
        """Fold the views, assign what is new, fold again."""
        self.room.runner.catch_up()
        self.house.assignment().catch_up(Event())
        self.room.runner.catch_up()

    def submit(self, principal: Principal = CLERK, **changes: Any) -> UUID:
        done = self.requests.submit(submission(**changes), envelope(principal))
        return done.aggregate_id

    def assigned(self, principal: Principal = CLERK, **changes: Any) -> UUID:
        request_id = self.submit(principal, **changes)
        self.level()
        return request_id

    def get(self, request_id: UUID) -> ServiceRequest:
        return self.requests.get(request_id, AUDITOR)

    def seen(
        self, request_id: UUID, principal: Principal, route: str, **more: Any
    ) -> Envelope:
        """An envelope whose If-Match is what the request is now."""
        version = self.get(request_id).etag_version
        return envelope(principal, route, if_version=version, **more)

    def pay(
        self,
        request_id: UUID,
        principal: Principal = CLERK,
        *,
        bank_reference: str | None = None,
    ) -> Done:
        """Take the fee: in cash, or through a bank that calls the payment so."""
        is_cash = bank_reference is None
        is_staff = principal is not BANK
        request = self.get(request_id)
        assert request.terms is not None
        amount = sum(line.amount for line in request.terms.fee_lines)
        return self.requests.pay(
            PayFee(
                request_id=request_id,
                token=request.token if is_staff else None,
                channel=PaymentChannel.CASH if is_cash else PaymentChannel.BANK,
                amount=amount,
                unit=Unit.NEW,
                bank_reference=bank_reference,
            ),
            self.seen(request_id, principal, "payment"),
        )

    def respond(
        self,
        request_id: UUID,
        principal: Principal = CLERK,
        outcome: Answer = Answer.ISSUED,
    ) -> Done:
        token = self.get(request_id).token
        return self.requests.respond(
            RecordResponse(
                request_id=request_id,
                token=None if principal.role is ActorKind.AGENCY else token,
                outcome=outcome,
                reason="no-record" if outcome is Answer.REFUSED else None,
            ),
            self.seen(request_id, principal, "response"),
        )

    def forward(self, request_id: UUID, principal: Principal = CLERK) -> Done:
        token = self.get(request_id).token
        return self.requests.forward(
            ForwardRequest(request_id=request_id, token=token),
            self.seen(request_id, principal, "forwarding"),
        )

    def stamp(
        self, request_id: UUID, serial: str = STAMP, principal: Principal = CLERK
    ) -> Done:
        token = self.get(request_id).token
        return self.requests.stamp(
            StampDocument(
                request_id=request_id, token=token, serial=serial, stamped_digest=DIGEST
            ),
            self.seen(request_id, principal, "stamp"),
        )

    def mail(self, request_id: UUID, principal: Principal = CLERK) -> Done:
        token = self.get(request_id).token
        return self.requests.mail(
            MailDocument(
                request_id=request_id, token=token, item=ITEM, to=Delivery.HOME
            ),
            self.seen(request_id, principal, "mailing"),
        )

    def deliver(self, request_id: UUID, principal: Principal = POST) -> Done:
        return self.requests.deliver(
            ConfirmDelivery(
                request_id=request_id, item=ITEM, capacity=Relationship.SELF
            ),
            self.seen(request_id, principal, "delivery"),
        )

    def tell(self, request_id: UUID, principal: Principal = CLERK) -> Done:
        token = self.get(request_id).token
        return self.requests.tell_result(
            TellResult(request_id=request_id, token=token, means=Means.PHONE),
            self.seen(request_id, principal, "result"),
        )

    def accept(self, request_id: UUID, principal: Principal = CLERK) -> Done:
        token = self.get(request_id).token
        return self.requests.accept(
            AcceptRequest(request_id=request_id, token=token, documents=("id-card",)),
            self.seen(request_id, principal, "acceptance"),
        )

    def stray_payments(self) -> None:
        """A bank reports money for a number of nobody's, and not what is due.

        Two of them are settled: one was given back, one was taken as a request's fee.
        """
        told = self.house.queries.tracking.page(Scope(), limit=1).items
        for row in told:
            self.stray_payment(row.state.tracking_number, amount=102, unit=Unit.OLD)
        self.stray_payment(amount=101, unit=Unit.OLD)
        self.settle(self.stray_payment().aggregate_id)
        reference = f"B-stray-{next(_STRAYS)}"
        taken = self.stray_payment(bank_reference=reference)
        request_id = self.submit()
        self.pay(request_id, BANK, bank_reference=reference)
        self.settle(taken.aggregate_id, fee_of=request_id)
        self.room.runner.catch_up()

    def stray_payment(self, number: str = "0000-0000-0000-0", **changes: Any) -> Done:
        """A bank reports money under a number that no request was waiting for."""
        place = next(_STRAYS)
        facts: dict[str, Any] = {
            "tracking_number": number,
            "amount": 3000,
            "unit": Unit.NEW,
            "bank_reference": f"B-stray-{place}",
        }
        self.room.runner.catch_up()
        return self.house.fees.report(
            BankPayment(**{**facts, **changes}),
            envelope(BANK, "payment", tracking=Tracking("kafka/scene/0", place)),
        )

    def settle(self, payment_id: UUID, *, fee_of: UUID | None = None) -> Done:
        """Say that a payment was given back, or taken as the fee of a request."""
        is_fee = fee_of is not None
        return self.house.payments.settle(
            SettlePayment(
                payment_id=payment_id,
                reason=(
                    PaymentSettledBecause.TAKEN_AS_FEE
                    if is_fee
                    else PaymentSettledBecause.RETURNED
                ),
                request_id=fee_of,
            ),
            envelope(ADMINISTRATOR, "settlement", if_version=1),
        )

    def mailed(self) -> UUID:
        request_id = self.assigned()
        self.pay(request_id)
        self.respond(request_id)
        self.stamp(request_id)
        self.mail(request_id)
        return request_id

    def entries(self, request_id: UUID | None = None) -> list[Entry]:
        reader = self.house.ledger.reader
        if request_id is not None:
            return reader.aggregate(request_id)
        return list(reader.stream())

    def attempts(self) -> list[Entry]:
        return [e for e in self.entries() if e.topic == "sijil.attempt.refused.v1"]

    def stored_bytes(self) -> bytes:
        """Everything both databases hold, as text, for a search of values."""
        found = []
        for role, schemas in (
            (Role.OWNER, ("sijil", "sijil_views")),
            (Role.VAULT, ("vault",)),
        ):
            with self.database.datastore(role).transaction() as cursor:
                cursor.execute(
                    "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables"
                    " WHERE schemaname = ANY(%s)",
                    (list(schemas),),
                )
                for (table,) in cursor.fetchall():
                    cursor.execute(f"SELECT t::text FROM {table} t")
                    for (row,) in cursor.fetchall():
                        found.append(row.encode())
                        found += [
                            bytes.fromhex(part)
                            for part in row.replace('"', "").split("\\x")[1:]
                            for part in [part.partition(",")[0].rstrip(")\\")]
                            if all(c in "0123456789abcdef" for c in part)
                        ]
        return b"\n".join(found)


def days(number: int) -> timedelta:
    return timedelta(days=number)


@contextmanager
def scene_in(database: Database) -> Iterator[Scene]:
    made = Scene(database)
    try:
        yield made
    finally:
        made.close()
