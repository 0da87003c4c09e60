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


@contextmanager
def own_server() -> Iterator[tuple[EmbeddedServer, LedgerSettings]]:
    """The server, started, and the settings of its ledger; both gone afterwards."""
    # Not below a folder of ours: as root the server's own account has to pass through.
    folder = Path(tempfile.mkdtemp(prefix="sijil-own-"))
    folder.chmod(0o711)
    server = EmbeddedServer(folder / "home")
    server.start()
    try:
        settings = LedgerSettings.load(
            home=folder / "home", database_url=None, database_name="sijil_own"
        )
        migrations.migrate(settings)
        yield server, settings
    finally:
        server.stop()
        shutil.rmtree(server.place, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
