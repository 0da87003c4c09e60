"""The mark: how far a home has seen its ledger, kept in a file outside the database.

A database that is brought back from a copy of its files does not know that it is an
earlier one. The home beside it does, as long as it was not brought back with it.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import orjson

from ledger.bodies import rfc3339
from ledger.embedded import make_private
from ledger.reader import Head, LedgerReader

FOLDER = "marks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A position that a ledger has had, and the time that was recorded at it."""

    ledger_id: UUID
    incarnation: int
    position: int
    recorded_at: str | None

    @classmethod
    def of(cls, head: Head) -> Mark:
        """The mark of a head. What is visible there is on the server's disk."""
        return cls(
            ledger_id=head.ledger_id,
            incarnation=head.incarnation,
            position=head.position,
            recorded_at=(
                None if head.recorded_at is None else rfc3339(head.recorded_at)
            ),
        )


def read_mark(home: Path, ledger_id: UUID) -> Mark | None:
    """What the home knows of a ledger; None for nothing, or nothing readable."""
    try:
        said = orjson.loads(_path(home, ledger_id).read_bytes())
        return Mark(
            ledger_id=ledger_id,
            incarnation=int(said["incarnation"]),
            position=int(said["position"]),
            recorded_at=said["recorded_at"],
        )
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        # A mark that is gone or garbled says nothing, and holds nobody up.
        return None


def write_mark(home: Path, mark: Mark) -> None:
    """Keep a mark, in the place of the one before. Raises OSError where it cannot."""
    path = _path(home, mark.ledger_id)
    make_private(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".mark-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(
                orjson.dumps(
                    {
                        "incarnation": mark.incarnation,
                        "position": mark.position,
                        "recorded_at": mark.recorded_at,
                    }
                )
            )
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def has_returned(reader: LedgerReader, home: Path) -> bool:
    """Whether the ledger is an earlier one than the home has seen.

    No two entries share a recorded time: one that has another time at the mark, or that
    is not there, was lost. A higher incarnation was resumed by somebody who knew.
    """
    mark = read_mark(home, reader.head().ledger_id)
    # Asked after the mark was read: another process may have moved it meanwhile.
    head = reader.head()
    if mark is None or mark.incarnation < head.incarnation:
        return False
    if mark.incarnation > head.incarnation:
        return True
    if mark.position == 0:
        return False
    entry = reader.entry(mark.position)
    return entry is None or rfc3339(entry.recorded_at) != mark.recorded_at


def _path(home: Path, ledger_id: UUID) -> Path:
    return home / FOLDER / f"{ledger_id}.json"
