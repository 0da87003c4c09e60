"""Nodes of the tests: with the jars that every run of them has in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from consumers.broker import nodes
from consumers.broker.nodes import Node
from tests.kafka.jars import KEPT

__all__ = ["Cluster", "Node"]


class Cluster(nodes.Cluster):
    """Nodes on free loopback ports, their data below one folder."""

    def __init__(
        self, folder: Path, *, nodes: int = 1, ports: Sequence[int] = ()
    ) -> None:
        super().__init__(folder, jars=KEPT, nodes=nodes, ports=ports)
