"""`sijil relay` as a process of its own, against a ledger and a broker of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ledger.settings import LedgerSettings
from tests.running import REPOSITORY


def begin(
    settings: LedgerSettings, bootstrap: str, log: Path
) -> subprocess.Popen[bytes]:
    """Start one; what it says is added to ``log``."""
    environment = os.environ | {
        "SIJIL_KAFKA": bootstrap,
        "SIJIL_HOME": str(settings.home),
        "SIJIL_DATABASE_NAME": settings.database_name,
        "SIJIL_VAULT_DATABASE_NAME": settings.vault_database_name,
    }
    if settings.database_url is not None:
        environment["SIJIL_DATABASE_URL"] = settings.database_url.get_secret_value()
    with log.open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "api.cli", "relay"],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stderr=said,
        )
