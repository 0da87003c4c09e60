"""A run's broker is had by whoever asks for it, also after somebody had none."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.broker.jars import NoKafkaError
from tests.kafka import shared


def test_jars_that_could_not_be_fetched_may_be_had_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SIJIL_TEST_KAFKA", raising=False)
    monkeypatch.setenv("SIJIL_TEST_REAL_KAFKA", "1")
    missing = iter(["the line is down", None, None])
    monkeypatch.setattr(shared, "_missing", lambda: next(missing))
    monkeypatch.setattr(shared, "_start", lambda _, said: said.write_text("at b:1"))
    folder = tmp_path / "kafka"
    with pytest.raises(NoKafkaError, match="down"):
        shared.bootstrap(folder)
    assert "because the line is down" in shared.described(folder)
    assert [shared.bootstrap(folder) for _ in range(2)] == ["b:1", "b:1"]
    assert "of its own" in shared.described(folder)
