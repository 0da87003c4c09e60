"""Workers killed at random moments, several on each partition at once.

Every worker here is a group of its own and so has every partition: nothing but the
marks in the ledger keeps them apart.
"""

from __future__ import annotations

import time
from random import Random

from tests.consumers.conftest import until
from tests.consumers.inward.effects import faults
from tests.consumers.inward.post import PARTITIONS, Post, forwarded
from tests.consumers.inward.process import Given, begin

REQUESTS = 40
KILLS = 5
AT_ONCE = 2
RESPONDED = "sijil.request.agency-responded.v1"


def alone(post: Post, number: int) -> Given:
    """A worker in a group of its own."""
    return post.given(f"{post.group}-{number}")


def test_every_message_has_one_effect_whoever_is_killed(post: Post) -> None:
    random = Random(7)  # noqa: S311 -- repeatable, no secret
    scene = post.scene
    asked = forwarded(scene, REQUESTS)
    for number, request_id in enumerate(asked):
        for _ in range(2):
            post.reply(request_id, partition=number % PARTITIONS)
    passed = post.passing()

    processes = [begin(alone(post, number)) for number in range(AT_ONCE)]
    try:
        for number in range(KILLS):
            before = passed()
            until(lambda before=before: passed() > before or passed() == post.sent)
            time.sleep(random.random() * 0.05)
            processes.pop(random.randrange(len(processes))).kill()
            processes.append(begin(alone(post, AT_ONCE + number)))
        until(lambda: passed() == post.sent, 120)
    finally:
        for each in processes:
            each.kill()
            each.join()
    entries = scene.entries()
    assert not faults(entries, topic=post.replies, sent=post.places)
    # The check sees each of the faults that it is there for.
    caused = [
        number
        for number, entry in enumerate(entries)
        if entry.topic in {RESPONDED, "sijil.attempt.refused.v1"}
    ]
    lost, twice, moved = list(entries), list(entries), list(entries)
    del lost[caused[3]]
    twice.append(entries[caused[-1]])
    moved.append(moved.pop(caused[0]))
    for planted in (lost, twice, moved):
        assert faults(planted, topic=post.replies, sent=post.places)
