"""Lists of requests as they change: an item as it is now, or that it is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel

from api.streams import Told
from api.v1.events.shared import LARGEST_PICTURE
from domain.access import Scope
from projections.changes import Narrowing, RowChange
from projections.pages import Page

I = TypeVar("I")  # noqa: E741 -- an item


class LiveItem(BaseModel):
    """An item as an entry left it. What is overdue, its limit tells."""

    position: int
    item: dict[str, Any]


class GoneItem(BaseModel):
    """A request that is in this list no more."""

    position: int
    request_id: UUID


class ItemsPicture(BaseModel):
    """The list at a position, and why it is told from the beginning."""

    because: str
    position: int
    is_complete: bool
    items: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsTelling(Generic[I]):
    """A list of one asker: the filters of the list, in memory.

    ``page`` reads a part of the list after a cursor as of a position; ``answer`` is
    what the list tells of an item.
    """

    scope: Scope
    only: Narrowing[I]
    page: Callable[[str | None, int], Page[I]]
    answer: Callable[[I], BaseModel]

    def begin(self, position: int) -> None:
        """Nothing: a change says all that there is to tell."""

    def picture(self, position: int, because: str) -> ItemsPicture:
        """The items at a position, in the order of the list, up to the bound."""
        items, is_complete = all_items(lambda after: self.page(after, position))
        return ItemsPicture(
            because=because,
            position=position,
            is_complete=is_complete,
            items=[told_live(self.answer(item)) for item in items],
        )

    def tell(self, change: RowChange[I]) -> Told | None:
        """The item as it is now, or that it is gone; None for what was never here."""
        now = now_in(change, self.scope, self.only)
        if now is not None:
            item = told_live(self.answer(now))
            return Told("changed", LiveItem(position=change.position, item=item))
        if was_in(change, self.scope, self.only):
            gone = GoneItem(position=change.position, request_id=change.request_id)
            return Told("gone", gone)
        return None


def told_live(answer: BaseModel) -> dict[str, Any]:
    """What is told of an item but for what only the moment of looking makes of it."""
    return answer.model_dump(mode="json", exclude={"is_overdue"})


def now_in(change: RowChange[I], scope: Scope, only: Narrowing[I]) -> I | None:
    """The item of a change, where a list has it afterwards."""
    row = change.after
    return row.item if row is not None and row.is_for(scope, only) else None


def was_in(change: RowChange[I], scope: Scope, only: Narrowing[I]) -> bool:
    """Whether a list had the item of a change before."""
    return change.before is not None and change.before.is_for(scope, only)


def all_items(
    page: Callable[[str | None], Page[I]], most: int = LARGEST_PICTURE
) -> tuple[Sequence[I], bool]:
    """The items of a list up to a bound, and whether that is all of them."""
    items: list[I] = []
    after = None
    while len(items) < most:
        found = page(after)
        items += found.items
        after = found.next
        if after is None:
            return items, True
    return items, False
