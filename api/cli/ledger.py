"""``sijil ledger``: the raw ledger, read from the database; its backups."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from api.cli import backups
from api.cli.failures import NO, Failure
from api.cli.options import AsJson
from api.cli.tables import print_facts
from ledger.bodies import rfc3339
from ledger.entries import Entry
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings

ledger = typer.Typer(
    help="Read the raw ledger, back it up, bring it back.", no_args_is_help=True
)
for each in (
    backups.backup,
    backups.check,
    backups.restore,
    backups.suspend,
    backups.resume,
):
    ledger.command()(each)
_PG_NAMES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
}


@contextmanager
def _reader() -> Iterator[LedgerReader]:
    settings = LedgerSettings.load()
    datastore = PostgresDatastore(
        settings.dsn(Role.READER), schema=LEDGER_SCHEMA, pool_size=1, max_overflow=1
    )
    try:
        yield LedgerReader(datastore)
    finally:
        datastore.close()


@ledger.command()
def head(*, as_json: AsJson = False) -> None:
    """Show which ledger this is and its newest position."""
    with _reader() as reader:
        newest = reader.head()
    facts = {
        "ledger_id": str(newest.ledger_id),
        "incarnation": newest.incarnation,
        "position": newest.position,
        "recorded_at": newest.recorded_at and rfc3339(newest.recorded_at),
    }
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        print_facts(facts)


@ledger.command()
def entry(
    position: Annotated[int, typer.Argument(help="Counts from 1.")],
    *,
    as_bytes: Annotated[
        bool, typer.Option("--bytes", help="Print the very bytes that are hashed.")
    ] = False,
) -> None:
    """Show one entry and its leaf hash."""
    with _reader() as reader:
        found = reader.entry(position)
    if found is None:
        raise Failure(
            f"there is no entry at position {position}",
            then="`sijil ledger head` says how far the ledger goes",
            exit_code=NO,
        )
    if as_bytes:
        typer.echo(found.to_bytes(), nl=False)
        return
    _show(found)


def _show(found: Entry) -> None:
    print_facts(
        {
            "position": found.position,
            "recorded_at": rfc3339(found.recorded_at),
            "aggregate_id": str(found.aggregate_id),
            "version": found.version,
            "topic": found.topic,
            "leaf_hash": found.leaf_hash().hex(),
        }
    )
    Console().print_json(found.body.decode("utf-8"), ensure_ascii=False)


@ledger.command()
def leaves(
    *,
    after: Annotated[int, typer.Option(help="Begin above this position.")] = 0,
    until: Annotated[int | None, typer.Option(help="End at this position.")] = None,
) -> None:
    """Print position and leaf hash of every entry, one a line."""
    with _reader() as reader:
        for found in reader.stream(after=after, until=until):
            typer.echo(f"{found.position} {found.leaf_hash().hex()}")


@ledger.command()
def login(
    role: Annotated[
        Role, typer.Argument(help="Whose login, for psql and programs of your own.")
    ] = Role.READER,
) -> None:
    """Print the variables that libpq logs in with. Holds a password: mind the screen.

    Use it as ``eval "$(sijil ledger login reader)"``.
    """
    dsn = LedgerSettings.load().dsn(role)
    for key, variable in _PG_NAMES.items():
        if key in dsn:
            typer.echo(f"export {variable}={shlex.quote(str(dsn[key]))}")
