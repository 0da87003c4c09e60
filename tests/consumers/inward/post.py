"""Topics of one test on a real Kafka, what is sent to them, and who follows them."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

from eventsourcing.persistence import Tracking
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from consumers.inward.messages import Correspondence
from consumers.inward.records import InwardMessage, tracking_name
from consumers.inward.worker import InwardWorker, topic_ids
from consumers.topic_admin import TopicAdmin
from consumers.topics import AGENCY_REPLIES, BANK_PAYMENTS, POSTAL_SCANS, Topic
from office.house import House
from tests.consumers.conftest import until
from tests.consumers.inward.letters import (
    Sign,
    by_secret,
    senders,
    senders_file,
    signature,
    written,
)
from tests.consumers.inward.process import Given
from tests.office.scene import Scene

_NUMBERS = count(1)
PARTITIONS = 3


class Aside:
    """Where dead letters go in these tests: the offset is passed, the rest is kept."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.found: list[tuple[InwardMessage, str, int]] = []

    def set_aside(
        self,
        message: InwardMessage,
        *,
        cause: str,
        attempts: int,
        detail: str | None = None,
        tracking: Tracking,
    ) -> None:
        self._house.ledger.append(tracking=tracking)
        self.found.append((message, cause, attempts))


class Post:
    """Topics of one test, what is sent to them, and workers that follow them."""

    def __init__(self, options: dict[str, Any], scene: Scene, folder: Path) -> None:
        self.options = options
        self.scene = scene
        self.folder = folder
        self.group = f"sijil-inward-{os.getpid()}-{next(_NUMBERS)}"
        self.topics = {
            self._made(topic).name: kind
            for topic, kind in (
                (AGENCY_REPLIES, Correspondence.REPLIES),
                (POSTAL_SCANS, Correspondence.SCANS),
                (BANK_PAYMENTS, Correspondence.PAYMENTS),
            )
        }
        self.replies, self.scans, self.payments = self.topics
        self.aside = Aside(scene.house)
        self.producer = KafkaProducer(**options, acks="all", max_request_size=2 * 2**20)
        self.used: Counter[str] = Counter()
        self.sent = 0
        self.places: dict[tuple[int, int], UUID] = {}

    def _made(self, topic: Topic) -> Topic:
        made = dataclasses.replace(
            topic,
            name=f"{topic.name}.{os.getpid()}-{next(_NUMBERS)}",
            partitions=PARTITIONS,
        )
        with closing(TopicAdmin(self.options, replication=1)) as admin:
            admin.apply([made])
        return made

    def close(self) -> None:
        self.producer.close()

    @property
    def letters_group(self) -> str:
        """The group as the topic of its dead letters names it."""
        return self.group.removeprefix("sijil-")

    def topic_id(self, topic: str) -> UUID:
        """Kafka's own id of a topic."""
        with closing(KafkaAdminClient(**self.options)) as admin:
            return topic_ids(admin, [topic])[topic]

    def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes = b"k",
        key_id: str | None = None,
        sign: Sign | None = None,
        headers: list[tuple[str, bytes]] | None = None,
        partition: int | None = None,
    ) -> tuple[int, int]:
        """Send a message, signed unless it is said; where it stands."""
        kind = self.topics[topic]
        usual = {
            Correspondence.REPLIES: "civ-1",
            Correspondence.SCANS: "post-key",
            Correspondence.PAYMENTS: "bank-key",
        }
        signed = signature(
            topic, key, value, key_id or usual[kind], sign or by_secret()
        )
        at = self.producer.send(
            topic,
            key=key,
            value=value,
            headers=signed if headers is None else headers,
            partition=partition,
        ).get(30)
        self.sent += 1
        return at.partition, at.offset

    def reply(self, request_id: UUID, **more: Any) -> None:
        facts = {
            "type": "sijil.agency-reply.v1",
            "request_id": str(request_id),
            "outcome": "issued",
        }
        told = {name: more.pop(name) for name in ("happened_at",) if name in more}
        value = written(**{**facts, **told})
        at = self.send(self.replies, value, key=str(request_id).encode(), **more)
        self.places[at] = request_id

    def worker(self, **more: Any) -> InwardWorker:
        known = senders(self.folder)
        return InwardWorker(
            self.scene.house,
            self.options,
            senders=lambda: known,
            aside=self.aside,
            topics=self.topics,
            group=self.group,
            session_ms=6_000,
            done=lambda message: self.used.update([message.name]),
            **more,
        )

    def given(self, group: str, **more: Any) -> Given:
        """What a worker in a process of its own is given."""
        return Given(
            settings=self.scene.database.settings,
            bootstrap=",".join(self.options["bootstrap_servers"]),
            senders=senders_file(self.folder),
            topics=self.topics,
            group=group,
            **more,
        )

    def passing(self) -> Callable[[], int]:
        """What tells how many replies have been passed."""
        topic_id = self.topic_id(self.replies)
        names = [
            tracking_name(self.replies, topic_id, each) for each in range(PARTITIONS)
        ]
        recorder = self.scene.house.ledger.process_recorder

        def passed() -> int:
            marks = [recorder.max_tracking_id(name) for name in names]
            return sum(1 + mark for mark in marks if mark is not None)

        return passed

    @contextmanager
    def working(self, number: int = 1) -> Iterator[list[Running]]:
        made = [Running(self.worker()) for _ in range(number)]
        try:
            yield made
        finally:
            for each in made:
                each.stop()
            for each in made:
                if each.error is not None:
                    raise each.error

    def until_used(self, number: int) -> None:
        until(lambda: len(self.used) >= number)


class Running:
    """A worker in a thread of its own."""

    def __init__(self, worker: InwardWorker) -> None:
        self.error: BaseException | None = None
        self._stop = Event()
        self._worker = worker
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._worker.run(self._stop)
        except Exception as error:  # noqa: BLE001 -- looked at by the test
            self.error = error

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


def forwarded(scene: Scene, number: int = 1) -> list[UUID]:
    made = [scene.submit(service="CIV-06") for _ in range(number)]
    scene.level()
    for request_id in made:
        scene.pay(request_id)
        scene.forward(request_id)
    return made


def answers(scene: Scene) -> Counter[str]:
    topic = "sijil.request.agency-responded.v1"
    return Counter(str(e.aggregate_id) for e in scene.entries() if e.topic == topic)
