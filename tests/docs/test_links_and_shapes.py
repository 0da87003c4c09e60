"""Links lead somewhere, decisions have their shape, nothing names one machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, name, pages, without_code
from tests.running import REPOSITORY

_LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
_PARTS = [
    "Context",
    "Decision",
    "Consequences",
    "Alternatives",
    "What enforces it",
]
LONGEST_DECISION = 60
"""Lines of one screen."""


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings make, as forges make them."""
    titles = _HEADING.findall(without_code(page.read_text(encoding="utf-8")))
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
        for title in titles
    }


@pytest.mark.parametrize("page", pages(), ids=name)
def test_a_link_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{target} leads nowhere"
        assert REPOSITORY in linked.parents, f"{target} leads out of the project"
        if anchor:
            assert anchor in anchors(linked), f"{target} has no such heading"


def decisions() -> list[Path]:
    return sorted((DOCS / "decisions").glob("[0-9]*.md"))


@pytest.mark.parametrize("page", decisions(), ids=name)
def test_a_decision_is_one_screen_with_five_parts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.fullmatch(r"[0-9]{4}(-[a-z0-9]+)+\.md", page.name)
    assert text.startswith(f"# {page.name[:4]} · ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == _PARTS
    assert len(text.splitlines()) <= LONGEST_DECISION


def test_decisions_are_numbered_without_a_gap_and_listed() -> None:
    numbers = [int(page.name[:4]) for page in decisions()]
    assert numbers == list(range(1, len(numbers) + 1))
    listed = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    for page in decisions():
        assert f"]({page.name})" in listed


_NOT_OURS = re.compile(r"\..*|__pycache__|build|.*\.egg-info")
_OURS_ALL_THE_SAME = {".ci", ".gitignore", ".dockerignore"}


def project_files(folder: Path = REPOSITORY) -> list[Path]:
    found = []
    for path in sorted(folder.iterdir()):
        if _NOT_OURS.fullmatch(path.name) and path.name not in _OURS_ALL_THE_SAME:
            continue
        found += project_files(path) if path.is_dir() else [path]
    return found


_MACHINE = re.compile(r"(?<![\w.$~])/(?:work|root|opt|mnt)/|/home/[a-z]|/Users/[A-Z]")
_REGISTRY = re.compile(
    r"--(?:extra-)?index-url|--find-links|files\.pythonhosted|pypi\.org"
)


def test_no_file_names_a_folder_of_one_machine_or_a_registry() -> None:
    here = Path(__file__)
    for path in project_files():
        if path == here or path.suffix == ".sql":
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not _MACHINE.search(text), name(path)
        if path.parent.name == "requirements":
            assert not re.search(r"https?://", text), name(path)
        if path.name != "Makefile":
            assert not _REGISTRY.search(text), name(path)


def test_the_check_of_machine_folders_finds_a_planted_one() -> None:
    assert _MACHINE.search("see " + "/wo" + "rk/main/domain")
    assert not _MACHINE.search("see docs" + "/wo" + "rk/ and https://host/x/wo" + "rk")
