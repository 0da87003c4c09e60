"""Nothing that is published joins two requests of one person, but for their money.

What two requests of one person have in common is held against what those of two others
have, to whom the very same was done: a place, a service, a clerk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

import pytest

from consumers.relay import Relay
from consumers.topics import REQUEST_STATUS
from domain.access import Principal
from domain.errors import WrongStateError
from domain.payments import PaymentSettledBecause
from domain.persons import PersonDetails
from domain.post import item_number
from domain.requests import CorrectedField, Delivery, WithdrawnBecause
from domain.services import Relationship
from ledger.names import Role
from ledger.reader import LedgerReader
from office.commands import (
    MailDocument,
    RequestInformation,
    SupplyInformation,
    WithdrawRequest,
)
from tests.conftest import Database, Server, fresh_database
from tests.consumers.conftest import new_topic, relay_until
from tests.consumers.stranger import Record, read_all
from tests.office.persons import applicant, correct
from tests.office.reporting import fee_of
from tests.office.scene import (
    AGENCY,
    BANK,
    CLERK,
    PERSON,
    SUPERVISOR,
    Scene,
    scene_in,
)
from tests.office.telling import Office
from tests.office.test_assignment import ONLINE
from tests.office.test_settled_payments import reported, settle

TIME = re.compile(r"[0-9-]{10}T[0-9:.]{15}Z")
UUIDS = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TAKEN = PaymentSettledBecause.TAKEN_AS_FEE


@dataclass(frozen=True, slots=True, kw_only=True)
class Citizen:
    """A person with a login, and somebody whom they represent."""

    subject: str
    person: PersonDetails
    concerned: PersonDetails


def citizen(number: int) -> Citizen:
    return Citizen(
        subject=f"login-{number}",
        person=replace(
            PERSON,
            full_name=f"{PERSON.full_name} {number}",
            national_number=f"0100000000{number}",
            phone=f"+96393312340{number}",
        ),
        concerned=PersonDetails(
            full_name=f"سعاد {number}", national_number=f"0200000000{number}"
        ),
    )


class Life:
    """One request, from a citizen's login to the paper at home, a step at a time."""

    def __init__(self, scene: Scene, of: Citizen, number: int) -> None:
        self.scene = scene
        self.of = of
        self.item = item_number(number)
        self.id = scene.submit(
            self._login(),
            **ONLINE,
            service="CIV-06",
            applicant=of.person,
            concerned=of.concerned,
            relationship=Relationship.REPRESENTATIVE,
        )

    def _login(self) -> Principal:
        return self.scene.house.citizen(self.of.subject)

    def _clerk(self) -> dict[str, Any]:
        return {"request_id": self.id, "token": self.scene.get(self.id).token}

    def _seen(self, principal: Principal = CLERK) -> Any:
        return self.scene.seen(self.id, principal, "step")

    def is_taken_in(self) -> None:
        self.scene.requests.parties(self.id, CLERK)
        self.scene.accept(self.id)
        self.scene.house.people.export(applicant(self.id), SUPERVISOR)

    def is_paid(self) -> None:
        """Once too little, which is given back, and then what is due."""
        due = fee_of(self.scene, self.id)
        wrong, _ = reported(self.scene, fee_of(self.scene, self.id, amount=7))
        settle(self.scene, wrong)
        assert reported(self.scene, due)[0] == self.id

    def is_asked_about(self) -> None:
        missing = ("id-card",)
        requests = self.scene.requests
        requests.request_information(
            RequestInformation(**self._clerk(), missing=missing), self._seen()
        )
        requests.supply_information(
            SupplyInformation(**self._clerk(), supplied=missing), self._seen()
        )

    def is_corrected(self) -> None:
        number = self.of.person.phone or ""
        correct(self.scene, self.id, CorrectedField.PHONE, number[:-1] + "9")

    def is_answered(self) -> None:
        self.scene.forward(self.id)
        self.scene.respond(self.id, AGENCY)
        self.scene.stamp(self.id)

    def is_mailed(self) -> None:
        self.scene.requests.mail(
            MailDocument(**self._clerk(), item=self.item, to=Delivery.HOME),
            self._seen(),
        )

    def is_taken_back_too_late(self) -> None:
        command = WithdrawRequest(
            request_id=self.id, reason=WithdrawnBecause.NOT_NEEDED
        )
        with pytest.raises(WrongStateError):
            self.scene.requests.withdraw(command, self._seen(self._login()))


STEPS = (
    Life.is_taken_in,
    Life.is_paid,
    Life.is_asked_about,
    Life.is_corrected,
    Life.is_answered,
    Life.is_mailed,
    Life.is_taken_back_too_late,
)


