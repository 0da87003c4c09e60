"""Workers with real dead letters: nothing is held up, lost, or done twice."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.record.default_records import DefaultRecordBatchBuilder

from consumers.replaying import Replaying
from consumers.topic_admin import TopicAdmin
from consumers.topics import AGENCY_REPLIES
from ledger.bodies import read_body
from office.errors import OperatorError
from office.streams import LetterPlace
from tests.consumers.conftest import until
from tests.consumers.inward.crooked import Crooked, as_lz4
from tests.consumers.inward.letters import OTHER_SECRET, by_secret
from tests.consumers.inward.post import PARTITIONS, Post, answers, forwarded
from tests.consumers.inward.process import begin


def letters(post: Post) -> list[tuple[LetterPlace, dict[str, Any]]]:
    found = []
    for entry in post.scene.entries():
        if entry.topic == "sijil.message.dead-lettered.v1":
            data = read_body(entry.body)["data"]
            names = set(LetterPlace.__slots__) - {"id"}
            place = {name: data[name] for name in names}
            found.append((LetterPlace(id=entry.aggregate_id, **place), data))
    return found


def test_what_could_not_be_used_is_kept_passed_and_used_when_it_is_sent_again(
    real: Post,
) -> None:
    scene = real.scene
    (asked,) = forwarded(scene)
    early = scene.assigned(service="CIV-06")
    scene.pay(early)
    megabyte = b"x" * 1_000_000
    real.send(real.replies, megabyte, partition=0)
    real.send(real.replies, b'{"type":', partition=0, sign=by_secret(OTHER_SECRET))
    real.reply(early, partition=0)
    real.reply(asked, partition=0)
    with real.working(), closing(Replaying(real.options)) as box:
        real.until_used(4)
        assert answers(scene) == {str(asked): 1}
        told = letters(real)
        assert [(d["cause"], d.get("code"), d.get("sender")) for _, d in told] == [
            ("too-large", None, "officer-1"),
            # Whose it was is only said where it was proved.
            ("wrong-signature", None, None),
            ("refused", "not-found", "officer-1"),
        ]
        (large, _), _, (letter, _) = told
        assert box.content(large).value == megabyte
        # What it waited for has come; it is sent twice, by two who do not know it.
        scene.forward(early)
        for replay in (1, 2):
            box.send_again(letter, replay=replay)
        real.until_used(6)
    assert answers(scene) == {str(asked): 1, str(early): 1}
    assert len(letters(real)) == 3


def test_a_worker_killed_between_keeping_and_recording_leaves_one_letter(
    real: Post,
) -> None:
    (asked,) = forwarded(real.scene)
    broken = b'{"type":'
    real.send(real.replies, broken, partition=0)
    real.reply(asked, partition=0)
    passed = real.passing()
    given = real.given(f"{real.group}-dying", dies_keeping=real.letters_group)
    dying = begin(given)
    dying.join(60)
    assert dying.exitcode == -signal.SIGKILL
    assert (letters(real), passed()) == ([], 0)
    with real.working(), closing(Replaying(real.options)) as box:
        real.until_used(2)
        [(letter, _)] = letters(real)
        # It was kept by both, and the event names what the second one kept.
        assert letter.kept_offset == 1
        for kept_offset in (0, 1):
            kept = dataclasses.replace(letter, kept_offset=kept_offset)
            assert box.content(kept).value == broken
        with pytest.raises(OperatorError, match="gone"):
            box.content(dataclasses.replace(letter, kept_offset=2))
    assert answers(real.scene) == {str(asked): 1}
    assert passed() == 2


@pytest.fixture
def packed(real: Post, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sends batches that our client cannot read, unless the brokers write them anew."""

    def send(values: list[bytes], **given: Any) -> None:
        with (
            monkeypatch.context() as patched,
            closing(KafkaProducer(**real.options, **given, linger_ms=500)) as sender,
        ):
            if not given:
                patched.setattr(DefaultRecordBatchBuilder, "_maybe_compress", as_lz4)
            headers = [(Crooked("x"), b"")] if given else []
            for value in values:
                sender.send(
                    real.replies,
                    key=b"k",
                    value=value,
                    partition=0,
                    headers=headers if value else [],
                )
            sender.flush()
        real.sent += len(values)

    return send


def test_the_brokers_write_what_others_compress_as_we_can_read_it(
    real: Post, packed: Callable[..., None]
) -> None:
    packed([b"{}", b"[]"])
    with real.working():
        real.until_used(2)
    assert [data["cause"] for _, data in letters(real)] == ["unsigned", "unsigned"]


def test_what_our_client_cannot_read_is_set_aside_and_holds_up_nobody(
    real: Post, packed: Callable[..., None]
) -> None:
    # Somebody has changed the topic: the brokers keep what comes.
    resource = ConfigResource(
        ConfigResourceType.TOPIC,
        real.replies,
        configs={"compression.type": "producer"},
    )
    with closing(TopicAdmin(real.options, replication=1)) as admin:
        admin._admin.alter_configs([resource])
        wanted = dataclasses.replace(
            AGENCY_REPLIES, name=real.replies, partitions=PARTITIONS
        )
        until(lambda: bool(admin.differences([wanted])))
    scene = real.scene
    asked = forwarded(scene, 3)
    real.send(real.replies, b'{"type":', partition=0)
    real.reply(asked[0], partition=0)
    packed([b"{}", b"[]"])
    real.reply(asked[1], partition=0)
    # One with nothing wrong goes before the crooked one in its batch.
    packed([b"", b"{}"], compression_type="gzip")
    real.reply(asked[2], partition=0)
    real.reply(asked[2], partition=1)
    with real.working(), closing(Replaying(real.options)) as box:
        real.until_used(9)
        assert answers(scene) == {str(each): 1 for each in asked}
        told = [(at.offset, d["cause"]) for at, d in letters(real) if not at.partition]
        assert told[:5] == [
            (0, "not-json"),
            (2, "malformed"),
            (3, "malformed"),
            (5, "no-value"),
            (6, "malformed"),
        ]
        (first, _), (unread, _) = letters(real)[:2]
        for asking in (box.content, partial(box.send_again, replay=1)):
            with pytest.raises(OperatorError, match="cannot read the record"):
                asking(unread)
        # What stands before them can still be sent again.
        assert not box.send_again(first, replay=1).is_repeat
