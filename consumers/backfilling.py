"""All of the history once more, into a topic of its own.

For who comes late to a topic whose first records have passed their time, or were
deleted with it. The ledger has everything, so this is what the relay does, to another
topic and to an end; the live topic and its relay are left alone.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from threading import Event
from typing import Any, Final

from consumers.relay import Relay
from consumers.topic_admin import Difference, TopicAdmin
from consumers.topics import EVENTS, REQUEST_STATUS, Topic
from consumers.verifying import TopicVerifier, Verdict
from consumers.verifying_statuses import StatusVerifier
from ledger.reader import LedgerReader

CAN_BE_FILLED: Final = {topic.name: topic for topic in (EVENTS, REQUEST_STATUS)}
"""The topics that follow from the ledger alone, by their names."""


def target_of(topic: Topic, number: int) -> Topic:
    """The topic of one backfill: wide as the live one, so that places go over."""
    return dataclasses.replace(topic, name=f"{topic.name}.backfill-{number}")


def next_number(topic: Topic, names: Iterable[str]) -> int:
    """The number after those that have been used, among all topics' names."""
    form = re.compile(rf"{re.escape(topic.name)}\.backfill-([1-9][0-9]*)")
    used = [int(found[1]) for name in names if (found := form.fullmatch(name))]
    return max(used, default=0) + 1


def backfill(
    reader: LedgerReader,
    options: Mapping[str, Any],
    target: Topic,
    *,
    admin: TopicAdmin,
    until: int,
    published: Callable[[int], None] = lambda _: None,
) -> list[Difference]:
    """Make the topic and publish into it what the ledger has up to a position.

    Run again after whatever ended it, it goes on where the topic's partitions stand.
    What of the topic is not as it has to be is given back, and nothing is published.
    """
    differences = admin.apply([target])
    if differences or until == 0:
        return differences
    is_of_events = target.name.startswith(f"{EVENTS.name}.")
    relay = Relay(
        reader,
        options,
        topic=target if is_of_events else None,
        statuses=None if is_of_events else target,
        published=published,
    )
    relay.run(Event(), until=until)
    return []


def verified(
    reader: LedgerReader | None,
    options: Mapping[str, Any],
    topic: str,
    *,
    until: int = 0,
) -> Verdict:
    """What is found of a topic: of events, or of the statuses of requests.

    With ``until`` it has to have everything up to that position, from 1 on. Raises
    ValueError for a topic of statuses without the ledger: it keeps the last of each
    key, and proves nothing alone.
    """
    if not topic.startswith(REQUEST_STATUS.name):
        return TopicVerifier(options, topic=topic, ledger=reader, until=until).verify()
    if reader is None:
        raise ValueError(topic)
    return StatusVerifier(options, reader, topic=topic, until=until).verify()
