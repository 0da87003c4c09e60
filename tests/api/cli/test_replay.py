"""``sijil replay`` says what it cannot do, and 2 is its answer then."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.cli.failures import COULD_NOT_ASK, Failure
from api.cli.replay import replay
from ledger.settings import LedgerSettings
from tests.conftest import Database


def test_a_folder_that_cannot_be_written_is_no_difference(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(LedgerSettings, "load", lambda: database.settings)
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(Failure, match="cannot be written") as raised:
        replay(view="looks", output=tmp_path / "file" / "folder")
    assert raised.value.exit_code == COULD_NOT_ASK
