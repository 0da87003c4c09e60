"""Problems: every code has its row and its page, in two languages, and no values."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

import api
import domain
import ledger
import office
import projections
from api.problems import KINDS
from domain.errors import RuleBrokenError, SijilError
from tests.api.door import Door

PAGES = Path(__file__).parents[2] / "docs" / "reference" / "problems"
BASES = {SijilError, RuleBrokenError}


def every_error() -> set[type[SijilError]]:
    for package in (api, domain, ledger, office, projections):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found: set[type[SijilError]] = set()
    new = {SijilError}
    while new:
        found |= new
        new = {sub for kind in new for sub in kind.__subclasses__()} - found
    return found - BASES


def test_every_error_has_its_problem() -> None:
    assert {error.code for error in every_error()} <= set(KINDS)


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [error.code for error in every_error()]
    assert len(codes) == len(set(codes))


def test_every_problem_has_its_page_and_every_page_its_problem() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert pages == set(KINDS)
    for code, kind in KINDS.items():
        page = (PAGES / f"{code}.md").read_text(encoding="utf-8")
        for text in (str(kind.status), kind.ar, kind.en, kind.then_ar, kind.then_en):
            assert text in page, code


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "ar"),
        ("ar", "ar"),
        ("en", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("ar;q=0.8,en;q=0.5", "ar"),
        ("fr", "ar"),
        ("en;q=nonsense", "ar"),
    ],
)
def test_problems_speak_the_readers_language(
    door: Door, accepted: str, language: str
) -> None:
    answer = door.client.get("/v1/queue", headers={"Accept-Language": accepted})
    kind = KINDS["unauthenticated"]
    assert answer.headers["Content-Language"] == language
    assert answer.json()["title"] == (kind.en if language == "en" else kind.ar)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Vary"] == "Accept-Language"


@pytest.mark.parametrize("code", sorted(KINDS))
def test_the_server_explains_its_problems(door: Door, code: str) -> None:
    answer = door.client.get(f"/problems/{code}")
    assert answer.status_code == 200
    assert KINDS[code].ar in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_what_does_not_exist_is_a_problem_too(door: Door) -> None:
    for path in ("/nowhere", "/problems/nothing", "/v1"):
        answer = door.client.get(path)
        assert answer.status_code == 404
        assert answer.json()["code"] == "not-found"
    assert door.client.put("/v1/tracking", json={}).json()["code"] == (
        "method-not-allowed"
    )
