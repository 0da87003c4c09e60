"""A worker runs beside the rest where somebody may send it messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.processes import processes
from consumers.settings import SENDERS
from tests.consumers.inward.letters import senders_file


def names(home: Path) -> set[str]:
    """What runs; what does not is said with the reason."""
    told = processes(home, with_broker=False)
    found = {each.name for each in told.processes}
    assert ("no inward: there is no " in told.said) == ("inward" not in found)
    return found


def test_a_worker_runs_where_senders_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIJIL_KAFKA", "127.0.0.1:9092")
    monkeypatch.delenv("SIJIL_SENDERS_FILE", raising=False)
    assert "inward" not in names(tmp_path)
    assert "relay" in names(tmp_path)
    assert senders_file(tmp_path).name == SENDERS
    assert "inward" in names(tmp_path)
    monkeypatch.setenv("SIJIL_SENDERS_FILE", str(tmp_path / "elsewhere.toml"))
    assert "inward" not in names(tmp_path)
