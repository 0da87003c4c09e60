"""Sorting: the orders a list can be asked in, each with the cursor that fits it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from domain.errors import InvalidValueError
from projections.pages import Page, cursor_parts, decode_cursor, encode_cursor

T = TypeVar("T")
S = TypeVar("S", bound=str)
Key = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an order: its SQL, its PostgreSQL type, what a cursor keeps of it.

    It MUST NOT be NULL in any row: what is compared with NULL is on no page.
    """

    sql: str
    cast: str
    kept: type[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Generic[T]):
    """One order of a list, by the name it is asked by; ``-`` in front descends.

    The columns end with one that tells any two rows apart; all go one way, so that the
    place in the list is one comparison of rows, which an index answers.
    """

    name: str
    columns: tuple[Column, ...]
    key: Callable[[T], Key]

    @property
    def is_descending(self) -> bool:
        """Whether the largest comes first."""
        return self.name.startswith("-")

    @property
    def by(self) -> str:
        """What follows ORDER BY."""
        way = " DESC" if self.is_descending else ""
        return ", ".join(f"{column.sql}{way}" for column in self.columns)

    def after(self, cursor: str | None) -> tuple[str, dict[str, Any]]:
        """The condition for what comes after a cursor, and its parameters.

        Raises InvalidValueError for a cursor that is not ours or of another order: it
        would mean another place in this one.
        """
        if cursor is None:
            return "true", {}
        first, *_ = cursor_parts(cursor) or [None]
        if isinstance(first, str) and first != self.name:
            raise InvalidValueError(field="cursor", reason="another-sort")
        kept = (column.kept for column in self.columns)
        key = decode_cursor(cursor, str, *kept) or ()
        columns = ", ".join(column.sql for column in self.columns)
        values = ", ".join(
            f"%(after_{at})s::{column.cast}" for at, column in enumerate(self.columns)
        )
        sign = "<" if self.is_descending else ">"
        params = {f"after_{at}": value for at, value in enumerate(key[1:])}
        return f"({columns}) {sign} ({values})", params

    def page(self, rows: Sequence[T], limit: int) -> Page[T]:
        """The page of at most ``limit`` rows, where one more was asked for."""
        items = tuple(rows[:limit])
        is_more = len(rows) > limit
        return Page(items=items, next=self.cursor(items[-1]) if is_more else None)

    def cursor(self, row: T) -> str:
        """The cursor to what comes after this row."""
        return encode_cursor((self.name, *self.key(row)))


def both_ways(
    up: S, down: S, columns: Sequence[Column], key: Callable[[T], Key]
) -> dict[S, Order[T]]:
    """The same order ascending and descending, by the names it is asked by."""
    return {
        name: Order(name=str(name), columns=tuple(columns), key=key)
        for name in (up, down)
    }


class CodeSort(StrEnum):
    """The orders of a list of things with codes."""

    FIRST = "code"
    LAST = "-code"


class PositionSort(StrEnum):
    """The orders of a list of what was recorded."""

    OLDEST = "position"
    NEWEST = "-position"
