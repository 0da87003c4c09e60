"""What comes inward and what could not be used is as described, by another client."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import ValidationError

from consumers.inward.messages import FOLLOWED, Correspondence
from consumers.replaying import Replaying
from consumers.topics import DEAD_LETTERS, TOPICS, Direction, dead_letters_of
from tests.consumers.conftest import until
from tests.consumers.inward.letters import ED25519, OTHER_SECRET, by_secret, written
from tests.consumers.inward.post import Post, forwarded
from tests.consumers.inward.test_dead_letters import letters
from tests.consumers.stranger import Record, must_fit, read_all
from tests.office.scene import Scene

CHANNELS = {kind: topic.name for topic, kind in FOLLOWED.items()}
NO_MESSAGE = {"no-value", "not-json", "unknown-type", "malformed", "unsigned"}
"""The causes of what is no message by the description."""


def is_message(record: Record, kind: Correspondence) -> bool:
    """Whether a record is a message of its kind of topic by the description."""
    try:
        must_fit(record, CHANNELS[kind], record.said["type"])
    except (ValidationError, AssertionError, ValueError):
        return False
    return True


def reply(scene: Scene, **facts: Any) -> bytes:
    """A reply to a request that waits for none, unless it is said."""
    usual = {"type": "sijil.agency-reply.v1", "outcome": "issued"}
    facts.setdefault("request_id", str(scene.submit()))
    return written(**{**usual, **facts})


def send_what_is_used(post: Post) -> None:
    """Messages with every field but one: nobody supersedes an answer here."""
    scene = post.scene
    first, second = (str(each) for each in forwarded(scene, 2))
    home, back, unpaid = scene.mailed(), scene.mailed(), scene.assigned()
    scene.level()
    more = {"agency_reference": "C-77", "document_digest": "0f" * 32}
    post.send(post.replies, reply(scene, request_id=first, **more))
    refusal = {"outcome": "refused", "reason": "no-record"}
    post.send(
        post.replies,
        reply(scene, request_id=second, **refusal),
        key_id="civ-2",
        sign=ED25519.sign,
    )
    for request_id, scanned in (
        (home, {"scanned": "delivered", "capacity": "self"}),
        (back, {"scanned": "returned", "reason": "damaged"}),
    ):
        item = scene.get(request_id).item
        told = {"request_id": str(request_id), "item": item, **scanned}
        post.send(post.scans, written(type="sijil.postal-scan.v1", **told))
    terms = scene.get(unpaid).terms
    assert terms is not None
    post.send(
        post.payments,
        written(
            type="sijil.bank-payment.v1",
            tracking_number=scene.get(unpaid).tracking_number,
            amount=sum(line.amount for line in terms.fee_lines),
            unit="SYP.new",
            bank_reference="B-1",
        ),
    )


def send_what_is_not(post: Post) -> None:
    """Messages of which none can be used, each for its own reason."""
    scene = post.scene
    post.send(post.replies, b'{"type":')
    post.send(post.replies, reply(scene, type="sijil.other.v1"))
    post.send(post.replies, reply(scene, name="somebody"))
    post.send(post.replies, reply(scene), headers=[])
    post.send(post.replies, reply(scene), sign=by_secret(OTHER_SECRET))
    post.send(post.replies, reply(scene))
    post.send(post.scans, written(type="sijil.postal-scan.v1", item=7))
    post.send(post.payments, b"")


@pytest.fixture
def worked(real: Post) -> Post:
    """Topics that a worker has followed to the end, with one message sent again."""
    send_what_is_used(real)
    used = real.sent
    send_what_is_not(real)

    def is_all_passed() -> bool:
        # A payment waits for the view of payments, which the others keep behind.
        real.scene.room.runner.catch_up()
        return len(real.used) == real.sent

    with real.working(), closing(Replaying(real.options)) as box:
        until(is_all_passed)
        told = letters(real)
        assert len(told) == real.sent - used
        (refused,) = [at for at, data in told if data["cause"] == "refused"]
        box.send_again(refused, replay=1)
        real.sent += 1
        until(is_all_passed)
    return real


def dead_letters(post: Post) -> list[Record]:
    return read_all(post.options, dead_letters_of(post.letters_group).name)


def test_what_workers_take_for_a_message_is_one_by_the_description_and_no_other(
    worked: Post,
) -> None:
    causes = {
        each.told["sijil_origin"]: each.told["sijil_cause"]
        for each in dead_letters(worked)
    }
    assert set(causes.values()) > NO_MESSAGE
    sent = 0
    for name, kind in worked.topics.items():
        for record in read_all(worked.options, name):
            cause = causes.pop(record.place, None)
            assert is_message(record, kind) is (cause not in NO_MESSAGE), record.place
            sent += 1
    assert (sent, causes) == (worked.sent, {})


def test_every_dead_letter_is_as_described_and_without_a_mark_it_is_none(
    worked: Post,
) -> None:
    records = dead_letters(worked)
    assert len(records) == len(letters(worked))
    name = DEAD_LETTERS.name
    for record in records:
        must_fit(record, name, name)
    marks = [each for each, _ in records[0].headers[-8:]]
    assert all(each.startswith("sijil_") for each in marks)
    for mark in marks:
        left = tuple(each for each in records[0].headers if each[0] != mark)
        with pytest.raises(ValidationError):
            must_fit(replace(records[0], headers=left), name, name)


def test_no_topic_that_others_fill_is_left_out_here() -> None:
    others = {each.name for each in TOPICS if each.direction is not Direction.OUTWARD}
    assert others == {*CHANNELS.values(), DEAD_LETTERS.name}
