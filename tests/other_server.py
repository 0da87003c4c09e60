"""Runs a command against a PostgreSQL that is not the embedded default.

``python -m tests.other_server pytest tests/ledger`` starts Debian's server when one
from 15 on is installed, else the older one of the wheel, and says in one line which.
The command finds it in ``SIJIL_TEST_DATABASE_URL``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from ledger.embedded import MAJOR, EmbeddedServer, binaries
from tests.conftest import in_a_hurry

OLDEST = 15
DEBIAN = Path("/usr/lib/postgresql")


def installation() -> Path:
    """The oldest server at hand that Sijil supports and does not embed."""
    installed = sorted(
        (int(folder.name), folder)
        for folder in (DEBIAN.iterdir() if DEBIAN.is_dir() else ())
        if folder.name.isdecimal() and (folder / "bin" / "initdb").exists()
    )
    for major, folder in installed:
        if OLDEST <= major != MAJOR:
            return folder
    return binaries().parent / "pginstall"


def main(command: list[str]) -> int:
    """The exit code of ``command``, run beside the other server."""
    chosen = installation()
    version = subprocess.run(
        [chosen / "bin" / "postgres", "--version"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    print(f"other server: {version}", flush=True)  # noqa: T201 -- what it is for
    # Not below a folder of ours: the server's own account has to reach it.
    with tempfile.TemporaryDirectory(prefix="sijil-other-") as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder) / "home", installation=chosen)
        server.start()
        try:
            dsn = server.dsn()
            in_a_hurry(dsn)
            url = (
                f"postgresql://{dsn['user']}:{dsn['password']}@/{dsn['dbname']}"
                f"?host={quote(dsn['host'], safe='')}&port={dsn['port']}"
            )
            return subprocess.run(
                command,
                check=False,
                env={**os.environ, "SIJIL_TEST_DATABASE_URL": url},
            ).returncode
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
