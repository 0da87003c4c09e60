"""Migrations: numbered SQL files, forward only, under a lock, checked by digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from ledger.names import LEDGER_SCHEMA, VAULT_SCHEMA, VIEWS_SCHEMA, Lock, Role
from ledger.roles import connected, ensure_roles, grant_ledger, grant_vault
from ledger.settings import LedgerSettings

LOCK_TIMEOUT = "10s"
"""A migration without its lock stands back instead of blocking writers."""
STATEMENT_TIMEOUT = "15min"
"""Longer than the largest migration may take on the largest ledger."""
CONNECT_TIMEOUT_S = 5
"""How long a health check may hang on a server that is not there."""
_NAME = re.compile(r"(?P<number>[0-9]{4})_[a-z0-9_]+\.sql")

_HISTORY = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""
_APPLIED = "SELECT number, name, sha256 FROM schema_migrations ORDER BY number"
_RECORD = "INSERT INTO schema_migrations (number, name, sha256) VALUES (%s, %s, %s)"


class MigrationError(RuntimeError):
    """The files and the database do not fit together; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file of statements, with unqualified names."""

    number: int
    name: str
    script: str

    @property
    def sha256(self) -> str:
        """The digest that shows an edited file."""
        return hashlib.sha256(self.script.encode()).hexdigest()


def migrations_in(folder: Traversable) -> list[Migration]:
    """The folder's migrations in order. Raises MigrationError for a gap or bad name."""
    found = []
    for path in folder.iterdir():
        if not path.name.endswith(".sql"):
            continue
        matched = _NAME.fullmatch(path.name)
        if matched is None:
            raise MigrationError(f"{path.name} is not named NNNN_words.sql")
        found.append(
            Migration(
                number=int(matched["number"]),
                name=path.name,
                script=path.read_text(encoding="utf-8"),
            )
        )
    found.sort(key=lambda migration: migration.number)
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise MigrationError("the numbers of the migrations have a gap or a double")
    return found


def ledger_migrations() -> list[Migration]:
    """The migrations of the ledger's schema."""
    return migrations_in(files("ledger.persistence") / "migrations")


def vault_migrations() -> list[Migration]:
    """The migrations of the vault's schema."""
    return migrations_in(files("ledger") / "vault_migrations")


@contextmanager
def _alone(settings: LedgerSettings) -> Iterator[None]:
    """One migration of a server at a time: roles and databases belong to all of it.

    The lock goes with the connection, so a killed migration holds up nobody.
    """
    dsn = {**settings.admin_dsn(), "dbname": "postgres"}
    with connected(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (Lock.MIGRATION.value,))
        yield


@contextmanager
def _owner(
    settings: LedgerSettings, *, schema: str, is_vault: bool
) -> Iterator[psycopg2.extensions.cursor]:
    """A cursor of the owner with its search_path on the schema."""
    dsn = {
        **settings.dsn(Role.OWNER),
        "dbname": settings.vault_database_name if is_vault else settings.database_name,
    }
    if is_vault:
        vault = settings.dsn(Role.VAULT)
        dsn |= {name: vault[name] for name in ("host", "port") if name in vault}
    with connected(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))
        )
        cursor.execute(
            sql.SQL(
                "SET search_path = {}, pg_temp; SET lock_timeout = %s;"
                "SET statement_timeout = %s"
            ).format(sql.Identifier(schema)),
            (LOCK_TIMEOUT, STATEMENT_TIMEOUT),
        )
        yield cursor


def _must_fit(applied: list[tuple[int, str, str]], known: list[Migration]) -> None:
    for (number, name, sha256), migration in zip(applied, known, strict=False):
        if number != migration.number or sha256 != migration.sha256:
            raise MigrationError(
                f"{name} was applied with other content than the file has now; "
                "a released migration is never edited: write a new one"
            )
    if len(applied) > len(known):
        raise MigrationError(
            f"the database is ahead: {applied[-1][1]} is not among the files"
        )


def apply(cursor: psycopg2.extensions.cursor, known: list[Migration]) -> list[str]:
    """Apply what is missing, each file in a transaction of its own; their names."""
    cursor.execute(_HISTORY)
    cursor.execute(_APPLIED)
    applied = cursor.fetchall()
    _must_fit(applied, known)
    done = []
    for migration in known[len(applied) :]:
        cursor.execute("BEGIN")
        try:
            cursor.execute(migration.script)
            cursor.execute(
                _RECORD, (migration.number, migration.name, migration.sha256)
            )
            cursor.execute("COMMIT")
        except psycopg2.Error:
            cursor.execute("ROLLBACK")
            raise
        done.append(migration.name)
    return done


def migrate(settings: LedgerSettings) -> list[str]:
    """Bring roles, databases, tables and grants up to date; what was applied.

    Safe to run at any time and by several processes at once.
    """
    with _alone(settings):
        ensure_roles(settings)
        with _owner(settings, schema=LEDGER_SCHEMA, is_vault=False) as cursor:
            done = apply(cursor, ledger_migrations())
            cursor.execute(
                sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(
                    sql.Identifier(VIEWS_SCHEMA)
                )
            )
            grant_ledger(cursor, settings)
        with _owner(settings, schema=VAULT_SCHEMA, is_vault=True) as cursor:
            done += apply(cursor, vault_migrations())
            grant_vault(cursor, settings)
    return done


@contextmanager
def views_owner(settings: LedgerSettings) -> Iterator[psycopg2.extensions.cursor]:
    """The owner's cursor on the views' schema, under the lock; grants follow."""
    with (
        _alone(settings),
        _owner(settings, schema=VIEWS_SCHEMA, is_vault=False) as cursor,
    ):
        yield cursor
        grant_ledger(cursor, settings)


def pending(settings: LedgerSettings) -> list[str]:
    """The ledger's migrations that are not applied yet, seen by the app's role."""
    return _missing(settings.dsn(Role.APP), LEDGER_SCHEMA, ledger_migrations())


def vault_pending(settings: LedgerSettings) -> list[str]:
    """The vault's migrations that are not applied yet, seen by the vault's role."""
    return _missing(settings.dsn(Role.VAULT), VAULT_SCHEMA, vault_migrations())


def _missing(dsn: dict[str, Any], schema: str, known: list[Migration]) -> list[str]:
    dsn = {**dsn, "connect_timeout": CONNECT_TIMEOUT_S}
    with connected(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", (f"{schema}.schema_migrations",))
        row = cursor.fetchone()
        if row is None or row[0] is None:
            return [migration.name for migration in known]
        cursor.execute(
            sql.SQL("SELECT name FROM {}.schema_migrations").format(
                sql.Identifier(schema)
            )
        )
        applied = {name for (name,) in cursor.fetchall()}
    return [migration.name for migration in known if migration.name not in applied]
