"""A dated result: the table, on what it was measured, and whether the bars are met."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.machine import machine

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One comparison; the ratio is ours over the rival's.

    ``at_least`` and ``at_most`` are bars on the ratio; without one there is none.
    """

    name: str
    ours: float
    rival: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def ratio(self) -> float:
        """Ours over the rival's."""
        return self.ours / self.rival

    @property
    def is_met(self) -> bool:
        """Whether the ratio is on the right side of its bar."""
        is_high = self.at_least is None or self.ratio >= self.at_least
        return is_high and (self.at_most is None or self.ratio <= self.at_most)

    @property
    def bar(self) -> str:
        """The bar as the table has it."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"

    def cells(self) -> tuple[str, ...]:
        """The cells of its row."""
        met = ("yes" if self.is_met else "no") if self.bar else ""
        return (
            self.name,
            written(self.ours),
            written(self.rival),
            f"{self.ratio:.2f}",
            self.bar,
            met,
        )


def written(number: float) -> str:
    """Whole above a hundred, else with as many decimals as it is worth."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    return [
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def written_down(name: str, text: str, *, is_trial: bool) -> None:
    """Print ``text``, and keep it under ``results/`` with today's date.

    A trial, of a smaller size than the claim's, is printed only.
    """
    print(text)
    if is_trial:
        print("a trial: not kept")
        return
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / f"{name}-{datetime.now(UTC).date()}.md"
    kept.write_text(text, encoding="utf-8")
    print(f"kept in benchmarks/results/{kept.name}")


def heading(title: str, about: Sequence[str]) -> list[str]:
    """The first lines of a result: what, when, on what."""
    return [
        f"# {title}, {datetime.now(UTC).date()}",
        "",
        f"{machine()}, embedded server.",
        *about,
        "",
    ]


def keep(
    name: str,
    *,
    title: str,
    about: Sequence[str],
    header: tuple[str, str, str],
    lines: Sequence[Line],
    is_trial: bool,
    more: Sequence[str] = (),
) -> None:
    """Print and keep the comparisons, then ``more``; end with 1 where a bar is missed.

    Kept before it ends so: a missed bar is a result too.
    """
    rows = [line.cells() for line in lines]
    text = [
        *heading(title, about),
        *table((*header, "ratio", "bar", "met"), rows),
        *(("", *more) if more else ()),
    ]
    written_down(name, "\n".join(text) + "\n", is_trial=is_trial)
    missed = [line.name for line in lines if not line.is_met]
    if missed:
        sys.exit(f"the bar is missed: {', '.join(missed)}")
