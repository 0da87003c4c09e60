"""Topics are made as the catalogue has them, and what differs is named."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from consumers.topic_admin import TopicAdmin
from consumers.topics import (
    DAY_MS,
    EVENTS,
    RELAY_POSITION,
    TOPICS,
    Direction,
    Keeping,
    Topic,
)
from tests.consumers.conftest import until


@pytest.fixture
def admin(options: dict[str, Any]) -> Iterator[TopicAdmin]:
    with closing(TopicAdmin(options, replication=1)) as made:
        yield made


def own(name: str, **changed: Any) -> Topic:
    return dataclasses.replace(EVENTS, name=f"{name}.{os.getpid()}", **changed)


def test_names_are_lower_case_versioned_and_different() -> None:
    names = [topic.name for topic in TOPICS]
    assert len(set(names)) == len(names)
    for name in names:
        assert name.startswith("sijil.")
        assert name.rpartition(".v")[2].isdigit()
        assert name == name.lower()
        assert "_" not in name


def test_what_others_write_is_restricted_and_what_we_write_is_not() -> None:
    # A national number in a field that is no field stays where its sender wrote it.
    assert {topic.name for topic in TOPICS if topic.is_restricted} == {
        topic.name for topic in TOPICS if topic.direction is not Direction.OUTWARD
    }


def test_a_missing_topic_is_named_and_then_made(admin: TopicAdmin) -> None:
    topic = own("made", keeping=Keeping.LAST_OF_KEY, partitions=2)
    (missing,) = admin.differences([topic])
    assert (missing.topic, missing.what) == (topic.name, "topic")
    assert admin.apply([topic]) == []
    assert admin.differences([topic]) == []
    assert admin.apply([topic]) == []


def test_a_changed_setting_is_named_and_put_right(admin: TopicAdmin) -> None:
    topic = own("changed")
    admin.apply([topic])
    resource = ConfigResource(
        ConfigResourceType.TOPIC, topic.name, configs={"retention.ms": "1000"}
    )
    admin._admin.alter_configs([resource])
    until(lambda: bool(admin.differences([topic])))
    (found,) = admin.differences([topic])
    assert found.what == "retention.ms"
    assert (found.wanted, found.found) == ("-1", "1000")
    assert admin.apply([topic]) == []


def test_the_number_of_partitions_is_never_changed(admin: TopicAdmin) -> None:
    topic = own("narrow", partitions=3)
    admin.apply([topic])
    wide = dataclasses.replace(topic, partitions=4)
    (left,) = admin.apply([wide])
    assert (left.what, left.wanted, left.found) == ("partitions", "4", "3")
    assert not left.can_be_applied


def test_the_positions_of_a_week_are_not_kept_to_be_read_at_each_start(
    admin: TopicAdmin,
) -> None:
    topic = dataclasses.replace(RELAY_POSITION, name=own("positions").name)
    # As an earlier release has made it: with the brokers' defaults.
    admin.apply([dataclasses.replace(topic, cleaned_after_ms=None)])
    found = {each.what: int(each.found) for each in admin.differences([topic])}
    assert found == {"segment.ms": 7 * DAY_MS, "delete.retention.ms": DAY_MS}
    assert admin.apply([topic]) == []
    assert int(topic.configs(1)["segment.ms"]) <= 60_000
