"""One running Sijil for the pages whose commands ask it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.running import Running


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    """A Sijil with its reference data and nothing else."""
    made = Running()
    try:
        made.start()
        made.wait_until_ready()
        yield made
    finally:
        made.close()
