"""Pages: a bounded list and an opaque cursor to what comes after it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from domain.errors import InvalidValueError

LARGEST_PAGE = 200
"""Items of one answer: a screen shows fewer, and a slow line carries no more."""
DEFAULT_PAGE = 50
LARGEST_READ = 5_000
"""Rows one statement of a view brings: a download reads more than a page at once."""

_BIGINT = 2**63
T = TypeVar("T")
U = TypeVar("U")
_READ: dict[type[Any], Callable[[str], object]] = {
    date: date.fromisoformat,
    datetime: datetime.fromisoformat,
    UUID: UUID,
}
"""What the database would choke on, unless somebody looks first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some items in order, and the cursor of the page after; None at the end."""

    items: tuple[T, ...]
    next: str | None

    def told(self, tell: Callable[[T], U]) -> Page[U]:
        """The same page with each item told otherwise."""
        return Page(items=tuple(map(tell, self.items)), next=self.next)


def page_size(limit: int) -> int:
    """``limit`` itself. Raises InvalidValueError outside 1 to 5,000.

    A door bounds its pages further down, by LARGEST_PAGE.
    """
    if not 1 <= limit <= LARGEST_READ:
        raise InvalidValueError(field="limit", reason="range")
    return limit


def encode_cursor(key: Sequence[str | int]) -> str:
    """The opaque form of a sort key."""
    packed = json.dumps(list(key), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode_cursor(cursor: str | None, *types: type[Any]) -> tuple[Any, ...] | None:
    """The sort key of a cursor, of these types; None for no cursor.

    A ``date``, a ``datetime`` or a ``UUID`` is checked and stays the text that it is.
    Raises InvalidValueError when the cursor is not one of ours.
    """
    if cursor is None:
        return None
    key = cursor_parts(cursor)
    if len(key) != len(types) or not all(
        _is_of(part, type_) for part, type_ in zip(key, types, strict=True)
    ):
        raise InvalidValueError(field="cursor", reason="shape")
    return tuple(key)


def cursor_parts(cursor: str) -> list[Any]:
    """The parts of a cursor, whatever they are. InvalidValueError without any."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InvalidValueError(field="cursor", reason="shape") from error
    if not isinstance(key, list):
        raise InvalidValueError(field="cursor", reason="shape")
    return key


def _is_of(part: object, type_: type[Any]) -> bool:
    read = _READ.get(type_)
    if read is None:
        is_small = not isinstance(part, int) or abs(part) < _BIGINT
        return type(part) is type_ and is_small
    try:
        return isinstance(part, str) and bool(read(part))
    except ValueError:
        return False


def paged(
    rows: Sequence[T], limit: int, key: Callable[[T], Sequence[str | int]]
) -> Page[T]:
    """The page of at most ``limit`` rows, where one more was asked for."""
    items = tuple(rows[:limit])
    more = len(rows) > limit
    return Page(items=items, next=encode_cursor(key(items[-1])) if more else None)
