"""The library's own contract for persistence modules, unmodified, nothing skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from eventsourcing.persistence import InfrastructureFactoryError
from eventsourcing.tests.application import ExampleApplicationTestCase
from eventsourcing.tests.persistence import (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    InfrastructureFactoryTestCase,
    NonInterleavingNotificationIDsBaseCase,
    ProcessRecorderTestCase,
    TrackingRecorderTestCase,
)
from eventsourcing.utils import Environment, get_topic
from psycopg2 import sql

from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.factory import PostgresFactory
from ledger.persistence.recorders import (
    PostgresAggregateRecorder,
    PostgresApplicationRecorder,
    PostgresProcessRecorder,
    PostgresTrackingRecorder,
)
from tests.conftest import Server

DATABASE = "sijil_conformance"


@pytest.fixture(scope="module", autouse=True)
def bare_database(server: Server) -> Iterator[dict[str, Any]]:
    """An empty database: the module makes all it needs in schemas of its own."""
    name = sql.Identifier(DATABASE)
    server.execute(sql.SQL("CREATE DATABASE {}").format(name))
    dsn = server.superuser_dsn(DATABASE)
    for case in CASES:
        case.dsn = dsn
    yield dsn
    server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


class _Case:
    """A schema for each test, and the datastore closed after it."""

    dsn: dict[str, Any]

    def new_datastore(self) -> PostgresDatastore:
        made = PostgresDatastore(self.dsn, schema=f"t_{uuid4().hex}")
        self.addCleanup(made.close)  # type: ignore[attr-defined]
        return made


class TestAggregateRecorder(_Case, AggregateRecorderTestCase):
    def create_recorder(self) -> PostgresAggregateRecorder:
        recorder = PostgresAggregateRecorder(self.new_datastore())
        recorder.create_table()
        return recorder


class TestApplicationRecorder(_Case, ApplicationRecorderTestCase[Any]):
    def create_recorder(self) -> PostgresApplicationRecorder:
        recorder = PostgresApplicationRecorder(self.new_datastore())
        recorder.create_table()
        return recorder

    def test_insert_subscribe(self) -> None:
        """The subscription test does not run by itself."""
        self.optional_test_insert_subscribe()


class TestTrackingRecorder(_Case, TrackingRecorderTestCase):
    def create_recorder(self) -> PostgresTrackingRecorder:
        recorder = PostgresTrackingRecorder(self.new_datastore())
        recorder.create_table()
        return recorder


class TestProcessRecorder(_Case, ProcessRecorderTestCase):
    def create_recorder(self) -> PostgresProcessRecorder:
        recorder = PostgresProcessRecorder(self.new_datastore())
        recorder.create_table()
        return recorder


class TestTrackingThroughTheLedger(_Case, TrackingRecorderTestCase):
    """The ledger's own tracking keeps the same contract as the marks."""

    def create_recorder(self) -> PostgresProcessRecorder:
        recorder = PostgresProcessRecorder(self.new_datastore())
        recorder.create_table()
        return recorder


class TestNonInterleaving(_Case, NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> PostgresApplicationRecorder:
        recorder = PostgresApplicationRecorder(self.new_datastore())
        recorder.create_table()
        return recorder


class OurTrackingRecorder(PostgresTrackingRecorder):
    """A recorder of a view's own, as the library lets applications bring."""


def environment(dsn: dict[str, Any]) -> Environment:
    env = Environment("TestCase")
    env["PERSISTENCE_MODULE"] = "ledger.persistence"
    env["POSTGRES_SCHEMA"] = f"t_{uuid4().hex}"
    for name in ("dbname", "host", "port", "user", "password"):
        if dsn.get(name):
            env[f"POSTGRES_{name.upper()}"] = str(dsn[name])
    return env


class TestFactory(_Case, InfrastructureFactoryTestCase[PostgresFactory]):
    def setUp(self) -> None:
        self.env = environment(self.dsn)
        super().setUp()

    def expected_factory_class(self) -> type[PostgresFactory]:
        return PostgresFactory

    def expected_aggregate_recorder_class(self) -> type[PostgresAggregateRecorder]:
        return PostgresAggregateRecorder

    def expected_application_recorder_class(self) -> type[PostgresApplicationRecorder]:
        return PostgresApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[PostgresTrackingRecorder]:
        return PostgresTrackingRecorder

    def tracking_recorder_subclass(self) -> type[PostgresTrackingRecorder]:
        return OurTrackingRecorder

    def expected_process_recorder_class(self) -> type[PostgresProcessRecorder]:
        return PostgresProcessRecorder

    def test_a_missing_database_name_is_named(self) -> None:
        with self.assertRaises(InfrastructureFactoryError):
            PostgresFactory(Environment("TestCase", {}))


class TestApplication(_Case, ExampleApplicationTestCase):
    expected_factory_topic = get_topic(PostgresFactory)

    def setUp(self) -> None:
        super().setUp()
        patched = patch.dict(os.environ, environment(self.dsn))
        patched.start()
        self.addCleanup(patched.stop)


CASES = (
    TestAggregateRecorder,
    TestApplicationRecorder,
    TestTrackingRecorder,
    TestProcessRecorder,
    TestTrackingThroughTheLedger,
    TestNonInterleaving,
    TestFactory,
    TestApplication,
)

# The base classes would be collected and run without a database of theirs.
del (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    TrackingRecorderTestCase,
    ProcessRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
    InfrastructureFactoryTestCase,
    ExampleApplicationTestCase,
)
