"""Rounds store together what is plain, and leave the rest to its lane, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import current_thread
from typing import Any, Self
from uuid import UUID

import pytest
from eventsourcing.persistence import OperationalError, Tracking
from structlog.testing import capture_logs

from consumers.inward.desk import InwardDesk
from consumers.inward.lane import Lane, Place
from consumers.inward.messages import Correspondence
from consumers.inward.records import InwardMessage
from consumers.inward.rounds import MOST_TOGETHER, Rounds
from ledger.persistence.append import ActToAppend, Appended
from ledger.window import LedgerWindow
from office.errors import LedgerUnavailableError
from office.house import House
from office.mailbag import MailbagDesk
from tests.conftest import Database
from tests.consumers.conftest import until
from tests.consumers.inward.letters import letter, senders, written
from tests.consumers.inward.post import Aside, answers, forwarded
from tests.office.scene import ITEM, Scene, scene_in

REPLIES, SCANS, PAYMENTS = "replies", "scans", "payments"
TOPICS = {
    REPLIES: Correspondence.REPLIES,
    SCANS: Correspondence.SCANS,
    PAYMENTS: Correspondence.PAYMENTS,
}
KEYS = {REPLIES: "civ-1", SCANS: "post-key", PAYMENTS: "bank-key"}
ATTEMPT = "sijil.attempt.refused.v1"


class Lanes:
    """Lanes of an office and, unless each is alone, the rounds that serve them."""

    def __init__(self, scene: Scene, folder: Path, *, is_alone: bool = False) -> None:
        known = senders(folder)
        self.scene = scene
        self.aside = Aside(scene.house)
        self.used: Counter[str] = Counter()
        self.lanes: dict[tuple[str, int], Lane] = {}
        # Of this run: another has marks of its own.
        self.topic_id = UUID(int=1 if is_alone else 2)
        self._is_alone = is_alone
        self.desk = InwardDesk(scene.house, topics=TOPICS, senders=lambda: known)
        self.rounds = Rounds(
            self.desk,
            lambda: MailbagDesk(scene.house),
            lambda: list(self.lanes.values()),
        )

    def lane(self, topic: str, partition: int) -> Lane:
        if (topic, partition) not in self.lanes:
            is_lending = not self._is_alone and self.desk.goes_in_a_mailbag(topic)
            self.lanes[topic, partition] = Lane(
                Place(topic=topic, topic_id=self.topic_id, partition=partition),
                passed=None,
                desk=self.desk,
                ledger=self.scene.house.ledger,
                aside=self.aside,
                done=lambda message: self.used.update([message.name]),
                is_lending=is_lending,
                wake=self.rounds.wake,
            )
        return self.lanes[topic, partition]

    def put(self, sent: Sequence[InwardMessage]) -> None:
        for message in sent:
            self.lane(message.topic, message.partition).put([message])

    def until_passed(self) -> None:
        until(lambda: all(lane.waiting == 0 for lane in self.lanes.values()))

    def stop(self) -> None:
        self.rounds.stop()
        for lane in self.lanes.values():
            lane.stop()
            assert lane.join(30)
            assert lane.error is None
        assert self.rounds.error is None

    def marks(self) -> dict[str, int | None]:
        recorder = self.scene.house.ledger.process_recorder
        return {
            f"{topic}/{partition}": recorder.max_tracking_id(lane.place.tracking_name)
            for (topic, partition), lane in self.lanes.items()
        }


@dataclass
class Sender:
    """Writes messages to the ends of partitions."""

    sent: list[InwardMessage] = field(default_factory=list)

    def send(self, topic: str, partition: int, value: bytes, **more: Any) -> None:
        offset = sum(
            (each.topic, each.partition) == (topic, partition) for each in self.sent
        )
        self.sent.append(
            letter(
                value,
                topic=topic,
                partition=partition,
                offset=offset,
                key_id=KEYS[topic],
                **more,
            )
        )

    @classmethod
    def of_replies(cls, asked: Sequence[UUID], *, partitions: int) -> Self:
        """One to each request, dealt to the partitions in turn."""
        made = cls()
        for number, request_id in enumerate(asked):
            made.reply(number % partitions, request_id)
        return made

    def reply(self, partition: int, request_id: UUID, **more: Any) -> None:
        facts = {"outcome": "issued", **more}
        self.send(
            REPLIES,
            partition,
            written(type="sijil.agency-reply.v1", request_id=str(request_id), **facts),
        )


@pytest.fixture
def scene(seeded_database: Database) -> Iterator[Scene]:
    with scene_in(seeded_database) as made:
        yield made


@pytest.fixture
def lanes(scene: Scene, tmp_path: Path) -> Iterator[Lanes]:
    made = Lanes(scene, tmp_path)
    yield made
    made.stop()


@pytest.fixture
def stored(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> list[Sequence[ActToAppend]]:
    """What was stored together, each time."""
    recorder = scene.house.ledger.process_recorder
    real = recorder.append_whole
    found: list[Sequence[ActToAppend]] = []

    def seen(acts: Sequence[ActToAppend], **more: Any) -> list[Appended]:
        appended = real(acts, **more)
        found.append(acts)
        return appended

    monkeypatch.setattr(recorder, "append_whole", seen)
    return found


def test_what_is_plain_is_stored_in_one_go(
    lanes: Lanes, stored: list[Sequence[ActToAppend]]
) -> None:
    asked = forwarded(lanes.scene, 9)
    sender = Sender.of_replies(asked, partitions=3)
    lanes.put(sender.sent)
    lanes.rounds.begin()
    lanes.until_passed()
    assert [len(acts) for acts in stored] == [9]
    assert sum(act.tracking is not None for act in stored[0]) == 3
    assert lanes.marks() == {f"{REPLIES}/{each}": 2 for each in range(3)}
    assert answers(lanes.scene) == {str(each): 1 for each in asked}
    assert lanes.used == {message.name: 1 for message in sender.sent}
    assert lanes.aside.found == []


def test_no_lane_gets_more_than_its_share(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent: list[int] = []
    real = Lane.lend

    def seen(self: Lane, most: int) -> list[InwardMessage]:
        found = real(self, most)
        lent.append(len(found))
        return found

    monkeypatch.setattr(Lane, "lend", seen)
    sender = Sender()
    for number in range(MOST_TOGETHER + 2):
        sender.send(REPLIES, number % 2, b"")
    lanes.put(sender.sent)
    lanes.rounds.begin()
    until(lambda: len(lent) >= 2)
    assert lent[:2] == [MOST_TOGETHER // 2] * 2
    lanes.until_passed()


def mixture(scene: Scene, reference: int) -> tuple[list[UUID], list[InwardMessage]]:
    """Requests, and messages of every kind that there is on them, in partitions."""
    sender = Sender()
    asked = forwarded(scene, 7)
    mailed = [scene.mailed() for _ in range(2)]
    unpaid = scene.assigned()
    scene.level()
    sender.reply(0, asked[0])
    sender.reply(0, asked[0])
    sender.reply(0, asked[1])
    sender.send(REPLIES, 0, b'{"type":')
    sender.reply(0, asked[2], outcome="refused", reason="no-record")
    sender.reply(1, asked[3], outcome="refused")
    sender.reply(1, UUID(int=7))
    sender.reply(1, asked[3])
    sender.reply(1, asked[4], happened_at=scene.clock() + timedelta(seconds=2))
    sender.reply(1, asked[5], happened_at=scene.clock() + timedelta(hours=1))
    sender.reply(2, asked[6])
    sender.reply(2, asked[6], supersedes=scene.get(asked[6]).version + 1)
    sender.send(REPLIES, 2, b"x" * 17_000)
    for said in (mailed[0], None):
        # Without a request it is found by its item, in a view: the one mailed last.
        named = {} if said is None else {"request_id": str(said)}
        sender.send(
            SCANS,
            0,
            written(
                type="sijil.postal-scan.v1",
                item=ITEM,
                scanned="delivered",
                capacity="self",
                **named,
            ),
        )
    terms = scene.get(unpaid).terms
    assert terms is not None
    sender.send(
        PAYMENTS,
        0,
        written(
            type="sijil.bank-payment.v1",
            tracking_number=scene.get(unpaid).tracking_number,
            amount=sum(line.amount for line in terms.fee_lines),
            unit="SYP.new",
            bank_reference=f"B-{reference}",
        ),
    )
    return [*asked, *mailed, unpaid], sender.sent


def test_together_they_come_to_what_they_come_to_alone(
    seeded_database: Database, tmp_path: Path
) -> None:
    came_to = []
    for is_alone in (True, False):
        with scene_in(seeded_database) as scene:
            lanes = Lanes(scene, tmp_path, is_alone=is_alone)
            requests, sent = mixture(scene, int(is_alone))
            first = scene.house.ledger.reader.head().position
            lanes.put(sent)
            lanes.rounds.begin()
            deadline = datetime.now(UTC) + timedelta(seconds=60)
            while any(lane.waiting for lane in lanes.lanes.values()):
                # A payment waits for the view of payments.
                scene.room.runner.catch_up()
                assert datetime.now(UTC) < deadline
            lanes.stop()
            entries = [e for e in scene.entries() if e.position > first]
            came_to.append(
                {
                    "entries": [
                        [e.topic for e in entries if e.aggregate_id == each]
                        for each in requests
                    ],
                    "attempts": len([e for e in entries if e.topic == ATTEMPT]),
                    "all": len(entries),
                    "aside": sorted(
                        (message.name, cause, attempts)
                        for message, cause, attempts in lanes.aside.found
                    ),
                    "marks": lanes.marks(),
                    "used": lanes.used,
                }
            )
    alone, together = came_to
    assert together == alone
    assert [cause for _, cause, _ in alone["aside"]] != []


def interrupted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, blow: Callable[[], None]
) -> None:
    """Once, something happens between what is decided and that it is stored."""
    recorder = scene.house.ledger.process_recorder
    real = recorder.append_whole
    blows = [blow]

    def struck(acts: Sequence[ActToAppend], **more: Any) -> list[Appended]:
        if blows:
            blows.pop()()
        return real(acts, **more)

    monkeypatch.setattr(recorder, "append_whole", struck)


def test_where_one_loses_each_goes_on_by_itself_and_nothing_is_done_twice(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = lanes.scene
    asked = forwarded(scene, 6)
    sender = Sender.of_replies(asked, partitions=2)
    interrupted(scene, monkeypatch, lambda: scene.respond(asked[2]) and None)
    lanes.put(sender.sent)
    with capture_logs() as logged:
        lanes.rounds.begin()
        lanes.until_passed()
    assert answers(scene) == {str(each): 1 for each in asked}
    refused = [(message.offset, cause) for message, cause, _ in lanes.aside.found]
    assert refused == [(1, "wrong-state")]
    assert lanes.used == {message.name: 1 for message in sender.sent}
    said = [each for each in logged if each["event"] == "inward.one_by_one"]
    assert [each["because"] for each in said] == ["version-conflict"]


def test_where_the_answer_is_lost_what_was_stored_is_not_done_again(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = lanes.scene
    asked = forwarded(scene, 6)
    sender = Sender.of_replies(asked, partitions=2)
    recorder = scene.house.ledger.process_recorder
    real = recorder.append_whole
    lost: list[int] = []

    def loses(acts: Sequence[ActToAppend], **more: Any) -> list[Appended]:
        appended = real(acts, **more)
        if not lost:
            lost.append(len(acts))
            raise OperationalError
        return appended

    monkeypatch.setattr(recorder, "append_whole", loses)
    lanes.put(sender.sent)
    lanes.rounds.begin()
    lanes.until_passed()
    assert lost == [6]
    assert answers(scene) == {str(each): 1 for each in asked}
    assert lanes.aside.found == []
    assert lanes.marks() == {f"{REPLIES}/{each}": 2 for each in range(2)}


@pytest.mark.parametrize("broken", ["begin", "glance"])
def test_a_fault_of_the_rounds_leaves_the_messages_to_their_lanes_and_is_said(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    scene = lanes.scene
    asked = forwarded(scene, 2)
    sender = Sender.of_replies(asked, partitions=2)

    def fails(*_: object, **__: object) -> None:
        raise ValueError("a round's own")

    kind: type = MailbagDesk if broken == "begin" else LedgerWindow
    monkeypatch.setattr(kind, broken, fails)
    lanes.put(sender.sent)
    with capture_logs() as logged:
        lanes.rounds.begin()
        lanes.until_passed()
    assert answers(scene) == {str(each): 1 for each in asked}
    said = [each for each in logged if each["event"] == "inward.one_by_one"]
    assert [each["because"] for each in said] == ["ValueError"]


def test_what_another_worker_set_aside_is_not_used_as_well(
    lanes: Lanes, tmp_path: Path
) -> None:
    """One that was given up may be at work still, with the same messages in memory."""
    scene = lanes.scene
    asked, other = scene.submit(service="CIV-06"), *forwarded(scene)
    scene.level()
    scene.pay(asked)
    sender = Sender()
    sender.reply(0, asked)
    sender.reply(0, other)
    second = Lanes(scene, tmp_path, is_alone=True)
    second.topic_id = lanes.topic_id
    second.put(sender.sent[:1])
    second.until_passed()
    second.stop()
    assert [cause for _, cause, _ in second.aside.found] == ["not-found"]
    # Since then it could be used.
    scene.forward(asked)
    lanes.put(sender.sent)
    lanes.rounds.begin()
    lanes.until_passed()
    assert answers(scene) == {str(other): 1}
    assert lanes.marks() == {f"{REPLIES}/0": 1}


def test_what_was_stored_before_has_its_place_passed(lanes: Lanes) -> None:
    scene = lanes.scene
    asked = forwarded(scene, 3)
    sender = Sender.of_replies(asked, partitions=1)
    # By its command, and without its place.
    known = lanes.desk.opened(sender.sent[2], Tracking("elsewhere", 1))
    lanes.desk.do(known, scene.house.reports)
    lanes.put(sender.sent)
    lanes.rounds.begin()
    lanes.until_passed()
    assert answers(scene) == {str(each): 1 for each in asked}
    assert lanes.marks() == {f"{REPLIES}/0": 2}


def test_money_is_not_in_rounds(lanes: Lanes) -> None:
    assert [lanes.desk.goes_in_a_mailbag(each) for each in TOPICS] == [
        True,
        True,
        False,
    ]


def test_a_store_that_is_away_is_asked_once_a_round(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def away(*_: object) -> None:
        asked.append(current_thread().name)
        raise LedgerUnavailableError

    sender = Sender()
    for partition in range(5):
        sender.reply(partition, UUID(int=7))
    lanes.put(sender.sent)
    with monkeypatch.context() as patch:
        patch.setattr(House, "officer", away)
        lanes.rounds.begin()
        # Then each lane waits by itself.
        until(lambda: len(set(asked)) == 6)
    assert asked.count("inward-rounds") == 1
    lanes.until_passed()


def test_a_lane_that_fails_keeps_no_other(lanes: Lanes) -> None:
    def fails(_: InwardMessage) -> None:
        raise ValueError("an observer's own")

    asked = forwarded(lanes.scene, 2)
    sender = Sender.of_replies(asked, partitions=2)
    lanes.lane(REPLIES, 0)._done = fails
    lanes.put(sender.sent)
    lanes.rounds.begin()
    until(lambda: lanes.rounds.error is not None)
    assert isinstance(lanes.rounds.error, ValueError)
    lanes.rounds.error = None


def test_what_was_not_stored_is_not_passed_whatever_happened(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (asked,) = forwarded(lanes.scene, 1)
    sender = Sender()
    sender.reply(0, asked)

    def ends(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(MailbagDesk, "store", ends)
    lanes.put(sender.sent)
    lanes.rounds.begin()
    # Its lane used it, then, and not the round that ended.
    lanes.until_passed()
    assert answers(lanes.scene) == {str(asked): 1}
    assert lanes.used == {sender.sent[0].name: 1}
    until(lambda: lanes.rounds.error is not None)
    lanes.rounds.error = None


def test_what_ends_a_round_for_good_is_told(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = Sender()
    sender.send(REPLIES, 0, b"{}")

    def ends(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "_opened", ends)
        lanes.put(sender.sent)
        lanes.rounds.begin()
        until(lambda: lanes.rounds.error is not None)
    assert isinstance(lanes.rounds.error, SystemExit)
    lanes.rounds.error = None


def test_what_is_under_way_is_finished_and_its_lane_waits_for_it(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = lanes.scene
    (asked,) = forwarded(scene, 1)
    sender = Sender()
    sender.reply(0, asked)
    sender.reply(0, UUID(int=7))
    lane = lanes.lane(REPLIES, 0)

    def taken_away() -> None:
        lane.stop()
        assert not lane.join(0.05)

    interrupted(scene, monkeypatch, taken_away)
    lanes.put(sender.sent)
    lanes.rounds.begin()
    until(lambda: lane.join(0.05))
    assert answers(scene) == {str(asked): 1}
    assert (lane.passed, lanes.aside.found) == (0, [])
