"""Workers on a real Kafka: each message has one effect, whoever joins and leaves."""

from __future__ import annotations

import dataclasses
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from eventsourcing.persistence import OperationalError, Tracking
from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata
from structlog.testing import capture_logs

from consumers.inward.desk import InwardDesk
from consumers.inward.lane import LedgerResumedError
from consumers.inward.messages import LARGEST_MESSAGE_BYTES
from consumers.inward.records import InwardMessage
from consumers.inward.worker import MOST_WAITING, OffsetsLostError
from consumers.topic_admin import TopicAdmin, TopicMissingError
from consumers.topics import AGENCY_REPLIES
from domain.requests import Answer
from ledger.bodies import read_body
from ledger.book import Ledger
from office.acts import Done
from tests.consumers.conftest import until
from tests.consumers.inward.letters import OTHER_SECRET, by_secret, written
from tests.consumers.inward.post import PARTITIONS, Post, Running, answers, forwarded
from tests.consumers.inward.test_lane import STORED


def test_each_topic_becomes_acts_and_a_redelivery_does_nothing(post: Post) -> None:
    scene = post.scene
    (asked,) = forwarded(scene)
    unpaid, mailed = scene.assigned(), scene.mailed()
    scene.level()
    post.reply(asked)
    post.send(
        post.scans,
        written(
            type="sijil.postal-scan.v1",
            item=scene.get(mailed).item,
            scanned="delivered",
            capacity="self",
        ),
    )
    fee = scene.get(unpaid).terms
    assert fee is not None
    post.send(
        post.payments,
        written(
            type="sijil.bank-payment.v1",
            tracking_number=scene.get(unpaid).tracking_number,
            amount=sum(line.amount for line in fee.fee_lines),
            unit="SYP.new",
            bank_reference="B-1",
        ),
    )

    def are_all_used() -> bool:
        # A payment waits for the view of payments, which the other two keep behind.
        scene.room.runner.catch_up()
        return len(post.used) == post.sent

    with post.working():
        until(are_all_used, 60)
    assert post.aside.found == []
    assert scene.get(asked).answer is Answer.ISSUED
    assert scene.get(mailed).is_received
    assert scene.get(unpaid).is_fee_paid
    body = read_body(scene.entries(asked)[-1].body)
    assert body["causation_id"].startswith(f"kafka/{post.replies}/")
    assert body["actor"]["id"] == "officer-1"

    before = scene.entries()
    with closing(KafkaConsumer(**post.options, group_id=post.group)) as consumer:
        places = [TopicPartition(t, p) for t in post.topics for p in range(PARTITIONS)]
        consumer.assign(places)
        consumer.commit({each: OffsetAndMetadata(0, "", -1) for each in places})
    (another,) = forwarded(scene)
    between = len(scene.entries())
    post.reply(another)
    with post.working():
        post.until_used(4)
    # Nothing but the new one, whatever the group said.
    assert len(scene.entries()) == between + 1
    assert scene.entries()[: len(before)] == before
    assert set(post.used.values()) == {1}


def test_what_cannot_be_used_is_set_aside_and_the_partition_moves_on(
    post: Post,
) -> None:
    scene = post.scene
    asked, answered = forwarded(scene, 2)
    scene.respond(answered)
    good = {
        "type": "sijil.agency-reply.v1",
        "request_id": str(asked),
        "outcome": "issued",
    }
    later = datetime.now(UTC) + timedelta(hours=1)
    wrong: list[tuple[bytes, dict[str, Any], str]] = [
        (b"x" * 1_000_000, {}, "too-large"),
        (b'{"type":', {}, "not-json"),
        (written(**{**good, "type": "sijil.unknown.v1"}), {}, "unknown-type"),
        (written(**good, name="MARKED"), {}, "malformed"),
        (written(**good), {"sign": by_secret(OTHER_SECRET)}, "wrong-signature"),
        (written(**good), {"headers": []}, "unsigned"),
        (written(**good), {"key_id": "civ-9"}, "unknown-key"),
        (written(**good), {"key_id": "bank-key"}, "wrong-sender"),
        (written(**good, happened_at=later), {}, "effective-time"),
        (written(**{**good, "request_id": str(answered)}), {}, "wrong-state"),
        (written(**{**good, "request_id": str(UUID(int=7))}), {}, "not-found"),
    ]
    for value, more, _ in wrong:
        post.send(post.replies, value, partition=0, **more)
    post.reply(asked, partition=0)
    with post.working():
        post.until_used(len(wrong) + 1)
    assert [cause for _, cause, _ in post.aside.found] == [each[2] for each in wrong]
    for (message, _, attempts), (value, _, _) in zip(
        post.aside.found, wrong, strict=True
    ):
        assert message.value == value
        assert attempts == 1
    assert len(wrong[0][0]) > LARGEST_MESSAGE_BYTES
    assert answers(scene) == {str(asked): 1, str(answered): 1}
    # What a rule refused is an attempt as well, and what is nobody's is none.
    codes = [read_body(each.body)["data"]["code"] for each in scene.attempts()]
    assert codes == ["effective-time", "wrong-state"]
    assert b"MARKED" not in scene.stored_bytes()


def test_a_clock_that_is_a_little_ahead_is_waited_for(post: Post) -> None:
    (asked,) = forwarded(post.scene)
    at = datetime.now(UTC) + timedelta(seconds=1.5)
    post.reply(asked, happened_at=at)
    with post.working():
        post.until_used(1)
    entry = post.scene.entries(asked)[-1]
    assert read_body(entry.body)["effective_at"] == f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
    assert entry.recorded_at >= at


