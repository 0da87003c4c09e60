"""Workers of one group: one is added, one killed, a topic grows; all stay at work.

Kafka gives the partitions of the killed one to the others when its session has ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import CoordinatorNotAvailableError

from consumers.inward.worker import POLL_MS
from tests.consumers.conftest import until
from tests.consumers.inward.effects import faults
from tests.consumers.inward.post import PARTITIONS, Post, forwarded
from tests.consumers.inward.process import begin

WORKERS = 3
"""As many as a topic has partitions: one more has some only if all topics are dealt."""
EACH_TIME = 12
"""Requests whose answers are sent between two blows."""


@contextmanager
def workers(post: Post, number: int) -> Iterator[list[BaseProcess]]:
    """Processes of the one group; whatever is in the list at the end is killed."""
    made = [begin(post.given(post.group)) for _ in range(number)]
    try:
        yield made
    finally:
        for each in made:
            each.kill()
            each.join()


def shares(post: Post) -> list[int]:
    """How many partitions each member has; nothing while they are dealt anew."""
    with closing(KafkaAdminClient(**post.options)) as admin:
        try:
            group = admin.describe_groups([post.group])[post.group]
        except CoordinatorNotAvailableError:
            # The first group of a broker: where it keeps them is only being made.
            return []
    if group["group_state"] != "Stable":
        return []
    given = [
        each["member_assignment"]["assigned_partitions"] for each in group["members"]
    ]
    return [sum(len(each["partitions"]) for each in topics) for topics in given]


def is_shared_by(post: Post, number: int, *, more: int = 0) -> bool:
    """Whether so many have all partitions, and each of them some."""
    found = shares(post)
    everything = len(post.topics) * PARTITIONS + more
    return len(found) == number and all(found) and sum(found) == everything


def test_one_is_added_and_one_killed_and_no_reply_has_two_effects(post: Post) -> None:
    asked = iter(forwarded(post.scene, 4 * EACH_TIME))
    passed = post.passing()

    def send() -> None:
        # Each twice, as senders do that saw no answer.
        for number in range(EACH_TIME):
            request_id = next(asked)
            for _ in range(2):
                post.reply(request_id, partition=number % PARTITIONS)

    with workers(post, WORKERS) as group:
        until(lambda: is_shared_by(post, WORKERS))
        send()
        group.append(begin(post.given(post.group)))
        send()
        until(lambda: is_shared_by(post, WORKERS + 1))
        before = passed()
        send()
        until(lambda: passed() > before)
        killed = group.pop(0)
        killed.kill()
        killed.join()
        send()
        until(lambda: passed() == post.sent, 120)
        until(lambda: is_shared_by(post, WORKERS))
    assert not faults(post.scene.entries(), topic=post.replies, sent=post.places)


@pytest.fixture
def slow_deals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever deals the partitions needs longer for that than one poll lasts."""
    deal = RoundRobinPartitionAssignor.assign

    def slowly(*given: Any) -> Any:
        time.sleep(3 * POLL_MS / 1000)
        return deal(*given)

    monkeypatch.setattr(RoundRobinPartitionAssignor, "assign", staticmethod(slowly))


@pytest.mark.usefixtures("slow_deals")
def test_who_deals_anew_for_another_partition_takes_its_own_share(post: Post) -> None:
    # By itself the client looks every five minutes.
    post.options = {**post.options, "metadata_max_age_ms": 500}
    with post.working():
        until(lambda: is_shared_by(post, 1))
        with closing(KafkaAdminClient(**post.options)) as admin:
            admin.create_partitions({post.replies: PARTITIONS + 1})
        until(lambda: is_shared_by(post, 1, more=1))
        post.send(post.replies, b"{}", partition=0)
        post.send(post.replies, b"{}", partition=PARTITIONS)
        post.until_used(2)
