"""The ten lines of the documentation, held against the ledger's own leaf hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2

from ledger.book import Ledger
from ledger.reader import LedgerReader
from tests.conftest import Database
from tests.docs.pages import DOCS, blocks
from tests.domain.office import mailed

_PG_NAMES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
}


def recomputed(database: Database) -> list[str]:
    """What the page's script prints for this database, as the reader role."""
    page = DOCS / "how-to" / "recompute-leaf-hashes.md"
    (script,) = [b for b in blocks(page) if b.markers.get("file") == "leaves.py"]
    login = {
        _PG_NAMES[key]: str(value)
        for key, value in database.dsn("reader").items()
        if key in _PG_NAMES
    }
    done = subprocess.run(
        [sys.executable, "-I", "-c", script.code],
        env={"PATH": os.environ["PATH"], **login},
        cwd=Path("/"),
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()


def test_the_script_imports_nothing_of_ours_and_finds_every_leaf(
    database: Database,
) -> None:
    ledger = Ledger(database.settings)
    ledger.append(mailed())
    reader = LedgerReader(database.datastore("reader"))
    ours = [f"{e.position} {e.leaf_hash().hex()}" for e in reader.stream()]
    assert len(ours) >= 7
    assert recomputed(database) == ours
    ledger.close()


def test_the_script_shows_a_changed_byte(database: Database) -> None:
    ledger = Ledger(database.settings)
    ledger.append(mailed())
    ledger.close()
    before = recomputed(database)
    with (
        closing(psycopg2.connect(**database.superuser_dsn())) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        # What only a superuser can do, and what the trigger cannot stop.
        cursor.execute("ALTER TABLE sijil.events DISABLE TRIGGER ALL")
        cursor.execute(
            "UPDATE sijil.events SET body = set_byte(body, 40, 120) WHERE position = 3"
        )
    after = recomputed(database)
    changed = [a for a, b in zip(before, after, strict=True) if a != b]
    assert [line.split()[0] for line in changed] == ["3"]
