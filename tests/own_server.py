"""A migrated ledger on a PostgreSQL of its own: to be killed, stopped and filled up.

It waits for the disk, as an installation does. The other tests share one that does not.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger import migrations
from ledger.embedded import EmbeddedServer
from ledger.settings import LedgerSettings
from office.house import House, ViewsRoom
from office.seeding import seed
from projections.schema import ensure_views
from tests.conftest import Database, Server

NAME = "sijil_own"


@contextmanager
def own_home() -> Iterator[Path]:
    """A folder for a server, gone afterwards."""
    # Not below a folder of ours: as root the server's own account has to pass through.
    folder = Path(tempfile.mkdtemp(prefix="sijil-own-"))
    folder.chmod(0o711)
    try:
        yield folder / "home"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def own_database(home: Path, *, is_seeded: bool = False) -> Iterator[Database]:
    """A ledger with its views and vault, on a server that this caller may break."""
    server = Server(home, None)
    server.embedded.start()
    database = Database(server, NAME)
    try:
        migrations.migrate(database.settings)
        if is_seeded:
            ensure_views(database.settings)
            with House(database.settings) as house:
                seed(house.catalogue)
            room = ViewsRoom(database.settings)
            room.runner.catch_up()
            room.close()
        yield database
    finally:
        for datastore in database.open:
            datastore.close()
        server.stop()


@contextmanager
def own_server() -> Iterator[tuple[EmbeddedServer, LedgerSettings]]:
    """The server alone, started, and the settings of its ledger."""
    with own_home() as home, own_database(home) as database:
        yield database.server.embedded, database.settings
