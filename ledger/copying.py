"""What COPY takes: a text as it has it, and bytes as the driver sends them."""

from __future__ import annotations

import select
from io import BytesIO

import psycopg2.extensions
from psycopg2 import sql

CHUNK_BYTES = 1 << 20
"""What the driver sends at a time: its own 8 kB would ask us 100 times a batch."""
NOTHING = "\\N"
"""How COPY has NULL: no value can be it, for a backslash in a value is doubled."""


def copied_text(value: str) -> str:
    """A text as COPY takes it."""
    if value.isprintable() and "\\" not in value:
        return value
    if "\\" in value:
        value = value.replace("\\", "\\\\")
    if "\t" in value or "\n" in value or "\r" in value:
        value = value.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    return value


def copy_in(
    cursor: psycopg2.extensions.cursor, statement: str | sql.Composed, data: bytes
) -> None:
    """Send ``data`` by a COPY FROM STDIN."""
    cursor.copy_expert(statement, _Sent(data, cursor.connection), CHUNK_BYTES)


class _Sent(BytesIO):
    """Bytes for the driver, which other threads need not wait for.

    The driver keeps the interpreter while it sends the end of a COPY, and where the
    server has yet to take in what came before, that waits. So it is waited for here.
    """

    def __init__(self, data: bytes, connection: psycopg2.extensions.connection) -> None:
        super().__init__(data)
        self._connection = connection

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; before nothing, there is room for the end."""
        found = super().read(size)
        if not found:
            room = select.poll()
            room.register(self._connection, select.POLLOUT)
            room.poll()
        return found
