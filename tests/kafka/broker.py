"""Nodes of the tests: with the jars that every run of them has in common."""

from __future__ import annotations

from pathlib import Path

from consumers.broker import nodes
from tests.running import REPOSITORY

KEPT = REPOSITORY / "build" / "kafka"
"""Where the tests keep Kafka's jars: beside the build, for every run."""


class Cluster(nodes.Cluster):
    """Nodes on free loopback ports, their data below one folder."""

    def __init__(self, folder: Path, *, nodes: int = 1) -> None:
        super().__init__(folder, jars=KEPT, nodes=nodes)
