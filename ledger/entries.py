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
        head = (
            "sijil-entry/v1\n"
            f"{self.position}\n"
            f"{rfc3339(self.recorded_at)}\n"
            f"{self.aggregate_id}\n"
            f"{self.version}\n"
            f"{self.topic}\n"
        )
        return head.encode("ascii") + self.body

    def leaf_hash(self) -> bytes:
        """SHA-256 over 0x00 and the entry: 32 bytes."""
        return hashlib.sha256(_LEAF_PREFIX + self.to_bytes()).digest()
