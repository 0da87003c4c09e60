"""Backups that somebody has changed, with or without making their digests anew."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from ledger.backup.form import CLOSING, Closing, DamagedBackupError
from ledger.backup.reading import check_backup
from ledger.entries import leaf_hash


def rewritten(
    backup: Path, path: Path, change: Callable[[str, bytes], bytes | None]
) -> Path:
    """The same archive with parts changed, or left out; its own checksums are right."""
    with (
        tarfile.open(backup, "r:gz") as old,
        tarfile.open(path, "w:gz") as new,
    ):
        for about in old:
            file = old.extractfile(about)
            assert file is not None
            part = change(about.name, file.read())
            if part is not None:
                about.size = len(part)
                new.addfile(about, BytesIO(part))
    return path


def bundle_with(
    bundle: bytes, tile: bytes, number: int, change: Callable[[bytes], bytes]
) -> tuple[bytes, bytes]:
    """A bundle with one entry changed, and its tile as it then has to be."""
    at, parts, hashes = 0, [], []
    while at < len(bundle):
        size = int.from_bytes(bundle[at : at + 2], "big")
        entry = bundle[at + 2 : at + 2 + size]
        if len(parts) == number:
            entry = change(entry)
        parts.append(len(entry).to_bytes(2, "big") + entry)
        hashes.append(leaf_hash(entry))
        at += 2 + size
    return b"".join(parts), b"".join(hashes)


def forged(backup: Path, path: Path, change: Callable[[bytes], bytes]) -> Path:
    """The backup with entry 301 changed by somebody who makes all digests anew."""
    with tarfile.open(backup, "r:gz") as old:
        parts = {}
        for about in old:
            file = old.extractfile(about)
            assert file is not None
            parts[about.name] = file.read()
    names = ("tile/entries/001", "tile/0/001")
    changed = bundle_with(*(parts[name] for name in names), 44, change)
    made = {**parts, **dict(zip(names, changed, strict=True))}
    first = rewritten(backup, path, lambda name, _: made[name])
    with pytest.raises(DamagedBackupError, match="its root is not") as raised:
        check_backup(first)
    root = str(raised.value).partition("(")[2][:64].encode()
    old_root = Closing.of(parts[CLOSING]).root.encode()
    final = path.with_suffix(".final")
    rewritten(first, final, lambda _, part: part.replace(old_root, root))
    check_backup(final)
    return final
