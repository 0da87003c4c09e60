"""The head of a Merkle tree over leaf hashes, in constant memory (RFC 6962, 2.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

_NODE_PREFIX = b"\x01"
_HEIGHT = 8
_WIDTH = 1 << _HEIGHT
"""Leaves that are joined level by level: half the time of one after the other."""


class Tree:
    """Takes leaf hashes in their order; keeps one hash for each level of the tree."""

    def __init__(self) -> None:
        self.size = 0
        # The roots of the full subtrees that the leaves fall into, the largest first.
        self._full: list[bytes] = []

    def add_all(self, leaves: Sequence[bytes]) -> None:
        """Take in the next leaf hashes, 32 bytes each.

        Fastest from a multiple of 256, 256 by 256.
        """
        at = 0
        while at < len(leaves):
            if self.size % _WIDTH or len(leaves) - at < _WIDTH:
                self._push(leaves[at], 0)
                at += 1
            else:
                self._push(_joined(leaves[at : at + _WIDTH]), _HEIGHT)
                at += _WIDTH

    def _push(self, node: bytes, height: int) -> None:
        """Put a full subtree behind all others; it is as high, or lower."""
        subtrees = self.size >> height
        while subtrees & 1:
            node = _node(self._full.pop(), node)
            subtrees >>= 1
        self._full.append(node)
        self.size += 1 << height

    def root(self) -> bytes:
        """The root over all leaves so far, 32 bytes; of none SHA-256 of nothing."""
        if not self._full:
            return hashlib.sha256(b"").digest()
        root = self._full[-1]
        for larger in reversed(self._full[:-1]):
            root = _node(larger, root)
        return root


def _joined(level: Sequence[bytes]) -> bytes:
    """The root over leaves whose number is a power of two."""
    sha256 = hashlib.sha256
    while len(level) > 1:
        level = [
            sha256(_NODE_PREFIX + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=True)
        ]
    return level[0]


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE_PREFIX + left + right).digest()
