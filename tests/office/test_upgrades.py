"""What an installation kept before an upgrade still means the same after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import pytest

from domain.access import Principal
from domain.acts import ActorKind
from domain.money import Unit
from domain.persons import PersonDetails
from domain.requests import (
    Answer,
    Channel,
    Declined,
    Delivery,
    Means,
    PaymentChannel,
)
from domain.services import Relationship
from ledger.book import Ledger
from office import commands
from office.acts import Acts, Envelope

ONE = UUID("019ab1f0-7c00-7a3b-8f21-5d0c9e4b1a77")
CLERK = Principal(role=ActorKind.CLERK, id="clk-DI-1", centre="SY-DI-01")
EIGHT = datetime(2026, 11, 23, 8, tzinfo=UTC)
ITEM = "RA473124829GB"
ASKED: dict[str, object] = {
    "submit": commands.SubmitRequest(
        service="CIV-01",
        centre=None,
        channel=Channel.COUNTER,
        applicant=PersonDetails(full_name="شخص مختلق", national_number="00000000001"),
        concerned=None,
        relationship=Relationship.SELF,
        documents=("id-card",),
        delivery=Delivery.HOME,
        accept_now=True,
    ),
    "acceptance": commands.AcceptRequest(
        request_id=ONE, token=1, documents=("id-card",)
    ),
    "declining": commands.DeclineRequest(
        request_id=ONE, token=1, reason=Declined.INELIGIBLE
    ),
    "assignment": commands.AssignRequest(request_id=ONE, clerk="clk-DI-2"),
    "payment": commands.PayFee(
        request_id=ONE,
        token=1,
        channel=PaymentChannel.CASH,
        amount=3000,
        unit=Unit.NEW,
    ),
    "forwarding": commands.ForwardRequest(request_id=ONE, token=1),
    "response": commands.RecordResponse(request_id=ONE, token=1, outcome=Answer.ISSUED),
    "stamp": commands.StampDocument(
        request_id=ONE, token=1, serial="ختم-DI-000001", stamped_digest="a" * 64
    ),
    "mailing": commands.MailDocument(
        request_id=ONE, token=1, item=ITEM, to=Delivery.HOME
    ),
    "delivery": commands.ConfirmDelivery(
        request_id=ONE, item=ITEM, capacity=Relationship.SELF
    ),
    "hand-over": commands.HandOver(request_id=ONE, token=1, capacity=Relationship.SELF),
    "result": commands.TellResult(request_id=ONE, token=1, means=Means.PHONE),
    "message": commands.InformCitizen(
        request_id=ONE, message=commands.Message.READY, means=Means.SMS
    ),
}
STORED = {
    "submit": "fcf1039d9b73c320b9a24b19cbb2523bd2d2840f121763bf2d9a0bd04b8c4ff4",
    "acceptance": "25399a37910e9b7184a065c563febb09db61e6ccf458be3b6960f9dea31da3de",
    "declining": "d240df3d4e1208eb64d8a45d571dd68d84c2ad2b3b8bb28e45dd60ed19a16d00",
    "assignment": "41280c76e004572565f82e6e9f7d8adbee8f27134b3326551cc200c3c0ccf088",
    "payment": "7d12aec2da23f16a82a217d37bba11909e47e807b2fa8b8802f1e0af8c916077",
    "forwarding": "3f9c5d867469e09ed94848f972c7540fed1ed4fd2d2bafea538930a30129a1e2",
    "response": "e841f06d5ac78b55409ac0bfd423d04f64b916781296c5b8cc31fdad135f4c60",
    "stamp": "1cc3ecfa2c28d226716bf4908e0d944daaeb732b10959993da08f66ebf530d5e",
    "mailing": "633c27881f08398769e90831e27764076d2255d4e9efa4b2c97dc2464609abd8",
    "delivery": "527c2ffab136b43be5f3aae91c83c79aa2e90465bfb1eb3ca4c56f2dc4943f1a",
    "hand-over": "2d93d9d23b7b1a0e2055acf3e54e2a18aaa1db32fc412f98954a28bd49acdb8b",
    "result": "79844766bfd825e37c7aa266190bb8f14ae1bc63f4a06f0d748146eb4077a33b",
    "message": "40c99b8188305d3a8c5f35b106873940cdb7538e7bdd84412a7fd7ff550d7313",
}
"""The digests of these commands as the first version that could be installed kept them.

Never computed anew: a repeat is looked for by them for at least a year, so what a later
version adds to a command has to be absent where it is not said.
"""


@pytest.mark.parametrize("name", ASKED)
def test_a_command_stored_before_an_upgrade_is_known_again_after_it(name: str) -> None:
    # The ledger is not asked for a digest.
    acts = Acts(
        cast("Ledger", None), command_key=b"k" * 32, backdating=timedelta(days=7)
    )
    sent = Envelope(
        principal=CLERK,
        command_id=ONE,
        route=f"POST {name}",
        effective_at=EIGHT if name == "stamp" else None,
    )
    assert acts.command(sent, ASKED[name]).digest.hex() == STORED[name]
