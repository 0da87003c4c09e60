"""``sijil ledger backup`` and the way back: check, restore, suspend, resume."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from api.cli.failures import COULD_NOT_ASK, Failure
from api.cli.folded import folding_bar
from api.cli.migrate import server_up
from api.cli.options import AsJson
from api.cli.tables import print_facts, print_json
from domain.resumptions import ResumedBecause
from ledger import migrations
from ledger.backup import reading, restoring, resuming, writing
from ledger.backup.form import BackupError, Closing, Opening
from ledger.mark import read_mark
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings

File = Annotated[Path, typer.Argument(help="The backup's file.")]


def backup(
    file: Annotated[Path, typer.Argument(help="The file to make; it must be new.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Write the ledger as it stands to a file that checks itself; work goes on.

    Its root says which ledger it is: note it where the database's owner cannot write.
    """
    settings = LedgerSettings.load()
    with _saying_why(), server_up(settings):
        store = PostgresDatastore(
            settings.dsn(Role.APP), schema=LEDGER_SCHEMA, pool_size=1
        )
        try:
            head = LedgerReader(store).head().position
            with folding_bar("writing", head) as written:
                opening, closing = writing.write_backup(store, file, written=written)
        finally:
            store.close()
    _show(opening, closing, as_json=as_json)


def check(file: File, *, as_json: AsJson = False) -> None:
    """Read a backup to its end and see that it is whole. No database is asked."""
    with _saying_why():
        with reading.Backup(file) as begun:
            position = begun.opening.position
        with folding_bar("checking", position) as read:
            opening, closing = reading.check_backup(file, read=read)
    _show(opening, closing, as_json=as_json)


def restore(file: File, *, as_json: AsJson = False) -> None:
    """Bring a backup back into an empty ledger, as the owner; whole or not at all.

    It takes no acts until `sijil ledger resume`; reading works.
    """
    settings = LedgerSettings.load()
    with _saying_why(), server_up(settings):
        if migrations.pending(settings):
            raise Failure(
                "the ledger has not the tables that this release wants",
                then="run `sijil migrate` without --seed, then this again",
                exit_code=COULD_NOT_ASK,
            )
        with reading.Backup(file) as begun:
            position = begun.opening.position
        # All is written, and then all is read back.
        with folding_bar("restoring", 2 * position) as done:
            opening, closing = restoring.restore(
                settings,
                file,
                loaded=done,
                compared=lambda read: done(position + read),
            )
    _show(opening, closing, as_json=as_json)
    if not as_json:
        typer.echo(
            "It takes no acts until `sijil ledger resume --reason restored` "
            "(see the guide on backups first)"
        )


def suspend() -> None:
    """Let the ledger refuse acts until it is resumed; reading works.

    For one that came back by other means than `sijil ledger restore`.
    """
    settings = LedgerSettings.load()
    with server_up(settings):
        resuming.suspend(settings)
    typer.echo("The ledger takes no acts until `sijil ledger resume`")


def resume(
    *,
    reason: Annotated[ResumedBecause, typer.Option(help="Why it came back.")],
    after: Annotated[
        int,
        typer.Option(help="A higher incarnation that there has been, if one is known."),
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Let a ledger that came back take acts again, as a new incarnation."""
    settings = LedgerSettings.load()
    with _saying_why(), server_up(settings):
        known = read_mark(settings.home, _ledger_id(settings))
        if known is not None:
            after = max(after, known.incarnation)
        resumed = resuming.resume(settings, reason, after=after)
    facts = {
        "ledger_id": str(resumed.ledger_id),
        "incarnation": resumed.incarnation,
        "position": resumed.position,
    }
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


def _ledger_id(settings: LedgerSettings) -> UUID:
    store = PostgresDatastore(
        settings.dsn(Role.OWNER), schema=LEDGER_SCHEMA, pool_size=1
    )
    try:
        return LedgerReader(store).head().ledger_id
    finally:
        store.close()


def _show(opening: Opening, closing: Closing, *, as_json: bool) -> None:
    facts = {
        "ledger_id": str(opening.ledger_id),
        "incarnation": opening.incarnation,
        "position": opening.position,
        "recorded_at": opening.recorded_at,
        "root": closing.root,
        "commands": closing.commands,
    }
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


@contextmanager
def _saying_why() -> Iterator[None]:
    try:
        yield
    except BackupError as error:
        raise Failure(str(error)) from error
