"""What can be named from outside stands in its reference page, and nothing else does.

Settings, commands, problem codes, topics, routes, permissions, dependencies.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import typer.main
from eventsourcing.domain import CanMutateAggregate
from pydantic_settings import BaseSettings

from api.cli import command_line
from domain.access import ROLES_OF
from domain.errors import SijilError
from tests.docs.pages import DOCS, REFERENCE
from tests.docs.surface import NOT_FIELDS, settings_fields, subclasses
from tests.running import REPOSITORY


def read(page: str) -> str:
    return (REFERENCE / page).read_text(encoding="utf-8")


def first_column(page: str) -> set[str]:
    """What stands in backticks in the first column of the page's tables."""
    return set(re.findall(r"^\| `([^`]+)` \|", read(page), re.MULTILINE))


def test_every_setting_is_in_the_reference_and_nothing_else_is() -> None:
    assert first_column("settings.md") == set(settings_fields()) | NOT_FIELDS


def test_every_settings_class_reads_sijil_variables_only() -> None:
    for made in subclasses(BaseSettings):
        assert made.model_config.get("env_prefix") == "SIJIL_", made


def command_names() -> set[str]:
    """Every command as it is typed, sub-commands too."""
    return set(_names("sijil", typer.main.get_command(command_line())))


def _names(path: str, command: Any) -> Iterator[str]:
    children = getattr(command, "commands", None)
    if not children:
        yield path
        return
    if command.invoke_without_command and path != "sijil":
        yield path
    for name, child in children.items():
        yield from _names(f"{path} {name}", child)


def test_every_command_is_in_the_reference_and_nothing_else_is() -> None:
    written = re.findall(r"^## `(sijil[a-z -]*)`$", read("commands.md"), re.MULTILINE)
    assert set(written) == command_names()


def test_every_option_of_a_command_is_in_its_section() -> None:
    sections = re.split(r"^## ", read("commands.md"), flags=re.MULTILINE)
    by_name = {section.split("\n", 1)[0].strip("`"): section for section in sections}
    for name, command in _commands("sijil", typer.main.get_command(command_line())):
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--") and not parameter.hidden:
                    assert f"`{option}" in by_name[name], f"{name} {option}"


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if not children:
        yield path, command
        return
    for name, child in children.items():
        yield from _commands(f"{path} {name}", child)


def test_every_problem_code_has_a_page() -> None:
    pages = {page.stem for page in (REFERENCE / "problems").glob("*.md")}
    roots = {"error", "rule-broken"}
    codes = {made.code for made in subclasses(SijilError)} - roots
    assert codes <= pages


def test_every_topic_is_in_the_reference_and_nothing_else_is() -> None:
    topics = {
        made.__dict__["TOPIC"]
        for made in subclasses(CanMutateAggregate)
        if "TOPIC" in made.__dict__
    }
    stored = {topic for topic in topics if not topic.endswith(".created.v1")}
    assert first_column("topics.md") == stored


def test_every_route_is_in_the_reference_and_nothing_else_is() -> None:
    document = json.loads(read("openapi.json"))
    routes = {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item
        if method in {"get", "post", "put", "patch", "delete"}
    }
    assert first_column("routes.md") == routes


def test_the_permissions_are_those_of_the_code() -> None:
    page = read("roles-and-scope.md")
    table = page.split("<!-- permissions -->")[1].split("<!-- /permissions -->")[0]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|$", table, re.MULTILINE)
    written = {name: set(roles.strip().split(", ")) for name, roles in rows}
    assert written == {
        str(permission): {str(role) for role in roles}
        for permission, roles in ROLES_OF.items()
    }


def test_every_dependency_says_what_it_is_for_and_how_to_leave() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
        *project["project"]["optional-dependencies"]["load"],
        *project["project"]["optional-dependencies"]["analytics"],
    ]
    names = {re.split(r"[\[<>=~ ]", line)[0] for line in wanted}
    page = (DOCS / "explanation" / "dependencies.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)) == names
