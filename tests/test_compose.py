"""The compose file names settings, commands, images and secrets that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from api.cli import commands
from ledger.embedded import MAJOR
from ledger.settings import GENERATED_SECRETS
from tests.docs.surface import NOT_FIELDS, settings_fields
from tests.running import REPOSITORY

POSTGRES = "sijil_superuser_password"
"""The one secret that is the database image's own."""
_PINNED = re.compile(r"[a-z/]+:\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    text = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def ours(compose: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, service in compose["services"].items():
        if name != "postgres":
            yield name, service


def test_the_services_are_those_of_one_installation(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"postgres", "migrate", "api", "runner"}


def test_every_variable_is_a_setting(compose: dict[str, Any]) -> None:
    known = set(settings_fields()) | NOT_FIELDS
    for name, service in ours(compose):
        for variable in service["environment"]:
            assert variable in known, f"{name}: {variable}"


def test_every_secret_is_a_setting_with_a_file(compose: dict[str, Any]) -> None:
    known = {name.lower() for name in settings_fields()}
    for name, service in compose["services"].items():
        for secret in service["secrets"]:
            assert secret in known | {POSTGRES}, f"{name}: {secret}"
            assert compose["secrets"][secret]["file"] == f"secrets/{secret}"
    used = {s for service in compose["services"].values() for s in service["secrets"]}
    assert used == set(compose["secrets"])


def test_the_migration_gets_everything_that_an_installation_makes(
    compose: dict[str, Any],
) -> None:
    given = set(compose["services"]["migrate"]["secrets"])
    assert {f"sijil_{name}" for name in GENERATED_SECRETS} <= given


def test_only_the_migration_has_the_administrators_login(
    compose: dict[str, Any],
) -> None:
    for name, service in ours(compose):
        has_it = {"sijil_database_url", "sijil_owner_password"} & set(
            service["secrets"]
        )
        assert bool(has_it) == (name == "migrate"), name
        assert "@" not in service["environment"].get("SIJIL_DATABASE_URL", "")


def test_every_command_is_one_of_ours(compose: dict[str, Any]) -> None:
    for name, service in ours(compose):
        assert service["command"][0] in commands(), name
    check = compose["services"]["runner"]["healthcheck"]["test"]
    assert check[:2] == ["CMD", "sijil"]
    assert check[2] in commands()


def test_every_image_is_pinned(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert _PINNED.fullmatch(service["image"]), name
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    bases = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert bases
    assert all(_PINNED.fullmatch(base) for base in bases)
    assert all(base.startswith("python:3.11.") for base in bases)


def test_postgresql_is_of_the_embedded_servers_major_version(
    compose: dict[str, Any],
) -> None:
    image = compose["services"]["postgres"]["image"]
    assert image.startswith(f"postgres:{MAJOR}.")


def test_every_service_that_stays_has_a_health_check(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert ("healthcheck" in service) == (name != "migrate"), name


def test_the_image_copies_every_package() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    for package in ("domain", "ledger", "projections", "office", "api", "consumers"):
        assert f"COPY {package} {package}" in dockerfile


def test_the_documentation_says_that_it_was_not_run_under_docker() -> None:
    page = (REPOSITORY / "docs" / "how-to" / "compose.md").read_text(encoding="utf-8")
    assert "has not been run under Docker yet" in page
