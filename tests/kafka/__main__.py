"""``python -m tests.kafka``: one node for as long as another process lives.

It writes where clients begin into a file once it serves, or why it cannot.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from consumers.broker.jars import NoKafkaError
from tests.kafka.broker import Cluster
from tests.ports import share_ports

LOOK_EVERY_S = 0.5


def main() -> None:
    """Start, say where, wait for the end of the other, stop."""
    parser = argparse.ArgumentParser(prog="tests.kafka", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the node's folder")
    parser.add_argument("--say", type=Path, required=True, help="the file to write")
    parser.add_argument(
        "--while", type=int, required=True, dest="pid", help="a process"
    )
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    share_ports()
    try:
        cluster = Cluster(given.data)
        try:
            cluster.start()
            _say(given.say, f"at {cluster.bootstrap}")
            while _lives(given.pid) and cluster.nodes[0].pid is not None:
                time.sleep(LOOK_EVERY_S)
        finally:
            cluster.stop()
    except NoKafkaError as error:
        _say(given.say, f"no {error}")
        sys.exit(1)
    finally:
        shutil.rmtree(given.data, ignore_errors=True)


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _say(path: Path, sentence: str) -> None:
    """Whole or not at all: who waits for it may look at any moment."""
    draft = path.with_suffix(".draft")
    draft.write_text(sentence, encoding="utf-8")
    draft.rename(path)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
