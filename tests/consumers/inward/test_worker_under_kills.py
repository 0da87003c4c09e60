"""Workers killed at random moments, several on each partition at once.

Every worker here is a group of its own and so has every partition: nothing but the
marks in the ledger keeps them apart.
"""

from __future__ import annotations

import time
from collections import Counter
from random import Random

from consumers.inward.records import tracking_name
from ledger.bodies import read_body
from tests.consumers.conftest import until
from tests.consumers.inward.letters import senders_file
from tests.consumers.inward.post import PARTITIONS, Post, answers, forwarded
from tests.consumers.inward.process import Given, begin

REQUESTS = 40
KILLS = 5
AT_ONCE = 2


def test_every_message_has_one_effect_whoever_is_killed(post: Post) -> None:
    random = Random(7)  # noqa: S311 -- repeatable, no secret
    scene = post.scene
    asked = forwarded(scene, REQUESTS)
    for number, request_id in enumerate(asked):
        for _ in range(2):
            post.reply(request_id, partition=number % PARTITIONS)
    settings = scene.database.settings
    path = senders_file(post.folder)

    def another(number: int) -> Given:
        return Given(
            settings=settings,
            bootstrap=",".join(post.options["bootstrap_servers"]),
            senders=path,
            topics=post.topics,
            group=f"{post.group}-{number}",
        )

    topic_id = post.topic_id(post.replies)
    names = [tracking_name(post.replies, topic_id, each) for each in range(PARTITIONS)]

    def passed() -> int:
        recorder = scene.house.ledger.process_recorder
        marks = [recorder.max_tracking_id(name) for name in names]
        return sum(1 + mark for mark in marks if mark is not None)

    processes = [begin(another(number)) for number in range(AT_ONCE)]
    try:
        for number in range(KILLS):
            before = passed()
            until(lambda before=before: passed() > before or passed() == post.sent)
            time.sleep(random.random() * 0.05)
            processes.pop(random.randrange(len(processes))).kill()
            processes.append(begin(another(AT_ONCE + number)))
        until(lambda: passed() == post.sent, 120)
    finally:
        for each in processes:
            each.kill()
            each.join()
    assert answers(scene) == {str(each): 1 for each in asked}
    # The second of each pair was refused, and that is recorded once as well.
    attempts = [read_body(each.body) for each in scene.attempts()]
    assert Counter(each["data"]["target"] for each in attempts) == {
        str(each): 1 for each in asked
    }
    causes = [
        body["causation_id"].rpartition("/")
        for entry in scene.entries()
        if (body := read_body(entry.body)).get("causation_id", "").startswith("kafka/")
    ]
    for partition in range(PARTITIONS):
        place = f"kafka/{post.replies}/{partition}"
        offsets = [int(offset) for at, _, offset in causes if at == place]
        assert offsets == sorted(offsets)
        assert len(offsets) == len(set(offsets))
