"""Runs a command against a PostgreSQL that is not the embedded default.

``python -m tests.other_server pytest -n 3 tests/ledger`` starts Debian's server when
one from 15 on is installed, else the older one of the wheel, and says in one line
which. The command finds SERVERS of them in ``SIJIL_TEST_DATABASE_URLS``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

from ledger.embedded import MAJOR, EmbeddedServer, binaries
from tests.conftest import in_a_hurry, in_memory

SERVERS = 3
"""As many processes of pytest can run beside each other: roles are a server's."""
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
    with ExitStack() as stack:
        urls = " ".join(stack.enter_context(_running(chosen)) for _ in range(SERVERS))
        return subprocess.run(
            command,
            check=False,
            env={**os.environ, "SIJIL_TEST_DATABASE_URLS": urls},
        ).returncode


@contextmanager
def _running(installation: Path) -> Iterator[str]:
    """The URL of a server that runs meanwhile."""
    # Not below a folder of ours: the server's own account has to reach it.
    with tempfile.TemporaryDirectory(prefix="sijil-other-", dir=in_memory()) as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder) / "home", installation=installation)
        server.start()
        try:
            dsn = server.dsn()
            in_a_hurry(dsn)
            yield (
                f"postgresql://{dsn['user']}:{dsn['password']}@/{dsn['dbname']}"
                f"?host={quote(dsn['host'], safe='')}&port={dsn['port']}"
            )
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
