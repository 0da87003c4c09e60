"""Nodes of the tests: with the jars that every run of them has in common."""

from __future__ import annotations

import os
from pathlib import Path

from consumers.broker import nodes
from tests.running import REPOSITORY

KEPT = REPOSITORY / "build" / "kafka"
"""Where the tests keep Kafka's jars: beside the build, for every run."""


class Cluster(nodes.Cluster):
    """Nodes on free loopback ports, their data below one folder."""

    def __init__(
        self, folder: Path, *, nodes: int = 1, is_killed: bool = False
    ) -> None:
        super().__init__(folder, jars=KEPT, nodes=nodes, is_killed=is_killed)

    def kill(self) -> None:
        """SIGKILL to every node.

        A polite end takes half a minute where there are three: the last one cannot
        leave in order any more, with nobody to agree to it.
        """
        for node in self.nodes:
            node.kill()


def lose_the_end(node: nodes.Node, topic: str, partition: int, size: int) -> int:
    """What a power cut does to a killed node: the last bytes never got to the disk.

    Kafka writes to the system's memory, and trusts to other nodes. Returns how many
    bytes of the partition's newest file were there to be lost.
    """
    newest = max((node.folder / "data" / f"{topic}-{partition}").glob("*.log"))
    before = newest.stat().st_size
    os.truncate(newest, max(0, before - size))
    return min(before, size)
