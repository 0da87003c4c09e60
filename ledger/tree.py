"""The head of a Merkle tree over leaf hashes, in constant memory (RFC 6962, 2.1)."""

from __future__ import annotations

import hashlib

_NODE_PREFIX = b"\x01"


class Tree:
    """Takes leaf hashes in their order; keeps one hash for each level of the tree."""

    def __init__(self) -> None:
        self.size = 0
        # The roots of the full subtrees that the leaves fall into, the largest first.
        self._full: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Take in the next leaf hash, 32 bytes."""
        size = self.size
        while size & 1:
            leaf = _node(self._full.pop(), leaf)
            size >>= 1
        self._full.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root over all leaves so far, 32 bytes; of none SHA-256 of nothing."""
        if not self._full:
            return hashlib.sha256(b"").digest()
        root = self._full[-1]
        for larger in reversed(self._full[:-1]):
            root = _node(larger, root)
        return root


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE_PREFIX + left + right).digest()
