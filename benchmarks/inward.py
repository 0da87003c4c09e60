"""Claim: agencies' replies become events twice as fast as one thread calls the office.

One real Apache Kafka and one embedded ledger on this machine. In each round so many
requests wait at their agencies, in thirds: one is answered through the use case itself,
one after the other in one thread, as a door does with one caller; the others by signed
messages on a topic of twelve partitions, which one worker uses, or two of a group. All
write the same events under the same rules, and a mark with each; workers also read and
check signatures. The sides take turns at which begins.

Afterwards every request has one answer, and every partition is passed to its end.

``python -m benchmarks.inward [REPLIES]``
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.persistence import Tracking
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import CoordinatorNotAvailableError

from benchmarks.append import installation
from benchmarks.bars import Line, keep
from consumers.inward.messages import Correspondence
from consumers.inward.records import tracking_name
from consumers.inward.signatures import KEY_ID, SIGNATURE, signed_bytes
from consumers.inward.worker import topic_ids
from consumers.settings import KafkaSettings
from consumers.topic_admin import TopicAdmin
from consumers.topics import AGENCY_REPLIES
from domain.access import Principal
from domain.acts import ActorKind
from domain.ids import new_id
from domain.money import Unit
from domain.persons import PersonDetails
from domain.requests import Answer, Channel, Delivery, PaymentChannel
from domain.services import Relationship
from ledger.book import Ledger
from ledger.settings import LedgerSettings
from office.acts import Envelope
from office.bulk import BulkDesk, Item
from office.commands import (
    ClaimRequest,
    ForwardRequest,
    PayFee,
    RecordResponse,
    SubmitRequest,
)
from office.house import House
from office.requests.taking_in import request_id_of
from office.seeding import seed
from projections.schema import ensure_views
from tests.consumers.inward.process import Given, begin
from tests.kafka.broker import Cluster

REPLIES = 9_000
"""Of one side of one round: some ten seconds."""
ROUNDS = 3
"""Odd, so that the median is a measured round."""
MUST_BE = 2.0
JOINED_S = 60.0
DONE_S = 120.0
"""How long a side may take before the run gives up."""
LOOK_S = 0.1
"""Between two looks at the marks: a fiftieth of a round, and little work beside it."""
SECRET = bytes(range(32))
SENDERS = f"""
[[sender]]
kind = "agency"
id = "officer-1"
agency = "CIV"
governorate = "SY-DI"
key = [{{ id = "civ-1", algorithm = "hmac-sha256", secret = "{SECRET.hex()}" }}]
"""
AGENCY = Principal(
    role=ActorKind.AGENCY, id="officer-1", agency="CIV", governorate="SY-DI"
)
CENTRE = "SY-DI-01"
CLERK = Principal(role=ActorKind.CLERK, id="clk-DI-1", centre=CENTRE)
SERVICE = "CIV-06"
"""A service by the agency's reply, in Damascus too."""
PERSON = PersonDetails(
    full_name="مواطن للقياس", national_number="01000099887", phone="+963933123498"
)
_NUMBERS = count(1)


