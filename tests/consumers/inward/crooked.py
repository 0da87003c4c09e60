"""Batches as other clients may write them, and ours cannot read."""

from __future__ import annotations

from typing import Any

from kafka.record.default_records import DefaultRecordBatchBuilder

_LZ4 = 3
_FRAME = bytes.fromhex("04224d18604082")
"""The head of an LZ4 frame: blocks of at most 64 KiB that do not rest on each other."""
_STORED = 1 << 31
"""Of a block's length: its bytes are as they were."""


class Crooked(str):
    """The name of a header that is written as bytes which are no UTF-8."""

    __slots__ = ()

    def encode(self, *_: Any, **__: Any) -> bytes:
        return b"\xff\xfe"


def as_lz4(builder: DefaultRecordBatchBuilder) -> bool:
    """In the place of a builder's compressing: every batch is one of LZ4."""
    head = builder.HEADER_STRUCT.size
    data = bytes(builder._buffer[head:])
    size = (len(data) | _STORED).to_bytes(4, "little")
    builder._buffer[head:] = _FRAME + size + data + bytes(4)
    builder._compression_type = _LZ4
    return True