def test_a_topic_that_was_made_again_begins_anew_and_lost_records_stop_us(
    post: Post,
) -> None:
    scene = post.scene
    first, second = forwarded(scene, 2)
    post.reply(first, partition=0)
    with post.working():
        post.until_used(1)
    with closing(TopicAdmin(post.options, replication=1)) as admin:
        made = dataclasses.replace(
            AGENCY_REPLIES, name=post.replies, partitions=PARTITIONS
        )
        admin._admin.delete_topics([post.replies])
        until(lambda: bool(admin.differences([made])))
        with pytest.raises(TopicMissingError):
            post.worker().run(Event())
        admin.apply([made])
    # The same offset in another topic of the same name: another message.
    post.reply(second, partition=0)
    with post.working():
        until(lambda: answers(scene)[str(second)] == 1)
    assert answers(scene) == {str(first): 1, str(second): 1}

    message = InwardMessage(
        topic=post.replies,
        partition=0,
        offset=9,
        key=None,
        value=None,
        headers=(),
        timestamp_ms=0,
    )
    scene.house.ledger.append(tracking=message.tracking(post.topic_id(post.replies)))
    with pytest.raises(OffsetsLostError, match=f"{post.replies}/0"):
        post.worker().run(Event())


class Away:
    """A ledger that does not tell the marks so many times."""

    def __init__(self, ledger: Ledger, times: int) -> None:
        self._ledger = ledger
        self.times = times
        self.reader = ledger.reader

    @property
    def process_recorder(self) -> Any:
        if self.times:
            self.times -= 1
            raise OperationalError
        return self._ledger.process_recorder


def test_a_worker_that_begins_while_the_ledger_is_away_waits_and_says_it_once(
    post: Post,
) -> None:
    (asked,) = forwarded(post.scene)
    post.reply(asked)
    worker = post.worker()
    away: Any = Away(post.scene.house.ledger, 5)
    worker._ledger = away
    with capture_logs() as logged:
        running = Running(worker)
        try:
            post.until_used(1)
        finally:
            running.stop()
    assert running.error is None
    assert away.times == 0
    said = [each["because"] for each in logged if each["event"] == "inward.waits"]
    assert said == ["OperationalError"]


def test_a_worker_gives_signs_of_life_while_it_has_nothing_to_do(post: Post) -> None:
    heard: list[int] = []
    running = Running(post.worker(at_work=lambda: heard.append(1)))
    try:
        until(lambda: len(heard) > 20)
    finally:
        running.stop()
    assert running.error is None
    assert post.used == {}


def test_a_worker_ends_with_its_rounds(post: Post) -> None:
    worker = post.worker()
    running = Running(worker)
    try:
        worker._rounds.error = RuntimeError("a round's own")
        until(lambda: running.error is not None)
    finally:
        running.stop()
    assert running.error is worker._rounds.error
    assert worker._rounds._stop.is_set()


def test_a_worker_does_not_outlive_its_ledger(post: Post) -> None:
    (asked,) = forwarded(post.scene)
    running = Running(post.worker())
    try:
        post.reply(asked)
        post.until_used(1)
        dsn = post.scene.database.superuser_dsn()
        with closing(psycopg2.connect(**dsn)) as connection, connection:
            connection.cursor().execute(
                "UPDATE sijil.ledger_head SET incarnation = incarnation + 1"
            )
        until(lambda: running.error is not None)
    finally:
        running.stop()
    assert isinstance(running.error, LedgerResumedError)


class SlowDesk(InwardDesk):
    """Passes what comes on the first topic when it is told to, and the rest at once."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self.go_on = Event()

    def goes_in_a_mailbag(self, topic: str) -> bool:
        return False

    def use(self, message: InwardMessage, tracking: Tracking) -> Done:
        if message.topic == self._post.replies:
            assert self.go_on.wait(60)
        if message.offset % 500 == 499 or message.topic != self._post.replies:
            self._post.scene.house.ledger.append(tracking=tracking)
        return STORED


def test_a_backlog_is_paused_and_read_to_its_end(post: Post) -> None:
    number = 2 * MOST_WAITING
    for _ in range(number):
        post.producer.send(post.replies, key=b"k", value=b"{}", partition=0)
    post.producer.flush()
    worker = post.worker()
    worker._desk = desk = SlowDesk(post)
    running = Running(worker)
    try:
        until(lambda: bool(worker._paused))
        # Something else begins while the half of a fetch waits.
        post.send(post.scans, b"{}", partition=1)
        until(lambda: len(post.used) == 1)
        assert worker._paused == {TopicPartition(post.replies, 0)}
        desk.go_on.set()
        until(lambda: len(post.used) == number + 1)
    finally:
        desk.go_on.set()
        running.stop()
    assert running.error is None
    assert set(post.used.values()) == {1}


def test_workers_come_and_go_under_load_and_every_reply_has_one_effect(
    post: Post,
) -> None:
    scene = post.scene
    asked = forwarded(scene, 18)
    running = [Running(post.worker()) for _ in range(2)]
    try:
        for number, request_id in enumerate(asked):
            # Each is sent twice, as senders do that saw no answer.
            for _ in range(2):
                post.reply(request_id, partition=number % PARTITIONS)
            if number == 6:
                running.append(Running(post.worker()))
            if number == 12:
                running.pop(0).stop()
        until(lambda: len(post.used) == post.sent, 90)
    finally:
        for each in running:
            each.stop()
    assert answers(scene) == {str(each): 1 for each in asked}
    refused = Counter(cause for _, cause, _ in post.aside.found)
    assert refused == {"wrong-state": len(asked)}
    assert len(scene.attempts()) == len(asked)
    assert set(post.used.values()) == {1}