class Bench:
    """The broker, the office, and what waits at the agency."""

    def __init__(self, cluster: Cluster, settings: LedgerSettings, place: Path) -> None:
        self._bootstrap = cluster.bootstrap
        self.options = KafkaSettings(kafka=cluster.bootstrap).client()
        self._settings = settings
        self.senders_file = place / "senders.toml"
        self.senders_file.write_text(SENDERS, encoding="utf-8")
        self.senders_file.chmod(0o600)
        ensure_views(settings)
        with House(settings) as house:
            seed(house.catalogue)
            conditions = house.conditions.of_service(SERVICE, CENTRE, CLERK)
            self._fee = sum(line.amount for line in conditions.terms.fee_lines)

    def waiting(self, number: int) -> list[UUID]:
        """So many requests, each forwarded to the agency and unanswered."""
        with House(self._settings) as house:
            desk = BulkDesk(house)
            made = list(desk.run(self._lives(number)))
        assert all(each.error is None for each in made), made[0].error
        return list(dict.fromkeys(each.done.aggregate_id for each in made if each.done))

    def _lives(self, number: int) -> Iterator[Item]:
        for _ in range(number):
            now = datetime.now(UTC)
            submission = new_id(now)
            request_id = request_id_of(submission, now)
            commands = (
                SubmitRequest(
                    service=SERVICE,
                    centre=None,
                    channel=Channel.COUNTER,
                    applicant=PERSON,
                    concerned=None,
                    relationship=Relationship.SELF,
                    documents=("id-card",),
                    delivery=Delivery.HOME,
                    accept_now=True,
                ),
                ClaimRequest(request_id=request_id),
                PayFee(
                    request_id=request_id,
                    token=1,
                    channel=PaymentChannel.CASH,
                    amount=self._fee,
                    unit=Unit.NEW,
                ),
                ForwardRequest(request_id=request_id, token=1),
            )
            for version, command in enumerate(commands):
                yield Item(
                    command=command,
                    envelope=Envelope(
                        principal=CLERK,
                        command_id=submission if version == 0 else new_id(now),
                        route=type(command).__name__,
                        effective_at=now,
                        if_version=_ETAGS[version],
                    ),
                )

    def called(self, waiting: list[UUID]) -> float:
        """Replies a second, through the use case, one after the other."""
        with House(self._settings) as house:
            name = f"bench/{next(_NUMBERS)}"
            began = time.monotonic()
            for number, request_id in enumerate(waiting):
                now = datetime.now(UTC)
                house.reports.reply(
                    RecordResponse(
                        request_id=request_id, token=None, outcome=Answer.ISSUED
                    ),
                    Envelope(
                        principal=AGENCY,
                        command_id=new_id(now),
                        route="response",
                        effective_at=now,
                        tracking=Tracking(name, number),
                    ),
                )
            return len(waiting) / (time.monotonic() - began)

    def sent(self, waiting: list[UUID], *, workers: int) -> float:
        """Replies a second of so many workers, once each has partitions.

        All was sent before; what they use before they share is not counted.
        """
        topic = self.topic()
        self.send(topic, waiting)
        given = Given(
            settings=self._settings,
            bootstrap=self._bootstrap,
            senders=self.senders_file,
            topics={topic: Correspondence.REPLIES},
            group=topic,
        )
        processes = [begin(given) for _ in range(workers)]
        try:
            self._wait_until_shared(topic, workers)
            return self._rate_of(topic, len(waiting))
        finally:
            for each in processes:
                each.kill()
                each.join()

    def _wait_until_shared(self, group: str, workers: int) -> None:
        """Wait until every worker of the group has partitions."""
        until = time.monotonic() + JOINED_S
        with closing(KafkaAdminClient(**self.options)) as admin:
            while time.monotonic() < until:
                # The first group of a broker: where it keeps them is only being made.
                with suppress(CoordinatorNotAvailableError):
                    found = admin.describe_groups([group])[group]
                    given = [m["member_assignment"] for m in found["members"]]
                    are_all = len(given) == workers and all(
                        each and each["assigned_partitions"] for each in given
                    )
                    if found["group_state"] == "Stable" and are_all:
                        return
                time.sleep(0.2)
        raise AssertionError(f"{workers} workers have not joined in {JOINED_S} s")

    def _rate_of(self, topic: str, replies: int) -> float:
        """Marks a second from now until there are so many; looked at every LOOK_S."""
        with closing(KafkaAdminClient(**self.options)) as admin:
            topic_id = topic_ids(admin, [topic])[topic]
        names = [
            tracking_name(topic, topic_id, each)
            for each in range(AGENCY_REPLIES.partitions)
        ]
        first: tuple[float, int] | None = None
        until = time.monotonic() + DONE_S
        with closing(Ledger(self._settings)) as ledger:
            while time.monotonic() < until:
                marks = [ledger.process_recorder.max_tracking_id(n) for n in names]
                now = time.monotonic()
                passed = sum(0 if mark is None else mark + 1 for mark in marks)
                first = first or (now, passed)
                if passed == replies:
                    # What is measured is no remainder.
                    assert passed - first[1] > replies / 2, "used before they shared"
                    return (passed - first[1]) / (now - first[0])
                time.sleep(LOOK_S)
        raise AssertionError(f"{passed} of {replies} passed")

    def topic(self) -> str:
        """The name of an empty topic."""
        made = dataclasses.replace(
            AGENCY_REPLIES, name=f"{AGENCY_REPLIES.name}.{next(_NUMBERS)}"
        )
        with closing(TopicAdmin(self.options, replication=1)) as admin:
            admin.apply([made])
        return made.name

    def send(
        self, topic: str, waiting: list[UUID]
    ) -> list[tuple[tuple[int, int], UUID]]:
        """Send an answer to each, in their order; where each stands."""
        with closing(KafkaProducer(**self.options, acks="all", linger_ms=5)) as sender:
            sent = [
                sender.send(topic, **_reply(topic, request_id))
                for request_id in waiting
            ]
            sender.flush(60)
            stand = [each.get(60) for each in sent]
        return [
            ((at.partition, at.offset), request_id)
            for at, request_id in zip(stand, waiting, strict=True)
        ]

    def verify(self, requests: list[UUID]) -> None:
        """Every request has one answer."""
        with House(self._settings) as house:
            for request_id in requests:
                topics = [e.topic for e in house.ledger.reader.aggregate(request_id)]
                assert topics.count("sijil.request.agency-responded.v1") == 1


