"""Real PostgreSQL for every test that needs one: our embedded server, or any other.

``SIJIL_TEST_DATABASE_URLS`` names other servers by a superuser's URL, one for each
process of pytest; the very same tests then run there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, settings
from psycopg2 import sql
from pydantic import SecretStr

from ledger import migrations
from ledger.embedded import EmbeddedServer, secret
from ledger.names import LEDGER_SCHEMA, VAULT_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.roles import grant_ledger, grant_vault
from ledger.settings import GENERATED_SECRETS, LedgerSettings
from office.house import House, ViewsRoom
from office.seeding import seed
from projections.schema import ensure_views
from tests.kafka import shared
from tests.ports import share_ports

# Machines are shared: an example's time says nothing.
settings.register_profile(
    "sijil", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("sijil")
share_ports()

_NUMBERS = count(1)


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder of the broker that all processes of this run have in common."""
    base = factory.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    return (base.parent if is_worker else base) / "kafka"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests come first, or one process ends minutes after the other."""
    long = {each.path for each in items if each.get_closest_marker("long")}
    items.sort(key=lambda each: each.path not in long)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """One line that says which Kafka the tests of the streams ran against."""
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    broker = shared.described(run_folder(factory))
    if broker:
        terminalreporter.write_line(f"Kafka: {broker}")


SHORT_SCRAM = 160000
"""PostgreSQL 16: how often a password is hashed can be said."""
ROOM_BYTES = 12 * 2**30
"""Three servers with their log of changes and the databases of the tests under way."""


def in_a_hurry(superuser_dsn: dict[str, Any]) -> None:
    """Let a server of the tests not wait for the disk, nor for passwords.

    It copies a database for each test. What a killed process wrote is safe all the
    same, in the kernel; only the machine's own end could lose it. And a test connects
    a dozen times: each would stretch a password that nobody is to guess here.
    """
    with closing(psycopg2.connect(**superuser_dsn)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET fsync = off")
            if connection.server_version >= SHORT_SCRAM:
                cursor.execute("ALTER SYSTEM SET scram_iterations = 1")
            cursor.execute("SELECT pg_reload_conf()")


class Server:
    """The PostgreSQL server of this run of the tests, and a home for its secrets."""

    def __init__(self, home: Path, url: str | None) -> None:
        self.home = home
        self.url = url
        self.embedded = EmbeddedServer(home)

    def start(self) -> None:
        if self.url is None:
            self.embedded.start()
            in_a_hurry(self.embedded.dsn())

    def stop(self) -> None:
        if self.url is None:
            self.embedded.stop()
            shutil.rmtree(self.embedded.place, ignore_errors=True)

    def superuser_dsn(self, dbname: str = "postgres") -> dict[str, Any]:
        if self.url is None:
            return self.embedded.dsn(dbname=dbname)
        return {**psycopg2.extensions.parse_dsn(self.url), "dbname": dbname}

    def settings(self, name: str) -> LedgerSettings:
        given: dict[str, Any] = {
            "home": self.home,
            "database_name": name,
            "vault_database_name": f"{name}_vault",
        }
        if self.url is not None:
            given["database_url"] = SecretStr(self.url)
            given |= {
                key: SecretStr(secret(self.home, key)) for key in GENERATED_SECRETS
            }
        return LedgerSettings.load(**given)

    def execute(self, statement: sql.Composable) -> None:
        with closing(psycopg2.connect(**self.superuser_dsn())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)


class Database:
    """A fresh, migrated pair of databases: the ledger with its views, and the vault."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.settings = server.settings(name)
        self.open: list[PostgresDatastore] = []

    def dsn(self, role: Role | str) -> dict[str, Any]:
        return self.settings.dsn(Role(role))

    def datastore(self, role: Role | str, **limits: Any) -> PostgresDatastore:
        role = Role(role)
        schema = VAULT_SCHEMA if role is Role.VAULT else LEDGER_SCHEMA
        made = PostgresDatastore(
            self.dsn(role), **{"schema": schema, "pool_size": 2, **limits}
        )
        self.open.append(made)
        return made

    def environment(self) -> dict[str, str]:
        """The settings by which another process finds it."""
        made = {
            "SIJIL_HOME": str(self.settings.home),
            "SIJIL_DATABASE_NAME": self.settings.database_name,
            "SIJIL_VAULT_DATABASE_NAME": self.settings.vault_database_name,
        }
        if self.settings.database_url is not None:
            made["SIJIL_DATABASE_URL"] = self.settings.database_url.get_secret_value()
            made["SIJIL_SECRETS_DIR"] = str(self.settings.home / "secrets")
        return made

    def superuser_dsn(self, *, is_vault: bool = False) -> dict[str, Any]:
        name = self.settings.vault_database_name if is_vault else self.name
        return self.server.superuser_dsn(name)

    def close(self) -> None:
        for datastore in self.open:
            datastore.close()
        for name in (self.name, self.settings.vault_database_name):
            self.server.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
                    sql.Identifier(name)
                )
            )