def published(options: dict[str, Any], database: Database) -> list[Record]:
    """All that there is of a ledger on the topics of events and of statuses."""
    reader = LedgerReader(database.datastore(Role.READER))
    events, statuses = new_topic(options), new_topic(options, REQUEST_STATUS)
    relay = Relay(reader, options, topic=events, statuses=statuses)
    relay_until(relay, reader.head().position)
    return read_all(options, events.name) + read_all(options, statuses.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """What was published of the same things done to four requests.

    The first two are one person's, the last two those of two others.
    """

    records: list[Record]
    requests: Sequence[UUID]


@pytest.fixture(scope="module")
def lived(
    options: dict[str, Any], server: Server, seeded_template: str
) -> Iterator[Lived]:
    database = fresh_database(server, seeded_template)
    try:
        with scene_in(database) as scene:
            office = Office(scene)
            # Stands still from here on: a time tells nobody from others then.
            scene.now += timedelta(hours=1)
            # The two of one are not beside each other, and not beside the others'.
            one, other, another = (citizen(number) for number in (1, 2, 3))
            first, third, second, fourth = lives = [
                Life(scene, of, number)
                for number, of in enumerate((one, other, one, another), start=1)
            ]
            scene.level()
            for step in STEPS:
                for life in lives:
                    step(life)
                office.tell()
                scene.level()
            office.close()
        yield Lived(
            records=published(options, database),
            requests=[each.id for each in (first, second, third, fourth)],
        )
    finally:
        database.close()


def leaves_of(said: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every value in a body, with the name of the key that it is under."""
    if isinstance(said, dict):
        for key, value in said.items():
            yield from leaves_of(value, key)
    elif isinstance(said, list):
        for value in said:
            yield from leaves_of(value, name)
    else:
        yield name, str(said)


@cache
def values_of(record: Record) -> frozenset[str]:
    """Everything in a record by which two could be seen to belong together.

    Of a text its parts too. A number says something only with the name that it has.
    """
    found: set[str] = set()
    told = [*leaves_of(record.said), *record.told.items()]
    for name, text in (*told, ("key", (record.key or b"").decode())):
        parts = [] if TIME.fullmatch(text) else re.split("[/: ]", text)
        for each in (text, *parts, *UUIDS.findall(text)):
            found.add(f"{name}={each}" if each.isdecimal() else each)
    return frozenset(found)


def is_of(record: Record, request_id: UUID) -> bool:
    return str(request_id) in values_of(record)


def values_about(records: Sequence[Record], request_id: UUID) -> set[str]:
    """Everything in the records of a request, and of what else names it."""
    keys = {record.key for record in records if is_of(record, request_id)}
    return {
        value for record in records if record.key in keys for value in values_of(record)
    }


def joined(records: Sequence[Record], requests: Sequence[UUID]) -> set[str]:
    """What the first two requests have in common and the last two have not."""
    first, second, third, fourth = (values_about(records, each) for each in requests)
    return (first & second) - (third & fourth)


def test_two_requests_of_one_person_have_nothing_of_their_own_in_common(
    lived: Lived,
) -> None:
    assert joined(lived.records, lived.requests) == set()
    # All of it was looked at.
    found = {
        record.told["ce_type"].split(".", 1)[1]
        for record in lived.records
        if any(is_of(record, each) for each in lived.requests)
    }
    assert found >= {
        *(f"request.{each}.v1" for each in ("submitted", "accepted", "assigned")),
        *(f"request.{each}.v1" for each in ("fee-paid", "corrected", "informed")),
        *(f"request.{each}.v1" for each in ("stamped", "mailed", "forwarded")),
        *("read.looked.v1", "attempt.refused.v1", "payment.unmatched.v1"),
        "request-status.v1",
    }


PERSON_ID = "5b1c7f9e-0d3a-4f7e-9a51-6c2d8e4b7a10"


def in_the_body(record: Record, value: str) -> Record:
    body = json.dumps({**record.said, "correlation_id": value}).encode()
    return replace(record, value=body)


def deep_in_the_body(record: Record, value: str) -> Record:
    said = {**record.said, "data": {"parties": [{"person": f"person/{value}/1"}]}}
    return replace(record, value=json.dumps(said).encode())


def in_a_header(record: Record, value: str) -> Record:
    return replace(record, headers=(*record.headers, ("ce_owner", value.encode())))


@pytest.mark.parametrize("plant", [in_the_body, deep_in_the_body, in_a_header])
@pytest.mark.parametrize("value", [PERSON_ID, "9a3f6c", "1000099887"])
@pytest.mark.parametrize("type_", ["sijil.request.mailed.v1", REQUEST_STATUS.name])
def test_a_value_of_one_person_in_both_is_noticed(
    lived: Lived, plant: Any, value: str, type_: str
) -> None:
    def planted(of: Sequence[UUID]) -> set[str]:
        keys = {str(each).encode() for each in of}
        return joined(
            [
                plant(each, value)
                if each.key in keys and each.told["ce_type"] == type_
                else each
                for each in lived.records
            ],
            lived.requests,
        )

    assert any(value in each for each in planted(lived.requests[:2]))
    # In those of everybody it is nobody's, and in one alone it joins nothing.
    assert planted(lived.requests) == set()
    assert planted(lived.requests[:1]) == set()


def test_a_payment_under_the_number_of_one_for_the_fee_of_the_other_joins_them(
    options: dict[str, Any], seeded_database: Database
) -> None:
    """As docs/explanation/personal-data.md admits."""
    with scene_in(seeded_database) as scene:
        first, second, *others = requests = [scene.assigned() for _ in range(4)]
        number = scene.get(first).tracking_number
        scene.pay(first)
        payment_id, payment = reported(
            scene, fee_of(scene, second, tracking_number=number)
        )
        scene.pay(second, BANK, bank_reference=payment.bank_reference)
        settle(scene, payment_id, TAKEN, request_id=second)
        for request_id in others:
            scene.pay(request_id)
    found = joined(published(options, seeded_database), requests)
    assert {str(first), str(second), str(payment_id)} <= found
    assert payment.bank_reference in found
