"""The entry: the bytes the ledger attests, and their leaf hash.

Form: docs/reference/contract.md, "The entry" (``sijil-entry/v1``). Hash: RFC 6962,
section 2.1, a leaf. Position counts from 1; the leaf's index is position - 1.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ledger.bodies import rfc3339

_LEAF_PREFIX = b"\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One stored event as the ledger has it. ``body`` is the stored bytes."""

    position: int
    recorded_at: datetime
    aggregate_id: UUID
    version: int
    topic: str
    body: bytes

    @property
    def key(self) -> str:
        """``<aggregate>/<version>``, as causation ids name an event."""
        return f"{self.aggregate_id}/{self.version}"

    def to_bytes(self) -> bytes:
        """The entry: six lines of head, each ended by one line feed, and the body."""
        return entry_bytes(
            self.position,
            rfc3339(self.recorded_at),
            str(self.aggregate_id),
            self.version,
            self.topic,
            self.body,
        )

    def leaf_hash(self) -> bytes:
        """SHA-256 over 0x00 and the entry: 32 bytes."""
        return leaf_hash(self.to_bytes())


def entry_bytes(  # noqa: PLR0917 -- the entry's fields in their order
    position: int,
    recorded_at: str,
    aggregate_id: str,
    version: int,
    topic: str,
    body: bytes,
) -> bytes:
    """The entry as ``Entry.to_bytes`` gives it, of texts as ``leaf_hash_of`` wants."""
    return _head(position, recorded_at, aggregate_id, version, topic) + body


def leaf_hash(entry: bytes) -> bytes:
    """The leaf hash of an entry's bytes: SHA-256 over 0x00 and the entry, 32 bytes."""
    return hashlib.sha256(_LEAF_PREFIX + entry).digest()


def leaf_hash_of(  # noqa: PLR0917 -- the entry's fields in their order
    position: int,
    recorded_at: str,
    aggregate_id: str,
    version: int,
    topic: str,
    body: bytes | memoryview,
) -> bytes:
    """The leaf hash of an entry as its texts stand, for a fold over millions of them.

    ``recorded_at`` MUST be the contract's text of it, ``aggregate_id`` lower-case.
    """
    leaf = hashlib.sha256(
        _LEAF_PREFIX + _head(position, recorded_at, aggregate_id, version, topic)
    )
    leaf.update(body)
    return leaf.digest()


def _head(
    position: int, recorded_at: str, aggregate_id: str, version: int, topic: str
) -> bytes:
    return (
        "sijil-entry/v1\n"
        f"{position}\n"
        f"{recorded_at}\n"
        f"{aggregate_id}\n"
        f"{version}\n"
        f"{topic}\n"
    ).encode("ascii")
