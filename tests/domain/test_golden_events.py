"""Every stored event version has a golden file that must load and encode for ever.

A file may be added; one that exists never changes. To add the file of a new event:
``SIJIL_WRITE_GOLDEN=1`` writes those that are missing, and only those.
"""

from __future__ import annotations

import inspect
import os
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from eventsourcing.domain import CanMutateAggregate
from eventsourcing.persistence import StoredEvent

from domain import (
    agencies,
    attempts,
    calendars,
    centres,
    clerks,
    dead_letters,
    payments,
    reads,
    records,
    requests,
    resumptions,
    services,
    stamps,
    views,
)
from domain.acts import ActorKind, Provenance
from domain.agencies import Agency, AgencyClosedBecause, AgencyScope
from domain.aggregates import OfficeAggregate
from domain.attempts import Attempt
from domain.centres import Centre, CentreClosedBecause
from domain.clerks import AwayBecause, Clerk
from domain.dead_letters import DeadBecause, DeadLetter, SettledBecause
from domain.money import FeeKind, Unit
from domain.payments import Payment, PaymentSettledBecause, UnmatchedBecause
from domain.reads import Look, Purpose
from domain.records import MergedBecause, PersonRecord
from domain.requests import (
    Answer,
    CorrectedBecause,
    CorrectedField,
    Declined,
    Limit,
    Means,
    PartyRole,
    PaymentChannel,
    RefundedBecause,
    ReleasedBecause,
    ReturnedBecause,
    ServiceRequest,
    WarnedWhen,
    WithdrawnBecause,
)
from domain.resumptions import ResumedBecause, ReturnedLedger
from domain.services import Relationship, SuspendedBecause
from domain.stamps import StampWithdrawnBecause
from domain.views import FollowedView, SkippedBecause
from ledger.bodies import BodyMapper
from tests.domain.office import (
    ITEM,
    NINE,
    PARTY_ID,
    REQUEST_ID,
    WORKING_TIME,
    accepted,
    act,
    assigned,
    calendar,
    forwarded,
    mailed,
    paid,
    refused,
    service,
    stamp,
    stamped,
    submitted,
    system,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "events"
MAPPER = BodyMapper()


def samples() -> dict[str, CanMutateAggregate[UUID]]:
    """One event of every topic, made by the aggregates themselves."""
    declined = assigned(submitted())
    declined.decline(
        act(), reason=Declined.DOCUMENTS_MISSING, missing=("id-card",), token=1
    )
    delivered = mailed()
    delivered.deliver(
        act(kind=ActorKind.POST, actor="post-1", place="post", minutes=-5),
        item=ITEM,
        capacity=Relationship.SELF,
    )
    handed = stamped(post=False)
    handed.hand_over(act(), capacity=Relationship.REPRESENTATIVE, token=1)
    told = refused()
    told.tell_result(act(), means=Means.PHONE, token=1)
    informed = accepted()
    informed.inform(act(), message="accepted", means=Means.SMS)
    clerk = Clerk.appoint(act(), code="clk-DI-1", centre="SY-DI-01")
    clerk.make_responsible(act(), agency="CIV")
    imported = submitted(
        act("imported", ActorKind.IMPORT, actor="import").__class__(
            **{
                name: getattr(act("imported", ActorKind.IMPORT, actor="import"), name)
                for name in ("command_id", "actor", "correlation_id", "effective_at")
            },
            causation_id=f"{REQUEST_ID}/1",
            approved_by="sup-DI",
            provenance=Provenance(
                source="desk", case="c-1", line=2, activity="A", clerk="R1"
            ),
        )
    )
    made: list[OfficeAggregate] = [
        imported,
        declined,
        delivered,
        handed,
        told,
        informed,
        forwarded(),
        service(),
        calendar(date(2026, 12, 8)),
        FollowedView.skip(
            act(),
            view="clerk_queue",
            view_version=6,
            position=48213,
            reason=SkippedBecause.ENTRY_MALFORMED,
        ),
        ReturnedLedger.resume(
            system(),
            ledger_id=UUID("7d1f0a52-3c1b-4e8f-9a55-0d4c6f2b9e31"),
            incarnation=2,
            reason=ResumedBecause.RESTORED,
        ),
        Agency.publish(
            act(),
            code="CIV",
            name_ar="مديرية الشؤون المدنية",
            name_en="Civil Affairs",
            scope=AgencyScope.GOVERNORATE,
        ),
        Centre.open(
            act(),
            code="SY-DI-01",
            governorate="SY-DI",
            name_ar="مركز دمشق",
            name_en="Damascus centre",
        ),
        clerk,
        stamp(),
        Attempt.refuse(
            act(),
            attempt_id=UUID("019ab1ef-2e40-7c55-9b60-3f1d2c8a7e11"),
            attempted="stamp",
            target=REQUEST_ID,
            target_version=6,
            centre="SY-DI-01",
            code="unknown-stamp",
            reason=None,
        ),
        Payment.unmatched(
            act(kind=ActorKind.BANK, actor="bank-1", place="ministry"),
            bank_reference="B-20261123-77",
            amount=4500,
            unit=Unit.NEW,
            reason=UnmatchedBecause.WRONG_AMOUNT,
            tracking_number="A77W-EAA2-E5G9-Q",
            request=REQUEST_ID,
            centre="SY-DI-01",
        ),
        payment_taken_as_fee(),
    ]
    found: dict[str, CanMutateAggregate[UUID]] = {}
    for aggregate in [
        *made,
        *lives(),
        *around_the_request(),
        *of_people(),
        *messages(),
    ]:
        for event in aggregate.pending_events:
            found.setdefault(type(event).TOPIC, event)  # type: ignore[attr-defined]
    return found


def payment_taken_as_fee() -> Payment:
    """A payment under a number of nobody's, with which a clerk took a fee."""
    reference = "B-20261123-78"
    payment = Payment.unmatched(
        act(kind=ActorKind.BANK, actor="bank-1", place="ministry"),
        bank_reference=reference,
        amount=3000,
        unit=Unit.NEW,
        reason=UnmatchedBecause.UNKNOWN_NUMBER,
    )
    request = accepted()
    request.pay(
        act("pay"),
        channel=PaymentChannel.BANK,
        amount=3000,
        unit=Unit.NEW,
        bank_reference=reference,
        token=1,
    )
    payment.settle(
        act("settle", ActorKind.ADMINISTRATOR, actor="adm-1"),
        reason=PaymentSettledBecause.TAKEN_AS_FEE,
        fee_of=request,
    )
    return payment


def around_the_request() -> list[OfficeAggregate]:
    """Services, places, people and stamps, after what published them."""
    rested = service()
    rested.suspend(
        act(),
        reason=SuspendedBecause.SYSTEM_DOWN,
        first=date(2026, 11, 25),
        last=date(2026, 12, 3),
    )
    rested.resume(act(), on=date(2026, 11, 30))
    agency = Agency.publish(
        act(), code="CIV", name_ar="جهة", name_en="Agency", scope=AgencyScope.NATIONAL
    )
    agency.close(act(), reason=AgencyClosedBecause.MERGED, on=date(2026, 12, 31))
    centre = Centre.open(
        act(),
        code="SY-DI-02",
        governorate="SY-DI",
        name_ar="مركز",
        name_en="Centre",
        opens_on=date(2026, 12, 1),
    )
    centre.close(act(), reason=CentreClosedBecause.WORKS, on=date(2026, 12, 20))
    clerk = Clerk.appoint(act(), code="clk-DI-9", centre="SY-DI-02")
    clerk.make_responsible(act(), agency="CIV")
    clerk.relieve(act(), agency="CIV")
    clerk.be_away(act(), reason=AwayBecause.LEAVE, last=date(2026, 11, 30))
    clerk.be_back(act(), on=date(2026, 11, 26))
    clerk.leave(act(), on=date(2026, 12, 31))
    withdrawn = stamp()
    withdrawn.withdraw(act(), reason=StampWithdrawnBecause.LOST, on=date(2026, 11, 24))
    return [rested, agency, centre, clerk, withdrawn]


def of_people() -> list[OfficeAggregate]:
    """What happens around persons: ids and codes alone."""
    look = Look.look(
        act(),
        look_id=UUID("019ab1ef-2e40-7c55-9b60-3f1d2c8a7e12"),
        party=PARTY_ID,
        request=REQUEST_ID,
        purpose=Purpose.COUNTER,
    )
    merged = PersonRecord.merge(
        act(kind=ActorKind.SUPERVISOR, actor="sup-DI"),
        merge_id=UUID("019ab1ef-2e40-7c55-9b60-3f1d2c8a7e13"),
        reason=MergedBecause.IDENTIFIER_REPLACED,
    )
    return [look, merged]


def messages() -> list[OfficeAggregate]:
    """What comes of a message that could not be used."""
    letter = DeadLetter.set_aside(
        system(),
        letter_id=DeadLetter.id_of(
            "inward", "sijil.agency-replies.v1", 3, 4711, 1763885653412
        ),
        group="inward",
        topic="sijil.agency-replies.v1",
        partition=3,
        offset=4711,
        cause=DeadBecause.REFUSED,
        attempts=1,
        kept_partition=0,
        kept_offset=12,
        sender="CIV",
        code="wrong-state",
        replay_of=UUID("019ab1ef-2e40-7c55-9b60-3f1d2c8a7e14"),
    )
    administrator = act("replay", ActorKind.ADMINISTRATOR, actor="adm-1")
    letter.replay(administrator, partition=3, offset=5020)
    letter.settle(administrator, reason=SettledBecause.DONE_BY_HAND)
    return [letter]


def lives() -> list[OfficeAggregate]:
    """Requests that took the less usual turns, each at its end."""
    claimed = assigned(submitted())
    claimed.claim(act("claim"), now=NINE, lease_until=NINE + timedelta(minutes=30))
    claimed.release(act("release"), reason=ReleasedBecause.GIVEN_BACK, token=2)
    asked = forwarded()
    asked.respond(
        act("needs", ActorKind.AGENCY, actor="officer", place="CIV/SY-DI"),
        outcome=Answer.INFORMATION_NEEDED,
        reason="birth-place-missing",
        agency="CIV",
        working_time=WORKING_TIME,
    )
    asked.request_information(act("ask"), missing=("civil-extract",), token=1)
    asked.supply_information(
        act("supply", minutes=90),
        supplied=("civil-extract",),
        working_time=WORKING_TIME,
        token=1,
    )
    asked.correct(
        act("correct", ActorKind.SUPERVISOR, actor="sup-DI", minutes=90),
        field=CorrectedField.FULL_NAME,
        reason=CorrectedBecause.TYPING_ERROR,
        party=PartyRole.APPLICANT,
    )
    assert asked.due_at is not None
    asked.warn(
        system(minutes=90),
        limit=Limit.COMPLETION,
        when=WarnedWhen.BEFORE,
        due_at=asked.due_at,
    )
    withdrawn = paid()
    withdrawn.withdraw(act("withdraw"), reason=WithdrawnBecause.NOT_NEEDED)
    withdrawn.refund(
        act("refund", ActorKind.SUPERVISOR, actor="sup-DI"),
        kinds=(FeeKind.STATE_FEE,),
        reason=RefundedBecause.WITHDRAWN,
        channel=PaymentChannel.CASH,
    )
    expired = submitted(expires_at=NINE + timedelta(days=1))
    expired.expire(system(minutes=24 * 60), due_at=NINE + timedelta(days=1))
    collected = mailed()
    collected.collect(
        act("collect", ActorKind.POST, actor="post-1", place="post"),
        item=ITEM,
        capacity=Relationship.SELF,
    )
    returned = mailed()
    returned.bring_back(
        act("return", ActorKind.POST, actor="post-1", place="post"),
        item=ITEM,
        reason=ReturnedBecause.RECEIVER_ABSENT,
    )
    return [claimed, asked, withdrawn, expired, collected, returned]


def stored_topics() -> set[str]:
    """Every topic a domain class can store."""
    return {
        value.TOPIC
        for module in (
            agencies,
            attempts,
            calendars,
            centres,
            clerks,
            dead_letters,
            payments,
            reads,
            records,
            requests,
            resumptions,
            services,
            stamps,
            views,
        )
        for _, aggregate in inspect.getmembers(module, inspect.isclass)
        if issubclass(aggregate, OfficeAggregate) and aggregate is not OfficeAggregate
        for _, value in inspect.getmembers(aggregate, inspect.isclass)
        if issubclass(value, CanMutateAggregate)
        and hasattr(value, "TOPIC")
        and value.__name__ not in {"Event", "Created"}
    }


def test_every_topic_has_a_sample() -> None:
    assert set(samples()) == stored_topics()


def test_no_golden_file_is_left_without_its_topic() -> None:
    files = {path.stem.partition("~")[0] for path in GOLDEN.glob("*.json")}
    assert files == stored_topics()


def golden_files(topic: str) -> list[Path]:
    """The files of a topic: the first, then one (``~2``, …) for each grown shape.

    An event may get new optional facts; what was written before them stays.
    """
    first = GOLDEN / f"{topic}.json"
    grown = sorted(GOLDEN.glob(f"{topic}~*.json"))
    return [first, *grown] if first.exists() else grown


def write_golden(topic: str, body: bytes) -> None:
    """Keep a shape that no file of the topic has yet."""
    files = golden_files(topic)
    if all(path.read_bytes() != body for path in files):
        number = f"~{len(files) + 1}" if files else ""
        (GOLDEN / f"{topic}{number}.json").write_bytes(body)


@pytest.mark.parametrize("topic", sorted(stored_topics()))
def test_golden_bodies_load_and_encode_to_the_same_bytes(topic: str) -> None:
    event = samples()[topic]
    newest = MAPPER.to_stored_event(event).state
    if os.environ.get("SIJIL_WRITE_GOLDEN"):
        write_golden(topic, newest)
    bodies = [path.read_bytes() for path in golden_files(topic)]
    for golden in bodies:
        stored = StoredEvent(
            originator_id=event.originator_id,
            originator_version=event.originator_version,
            topic=topic,
            state=golden,
        )
        loaded = MAPPER.to_domain_event(stored)
        assert MAPPER.to_stored_event(loaded).state == golden
    assert bodies[-1] == newest


def test_the_library_alone_never_stores_its_created_event() -> None:
    assert not any(".created." in topic for topic in samples())
    assert issubclass(ServiceRequest.Submitted, ServiceRequest.Created)
