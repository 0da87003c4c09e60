"""The commands around a backup, from the file to the ledger that takes acts again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.cli import backups
from api.cli.failures import COULD_NOT_ASK, NO, Failure
from api.cli.migrate import bring_up_to_date
from domain.resumptions import ResumedBecause
from ledger.names import Role
from ledger.persistence.append import LedgerSuspendedError
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from tests.conftest import Database, Server, fresh_database
from tests.ledger.backup.filled import act, fill


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[LedgerSettings]:
    """Whose settings the commands load: the last one's."""
    whose: list[LedgerSettings] = []
    monkeypatch.setattr(LedgerSettings, "load", lambda: whose[-1])
    return whose


@pytest.fixture
def empty(server: Server, template: str) -> Iterator[Database]:
    """A second ledger, with nothing in it."""
    made = fresh_database(server, template)
    try:
        yield made
    finally:
        made.close()


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_a_ledger_goes_through_a_file_and_takes_acts_again(
    database: Database,
    empty: Database,
    asked: list[LedgerSettings],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(database, 20)
    file = tmp_path / "ledger.sijil"
    asked.append(database.settings)
    backups.backup(file, as_json=True)
    made = printed(capsys)
    backups.check(file, as_json=True)
    assert printed(capsys) == made
    asked.append(empty.settings)
    backups.restore(file, as_json=True)
    assert printed(capsys) == made
    reader = LedgerReader(empty.datastore(Role.READER))
    assert reader.head().position == made["position"]
    recorder = PostgresProcessRecorder(empty.datastore(Role.APP))
    with pytest.raises(LedgerSuspendedError):
        recorder.append([act(900)])
    # What a start does: it publishes nothing, and says why.
    said: list[str] = []
    bring_up_to_date(empty.settings, say=said.append, is_seeded=True)
    assert "sijil ledger resume" in said[-1]
    backups.resume(reason=ResumedBecause.EXERCISE, as_json=True)
    told = printed(capsys)
    assert (told["incarnation"], told["position"]) == (2, made["position"] + 1)
    recorder.append([act(900)])
    with pytest.raises(Failure, match="not suspended") as raised:
        backups.resume(reason=ResumedBecause.EXERCISE)
    assert raised.value.exit_code == NO
    backups.suspend()
    with pytest.raises(LedgerSuspendedError):
        recorder.append([act(907)])
    with pytest.raises(Failure, match="is not empty") as raised:
        backups.restore(file)
    assert raised.value.exit_code == NO


def test_what_is_wrong_is_one_sentence(
    database: Database,
    asked: list[LedgerSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked.append(database.settings)
    file = tmp_path / "ledger.sijil"
    backups.backup(file)
    with pytest.raises(Failure, match="is there already"):
        backups.backup(file)
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(Failure, match="damaged"):
        backups.check(file)
    monkeypatch.setattr(backups.migrations, "pending", lambda _: ["0099_later.sql"])
    with pytest.raises(Failure, match="sijil migrate") as raised:
        backups.restore(file)
    assert raised.value.exit_code == COULD_NOT_ASK
