"""What cannot be used is kept as it came, passed in one act, and sent again once."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import Tracking
from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from consumers import dead_letters as module
from consumers.dead_letters import (
    REPLAY_OF,
    DeadLetters,
    Kept,
    Marks,
    Sender,
    replay_mark,
    replayed_by,
)
from consumers.inward.records import InwardMessage, Unusable
from consumers.partitions import reader_of, records_between
from consumers.replaying import Replaying
from consumers.topic_admin import TopicAdmin
from consumers.topics import DEAD_LETTERS, EVENTS, dead_letters_of
from domain.dead_letters import DeadBecause
from ledger.bodies import read_body
from ledger.persistence.append import TrackingConflictError
from office.dead_letters import DeadLettersDesk, SetAside, cause_of
from office.errors import LedgerUnavailableError, OperatorError
from office.streams import LetterPlace
from tests.conftest import Database, Server, fresh_database
from tests.office.scene import Scene, scene_in

_NUMBERS = count(1)
SIGNED = ("sijil_signature", b"\x00\xff")
REPLY = b'{"outcome":"issued"}'
FORGED = Marks(
    letter_id=uuid4(),
    group="g",
    origin="t/0/0",
    sent_ms=1,
    cause="x",
    attempts=1,
    kept=Kept.NOTHING,
)


@pytest.fixture(scope="module")
def scene(server: Server, template: str) -> Iterator[Scene]:
    database: Database = fresh_database(server, template)
    try:
        with scene_in(database) as made:
            yield made
    finally:
        database.close()


class Office:
    """A group of workers of one topic, both of a test's own."""

    def __init__(self, options: dict[str, Any], scene: Scene) -> None:
        number = f"{os.getpid()}-{next(_NUMBERS)}"
        self.options = options
        self.scene = scene
        self.group = f"test-{number}"
        self.topic = f"sijil.replies.{number}"
        self.tracked = f"kafka/{self.topic}/{uuid4()}/1"
        with closing(TopicAdmin(options, replication=1)) as admin:
            origin = dataclasses.replace(EVENTS, name=self.topic, partitions=2)
            admin.apply([origin, dead_letters_of(self.group)])
        self.aside = DeadLetters(options, scene.house.dead_letters, group=self.group)
        self.box = Replaying(options)

    def close(self) -> None:
        self.aside.close()
        self.box.close()

    def sent(self, **given: Any) -> InwardMessage:
        """A message as somebody sends it, read from its topic."""
        facts = {"key": b"k", "value": REPLY, "headers": [SIGNED], **given}
        with closing(KafkaProducer(**self.options)) as producer:
            at = producer.send(self.topic, partition=1, **facts).get(30)
        (record,) = self.records(self.topic, 1, at.offset)
        return InwardMessage.of(record)

    def records(self, topic: str, partition: int = 0, begin: int = 0) -> list[Any]:
        """The records of a partition from an offset on."""
        place = TopicPartition(topic, partition)
        with closing(reader_of(self.options)) as reader:
            ends = reader.end_offsets([place])
            batches = records_between(reader, {place: begin}, ends)
            return [record for batch, _ in batches for record in batch]

    def set_aside(self, message: InwardMessage, **given: Any) -> LetterPlace:
        """Set a message aside; its place, as its event has it."""
        facts: dict[str, Any] = {"cause": "not-json", "attempts": 1, **given}
        self.aside.set_aside(
            message, tracking=Tracking(self.tracked, message.offset), **facts
        )
        return self.letters()[-1]

    def events(self) -> list[tuple[UUID, dict[str, Any]]]:
        found = [
            (entry.aggregate_id, read_body(entry.body)["data"])
            for entry in self.scene.entries()
            if entry.topic == "sijil.message.dead-lettered.v1"
        ]
        return [(id_, data) for id_, data in found if data["group"] == self.group]

    def letters(self) -> list[LetterPlace]:
        names = ("group", "topic", "partition", "offset", "kept_partition")
        return [
            LetterPlace(
                id=letter_id,
                kept_offset=data["kept_offset"],
                **{name: data[name] for name in names},
            )
            for letter_id, data in self.events()
        ]

    def passed(self) -> int | None:
        recorder = self.scene.house.ledger.process_recorder
        return recorder.max_tracking_id(self.tracked)


@pytest.fixture
def office(options: dict[str, Any], scene: Scene) -> Iterator[Office]:
    made = Office(options, scene)
    try:
        yield made
    finally:
        made.close()


def test_every_cause_of_the_workers_is_one_of_events() -> None:
    for cause in Unusable:
        assert cause_of(cause) == (DeadBecause(cause.value), None)
    assert {each.value for each in DeadBecause} == {
        *(each.value for each in Unusable),
        "refused",
        "other",
    }