def in_memory() -> str | None:
    """A folder in memory with room for hundreds of small databases, else None."""
    folder = Path("/dev/shm")  # noqa: S108 -- a fresh private folder below it
    is_there = folder.is_dir() and os.access(folder, os.W_OK)
    if is_there and shutil.disk_usage(folder).free > ROOM_BYTES:
        return str(folder)
    return None


def _other_server() -> str | None:
    """The URL of this process's server; None where it is an embedded one."""
    urls = os.environ.get("SIJIL_TEST_DATABASE_URLS", "").split()
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return urls[number] if urls else None


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server of this run, started once and stopped at the end."""
    # Not pytest's tmp_path: as root the server's own account has to pass through.
    home = Path(tempfile.mkdtemp(prefix="sijil-test-", dir=in_memory()))
    home.chmod(0o711)
    made = Server(home, _other_server())
    made.start()
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server: Server) -> str:
    """The name of a migrated database that fresh ones are copied from."""
    name = f"sijil_template_{os.getpid()}"
    made = server.settings(name)
    migrations.migrate(made)
    ensure_views(made)
    return name


_A_LEDGER_OF_ITS_OWN = """
UPDATE sijil.ledger_head SET ledger_id = gen_random_uuid();
UPDATE sijil_views.progress SET ledger_id = (SELECT ledger_id FROM sijil.ledger_head)
WHERE ledger_id IS NOT NULL
"""
"""The copy has not the template's identity, and its views have followed it all along.
"""


def fresh_database(server: Server, template: str) -> Database:
    """A new pair of databases, copied from the template."""
    database = Database(server, f"sijil_test_{os.getpid()}_{next(_NUMBERS)}")
    for name, source, grant in (
        (database.name, template, grant_ledger),
        (database.settings.vault_database_name, f"{template}_vault", grant_vault),
    ):
        copied = sql.Identifier(name)
        server.execute(
            sql.SQL(
                "CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY FILE_COPY"
            ).format(copied, sql.Identifier(Role.OWNER.login), sql.Identifier(source))
        )
        with (
            closing(psycopg2.connect(**server.superuser_dsn(name))) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            # A copy has none of the template's grants on the database itself.
            cursor.execute(
                sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(copied)
            )
            grant(cursor, database.settings)
            if grant is grant_ledger:
                cursor.execute(_A_LEDGER_OF_ITS_OWN)
    return database


@pytest.fixture(scope="session")
def seeded_template(server: Server, template: str) -> str:
    """The name of a template that has the reference data, with the views level."""
    database = fresh_database(server, template)
    with House(database.settings) as house:
        seed(house.catalogue)
    room = ViewsRoom(database.settings)
    room.runner.catch_up()
    room.close()
    return database.name


@pytest.fixture
def seeded_database(server: Server, seeded_template: str) -> Iterator[Database]:
    """A fresh pair of databases with the reference data of one test's own."""
    made = fresh_database(server, seeded_template)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def database(server: Server, template: str) -> Iterator[Database]:
    """A fresh, migrated pair of databases of one test's own."""
    made = fresh_database(server, template)
    try:
        yield made
    finally:
        made.close()
