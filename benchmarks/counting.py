"""The library's projection runner with the smallest view there can be: one counter.

Once over the ledger through this project's persistence module, and once as shipped:
the library's own PostgreSQL module, its own mapper, and plain events of its own.
"""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Mapper, Tracking, TrackingRecorder
from eventsourcing.postgres import PostgresTrackingRecorder as LibraryTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL, Identifier

from benchmarks.writers import rival_dsn
from ledger.bodies import BodyMapper
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.recorders import _MARK, PostgresTrackingRecorder
from ledger.settings import LedgerSettings

EVENTS = 4_000
"""Three seconds of the rival, three times: it is as fast at any length."""
TIMEOUT_S = 120
_COUNT = "UPDATE counted SET number = number + 1"


class Counter(PostgresTrackingRecorder):
    """One row, one number, on our module."""

    def create_table(self) -> None:
        """Make the counter and the marks."""
        super().create_table()
        self.datastore.run_script(
            "CREATE TABLE IF NOT EXISTS counted (number bigint NOT NULL);"
            "INSERT INTO counted SELECT 0 WHERE NOT EXISTS (SELECT FROM counted)"
        )

    def count(self, tracking: Tracking) -> None:
        """Count one event together with its mark, as the library's views do."""
        with self.datastore.transaction() as cursor:
            cursor.execute(_COUNT)
            cursor.execute(_MARK, (tracking.application_name, tracking.notification_id))


class LibraryCounter(LibraryTrackingRecorder):
    """One row, one number, on the library's module."""

    def create_table(self) -> None:
        """Make the counter and the marks."""
        counted = Identifier(self.datastore.schema, "counted")
        self.sql_create_statements.insert(
            0,
            SQL("CREATE SCHEMA IF NOT EXISTS {}").format(
                Identifier(self.datastore.schema)
            ),
        )
        self.sql_create_statements += [
            SQL("CREATE TABLE IF NOT EXISTS {} (number bigint NOT NULL)").format(
                counted
            ),
            SQL("INSERT INTO {0} SELECT 0 WHERE NOT EXISTS (SELECT FROM {0})").format(
                counted
            ),
        ]
        super().create_table()

    def count(self, tracking: Tracking) -> None:
        """Count one event together with its mark, as the library's views do."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute(
                SQL("UPDATE {} SET number = number + 1").format(
                    Identifier(self.datastore.schema, "counted")
                ),
                prepare=True,
            )
            self._insert_tracking(cursor, tracking)


class Counting(Projection[Any]):
    """Counts whatever happens."""

    name = "counting"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:  # noqa: ARG002 -- the library's name
        """Count it."""
        self.view.count(tracking)


class Book(Application[UUID]):
    """The ledger as an application of the library."""

    name = "Sijil"

    def construct_mapper(self) -> Mapper[UUID]:
        """The contract's body."""
        return BodyMapper()


class Parcel(Aggregate):
    """A plain aggregate of the library, with as many facts as an average event."""

    @event("Posted")
    def post(self, centre: str, service: str, item: str, weight_g: int) -> None:
        """Go on its way."""
        self.centre, self.service, self.item = centre, service, item
        self.weight_g = weight_g


class PostOffice(Application[UUID]):
    """An application as the library's tutorial has it."""

    name = "PostOffice"


def over_the_ledger(settings: LedgerSettings, number: int) -> float:
    """Events a second of the library's runner over the ledger's first events."""
    dsn = settings.dsn(Role.OWNER)
    env = {"PERSISTENCE_MODULE": "ledger.persistence"}
    env |= {f"POSTGRES_{key.upper()}": str(value) for key, value in dsn.items()}
    env["POSTGRES_SCHEMA"] = LEDGER_SCHEMA
    env["CREATE_TABLE"] = "no"
    env["COUNTING_POSTGRES_SCHEMA"] = f"rival_{number}"
    env["COUNTING_CREATE_TABLE"] = "yes"
    return _rate(Book, Counter, env)


def as_shipped(settings: LedgerSettings, number: int) -> float:
    """Events a second of the library's runner on its own module, as shipped."""
    dsn = rival_dsn(settings)
    names = ("dbname", "host", "port", "user", "password")
    env = {"PERSISTENCE_MODULE": "eventsourcing.postgres"}
    env |= {f"POSTGRES_{name.upper()}": str(dsn[name]) for name in names}
    # Each round counts from the beginning, in a schema of its own.
    env["COUNTING_POSTGRES_SCHEMA"] = f"rival_{number}"
    if number == 0:
        _fill(env)
    return _rate(PostOffice, LibraryCounter, env)


def _fill(env: dict[str, str]) -> None:
    office = PostOffice(env=env)
    for _ in range(EVENTS // 8):
        parcel = Parcel()
        for weight_g in range(7):
            parcel.post("DI-01", "CIV-01", "RR000000005SY", weight_g)
        office.save(parcel)
    office.close()


def _rate(
    application: type[Application[UUID]],
    view: type[TrackingRecorder],
    env: dict[str, str],
) -> float:
    started = time.perf_counter()
    with ProjectionRunner(
        application_class=application,
        projection_class=Counting,
        view_class=view,
        env=env,
    ) as runner:
        runner.wait(EVENTS, timeout=TIMEOUT_S)
        spent_s = time.perf_counter() - started
        done = runner.view.max_tracking_id(application.name) or EVENTS
    return done / spent_s
