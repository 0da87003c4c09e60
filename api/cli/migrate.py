"""``sijil migrate``: databases, roles, tables and views as this version wants them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from ledger.settings import LedgerSettings
from office.house import House
from office.house import migrate as migrate_house
from office.keeping import must_not_have_returned
from office.seeding import seed


def migrate(
    *,
    seeded: Annotated[
        bool, typer.Option("--seed", help="Publish the reference data as well.")
    ] = False,
) -> None:
    """Bring roles, databases, tables, grants and views up to date.

    Safe at any time, again and again, and by several at once.
    """
    settings = LedgerSettings.load()
    with server_up(settings):
        bring_up_to_date(settings, say=typer.echo, is_seeded=seeded)


def bring_up_to_date(
    settings: LedgerSettings, *, say: Callable[[str], None], is_seeded: bool
) -> None:
    """Migrate, make the views' tables and, if wanted, publish the reference data."""
    done = migrate_house(settings)
    say(f"migrated: {', '.join(done) or 'nothing to do'}")
    # Before anything is appended to what may be an earlier ledger.
    must_not_have_returned(settings)
    if is_seeded:
        with House(settings) as house:
            if house.ledger.reader.head().is_suspended:
                say(
                    "the ledger came back from a backup: it is for reading until "
                    "`sijil ledger resume`"
                )
                return
            seeded = seed(house.catalogue)
        if seeded.new:
            say(f"reference data: {seeded.new} things published")


@contextmanager
def server_up(settings: LedgerSettings) -> Iterator[None]:
    """The embedded server, for this command alone unless it runs already."""
    if not settings.is_embedded:
        yield
        return
    server = settings.server()
    was_running = server.pid() is not None
    server.start(say=typer.echo)
    try:
        yield
    finally:
        if not was_running:
            server.stop()
