"""Makes the topics as the catalogue has them, and compares what a broker has."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import TopicAlreadyExistsError

from consumers.topics import TOPICS, Topic

SETTLE_TIMEOUT_S = 10.0
"""A broker answers a change before it shows it."""


class TopicMissingError(RuntimeError):
    """A topic is not there; ``sijil topics apply`` makes it."""


class There(NamedTuple):
    """A topic that the brokers have: Kafka's own id of it, and how wide it is."""

    topic_id: UUID
    partitions: int


def topics_there(admin: KafkaAdminClient, names: Sequence[str]) -> dict[str, There]:
    """Topics as they are, by name. Raises TopicMissingError where one is not there."""
    told = {
        each["name"]: There(UUID(str(each["topic_id"])), len(each["partitions"]))
        for each in admin.describe_topics(list(names))
        if each["error_code"] == 0
    }
    for name in names:
        if name not in told:
            raise TopicMissingError(name)
    return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that a broker has otherwise. ``can_be_applied``: by changing it."""

    topic: str
    what: str
    wanted: str
    found: str
    can_be_applied: bool


class TopicAdmin:
    """Topics of one cluster. Close it when done."""

    def __init__(self, options: Mapping[str, Any], *, replication: int) -> None:
        self._admin = KafkaAdminClient(**options)
        self._replication = replication

    def close(self) -> None:
        """Close the connections."""
        self._admin.close()

    def names(self) -> list[str]:
        """Of every topic that the brokers have, the catalogue's and others."""
        return sorted(self._admin.list_topics())

    def differences(self, topics: Sequence[Topic] = TOPICS) -> list[Difference]:
        """Everything that is not as the catalogue has it."""
        described = self._admin.describe_topics([topic.name for topic in topics])
        there = {each["name"]: each for each in described if each["error_code"] == 0}
        found = []
        for topic in topics:
            if topic.name not in there:
                found.append(_missing(topic))
                continue
            found += self._shape(topic, there[topic.name]) + self._configs(topic)
        return found

    def apply(self, topics: Sequence[Topic] = TOPICS) -> list[Difference]:
        """Make what is missing and change what can be; what is still different."""
        differences = self.differences(topics)
        missing = {each.topic for each in differences if each.what == "topic"}
        by_name = {topic.name: topic for topic in topics}
        for name in sorted(missing):
            self._make(by_name[name])
        for name in {
            each.topic
            for each in differences
            if each.can_be_applied and each.topic not in missing
        }:
            resource = ConfigResource(
                ConfigResourceType.TOPIC,
                name,
                configs=by_name[name].configs(self._replication),
            )
            self._admin.alter_configs([resource])
        return self._settled(topics)

    def _make(self, topic: Topic) -> None:
        """Make a topic. Somebody else may have made it at the same moment."""
        shape = {
            "num_partitions": topic.partitions,
            "replication_factor": self._replication,
            "configs": topic.configs(self._replication),
        }
        with suppress(TopicAlreadyExistsError):
            self._admin.create_topics({topic.name: shape})
        self._admin.wait_for_topics([topic.name])

    def _settled(self, topics: Sequence[Topic]) -> list[Difference]:
        """What is different when the brokers have had time to take a change in."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while True:
            left = self.differences(topics)
            can_change = any(each.can_be_applied for each in left)
            if not can_change or time.monotonic() > deadline:
                return left
            time.sleep(0.1)

    def _shape(self, topic: Topic, there: Mapping[str, Any]) -> list[Difference]:
        """Partitions and copies: neither can be changed without moving records."""
        copies = min(len(each["replica_nodes"]) for each in there["partitions"])
        shape = (
            ("partitions", topic.partitions, len(there["partitions"])),
            ("replication", self._replication, copies),
        )
        return [
            Difference(
                topic=topic.name,
                what=what,
                wanted=str(wanted),
                found=str(found),
                can_be_applied=False,
            )
            for what, wanted, found in shape
            if wanted != found
        ]

    def _configs(self, topic: Topic) -> list[Difference]:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic.name)
        told = self._admin.describe_configs([resource], config_filter="all")
        has = told["topic"][topic.name]
        return [
            Difference(
                topic=topic.name,
                what=name,
                wanted=wanted,
                found=str(has.get(name, {}).get("value")),
                can_be_applied=True,
            )
            for name, wanted in topic.configs(self._replication).items()
            if str(has.get(name, {}).get("value")) != wanted
        ]


def _missing(topic: Topic) -> Difference:
    return Difference(
        topic=topic.name,
        what="topic",
        wanted="there",
        found="missing",
        can_be_applied=True,
    )