MESSAGES: dict[str, dict[str, Any]] = {
    "usual": {},
    "no-key": {"key": None},
    "empty": {"key": b"", "value": b""},
    "no-value": {"value": None},
    "arabic": {
        "value": "نص بالعربية".encode(),
        "headers": [("a", b"1"), ("a", b""), SIGNED],
    },
    "megabyte": {"value": os.urandom(1_000_000), "headers": []},
    "forged": {"headers": FORGED.headers()},
}


def test_it_is_kept_byte_for_byte(office: Office) -> None:
    for name, given in MESSAGES.items():
        message = office.sent(**given)
        letter = office.set_aside(message, detail="line-1")
        content = office.box.content(letter)
        assert (content.key, content.value) == (message.key, message.value), name
        assert content.headers == message.headers, name
        assert content.detail == "line-1"
        assert "نص" not in repr(content)
        assert office.passed() == message.offset
    # The ledger has where they are, and nothing of what is in them.
    for _, data in office.events():
        assert set(data) == {
            *("group", "topic", "partition", "offset", "cause", "attempts"),
            *("kept_partition", "kept_offset"),
        }
    assert len(office.events()) == len(MESSAGES)


def test_who_reads_the_topic_alone_sees_the_cause_and_where_it_came_from(
    office: Office,
) -> None:
    message = office.sent()
    letter = office.set_aside(message, cause="wrong-state", attempts=3)
    (record,) = office.records(DEAD_LETTERS.name.replace("inward", office.group))
    told = dict(record.headers)
    assert told["sijil_signature"] == SIGNED[1]
    assert told["sijil_dead_letter"] == str(letter.id).encode()
    assert told["sijil_origin"] == f"{office.topic}/1/{message.offset}".encode()
    assert (told["sijil_cause"], told["sijil_attempts"]) == (b"wrong-state", b"3")
    assert told["sijil_sent_ms"] == str(message.timestamp_ms).encode()


def test_one_with_neither_key_nor_value_has_a_place_too(office: Office) -> None:
    message = dataclasses.replace(office.sent(), key=None, value=None)
    letter = office.set_aside(message, cause="no-value")
    content = office.box.content(letter)
    assert (content.key, content.value, content.headers) == (None, None, (SIGNED,))
    with pytest.raises(OperatorError, match="neither key nor value"):
        office.box.send_again(letter, replay=1)


