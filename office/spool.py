"""The spool: each message a file in a folder, for somebody else to carry on.

A file's name is the letter's id, so writing one twice leaves one. It appears whole
or not at all. It holds an address in the clear: mode 0600 in a folder of mode 0700,
and it is removed after a time.
"""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

from domain.requests import Means
from ledger.bodies import rfc3339
from office.couriers import CourierError, Letter

_SUFFIX = ".json"
_UNFINISHED = ".part"
_S_A_DAY = 86_400


class Spool:
    """A courier that writes files ``<id>.json``."""

    name = "spool"
    carries = (Means.SMS, Means.EMAIL, Means.POST)

    def __init__(self, folder: Path, *, kept_days: int) -> None:
        self._folder = folder
        self._kept_s = kept_days * _S_A_DAY

    def send(self, letter: Letter) -> None:
        """Write the letter's file, durably."""
        try:
            self._ready_folder()
            self._write(letter)
        except OSError as error:
            raise CourierError(
                f"spool-{type(error).__name__.lower()}", is_down=True
            ) from None

    def _ready_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stat.S_IMODE(self._folder.stat().st_mode) & 0o077:
            raise CourierError("spool-open-to-others", is_down=True)

    def _write(self, letter: Letter) -> None:
        text = json.dumps(
            {
                "id": str(letter.id),
                "message": letter.message,
                "means": letter.means,
                "to": letter.to,
                "language": "ar",
                "subject": letter.subject,
                "text": letter.text,
                "caused_at": rfc3339(letter.caused_at),
            },
            ensure_ascii=False,
            indent=2,
        )
        unfinished = self._folder / f".{letter.id}{_UNFINISHED}"
        descriptor = os.open(
            unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600
        )
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._folder / f"{letter.id}{_SUFFIX}")
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def sweep(self) -> int:
        """Remove the files that nobody fetched in time, and what was left unfinished.

        An address in the clear may not lie about for ever.
        """
        oldest = time.time() - self._kept_s
        swept = 0
        for pattern in (f"*{_SUFFIX}", f".*{_UNFINISHED}"):
            for path in self._folder.glob(pattern):
                try:
                    if path.lstat().st_mtime < oldest:
                        path.unlink()
                        swept += 1
                except FileNotFoundError:
                    # Fetched at this moment.
                    continue
        return swept
