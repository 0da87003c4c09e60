"""A history with everything in it, relayed to a topic, and a folder that follows it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import pytest

from consumers.analytics.folder import Folder
from consumers.analytics.following import Follower
from consumers.relay import Relay
from consumers.topics import Topic
from domain.acts import ActorKind
from ledger.names import Role
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from office.house import House, ViewsRoom
from office.simulating.history import Options
from office.simulating.simulation import Simulation
from tests.conftest import Database, Server, fresh_database, in_memory
from tests.consumers.conftest import new_topic, relay_until
from tests.domain.office import terms
from tests.projections.histories import Life, store
from tests.projections.wild_lives import wild_history


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose name is awkward, in memory where that can be had."""
    above = Path(tempfile.mkdtemp(prefix="sijil-analytics-", dir=in_memory()))
    try:
        yield above / "the ministry's [own] files"
    finally:
        shutil.rmtree(above)


def follow(place: Path, options: dict[str, Any], topic: Topic, **how: Any) -> int:
    """Bring a folder level with a topic; the position it has then."""
    with Folder.opened(place) as folder:
        Follower(folder, options, topic=topic.name, **how).run(
            Event(), until_level=True
        )
        return folder.position


@dataclass(frozen=True, kw_only=True)
class Followed:
    """A ledger with its views level, its topic, and a folder that has all of it."""

    database: Database
    reader: LedgerReader
    topic: Topic
    place: Path
    position: int


def accepted_for_another_agency(recorder: PostgresProcessRecorder) -> None:
    """A request whose service went to another agency while it waited."""
    life = Life(0, Random(6))  # noqa: S311 -- reproducible test data
    store(recorder, life.request)
    life.request.accept(
        life.act(ActorKind.SUPERVISOR),
        terms=terms(agency="JUS", governorate=life.governorate),
        documents=("id-card",),
        token=0,
    )
    store(recorder, life.request)


@pytest.fixture(scope="package")
def followed(
    server: Server, seeded_template: str, options: dict[str, Any]
) -> Iterator[Followed]:
    database = fresh_database(server, seeded_template)
    above = Path(tempfile.mkdtemp(prefix="sijil-analytics-", dir=in_memory()))
    try:
        with House(database.settings) as house:
            Simulation(house, Options(completed=30)).run()
        recorder = PostgresProcessRecorder(database.datastore(Role.APP))
        wild_history(recorder, requests=60, seed=14)
        accepted_for_another_agency(recorder)
        room = ViewsRoom(database.settings)
        room.runner.catch_up()
        room.close()
        reader = LedgerReader(database.datastore(Role.READER))
        topic = new_topic(options)
        relay_until(Relay(reader, options, topic=topic), reader.head().position)
        place = above / "analytics"
        yield Followed(
            database=database,
            reader=reader,
            topic=topic,
            place=place,
            position=follow(place, options, topic),
        )
    finally:
        database.close()
        shutil.rmtree(above)
