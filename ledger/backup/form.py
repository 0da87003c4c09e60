"""What a backup consists of, and what its parts are called (docs/reference/backup.md).

A tar archive under gzip. The entries are the bundles and the level-0 tiles of a C2SP
tlog-tiles log, so that others can read and check them without a word of ours.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from ledger.bodies import rfc3339

FORMAT = "sijil-backup/v1"
OPENING = "opening.json"
TRACKING = "tracking.jsonl"
CLOSING = "closing.json"
BUNDLE_ENTRIES = 256
"""The width of a C2SP tile; the last one may be partial."""
LEAF_BYTES = 32
PART_COMMANDS = 1_000
"""Commands of one part: some 250 kB."""
LARGEST_PART_BYTES = 32 * 2**20
"""Above any part that is ours: 256 entries below 65,536 bytes are 16 MiB."""


class BackupError(RuntimeError):
    """A backup cannot be made, read or brought back; the message says why."""


class DamagedBackupError(BackupError):
    """The file is not what was written. ``position`` is where that shows, if known."""

    def __init__(self, what: str, *, position: int | None = None) -> None:
        self.position = position
        at = "" if position is None else f" at position {position}"
        super().__init__(f"the backup is damaged{at}: {what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Whose backup it is and how far it goes. Times are the contract's text."""

    ledger_id: UUID
    incarnation: int
    position: int
    recorded_at: str | None

    def to_bytes(self) -> bytes:
        """The part's bytes."""
        return _json({"format": FORMAT, **asdict(self)})

    @classmethod
    def of(cls, part: bytes) -> Opening:
        """What the part says. Raises BackupError for another format."""
        said = json_object(part)
        if said.get("format") != FORMAT:
            raise BackupError(f"the file is no backup of the form {FORMAT}")
        try:
            return cls(
                ledger_id=UUID(said["ledger_id"]),
                incarnation=int(said["incarnation"]),
                position=int(said["position"]),
                recorded_at=said.get("recorded_at"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedBackupError("its opening is not as it should be") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What all the parts before must come to: counts and digests, in hexadecimal."""

    entries: int
    root: str
    commands: int
    commands_sha256: str
    tracking: int
    tracking_sha256: str

    def to_bytes(self) -> bytes:
        """The part's bytes."""
        return _json(asdict(self))

    @classmethod
    def of(cls, part: bytes) -> Closing:
        """What the part says."""
        try:
            return cls(**json_object(part))
        except TypeError as error:
            raise DamagedBackupError("its closing is not as it should be") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A command as the ledger remembers it; ``recorded_at`` None before any entry."""

    id: str
    actor: str
    digest: bytes
    first_position: int | None
    last_position: int | None
    recorded_at: str | None

    def to_bytes(self) -> bytes:
        """The command's line, ended by a line feed."""
        return _json(
            {
                "id": self.id,
                "actor": self.actor,
                "digest": self.digest.hex(),
                "first_position": self.first_position,
                "last_position": self.last_position,
                "recorded_at": self.recorded_at,
            }
        )

    @classmethod
    def of(cls, line: bytes) -> Remembered:
        """What a line says."""
        said = json_object(line)
        try:
            return cls(
                id=said["id"],
                actor=said["actor"],
                digest=bytes.fromhex(said["digest"]),
                first_position=said.get("first_position"),
                last_position=said.get("last_position"),
                recorded_at=said.get("recorded_at"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedBackupError("a command is not as it should be") from error


class Lines:
    """Counts the lines of a kind and keeps one digest over all of them."""

    def __init__(self) -> None:
        self.count = 0
        self._sha256 = hashlib.sha256()

    def add(self, part: bytes) -> None:
        """Take in some lines, each with its line feed."""
        self.count += part.count(b"\n")
        self._sha256.update(part)

    @property
    def sha256(self) -> str:
        """SHA-256 over all lines, in hexadecimal."""
        return self._sha256.hexdigest()


def tracking_line(name: str, position: int) -> bytes:
    """How far one followed stream was taken in, ended by a line feed."""
    return _json({"name": name, "position": position})


def bundle_names(index: int, entries: int) -> tuple[str, str]:
    """The names of a bundle and of the tile with its leaf hashes (C2SP tlog-tiles)."""
    digits = [f"{index % 1000:03d}"]
    while index := index // 1000:
        digits.append(f"x{index % 1000:03d}")
    place = "/".join(reversed(digits))
    if entries < BUNDLE_ENTRIES:
        place += f".p/{entries}"
    return f"tile/entries/{place}", f"tile/0/{place}"


def commands_name(number: int) -> str:
    """The name of a part with commands; they count from 1."""
    return f"commands/{number:09d}.jsonl"


def time_text(time: datetime | None) -> str | None:
    """The contract's text of a time, or None."""
    return None if time is None else rfc3339(time)


def json_object(text: bytes) -> dict[str, Any]:
    """The object that a text is. Raises DamagedBackupError where it is none."""
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DamagedBackupError("a part of it is no JSON") from error
    if not isinstance(said, dict):
        raise DamagedBackupError("a part of it is no JSON object")
    return said


def _json(said: dict[str, Any]) -> bytes:
    """Sorted keys, absent rather than null, one line."""
    present = {name: value for name, value in said.items() if value is not None}
    return orjson.dumps(present, option=orjson.OPT_SORT_KEYS) + b"\n"
