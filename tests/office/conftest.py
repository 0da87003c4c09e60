"""The office of one test, on a database with the reference data."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path

import pytest

from tests.conftest import Database
from tests.office.gateways import Gateway
from tests.office.scene import Scene, scene_in
from tests.office.telling import Office
from tests.office.whole_history import Whole


@pytest.fixture
def scene(seeded_database: Database) -> Iterator[Scene]:
    with scene_in(seeded_database) as made:
        yield made


@pytest.fixture
def told(scene: Scene) -> Iterator[Office]:
    made = Office(scene)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def whole(database: Database, tmp_path: Path) -> Iterator[Whole]:
    with scene_in(database) as scene:
        yield Whole(scene, tmp_path)


@pytest.fixture
def gateway() -> Iterator[tuple[type[Gateway], str]]:
    """A gateway on a real socket, and its address."""
    kind = type("OneGateway", (Gateway,), {"statuses": [], "taken": [], "seen": []})
    server = HTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield kind, f"http://127.0.0.1:{server.server_port}/sms"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
