"""What a relay and all around it are struck with, in the words of the results."""

from __future__ import annotations

BROKER = "a node killed and started"
MID_COMMIT = "a node killed in the middle of a commit"
WRITTEN_DOWN = "a node and the relays killed as a commit was written down"
MISSED = "of these, without a node: no commit came"
POWER = "a node's power cut, and the ends of partitions lost"
ALL_NODES = "all nodes killed at once"
STOPPED = "a node stopped for seconds"
BETWEEN = "a node stopped for longer than a delivery may take, not a transaction"
LONG_STOPPED = "a node stopped for longer than a transaction may take"
FULL = "a node's disk full"
RELAY = "the relays killed, one after the other"
STANDBY = "one of two relays killed"
WORKER = "a worker killed"
SERVER = "PostgreSQL killed and started"
ENDED = "a node that had ended by itself, started"
OFTEN = (
    BROKER,
    MID_COMMIT,
    WRITTEN_DOWN,
    STOPPED,
    RELAY,
    STANDBY,
    WORKER,
    SERVER,
    FULL,
)
"""By turns; the long stops come now and then, and the others where they can."""
