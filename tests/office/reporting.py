"""Messages of outsiders to a seeded office, and what came of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any
from uuid import UUID

from eventsourcing.persistence import Tracking

from domain.access import Principal
from domain.acts import ActorKind
from domain.ids import derived_id
from domain.money import Unit
from ledger.bodies import read_body
from office.acts import Envelope
from office.fees import BankPayment
from projections.payments import PaymentsQueries
from tests.office.scene import Scene

_OFFSETS = count()
STREAM = "kafka/test/0"
UNMATCHED = "sijil.payment.unmatched.v1"
SECOND_BANK = Principal(role=ActorKind.BANK, id="bank-2")


def message(scene: Scene, principal: Principal, **more: Any) -> Envelope:
    """The envelope of the next message of a stream, or of the one with ``offset``."""
    offset = more.pop("offset", None)
    offset = next(_OFFSETS) if offset is None else offset
    at = more.setdefault("effective_at", scene.clock())
    name = f"{STREAM}/{offset}"
    return Envelope(
        principal=principal,
        command_id=derived_id(name, at),
        route="kafka/report",
        causation_id=name,
        tracking=Tracking(STREAM, offset),
        **more,
    )


def tracked(scene: Scene) -> int | None:
    return scene.house.ledger.process_recorder.max_tracking_id(STREAM)


def offset_of(envelope: Envelope) -> int:
    assert envelope.tracking is not None
    return envelope.tracking.notification_id


def fee_of(scene: Scene, request_id: UUID, **changes: Any) -> BankPayment:
    request = scene.get(request_id)
    assert request.terms is not None
    return BankPayment(
        **{
            "tracking_number": request.tracking_number,
            "amount": sum(line.amount for line in request.terms.fee_lines),
            "unit": Unit.NEW,
            "bank_reference": f"B-{next(_OFFSETS)}",
            **changes,
        }
    )


def bodies(scene: Scene, topic: str) -> list[dict[str, Any]]:
    return [read_body(e.body) for e in scene.entries() if e.topic == topic]


class Between(PaymentsQueries):
    """Lets something happen between the look at a view and the act that follows."""

    def __init__(self, looked: PaymentsQueries, happens: Callable[[], None]) -> None:
        self._looked = looked
        self._happens = [happens]

    def paid_under(self, bank_reference: str) -> tuple[UUID, ...]:
        found = self._looked.paid_under(bank_reference)
        if self._happens:
            self._happens.pop()()
        return found
