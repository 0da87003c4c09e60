"""The embedded server: ours, private, found again after anything."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from pydantic import SecretStr

from ledger import embedded
from ledger.embedded import EmbeddedServer, EmbeddedServerError, secret
from ledger.names import Role
from ledger.settings import GENERATED_SECRETS, LedgerSettings, SettingMissingError

IS_ROOT = os.geteuid() == 0
CHECKPOINTER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"


@contextlib.contextmanager
def folder(mode: int = 0o711) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="sijil-embedded-"))
    path.chmod(mode)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def running(home: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(home)
    server.start()
    try:
        yield server
    finally:
        with contextlib.suppress(EmbeddedServerError):
            server.stop()
        shutil.rmtree(server.place, ignore_errors=True)


@pytest.fixture
def home() -> Iterator[Path]:
    with folder() as made:
        yield made / "home"


def sql(server: EmbeddedServer, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(**server.dsn())) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def kill_all(server: EmbeddedServer) -> None:
    pid = server.pid()
    assert pid is not None
    for victim in (pid, *children(pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while server.pid() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestStarting:
    def test_it_starts_attaches_and_finds_its_data(self, home: Path) -> None:
        with running(home) as server:
            sql(server, "CREATE TABLE kept AS SELECT 7 AS x")
            pid = server.pid()
            EmbeddedServer(home).start()
            assert server.pid() == pid
            server.stop()
            assert server.pid() is None
            server.stop()
            server.start()
            assert sql(server, "SELECT x FROM kept") == [(7,)]

    def test_killed_with_everything_it_comes_back(self, home: Path) -> None:
        with running(home) as server:
            sql(server, "CREATE TABLE kept AS SELECT 7 AS x")
            for _ in range(2):
                kill_all(server)
                assert (server.data / "postmaster.pid").exists()
                server.start()
                assert sql(server, "SELECT x FROM kept") == [(7,)]

    def test_one_that_does_not_come_to_its_end_is_ended_and_keeps_all(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded, "STOP_TIMEOUT_S", 0.2)
        with running(home) as server:
            sql(server, "CREATE TABLE kept AS SELECT 7 AS x")
            [(checkpointer,)] = sql(server, CHECKPOINTER)
            # A fast shutdown waits for it for ever.
            os.kill(checkpointer, signal.SIGSTOP)
            server.stop()
            assert server.pid() is None
            server.start()
            assert sql(server, "SELECT x FROM kept") == [(7,)]

    def test_a_pid_of_somebody_else_is_not_believed(self, home: Path) -> None:
        with running(home) as server:
            kill_all(server)
            lines = (server.data / "postmaster.pid").read_text().split("\n")
            stranger = "\n".join([str(os.getpid()), *lines[1:]])
            (server.data / "postmaster.pid").write_text(stranger)
            assert server.pid() is None
            server.start()
            assert sql(server, "SELECT 1") == [(1,)]

    def test_two_starters_at_once_make_one_server(self, home: Path) -> None:
        failed: list[Exception] = []

        def start() -> None:
            try:
                EmbeddedServer(home).start()
            except Exception as error:  # noqa: BLE001 -- told below
                failed.append(error)

        threads = [threading.Thread(target=start) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with running(home) as server:
            assert not failed
            assert sql(server, "SELECT 1") == [(1,)]

    def test_a_kill_while_the_data_is_made_leaves_nothing_half(
        self, home: Path
    ) -> None:
        script = textwrap.dedent(
            f"""
            from pathlib import Path
            from ledger.embedded import EmbeddedServer
            EmbeddedServer(Path({str(home)!r})).start()
            """
        )
        for pause in (0.05, 0.2, 0.4):
            process = subprocess.Popen(
                [sys.executable, "-c", script], start_new_session=True
            )
            time.sleep(pause)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        with running(home) as server:
            assert sql(server, "SELECT 1") == [(1,)]

    def test_a_server_that_ends_says_why(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(embedded._OPTIONS, "shared_buffers", "nonsense")
        with pytest.raises(EmbeddedServerError, match="shared_buffers"):
            EmbeddedServer(home).start()

    def test_data_of_another_version_is_left_alone(self, home: Path) -> None:
        with running(home) as server:
            server.stop()
            version = server.data / "PG_VERSION"
            version.write_text("9\n")
            with pytest.raises(EmbeddedServerError, match="PostgreSQL 9"):
                server.start()
            version.write_text(f"{embedded.MAJOR}\n")

    def test_a_long_path_has_its_socket_elsewhere(self) -> None:
        with folder() as short:
            home = short / ("deep" * 12) / ("deeper" * 9)
            for parent in (home.parent, home):
                parent.mkdir(mode=0o711)
            with running(home) as server:
                assert len(str(server.socket_folder)) < 90
                assert server.socket_folder.stat().st_mode & 0o777 == 0o700
                assert sql(server, "SELECT 1") == [(1,)]
            shutil.rmtree(server.socket_folder, ignore_errors=True)

    def test_a_socket_folder_of_somebody_else_is_refused(self) -> None:
        with folder() as short:
            home = short / ("deep" * 12) / ("deeper" * 9)
            for parent in (home.parent, home):
                parent.mkdir(mode=0o711)
            server = EmbeddedServer(home)
            server.socket_folder.mkdir(mode=0o777)
            server.socket_folder.chmod(0o777)
            try:
                with pytest.raises(EmbeddedServerError, match="0700"):
                    server.start()
            finally:
                server.socket_folder.rmdir()


class TestPermissions:
    def test_everything_is_private_and_no_parent_is_touched(self, home: Path) -> None:
        before = home.parent.stat().st_mode
        with running(home) as server:
            for path in (server.place, server.data, server.socket_folder):
                assert path.stat().st_mode & 0o777 == 0o700, path
            assert (home / "secrets").stat().st_mode & 0o777 == 0o700
            for path in (home / "secrets").iterdir():
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert home.parent.stat().st_mode == before
            assert home.stat().st_mode & 0o066 == 0

    def test_nobody_gets_in_without_a_password(self, home: Path) -> None:
        with running(home) as server:
            for password in ("", "wrong"):
                with pytest.raises(psycopg2.OperationalError):
                    psycopg2.connect(**{**server.dsn(), "password": password})
            assert sql(server, "SHOW listen_addresses") == [("",)]
            rules = sql(server, "SELECT type, auth_method FROM pg_hba_file_rules")
            assert rules == [("local", "scram-sha-256")]

    def test_a_lost_password_is_named(self, home: Path) -> None:
        with running(home):
            path = home / "secrets" / "sijil_superuser_password"
            kept = path.read_text()
            path.write_text("another")
            with pytest.raises(EmbeddedServerError, match="password"):
                EmbeddedServer(home).start()
            path.write_text(kept)

    @pytest.mark.skipif(not IS_ROOT, reason="only root can put a server elsewhere")
    def test_as_root_below_a_closed_folder_the_data_lies_elsewhere(self) -> None:
        with folder(0o700) as closed, running(closed / "home") as server:
            assert server.place.parent == Path("/var/lib/sijil")
            assert sql(server, "SELECT 1") == [(1,)]
            assert closed.stat().st_mode & 0o777 == 0o700
            assert EmbeddedServer(closed / "home").pid() == server.pid()

    @pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
    def test_it_runs_for_a_user_who_is_not_root(self) -> None:
        nobody = pwd.getpwnam("nobody")
        with folder(0o755) as place:
            os.chown(place, nobody.pw_uid, nobody.pw_gid)
            script = textwrap.dedent(
                f"""
                import os
                from pathlib import Path
                from ledger.embedded import EmbeddedServer, binaries
                import psycopg2, subprocess, tempfile, shutil
                binaries()
                os.setgroups([])
                os.setgid({nobody.pw_gid})
                os.setuid({nobody.pw_uid})
                server = EmbeddedServer(Path({str(place / "home")!r}))
                server.start()
                print(server.place)
                server.stop()
                """
            )
            done = subprocess.run(
                [sys.executable, "-B", "-c", script],
                check=False,
                capture_output=True,
                text=True,
                cwd=Path(__file__).parents[2],
                env={"PATH": os.defpath},
            )
            assert done.returncode == 0, done.stderr
            assert done.stdout.strip() == str(place / "home" / "postgres")
            assert (place / "home").stat().st_uid == nobody.pw_uid


class TestSettings:
    def test_missing_secrets_are_made_once(self, home: Path) -> None:
        first = LedgerSettings.load(home=home)
        again = LedgerSettings.load(home=home)
        for name in GENERATED_SECRETS:
            assert first.needed(name) == again.needed(name) == secret(home, name)
        assert len({first.needed(name) for name in GENERATED_SECRETS}) == len(
            GENERATED_SECRETS
        )

    def test_the_environment_and_files_are_read(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "sijil_app_password").write_text("from-a-file")
        monkeypatch.setenv("SIJIL_SECRETS_DIR", str(tmp_path))
        monkeypatch.setenv("SIJIL_READER_PASSWORD", "from-the-environment")
        monkeypatch.setenv("SIJIL_DATABASE_URL", "postgresql://adm:pw@db:5433/x")
        settings = LedgerSettings.load(home=home)
        dsn = settings.dsn(Role.APP)
        assert (dsn["host"], dsn["port"], dsn["dbname"]) == ("db", "5433", "sijil")
        assert (dsn["user"], dsn["password"]) == ("sijil_app", "from-a-file")
        assert settings.dsn(Role.READER)["password"] == "from-the-environment"
        assert settings.admin_dsn()["user"] == "adm"
        with pytest.raises(SettingMissingError, match="SIJIL_OWNER_PASSWORD"):
            settings.dsn(Role.OWNER)

    def test_the_vault_may_be_on_another_server(self, home: Path) -> None:
        settings = LedgerSettings.load(
            home=home,
            database_url=SecretStr("postgresql://adm:pw@one/x"),
            vault_database_url=SecretStr("postgresql://adm:pw@two/x"),
            vault_password=SecretStr("v"),
        )
        dsn = settings.dsn(Role.VAULT)
        assert (dsn["host"], dsn["dbname"]) == ("two", "sijil_vault")

    def test_nothing_secret_is_in_the_repr(self, home: Path) -> None:
        settings = LedgerSettings.load(
            home=home, database_url=SecretStr("postgresql://adm:marked@db/x")
        )
        embedded_ones = LedgerSettings.load(home=home)
        assert "marked" not in repr(settings)
        for name in GENERATED_SECRETS:
            assert embedded_ones.needed(name) not in repr(embedded_ones)

    def test_codes_printed_under_a_former_key_live(self, home: Path) -> None:
        settings = LedgerSettings.load(
            home=home,
            tracking_code_key_name="k2",
            former_tracking_code_keys={"k1": SecretStr("ab" * 32)},
        )
        keys = settings.tracking_code_keys()
        assert keys["k1"] == b"\xab" * 32
        assert set(keys) == {"k1", "k2"}

    def test_a_key_of_the_wrong_size_is_named(self, home: Path) -> None:
        settings = LedgerSettings.load(home=home, command_key=SecretStr("abc"))
        with pytest.raises(SettingMissingError, match="SIJIL_COMMAND_KEY"):
            settings.key("command_key")
