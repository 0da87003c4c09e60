"""Roles, databases and grants: each role can do what its work needs, and no more.

Owner: makes and owns tables and functions. App: calls ``append``, brings batches to
``intake``, which it cannot read, and reads. Runner:
reads the ledger, writes the views. Reader: reads both, and replays into temporary
tables that only its own connection has. Vault: the vault alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from ledger.names import LEDGER_SCHEMA, VAULT_SCHEMA, VIEWS_SCHEMA, Role
from ledger.persistence.datastore import translated
from ledger.settings import LedgerSettings

OLDEST_SERVER = 150000
"""PostgreSQL 15: its public schema is closed by default, which the grants rest on."""

_LEDGER_GRANTS = """
GRANT CONNECT ON DATABASE {database} TO {app}, {runner}, {reader};
GRANT TEMPORARY ON DATABASE {database} TO {reader};
GRANT USAGE ON SCHEMA {ledger} TO {app}, {runner}, {reader};
GRANT SELECT ON ALL TABLES IN SCHEMA {ledger} TO {app}, {runner};
GRANT SELECT ON {ledger}.events, {ledger}.ledger_head TO {reader};
GRANT EXECUTE ON FUNCTION {ledger}.append, {ledger}.append_whole, {ledger}.tails,
    {ledger}.tidy_intake TO {app};
REVOKE ALL ON {ledger}.intake FROM {app}, {runner};
GRANT INSERT ON {ledger}.intake TO {app};
GRANT USAGE ON SCHEMA {views} TO {app}, {runner}, {reader};
GRANT SELECT ON ALL TABLES IN SCHEMA {views} TO {app}, {reader};
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA {views}
    TO {runner};
GRANT USAGE ON ALL SEQUENCES IN SCHEMA {views} TO {runner};
"""
_BESIDE_GRANTS = """
GRANT USAGE ON SCHEMA {schema} TO {runner};
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {app}, {reader};
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA {schema}
    TO {runner};
GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {runner};
"""
_VAULT_GRANTS = """
GRANT CONNECT ON DATABASE {database} TO {vault_role};
GRANT USAGE ON SCHEMA {vault} TO {vault_role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {vault} TO {vault_role};
"""


class ServerTooOldError(RuntimeError):
    """The PostgreSQL server is older than 15."""


def _identifiers() -> dict[str, sql.Identifier]:
    names = {str(role): role.login for role in Role}
    names["vault_role"] = Role.VAULT.login
    names |= {"ledger": LEDGER_SCHEMA, "views": VIEWS_SCHEMA, "vault": VAULT_SCHEMA}
    return {name: sql.Identifier(value) for name, value in names.items()}


def ensure_roles(settings: LedgerSettings) -> None:
    """Make the roles and the two databases, or give existing roles our passwords.

    Connects as the administrator. Raises ServerTooOldError below PostgreSQL 15.
    """
    for is_vault in (False, True):
        dsn = {**settings.admin_dsn(is_vault=is_vault), "dbname": "postgres"}
        with connected(dsn) as connection:
            if connection.server_version < OLDEST_SERVER:
                raise ServerTooOldError(
                    "Sijil needs PostgreSQL 15 or newer; this server is "
                    f"{connection.server_version // 10_000}"
                )
            with connection.cursor() as cursor:
                for role in Role:
                    _ensure_role(cursor, settings, role)
                _ensure_database(
                    cursor,
                    settings.vault_database_name
                    if is_vault
                    else settings.database_name,
                )


@contextmanager
def connected(dsn: dict[str, Any]) -> Iterator[psycopg2.extensions.connection]:
    """A connection in autocommit, closed at the end.

    The driver's errors become those of ``eventsourcing.persistence``.
    """
    try:
        connection = psycopg2.connect(**dsn)
        try:
            connection.autocommit = True
            yield connection
        finally:
            connection.close()
    except psycopg2.Error as error:
        raise translated(error) from error


def _ensure_role(
    cursor: psycopg2.extensions.cursor, settings: LedgerSettings, role: Role
) -> None:
    cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (role.login,))
    verb = sql.SQL("ALTER ROLE" if cursor.fetchone() is not None else "CREATE ROLE")
    # The server gets the SCRAM verifier and never sees the password itself.
    verifier = psycopg2.extensions.encrypt_password(
        settings.needed(f"{role}_password"),
        role.login,
        cursor.connection,
        "scram-sha-256",
    )
    cursor.execute(
        sql.SQL("{} {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %s").format(
            verb, sql.Identifier(role.login)
        ),
        (verifier,),
    )
    if role is Role.OWNER:
        # To own a database on the owner's behalf, a plain administrator must be able
        # to act as the owner; a superuser can anyway.
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        row = cursor.fetchone()
        if row is not None and not row[0]:
            cursor.execute(
                sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role.login))
            )


def _ensure_database(cursor: psycopg2.extensions.cursor, name: str) -> None:
    cursor.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
    if cursor.fetchone() is None:
        cursor.execute(
            sql.SQL(
                "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'"
            ).format(sql.Identifier(name), sql.Identifier(Role.OWNER.login))
        )
    cursor.execute(
        sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
    )


def grant_ledger(cursor: psycopg2.extensions.cursor, settings: LedgerSettings) -> None:
    """Give app, runner and reader their rights on what the ledger's owner made."""
    cursor.execute(
        sql.SQL(_LEDGER_GRANTS).format(
            database=sql.Identifier(settings.database_name), **_identifiers()
        )
    )


def grant_beside(cursor: psycopg2.extensions.cursor, schema: str) -> None:
    """Give the rights on views made beside the live ones, which they take along."""
    cursor.execute(
        sql.SQL(_BESIDE_GRANTS).format(
            schema=sql.Identifier(schema),
            **{str(role): sql.Identifier(role.login) for role in Role},
        )
    )


def grant_vault(cursor: psycopg2.extensions.cursor, settings: LedgerSettings) -> None:
    """Give the vault role its rights on what the owner made in the vault."""
    cursor.execute(
        sql.SQL(_VAULT_GRANTS).format(
            database=sql.Identifier(settings.vault_database_name),
            **_identifiers(),
        )
    )
