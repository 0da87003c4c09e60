"""Each process of a run of the tests draws ports that no other of them draws."""

from __future__ import annotations

import os

from consumers.broker.ports import keep_to_share


def share_ports() -> None:
    """Keep this process to the share of its worker, if it is one of several."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    keep_to_share(int(number), of=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
