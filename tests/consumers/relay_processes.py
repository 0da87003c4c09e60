"""`sijil relay` as a process of its own, against a ledger and a broker of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import Database
from tests.running import REPOSITORY


def begin(database: Database, bootstrap: str, log: Path) -> subprocess.Popen[bytes]:
    """Start one; what it says is added to ``log``."""
    with log.open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "api.cli", "relay"],
            cwd=REPOSITORY,
            env=os.environ | database.environment() | {"SIJIL_KAFKA": bootstrap},
            stdin=subprocess.DEVNULL,
            stderr=said,
        )
