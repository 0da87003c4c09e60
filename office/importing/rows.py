"""A row on its way: read, then with the acts it asks for, then with its fate."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from office.bulk import Item
from office.importing.acts import ActName
from office.importing.mapping import Activity
from office.importing.report import UNKNOWN_ACTIVITY, RowFate
from office.requests.taking_in import request_id_of


@dataclass(slots=True, kw_only=True)
class Row:
    """A row on its way: read, then with its items, then with its fate.

    ``name`` is the activity's name in the mapping, or what stands for others.
    """

    line: int
    name: str = UNKNOWN_ACTIVITY
    case: str = ""
    at: datetime | None = None
    activity: Activity | None = None
    values: dict[str, str] = field(default_factory=dict)
    command_id: UUID | None = None
    is_known: bool = False
    items: list[Item] = field(default_factory=list)
    fate: RowFate | None = None
    reason: str = ""

    def refuse(self, reason: str) -> None:
        """Refuse the row; the first reason stands."""
        self.fate, self.reason = RowFate.REFUSED, reason

    @property
    def is_submission(self) -> bool:
        """Whether the row begins a case."""
        return self.activity is not None and self.activity.act is ActName.SUBMITTED

    @property
    def request_id(self) -> UUID:
        """The request that a submission makes."""
        if self.command_id is None or self.at is None:
            raise TypeError(self.line)
        return request_id_of(self.command_id, self.at)