def _reply(topic: str, request_id: UUID) -> dict[str, Any]:
    """The agency's signed answer: key, value and headers."""
    key = str(request_id).encode()
    value = json.dumps(
        {
            "type": "sijil.agency-reply.v1",
            "happened_at": datetime.now(UTC).isoformat(),
            "request_id": str(request_id),
            "outcome": "issued",
        }
    ).encode()
    signed = signed_bytes(topic=topic, key_id="civ-1", key=key, value=value)
    signature = hmac.digest(SECRET, signed, hashlib.sha256)
    headers = [(KEY_ID, b"civ-1"), (SIGNATURE, base64.b64encode(signature))]
    return {"key": key, "value": value, "headers": headers}


_ETAGS = (None, 2, 2, 4)
"""What a clerk has seen before each act: submitted and accepted, then a claim, which
moves no ETag, then the fee."""


def main() -> None:
    """Measure, verify, print and keep."""
    replies = int(sys.argv[1]) if len(sys.argv) > 1 else REPLIES
    rates: tuple[list[float], list[float], list[float]] = ([], [], [])
    with (
        tempfile.TemporaryDirectory(prefix="sijil-bench-") as folder,
        installation() as settings,
    ):
        cluster = Cluster(Path(folder))
        cluster.start()
        try:
            bench = Bench(cluster, settings, Path(folder))
            for number in range(ROUNDS):
                waiting = bench.waiting(3 * replies)
                sides = [
                    (partial(bench.sent, workers=1), waiting[:replies], rates[0]),
                    (bench.called, waiting[replies : 2 * replies], rates[1]),
                    (partial(bench.sent, workers=2), waiting[2 * replies :], rates[2]),
                ]
                for side, third, told in sides if number % 2 else sides[::-1]:
                    told.append(side(third))
                bench.verify(waiting)
        finally:
            cluster.stop()
    one, called, two = map(statistics.median, rates)
    keep(
        "inward",
        title="Agencies' replies from Kafka to committed events",
        about=[
            f"Medians of {ROUNDS} rounds of {replies:,} replies a side, in turn;",
            "twelve partitions, one broker (Apache Kafka 4.4.0).",
        ],
        header=("what", "messages, replies/s", "use case in one thread, replies/s"),
        lines=[
            Line(name="one worker", ours=one, rival=called, at_least=MUST_BE),
            Line(name="two workers", ours=two, rival=called, at_least=MUST_BE),
        ],
        is_trial=replies < REPLIES,
    )


if __name__ == "__main__":
    main()
