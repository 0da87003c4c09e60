"""Workers with real dead letters: nothing is held up, lost, or done twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from consumers.dead_letters import DeadLetters
from consumers.replaying import Replaying
from consumers.topic_admin import TopicAdmin
from consumers.topics import dead_letters_of
from ledger.bodies import read_body
from office.streams import LetterPlace
from tests.consumers.inward.letters import OTHER_SECRET, by_secret, senders
from tests.consumers.inward.post import Post, answers, forwarded


@pytest.fixture
def real(post: Post) -> Iterator[Post]:
    """Workers that set aside for real."""
    group = post.group.removeprefix("sijil-")
    with closing(TopicAdmin(post.options, replication=1)) as admin:
        admin.apply([dead_letters_of(group)])
    known = senders(post.folder)
    aside = DeadLetters(
        post.options,
        post.scene.house.dead_letters,
        group=group,
        senders=lambda: known,
    )
    with closing(aside):
        made: Any = aside
        post.aside = made
        yield post


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
