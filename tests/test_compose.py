"""The compose file names settings, commands, images and secrets that there are.

And of Kafka the version, the port and the settings that the tests' own nodes have.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from api.cli import command_line
from api.settings import ApiSettings
from consumers.broker.jars import POM
from ledger.embedded import MAJOR
from ledger.settings import GENERATED_SECRETS, LedgerSettings, SettingMissingError
from office.house import House
from tests.docs.pages import REFERENCE
from tests.docs.surface import NOT_FIELDS, settings_fields
from tests.kafka.broker import Cluster
from tests.running import REPOSITORY

POSTGRES = "sijil_superuser_password"
"""The one secret that is the database image's own."""
THEIRS = {"postgres", "kafka"}
"""Services that are images of others."""
SENDERS_FILE = "senders.toml"
"""The one secret that an operator writes: who may send messages, and their keys."""
ONCE = {"migrate", "topics"}
"""Services that do their work and end."""
KAFKAS_OWN = {"CLUSTER_ID", "KAFKA_HEAP_OPTS"}
"""What the image takes that is no setting of a node."""
PLACES = {
    "controller.quorum.voters",
    "listeners",
    "advertised.listeners",
    "log.dirs",
}
"""Settings whose values are another machine's."""
_PINNED = re.compile(r"[a-z/]+:\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    text = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def ours(compose: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, service in compose["services"].items():
        if name not in THEIRS:
            yield name, service


def parsed(command: list[str]) -> Any:
    """The command of ours that these words are; raises where they are none."""
    found: Any = typer.main.get_command(command_line())
    words = list(command)
    while getattr(found, "commands", None) and not words[0].startswith("-"):
        found = found.commands[words.pop(0)]
    found.make_context("sijil", words)
    return found


def test_the_services_are_those_of_one_installation(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {
        *("postgres", "migrate", "api", "runner"),
        *("kafka", "topics", "relay", "analytics", "inward"),
    }


def test_every_variable_is_a_setting(compose: dict[str, Any]) -> None:
    known = set(settings_fields()) | NOT_FIELDS
    for name, service in ours(compose):
        for variable in service["environment"]:
            assert variable in known, f"{name}: {variable}"


def test_every_secret_is_a_setting_with_a_file(compose: dict[str, Any]) -> None:
    known = {name.lower() for name in settings_fields()}
    for name, service in compose["services"].items():
        for secret in service.get("secrets", []):
            assert secret in known | {POSTGRES, SENDERS_FILE}, f"{name}: {secret}"
            assert compose["secrets"][secret]["file"] == f"secrets/{secret}"
    used = {
        secret
        for service in compose["services"].values()
        for secret in service.get("secrets", [])
    }
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
            service.get("secrets", [])
        )
        assert bool(has_it) == (name == "migrate"), name
        assert "@" not in service["environment"].get("SIJIL_DATABASE_URL", "")


@pytest.mark.parametrize("name", ["api", "inward"])
def test_a_house_stands_on_the_secrets_of_a_service_and_each_is_needed(
    compose: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    service = compose["services"][name]
    monkeypatch.setenv("SIJIL_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("SIJIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(
        "SIJIL_DATABASE_URL", service["environment"]["SIJIL_DATABASE_URL"]
    )
    given = set(service["secrets"]) - {SENDERS_FILE}
    for each in GENERATED_SECRETS:
        monkeypatch.delenv(f"SIJIL_{each.upper()}", raising=False)
    for each in given:
        (tmp_path / each).write_text("ab" * 32, encoding="utf-8")
    # Nothing is connected to before something is asked.
    House(LedgerSettings.load()).close()
    for each in given:
        (tmp_path / each).rename(tmp_path / "aside")
        with pytest.raises(SettingMissingError, match=each.upper()):
            House(LedgerSettings.load()).close()
        (tmp_path / "aside").rename(tmp_path / each)


def test_messages_come_in_where_an_operator_names_senders(
    compose: dict[str, Any],
) -> None:
    """Without the file Compose could start nothing: only its profile asks for it."""
    inward = compose["services"]["inward"]
    assert inward["environment"]["SIJIL_SENDERS_FILE"] == f"/run/secrets/{SENDERS_FILE}"
    for name, service in compose["services"].items():
        is_inward = name == "inward"
        assert (service.get("profiles") == ["inward"]) == is_inward, name
        assert ("profiles" in service) == is_inward, name
        assert (SENDERS_FILE in service.get("secrets", [])) == is_inward, name
        assert "inward" not in service.get("depends_on", {}), name
    assert set(inward["depends_on"]) == {"migrate", "topics"}
    page = (REPOSITORY / "docs" / "how-to" / "compose.md").read_text(encoding="utf-8")
    assert "--profile inward" in page
    assert f"secrets/{SENDERS_FILE}" in page


def test_every_command_is_one_of_ours(compose: dict[str, Any]) -> None:
    for name, service in ours(compose):
        assert parsed(service["command"]), name
        check = service.get("healthcheck", {}).get("test", [])
        if check[1:2] == ["sijil"]:
            assert check[0] == "CMD"
            assert parsed(check[2:]), name
    with pytest.raises(Exception, match="chekc"):
        parsed(["relay", "--chekc"])
    with pytest.raises(KeyError):
        parsed(["analytics", "folow"])


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
        assert ("healthcheck" in service) == (name not in ONCE), name
        assert (service["restart"] == "on-failure") == (name in ONCE), name


def test_kafka_is_of_the_version_and_the_settings_that_are_tried(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    kafka = compose["services"]["kafka"]
    version = re.findall(r"<version>(\d+\.\d+\.\d+)</version>", POM.read_text("utf-8"))
    assert kafka["image"] == f"apache/kafka:{version[0]}"
    ours_ = {k: str(v) for k, v in Cluster(tmp_path).nodes[0]._settings().items()}
    said = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for name, value in kafka["environment"].items()
        if name not in KAFKAS_OWN
    }
    assert set(said) <= set(ours_)
    for name in set(said) - PLACES - {"listener.security.protocol.map"}:
        assert said[name] == ours_[name], name
    # Whatever has no good default for one node must be said.
    quick = {"offsets.topic.num.partitions", "transaction.state.log.num.partitions"}
    assert set(ours_) - set(said) == quick
    assert len(urlsafe_b64decode(kafka["environment"]["CLUSTER_ID"] + "==")) == 16


def test_clients_find_kafka_where_it_listens(compose: dict[str, Any]) -> None:
    kafka = compose["services"]["kafka"]["environment"]
    at = kafka["KAFKA_ADVERTISED_LISTENERS"].removeprefix("PLAINTEXT://")
    port = at.rpartition(":")[2]
    assert f"PLAINTEXT://:{port}" in kafka["KAFKA_LISTENERS"].split(",")
    assert (
        f"/localhost/{port}" in compose["services"]["kafka"]["healthcheck"]["test"][3]
    )
    clients = {
        name
        for name, service in ours(compose)
        if "SIJIL_KAFKA" in service["environment"]
    }
    assert clients == {"topics", "relay", "analytics", "inward"}
    for name in clients:
        service = compose["services"][name]
        assert service["environment"]["SIJIL_KAFKA"] == at
        assert "streams" in service["networks"]


def test_the_api_is_asked_where_it_serves(compose: dict[str, Any]) -> None:
    api = compose["services"]["api"]
    port = int(api["environment"]["SIJIL_PORT"])
    assert port == ApiSettings.model_fields["port"].default
    # Only this machine reaches it: TLS and the world are in front of it.
    assert api["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert api["environment"]["SIJIL_HOST"] == "0.0.0.0"  # noqa: S104 -- its container
    kind, program, option, code = api["healthcheck"]["test"]
    assert (kind, program, option) == ("CMD", "python", "-c")
    (url,) = re.findall(r"urlopen\('(.+)'\)", code)
    assert url == f"http://127.0.0.1:{port}/readyz"
    with pytest.raises(OSError, match="refused"):
        exec(code.replace(str(port), "1"))  # noqa: S102 -- our own file's
    page = (REFERENCE / "openapi.json").read_text(encoding="utf-8")
    paths = json.loads(page)["paths"]
    assert "/readyz" in paths


def test_the_database_is_asked_where_it_serves(compose: dict[str, Any]) -> None:
    """By the image's own program, for the login and the port that it has by default."""
    check = compose["services"]["postgres"]["healthcheck"]["test"]
    assert check == ["CMD", "pg_isready", "--username=postgres"]
    urls = {
        service["environment"]["SIJIL_DATABASE_URL"]
        for _, service in ours(compose)
        if "SIJIL_DATABASE_URL" in service["environment"]
    }
    name = LedgerSettings.model_fields["database_name"].default
    assert urls == {f"postgresql://postgres:5432/{name}"}
    assert "command" not in compose["services"]["postgres"]


def test_each_service_reaches_what_it_needs_and_nothing_else(
    compose: dict[str, Any],
) -> None:
    for name, service in compose["services"].items():
        wants_ledger = name == "postgres" or any(
            "postgres" in str(value) for value in service["environment"].values()
        )
        wants_ledger |= name == "migrate"
        assert ("ledger" in service["networks"]) == wants_ledger, name
        assert ("doors" in service["networks"]) == (name in {"api", "runner"}), name
    assert compose["networks"]["ledger"]["internal"]
    assert compose["networks"]["streams"]["internal"]
    assert compose["services"]["relay"]["secrets"] == ["sijil_reader_password"]
    for name in ("analytics", "topics", "kafka"):
        assert "secrets" not in compose["services"][name]


def test_every_service_is_bounded_and_keeps_its_data_in_a_named_volume(
    compose: dict[str, Any],
) -> None:
    volumes = []
    for name, service in compose["services"].items():
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        volumes += [each.partition(":")[0] for each in service.get("volumes", [])]
    assert (
        sorted(volumes)
        == sorted(compose["volumes"])
        == [*("analytics", "kafka", "postgres")]
    )


def test_the_folder_of_the_analytics_is_one_that_the_image_has(
    compose: dict[str, Any],
) -> None:
    service = compose["services"]["analytics"]
    place = service["environment"]["SIJIL_ANALYTICS"]
    assert service["volumes"] == [f"analytics:{place}"]
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    assert f"--mode 1777 {place}\n" in dockerfile


def test_a_question_fits_beside_what_follows(compose: dict[str, Any]) -> None:
    service = compose["services"]["analytics"]
    assert service["mem_limit"] == "1g"
    assert int(service["environment"]["SIJIL_ANALYTICS_MEMORY_MB"]) <= 512


def test_the_image_copies_every_package() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    for package in ("domain", "ledger", "projections", "office", "api", "consumers"):
        assert f"COPY {package} {package}" in dockerfile


def test_the_documentation_says_that_it_was_not_run_under_docker() -> None:
    page = (REPOSITORY / "docs" / "how-to" / "compose.md").read_text(encoding="utf-8")
    assert "has not been run under Docker yet" in page