def test_one_larger_than_the_topic_takes_stays_where_it_came_from(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_RECORD_BYTES", 20_000)
    message = office.sent(value=bytes(50_000))
    letter = office.set_aside(message, cause="too-large")
    content = office.box.content(letter)
    assert (content.key, content.value) == (message.key, message.value)
    assert content.headers == message.headers
    assert office.passed() == message.offset


class Away(DeadLettersDesk):
    """A ledger that is away so many times, just when a message was kept."""

    def __init__(self, desk: DeadLettersDesk, times: int) -> None:
        self._desk = desk
        self.times = times

    def set_aside(self, command: SetAside, *, tracking: Tracking) -> Any:
        if self.times:
            self.times -= 1
            raise LedgerUnavailableError
        return self._desk.set_aside(command, tracking=tracking)


def test_a_crash_between_keeping_and_storing_leaves_one_letter(office: Office) -> None:
    message = office.sent()
    desk = Away(office.scene.house.dead_letters, 1)
    with closing(DeadLetters(office.options, desk, group=office.group)) as ended:
        office.aside, another = ended, office.aside
        with pytest.raises(LedgerUnavailableError):
            office.set_aside(message)
        office.aside = another
    assert office.passed() is None
    assert office.letters() == []
    letter = office.set_aside(message, attempts=2)
    # It was kept twice; each says which letter it is, and the event which one counts.
    records = office.records(dead_letters_of(office.group).name)
    assert len(records) == 2
    marked = [Marks.of(InwardMessage.of(record).headers) for record in records]
    assert {marks[0].letter_id for marks in marked if marks} == {letter.id}
    assert letter.kept_offset == records[1].offset
    assert len(office.letters()) == 1
    assert office.box.content(letter).value == message.value


def test_while_the_ledger_takes_nothing_a_message_is_kept_once(
    office: Office,
) -> None:
    first, second = office.sent(), office.sent(value=b"another")
    desk = Away(office.scene.house.dead_letters, 3)
    with closing(DeadLetters(office.options, desk, group=office.group)) as aside:
        office.aside, other = aside, office.aside
        for _ in range(3):
            with pytest.raises(LedgerUnavailableError):
                office.set_aside(first)
        letters = [office.set_aside(each) for each in (first, second)]
        desk.times = 1
        third = office.sent(value=b"a third")
        with pytest.raises(LedgerUnavailableError):
            office.set_aside(third)
        # It was made again: the same place, and another message.
        after = dataclasses.replace(third, timestamp_ms=third.timestamp_ms + 1)
        letters.append(office.set_aside(dataclasses.replace(after, value=b"after")))
        office.aside = other
    records = office.records(dead_letters_of(office.group).name)
    told = [record.value for record in records]
    assert told == [REPLY, b"another", b"a third", b"after"]
    kept = [letter.kept_offset for letter in letters]
    assert kept == [records[number].offset for number in (0, 1, 3)]


def test_told_twice_it_is_one_letter_and_passed_once(office: Office) -> None:
    message = office.sent()
    letter = office.set_aside(message)
    # Another worker had it too: its act is the same act.
    assert office.set_aside(message, attempts=4) == letter
    later = office.sent()
    office.set_aside(later)
    with pytest.raises(TrackingConflictError):
        office.aside.set_aside(
            dataclasses.replace(message, timestamp_ms=message.timestamp_ms + 1),
            cause="fault",
            attempts=1,
            tracking=Tracking(office.tracked, message.offset),
        )
    assert len(office.letters()) == 2
    assert office.passed() == later.offset


def test_what_cannot_be_kept_is_not_passed(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DELIVERY_TIMEOUT_MS", 1_000)
    monkeypatch.setattr(module, "LARGEST_RECORD_BYTES", 20_000)
    message = office.sent()
    lost = DeadLetters(
        {**office.options, "request_timeout_ms": 500},
        office.scene.house.dead_letters,
        group=f"{office.group}-without-a-topic",
    )
    with closing(lost), pytest.raises(KafkaError):
        lost.set_aside(
            message,
            cause="fault",
            attempts=1,
            tracking=Tracking(office.tracked, message.offset),
        )
    assert office.passed() is None
    assert office.letters() == []


def test_a_producer_that_is_broken_for_good_is_left_and_another_made(
    office: Office,
) -> None:
    class Broken(KafkaProducer):  # type: ignore[misc]
        def send(self, *_: Any, **__: Any) -> Any:
            raise KafkaError

        def flush(self, timeout: float | None = None) -> None:
            # As for others, whose records are on their way.
            if not self._sender._force_close:
                raise KafkaTimeoutError

    sender = Sender(office.options)
    sender._producer = broken = Broken(**office.options)
    facts: dict[str, Any] = {"partition": 1, "key": b"k", "value": b"v", "headers": []}
    with closing(sender):
        with pytest.raises(KafkaError):
            sender.send(office.topic, **facts)
        assert not broken._sender.is_alive()
        assert sender.send(office.topic, **facts).offset >= 0


# Sent again ----------------------------------------------------------------------


def test_it_goes_again_to_where_it_came_from_once_for_each_replay(
    office: Office,
) -> None:
    message = office.sent(headers=[SIGNED, (REPLAY_OF, b"of-before")])
    letter = office.set_aside(message)
    sent = office.box.send_again(letter, replay=1)
    assert (sent.partition, sent.is_repeat) == (1, False)
    assert sent.offset > message.offset
    # Whoever sent it was stopped before it was recorded, and does it again.
    again = office.box.send_again(letter, replay=1)
    assert again == dataclasses.replace(sent, is_repeat=True)
    third = office.box.send_again(letter, replay=2)
    assert (third.is_repeat, third.offset > sent.offset) == (False, True)
    records = office.records(office.topic, 1, message.offset + 1)
    assert [record.offset for record in records] == [sent.offset, third.offset]
    for number, record in enumerate(records, start=1):
        assert (record.key, record.value) == (message.key, message.value)
        mark = (REPLAY_OF, replay_mark(letter.id, number))
        assert record.headers == [SIGNED, mark]


def test_a_replay_that_fails_too_leads_to_the_first(office: Office) -> None:
    first = office.set_aside(office.sent())
    sent = office.box.send_again(first, replay=1)
    (record,) = office.records(office.topic, 1, sent.offset)
    office.set_aside(InwardMessage.of(record), cause="wrong-state")
    (_, told), (_, of_replay) = office.events()
    assert "replay_of" not in told
    assert of_replay["replay_of"] == str(first.id)
    assert of_replay["code"] == "wrong-state"


@pytest.mark.parametrize(
    "written",
    [[], [b""], [b"x/1"], [b"\xff/1"], [str(uuid4()).encode()], [b"a/1", b"b/1"]],
)
def test_what_is_no_mark_of_a_replay_is_none(written: list[bytes]) -> None:
    assert replayed_by(tuple((REPLAY_OF, each) for each in written)) is None
    letter = uuid4()
    assert replayed_by(((REPLAY_OF, replay_mark(letter, 3)),)) == letter


def test_content_that_is_gone_is_said_and_nothing_is_sent(office: Office) -> None:
    message = office.sent()
    letter = office.set_aside(message)
    for changed in (
        {"kept_offset": 10_000},
        {"kept_partition": 7},
        {"group": "nobody"},
        {"id": uuid4()},
        {"offset": 12_345},
    ):
        gone = dataclasses.replace(letter, **changed)
        for asked in (office.box.content, partial(office.box.send_again, replay=1)):
            with pytest.raises(OperatorError) as caught:
                asked(gone)
            assert caught.value.exit_code == 1
    assert len(office.records(office.topic, 1, message.offset)) == 1
