"""The spool: a folder of messages for somebody else to send."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path

import pytest

from office.couriers import CourierError
from office.spool import Spool
from tests.office.letters import ID, MARKED_PHONE, letter


class TestTheSpool:
    def test_a_message_is_one_file_that_only_we_can_read(self, tmp_path: Path) -> None:
        folder = tmp_path / "spool"
        spool = Spool(folder, kept_days=30)
        spool.send(letter())
        (path,) = folder.iterdir()
        assert path.name == f"{ID}.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert json.loads(path.read_text("utf-8")) == {
            "id": str(ID),
            "message": "accepted",
            "means": "sms",
            "to": MARKED_PHONE,
            "language": "ar",
            "subject": letter().subject,
            "text": letter().text,
            "caused_at": "2026-11-23T08:14:05.000000Z",
        }

    def test_writing_twice_leaves_one_file(self, tmp_path: Path) -> None:
        folder = tmp_path / "spool"
        spool = Spool(folder, kept_days=30)
        spool.send(letter())
        before = next(folder.iterdir()).read_bytes()
        spool.send(letter())
        (path,) = folder.iterdir()
        assert path.read_bytes() == before

    def test_a_folder_that_others_may_enter_gets_nothing(self, tmp_path: Path) -> None:
        folder = tmp_path / "spool"
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        with pytest.raises(CourierError) as caught:
            Spool(folder, kept_days=30).send(letter())
        assert caught.value.code == "spool-open-to-others"
        assert not list(folder.iterdir())

    def test_a_folder_that_cannot_be_made_is_no_reason_to_give_up(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(CourierError) as caught:
            Spool(tmp_path / "file" / "spool", kept_days=30).send(letter())
        assert caught.value.is_down
        assert not caught.value.is_final

    def test_what_nobody_fetched_is_removed_in_the_end(self, tmp_path: Path) -> None:
        import os

        folder = tmp_path / "spool"
        spool = Spool(folder, kept_days=30)
        spool.send(letter())
        assert spool.sweep() == 0
        old = time.time() - 31 * 86_400
        unfinished = folder / ".x.part"
        unfinished.write_text("")
        for path in folder.iterdir():
            os.utime(path, (old, old))
        assert spool.sweep() == 2
        assert not list(folder.iterdir())
