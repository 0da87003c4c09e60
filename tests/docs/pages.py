"""The pages of the documentation and the code blocks in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.running import REPOSITORY

DOCS = REPOSITORY / "docs"
REFERENCE = DOCS / "reference"
CODE = frozenset({"bash", "sh", "console", "python", "sql"})
"""Languages of blocks that must run, or say why not."""

_FENCE = re.compile(
    r"(?P<markers>(?:^<!-- [^\n]* -->\n)*)"
    r"^```(?P<language>[a-z]*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_MARKER = re.compile(r"<!-- (?P<kind>not run|file|shows): (?P<text>.+) -->")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block. ``markers`` are the comments right above it."""

    page: Path
    line: int
    language: str
    code: str
    markers: dict[str, str]


def pages() -> list[Path]:
    """README, changelog and every page under docs/."""
    return [
        REPOSITORY / "README.md",
        REPOSITORY / "CHANGELOG.md",
        *sorted(DOCS.rglob("*.md")),
    ]


def name(page: Path) -> str:
    """The page as a reader would name it."""
    return str(page.relative_to(REPOSITORY))


def blocks(page: Path) -> list[Block]:
    """The page's fenced blocks, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            line=text[: found.start("code")].count("\n"),
            language=found["language"],
            code=found["code"],
            markers={m["kind"]: m["text"] for m in _MARKER.finditer(found["markers"])},
        )
        for found in _FENCE.finditer(text)
    ]


def without_code(text: str) -> str:
    """The page's prose."""
    return _FENCE.sub("", text)
