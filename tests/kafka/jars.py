"""Where the tests keep Kafka's jars: beside the build, for every run."""

from __future__ import annotations

from consumers.broker.jars import NoKafkaError
from tests.running import REPOSITORY

KEPT = REPOSITORY / "build" / "kafka"

__all__ = ["KEPT", "NoKafkaError"]
