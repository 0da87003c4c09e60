"""The command line: what it contributes, how it fails, what it never prints."""

from __future__ import annotations

import socket
import stat
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import api.cli
from api.cli import command_line, main
from api.cli.failures import Failure
from api.cli.logins import LOGINS, login_of
from api.cli.ports import why_not_free
from api.settings import ApiSettings
from domain.acts import ActorKind
from ledger.settings import GENERATED_SECRETS

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIJIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SIJIL_PORT", "1")
    for name in ("SIJIL_URL", "SIJIL_TOKEN", "SIJIL_DATABASE_URL", "SIJIL_JWKS_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def ends(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
) -> tuple[int, str]:
    """The exit code and the words on standard error."""
    monkeypatch.setattr("sys.argv", ["sijil", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    assert isinstance(code, int)
    return code, " ".join(capsys.readouterr().err.split())


def test_another_package_contributes_a_command_by_an_entry_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point = EntryPoint("tell", f"{__name__}:contributed", api.cli.GROUP)
    monkeypatch.setattr(api.cli, "commands", lambda: {"tell": point})
    done = RUNNER.invoke(command_line(), ["tell"])
    assert done.exit_code == 0
    assert "contributed" in done.output


def contributed() -> None:
    """Say so."""
    typer.echo("contributed")


def test_nobody_answers_is_one_sentence_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ends(monkeypatch, capsys, "queue")
    assert code == 2
    assert said.startswith("sijil: nobody answers at http://127.0.0.1:1")
    assert "make run" in said


def test_a_wrong_setting_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIJIL_PORT", "not-a-port")
    code, said = ends(monkeypatch, capsys, "queue")
    assert code == 2
    assert "SIJIL_PORT" in said
    assert "not-a-port" not in said


@pytest.mark.parametrize("share", ["2/1", "0/2", "1", "1/99", "one/two", "١/٢"])
def test_a_share_that_is_none_is_named_with_what_one_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], share: str
) -> None:
    code, said = ends(monkeypatch, capsys, "runner", "--share", share)
    assert code == 2
    assert "a share is written as 1/2" in said


@pytest.mark.parametrize("arguments", [("queue",), ("desk", "centre")])
def test_what_can_be_no_code_is_said_before_anybody_is_asked(
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for centre in ("'; DROP TABLE events;--", "٠١٠٠٠٠٩٩٨٨٧", "01000099887", "\udcff"):
        code, said = ends(monkeypatch, capsys, *arguments, "--centre", centre)
        assert code == 2
        assert said.startswith("sijil: the centre that was given can be no code")
        assert centre not in said


def test_where_nothing_can_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a-file"
    file.write_text("")
    for arguments in (("secrets", str(file)), ("openapi", "--output", f"{file}/x")):
        code, said = ends(monkeypatch, capsys, *arguments)
        assert code == 2
        assert said.startswith("sijil: ")
        assert str(file) in said.replace(" ", "")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_that_is_taken_is_one_sentence(
    host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        monkeypatch.setenv("SIJIL_HOST", host)
        monkeypatch.setenv("SIJIL_PORT", port)
        code, said = ends(monkeypatch, capsys, "serve")
    assert code == 2
    assert said.startswith(f"sijil: {host}:{port} cannot be listened on")
    assert why_not_free(ApiSettings.load()) is None


def test_a_missing_secret_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIJIL_DATABASE_URL", "postgresql://127.0.0.1:1/sijil")
    code, said = ends(monkeypatch, capsys, "ledger", "head")
    assert code == 2
    assert "SIJIL_READER_PASSWORD is not set" in said


def test_a_database_that_does_not_answer_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ends(monkeypatch, capsys, "ledger", "head")
    assert code == 2
    assert said.startswith("sijil: the database does not answer")


def test_a_server_that_cannot_be_migrated_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    RUNNER.invoke(command_line(only="secrets"), ["secrets", str(tmp_path)])
    monkeypatch.setenv("SIJIL_SECRETS_DIR", str(tmp_path / "secrets"))
    monkeypatch.setenv("SIJIL_DATABASE_URL", "postgresql://127.0.0.1:1/postgres")
    code, said = ends(monkeypatch, capsys, "migrate")
    assert code == 2
    assert "127.0.0.1" in said


def test_where_a_provider_is_set_no_development_token_is_minted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIJIL_JWKS_URL", "https://login.example/certs")
    code, said = ends(monkeypatch, capsys, "token", "clerk")
    assert code == 2
    assert "SIJIL_TOKEN" in said
    code, said = ends(monkeypatch, capsys, "walk")
    assert code == 2


def test_there_is_a_login_for_each_role_of_people_and_none_for_sijils_own() -> None:
    own = {ActorKind.SYSTEM, ActorKind.IMPORT}
    assert {login.role for login in LOGINS} == set(ActorKind) - own
    with pytest.raises(Failure):
        login_of(ActorKind.SYSTEM)


def test_an_empty_governorate_is_that_of_a_national_agency() -> None:
    login = login_of(ActorKind.AGENCY, agency="LND", governorate="")
    assert login.described == "agency officer-1 LND"


def test_secrets_are_private_complete_and_kept(tmp_path: Path) -> None:
    program = command_line(only="secrets")
    asked = ["secrets", str(tmp_path), "--host", "db"]
    assert RUNNER.invoke(program, asked).exit_code == 0
    folder = tmp_path / "secrets"
    made = {path.name: path.read_text() for path in folder.iterdir()}
    expected = {f"sijil_{name}" for name in GENERATED_SECRETS}
    assert set(made) == expected | {"sijil_superuser_password", "sijil_database_url"}
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    done = RUNNER.invoke(program, asked)
    assert {path.name: path.read_text() for path in folder.iterdir()} == made
    for text in made.values():
        assert text not in done.output


def test_the_description_needs_nothing_that_runs() -> None:
    done = RUNNER.invoke(command_line(only="openapi"), ["openapi"])
    assert done.exit_code == 0
    assert '"openapi": "3.1.0"' in done.output
