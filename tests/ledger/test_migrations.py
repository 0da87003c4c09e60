"""Migrations and roles: forward only, checked, repeatable, least privilege."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ledger import migrations
from ledger.migrations import Migration, MigrationError, apply, migrations_in
from ledger.names import Role
from ledger.roles import ServerTooOldError, ensure_roles
from tests.conftest import Database, Server


def folder(path: Path, **files: str) -> Path:
    for name, script in files.items():
        (path / f"{name}.sql").write_text(script, encoding="utf-8")
    return path


class TestFiles:
    def test_they_come_in_the_order_of_their_numbers(self, tmp_path: Path) -> None:
        names = {"_0002_b": "x", "_0001_a": "y"}
        made = folder(tmp_path, **{n[1:]: s for n, s in names.items()})
        assert [m.name for m in migrations_in(made)] == ["0001_a.sql", "0002_b.sql"]

    @pytest.mark.parametrize(
        "names", [["0002_a"], ["0001_a", "0003_b"], ["0001_a", "0001_b"], ["first"]]
    )
    def test_gaps_doubles_and_bad_names_are_refused(
        self, tmp_path: Path, names: list[str]
    ) -> None:
        made = folder(tmp_path, **dict.fromkeys(names, "SELECT 1"))
        with pytest.raises(MigrationError):
            migrations_in(made)

    def test_every_lock_has_a_timeout(self) -> None:
        assert migrations.LOCK_TIMEOUT
        assert migrations.STATEMENT_TIMEOUT


def plan(*scripts: str) -> list[Migration]:
    return [
        Migration(number=n, name=f"{n:04d}_x.sql", script=script)
        for n, script in enumerate(scripts, start=1)
    ]


class TestApplying:
    def run(self, database: Database, known: list[Migration]) -> list[str]:
        with closing(psycopg2.connect(**database.superuser_dsn())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(
                    "CREATE SCHEMA IF NOT EXISTS tried; SET search_path = tried"
                )
                return apply(cursor, known)

    def test_only_what_is_missing_is_applied(self, database: Database) -> None:
        first, both = plan("CREATE TABLE a ()"), plan("CREATE TABLE a ()", "SELECT 1")
        assert self.run(database, first) == ["0001_x.sql"]
        assert self.run(database, both) == ["0002_x.sql"]
        assert self.run(database, both) == []

    @pytest.mark.parametrize(
        "later", [plan("CREATE TABLE b ()", "SELECT 1"), plan("CREATE TABLE a ()")[:0]]
    )
    def test_an_edited_or_missing_file_is_refused(
        self, database: Database, later: list[Migration]
    ) -> None:
        self.run(database, plan("CREATE TABLE a ()"))
        with pytest.raises(MigrationError):
            self.run(database, later)

    def test_a_file_that_fails_leaves_nothing_of_itself(
        self, database: Database
    ) -> None:
        with pytest.raises(psycopg2.Error):
            self.run(database, plan("CREATE TABLE a (); SELECT 1/0"))
        assert self.run(database, plan("CREATE TABLE a ()")) == ["0001_x.sql"]


class TestMigrate:
    def test_it_changes_nothing_the_second_time(self, database: Database) -> None:
        assert migrations.migrate(database.settings) == []
        assert migrations.pending(database.settings) == []

    def test_several_at_once_do_no_harm(self, server: Server) -> None:
        settings = server.settings("sijil_at_once")
        done: list[list[str]] = []
        failed: list[Exception] = []

        def migrate() -> None:
            try:
                done.append(migrations.migrate(settings))
            except Exception as error:  # noqa: BLE001 -- told below
                failed.append(error)

        try:
            migrate()
            threads = [threading.Thread(target=migrate) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not failed
            known = migrations.ledger_migrations() + migrations.vault_migrations()
            assert sum(len(names) for names in done) == len(known)
        finally:
            Database(server, "sijil_at_once").close()

    def test_what_is_not_applied_is_pending(self, database: Database) -> None:
        with (
            closing(psycopg2.connect(**database.superuser_dsn())) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("DELETE FROM sijil.schema_migrations")
        known = [each.name for each in migrations.ledger_migrations()]
        assert migrations.pending(database.settings) == known
        assert migrations.vault_pending(database.settings) == []

    def test_what_the_vault_lacks_is_pending_too(self, database: Database) -> None:
        with (
            closing(
                psycopg2.connect(**database.superuser_dsn(is_vault=True))
            ) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("DELETE FROM vault.schema_migrations WHERE number > 1")
        assert migrations.pending(database.settings) == []
        names = [each.name for each in migrations.vault_migrations()]
        assert migrations.vault_pending(database.settings) == names[1:]

    def test_a_server_before_15_is_refused(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ledger.roles.OLDEST_SERVER", 10**9)
        with pytest.raises(ServerTooOldError):
            ensure_roles(database.settings)


class TestRoles:
    @pytest.mark.parametrize("role", list(Role))
    def test_each_needs_its_own_password(self, database: Database, role: Role) -> None:
        others = database.dsn(Role.READER if role is Role.APP else Role.APP)
        wrong = {**database.dsn(role), "password": others["password"]}
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(**wrong)
        psycopg2.connect(**database.dsn(role)).close()

    @pytest.mark.parametrize("role", list(Role))
    def test_none_has_more_than_its_work_needs(
        self, database: Database, role: Role
    ) -> None:
        with closing(psycopg2.connect(**database.dsn(role))) as connection:
            cursor = connection.cursor()
            cursor.execute(
                "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls"
                " FROM pg_roles WHERE rolname = current_user"
            )
            assert cursor.fetchone() == (False,)

    @pytest.mark.parametrize(
        ("role", "statement", "may"),
        [
            (Role.RUNNER, "DELETE FROM sijil_views.tracking", True),
            (Role.APP, "DELETE FROM sijil_views.tracking", False),
            (Role.READER, "DELETE FROM sijil_views.tracking", False),
            (Role.APP, "SELECT * FROM sijil_views.tracking", True),
            (Role.READER, "SELECT * FROM sijil.events", True),
            (Role.READER, "SELECT * FROM sijil.commands", False),
            (Role.APP, "SELECT * FROM sijil.commands", True),
            (Role.APP, "INSERT INTO sijil.tracking VALUES ('x', 1)", False),
            (Role.APP, "CREATE TABLE sijil.x ()", False),
            (Role.APP, "CREATE TABLE public.x ()", False),
            (Role.APP, "SET ROLE sijil_owner", False),
            # Its own for as long as it is connected: replays are folded there.
            (Role.READER, "CREATE TEMP TABLE x ()", True),
            (Role.APP, "CREATE TEMP TABLE x ()", False),
        ],
    )
    def test_what_each_may_do(
        self, database: Database, role: Role, statement: str, may: bool
    ) -> None:
        with closing(psycopg2.connect(**database.dsn(role))) as connection:
            cursor = connection.cursor()
            if may:
                cursor.execute(statement)
            else:
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    cursor.execute(statement)

    def test_the_server_never_sees_a_password(self, database: Database) -> None:
        with closing(psycopg2.connect(**database.superuser_dsn())) as connection:
            cursor = connection.cursor()
            cursor.execute(
                "SELECT rolpassword FROM pg_authid WHERE rolname LIKE 'sijil_%'"
            )
            verifiers: list[Any] = [row[0] for row in cursor.fetchall()]
        assert len(verifiers) == len(Role)
        assert all(verifier.startswith("SCRAM-SHA-256$") for verifier in verifiers)
