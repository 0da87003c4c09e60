"""Builders and the given/when/then shape for the rules; no database anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.acts import Act, Actor, ActorKind
from domain.calendars import Calendar, Holiday, OfficeHours
from domain.errors import SijilError
from domain.ids import derived_id, tracking_number
from domain.money import FeeKind, FeeLine, Unit
from domain.requests import (
    Answer,
    AssignedBecause,
    Channel,
    Delivery,
    Party,
    PartyRole,
    PaymentChannel,
    ServiceRequest,
)
from domain.services import Document, FeeDue, Offer, Relationship, Service, Terms
from domain.stamps import LIVE, Stamp
from domain.working_time import WorkingTime

NINE = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
"""Monday 23 November 2026, nine in the morning in Damascus."""
REQUEST_ID = UUID("019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10")
PARTY_ID = UUID("019ab1ef-2e40-7a00-8000-000000000001")
DIGEST = "1f6d0c0e5a3b7c9d1e2f30415263748596a7b8c9d0e1f2031425364758697a8b"
ITEM = "RA473124829GB"
FEE = FeeLine(kind=FeeKind.STATE_FEE, amount=3000, unit=Unit.NEW)


def act(
    name: str = "act",
    kind: ActorKind = ActorKind.CLERK,
    *,
    minutes: int = 0,
    actor: str = "clk-DI-1",
    place: str = "SY-DI-01",
) -> Act:
    """An act some minutes after nine; the same name is the same command."""
    at = NINE + timedelta(minutes=minutes)
    return Act(
        command_id=derived_id(f"test/{name}", NINE),
        actor=Actor(kind=kind, id=actor, place=place),
        correlation_id=REQUEST_ID,
        effective_at=at,
    )


def system(minutes: int = 0) -> Act:
    return act("system", ActorKind.SYSTEM, minutes=minutes, actor="assignment")


def calendar(
    *days: date,
    year: int = 2026,
    hours: Sequence[OfficeHours] = (),
    kind: ActorKind = ActorKind.ADMINISTRATOR,
) -> Calendar:
    return Calendar.publish(
        act("calendar", kind),
        year=year,
        holidays=tuple(
            Holiday(day=day, name_ar="عطلة", name_en="Holiday", certainty="fixed")
            for day in days
        ),
        hours=tuple(hours),
    )


WORKING_TIME = WorkingTime([calendar()])


def service(**changes: Any) -> Service:
    facts: dict[str, Any] = {
        "code": "CIV-06",
        "agency": "CIV",
        "name_ar": "بيان طلاق",
        "name_en": "Divorce statement",
        "direct_in": ("*",),
        "completion_days": 2,
        "applicants": ("self", "representative"),
        "documents": (Document(code="id-card", name_ar="هوية", name_en="ID card"),),
        "fee_lines": (FEE,),
        "paper": True,
        "live_stamp": True,
        "post": True,
        "basis": "known",
        "fee_is_placeholder": True,
        "turnaround_is_placeholder": True,
    }
    return Service.publish(
        act("publish", ActorKind.ADMINISTRATOR), Offer(**{**facts, **changes})
    )


def terms(at: datetime = NINE, governorate: str = "SY-DI", **changes: Any) -> Terms:
    return service(**changes).terms(
        governorate=governorate, accepted_at=at, working_time=WORKING_TIME
    )


def stamp(serial: str = "ختم-DI-000001", centre: str = "SY-DI-01") -> Stamp:
    return Stamp.issue(
        act("issue", ActorKind.ADMINISTRATOR), serial=serial, kind=LIVE, centre=centre
    )


def submitted(
    by: Act | None = None,
    *,
    relationship: Relationship = Relationship.SELF,
    delivery: Delivery = Delivery.HOME,
    expires_at: datetime | None = None,
) -> ServiceRequest:
    return ServiceRequest.submit(
        by or act("submit", ActorKind.CITIZEN, actor=str(PARTY_ID)),
        request_id=REQUEST_ID,
        service="CIV-06",
        agency="CIV",
        centre="SY-DI-01",
        governorate="SY-DI",
        channel=Channel.ONLINE,
        parties=(Party(role=PartyRole.APPLICANT, id=PARTY_ID),),
        relationship=relationship,
        documents=("id-card",),
        delivery=delivery,
        tracking_number=tracking_number(REQUEST_ID),
        code_key="k1",
        expires_at=expires_at,
    )


def assigned(request: ServiceRequest, clerk: str = "clk-DI-1") -> ServiceRequest:
    request.assign(system(), clerk=clerk, reason=AssignedBecause.RESPONSIBLE)
    return request


def accepted(delivery: Delivery = Delivery.HOME, **changes: Any) -> ServiceRequest:
    request = assigned(submitted(delivery=delivery))
    request.accept(
        act("accept"), terms=terms(**changes), documents=("id-card",), token=1
    )
    return request


def paid(delivery: Delivery = Delivery.HOME, **changes: Any) -> ServiceRequest:
    request = accepted(delivery, **changes)
    request.pay(
        act("pay"), channel=PaymentChannel.CASH, amount=3000, unit=Unit.NEW, token=1
    )
    return request


def forwarded(**changes: Any) -> ServiceRequest:
    request = paid(direct_in=(), **changes)
    request.forward(act("forward"), working_time=WORKING_TIME, token=1)
    return request


def issued(delivery: Delivery = Delivery.HOME, **changes: Any) -> ServiceRequest:
    request = paid(delivery, **changes)
    request.respond(
        act("respond"),
        outcome=Answer.ISSUED,
        document_digest=DIGEST,
        working_time=WORKING_TIME,
        token=1,
    )
    return request


def refused() -> ServiceRequest:
    request = forwarded()
    request.respond(
        act("reply", ActorKind.AGENCY, actor="officer", place="CIV/SY-DI"),
        outcome=Answer.REFUSED,
        reason="record-not-found",
        agency="CIV",
        working_time=WORKING_TIME,
    )
    return request


def stamped(delivery: Delivery = Delivery.HOME, **changes: Any) -> ServiceRequest:
    request = issued(delivery, **changes)
    request.stamp(
        act("stamp"),
        stamp=stamp(),
        serial="ختم-DI-000001",
        stamped_digest=DIGEST,
        working_time=WORKING_TIME,
        token=1,
    )
    return request


def mailed() -> ServiceRequest:
    request = stamped()
    request.mail(act("mail"), item=ITEM, to=Delivery.HOME, token=1)
    return request


def fee_due_at_hand_over(**changes: Any) -> Terms:
    return terms(fee_due=FeeDue.HAND_OVER, **changes)


class Given:
    """``given(request).when(act).then(events)``, or ``.refused(error)``."""

    def __init__(self, request: ServiceRequest) -> None:
        request.collect_events()
        self.request = request

    def when(self, do: Callable[[ServiceRequest], None]) -> Given:
        self._do = do
        return self

    def then(self, *events: tuple[type[Any], dict[str, Any]]) -> ServiceRequest:
        self._do(self.request)
        happened = self.request.pending_events
        assert [type(e).__name__ for e in happened] == [c.__name__ for c, _ in events]
        for happening, (_, facts) in zip(happened, events, strict=True):
            for name, value in facts.items():
                assert getattr(happening, name) == value, name
        return self.request

    def refused(self, error: type[SijilError], **facts: Any) -> None:
        """The error is raised with these facts, and nothing happened."""
        before = dict(vars(self.request))
        with pytest.raises(error) as caught:
            self._do(self.request)
        for name, value in facts.items():
            assert getattr(caught.value, name) == value, name
        assert vars(self.request) == before
        assert not self.request.pending_events


given = Given
