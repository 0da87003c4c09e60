"""The office's real acts at a counter: how many a second, with and without memory.

Through ``House``: the rules in force, the vault's sealed values, the command's digest,
the canonical body, the append. One walk is six acts on one request, as a clerk does
them: taken in and accepted (which writes a person to the vault), claimed, paid,
answered, stamped, mailed. Nothing of HTTP is in it, and no view is folded meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from benchmarks.writers import Append
from domain.access import Principal
from domain.acts import ActorKind
from domain.ids import new_id
from domain.money import Unit
from domain.persons import PersonDetails
from domain.requests import Answer, Channel, Delivery, PaymentChannel
from domain.services import Relationship
from ledger.settings import LedgerSettings
from office.acts import Done, Envelope
from office.commands import (
    ClaimRequest,
    MailDocument,
    PayFee,
    RecordResponse,
    StampDocument,
    SubmitRequest,
)
from office.house import House

CENTRE = "SY-DI-01"
CLERK = Principal(role=ActorKind.CLERK, id="clk-DI-1", centre=CENTRE)
STAMP = "ختم-DI-000001"
ITEM = "RA473124829GB"
DIGEST = "1f6d0c0e5a3b7c9d1e2f30415263748596a7b8c9d0e1f2031425364758697a8b"
PERSON = PersonDetails(
    full_name="مواطن للقياس", national_number="01000099887", phone="+963933123498"
)
SUBMISSION = SubmitRequest(
    service="CIV-01",
    centre=None,
    channel=Channel.COUNTER,
    applicant=PERSON,
    concerned=None,
    relationship=Relationship.SELF,
    documents=("id-card",),
    delivery=Delivery.HOME,
    accept_now=True,
)
ACTS = 6
"""Acts of one walk."""
TOKEN = 1
"""Of the first claim on a request that nobody was assigned."""


class Counter:
    """Clerks at their counters, each with one request at a time."""

    def __init__(self, settings: LedgerSettings, *, kept: int) -> None:
        self._house = House(settings.model_copy(update={"recent_things": kept}))
        self._amount: int | None = None

    def writer(self) -> nullcontext[Append]:
        """One clerk: each call is the next act of a walk."""
        requests = self._house.requests
        at = _Walk()

        def envelope(route: str) -> Envelope:
            return Envelope(
                principal=CLERK,
                command_id=new_id(datetime.now(UTC)),
                route=route,
                if_version=at.version,
            )

        def ask(do: Callable[[Any, Envelope], Done], command: Any) -> Done:
            return do(command, envelope(type(command).__name__))

        def next_act() -> Done:
            thing: dict[str, Any] = {"request_id": at.request_id, "token": TOKEN}
            match at.acts:
                case 0:
                    at.version = None
                    return ask(requests.submit, SUBMISSION)
                case 1:
                    claim = ClaimRequest(request_id=thing["request_id"])
                    return ask(requests.claim, claim)
                case 2:
                    fee = PayFee(
                        **thing,
                        channel=PaymentChannel.CASH,
                        amount=self._fee(at.request_id),
                        unit=Unit.NEW,
                    )
                    return ask(requests.pay, fee)
                case 3:
                    answer = RecordResponse(**thing, outcome=Answer.ISSUED)
                    return ask(requests.respond, answer)
                case 4:
                    stamp = StampDocument(**thing, serial=STAMP, stamped_digest=DIGEST)
                    return ask(requests.stamp, stamp)
                case _:
                    mail = MailDocument(**thing, item=ITEM, to=Delivery.HOME)
                    return ask(requests.mail, mail)

        def act(_: UUID) -> int:
            done = next_act()
            at.request_id, at.version = done.aggregate_id, done.etag_version
            at.acts = (at.acts + 1) % ACTS
            assert done.last_position is not None
            return done.last_position

        return nullcontext(act)

    def _fee(self, request_id: UUID | None) -> int:
        if self._amount is None and request_id is not None:
            terms = self._house.requests.get(request_id, CLERK).terms
            assert terms is not None
            self._amount = sum(line.amount for line in terms.fee_lines)
        assert self._amount is not None
        return self._amount

    def close(self) -> None:
        """Close the house."""
        self._house.close()


class _Walk:
    """Where one clerk is with a request."""

    def __init__(self) -> None:
        self.request_id: UUID | None = None
        self.version: int | None = None
        self.acts = 0
