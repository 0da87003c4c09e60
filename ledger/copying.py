"""What COPY takes: a text as it has it, and how much the driver sends at a time."""

from __future__ import annotations

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
