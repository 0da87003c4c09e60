"""What an import did: every row has one fate, and they add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

LARGEST_EXAMPLES = 1_000
"""Rows the report lists one by one; the counts are of all."""
LARGEST_UNKNOWN = 100
"""Rows of unknown activities: enough to look them up by their lines."""
UNKNOWN_ACTIVITY = "(not in the mapping)"
"""Stands for the names of activities that the mapping has not: a column that was taken
for another may hold persons, and a report is sent about."""


class RowFate(StrEnum):
    """What became of one row: exactly one of these."""

    WRITTEN = "written"
    REPEATED = "repeated"
    CHANGED = "changed"
    UNMAPPED = "unmapped"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowNote:
    """A row that somebody should look at: its line, and a reason code."""

    line: int
    fate: RowFate
    activity: str
    reason: str


@dataclass(slots=True, kw_only=True)
class ImportReport:
    """What an import did. The fates add up to the rows read.

    ``stopped`` says why it did not come to the end; None when it did.
    """

    source: str
    rows_read: int = 0
    fates: Counter[RowFate] = field(default_factory=Counter)
    by_activity: dict[str, Counter[RowFate]] = field(default_factory=dict)
    by_reason: Counter[tuple[RowFate, str]] = field(default_factory=Counter)
    notes: list[RowNote] = field(default_factory=list)
    stopped: str | None = None
    _unknown: int = 0

    def add(self, line: int, activity: str, fate: RowFate, reason: str = "") -> None:
        """Count one row. ``activity`` is a name of the mapping, or stands for one."""
        self.rows_read += 1
        self.fates[fate] += 1
        self.by_activity.setdefault(activity, Counter())[fate] += 1
        if reason:
            self.by_reason[fate, reason] += 1
        is_news = fate in {RowFate.REFUSED, RowFate.CHANGED}
        is_unknown = fate is RowFate.UNMAPPED and activity == UNKNOWN_ACTIVITY
        if is_unknown:
            self._unknown += 1
            is_news = self._unknown <= LARGEST_UNKNOWN
        most = LARGEST_EXAMPLES + min(self._unknown, LARGEST_UNKNOWN)
        if is_news and len(self.notes) < most:
            self.notes.append(
                RowNote(line=line, fate=fate, activity=activity, reason=reason)
            )

    @property
    def adds_up(self) -> bool:
        """Whether every row has exactly one fate."""
        return (
            self.rows_read
            == sum(self.fates.values())
            == sum(sum(fates.values()) for fates in self.by_activity.values())
        )

    @property
    def is_clean(self) -> bool:
        """Whether it came to the end, and nothing was refused or mapped otherwise."""
        return (
            self.stopped is None
            and self.adds_up
            and not self.fates[RowFate.REFUSED]
            and not self.fates[RowFate.CHANGED]
        )

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "source": self.source,
            "rows_read": self.rows_read,
            **{str(fate): self.fates[fate] for fate in RowFate},
            "adds_up": self.adds_up,
            "stopped": self.stopped,
            "by_activity": {
                activity: {str(fate): n for fate, n in fates.items()}
                for activity, fates in sorted(self.by_activity.items())
            },
            "by_reason": [
                {"fate": str(fate), "reason": reason, "rows": rows}
                for (fate, reason), rows in sorted(self.by_reason.items())
            ],
            "rows": [
                {
                    "line": note.line,
                    "fate": str(note.fate),
                    "activity": note.activity,
                    "reason": note.reason,
                }
                for note in self.notes
            ],
        }
