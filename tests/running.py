"""A whole Sijil in a home of its own, started as ``make run`` starts it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import psutil

from consumers.broker.ports import free_ports
from ledger.embedded import EmbeddedServer

REPOSITORY = Path(__file__).parent.parent
START_TIMEOUT_S = 240.0
"""A first start makes a cluster and the reference data; shared machines are slow."""
STOP_TIMEOUT_S = 60.0
_LOOK_EVERY_S = 0.1
_WELCOME = "Sijil runs."


def free_port() -> int:
    """A port of the loopback address that nobody has, and nobody is given."""
    return free_ports(1)[0]


class Running:
    """``sijil run`` as a process, with everything it starts."""

    def __init__(
        self,
        home: Path | None = None,
        *,
        simulate: int = 0,
        kafka: bool = False,
        runners: int = 1,
    ) -> None:
        # Not pytest's tmp_path: as root the server's own account has to pass through.
        self.place = Path(tempfile.mkdtemp(prefix="sijil-run-"))
        self.place.chmod(0o711)
        self.home = home or self.place / "home"
        self.simulate = simulate
        self.runners = runners
        self.port, for_kafka = free_ports(2)
        self.kafka_port = for_kafka if kafka else None
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = self.place / "output"
        self.process: subprocess.Popen[bytes] | None = None
        self._printed_before = 0
        # Every process of this run carries the mark in its environment.
        self._mark = secrets.token_hex(8)

    @property
    def environment(self) -> dict[str, str]:
        """The environment that finds this run."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SIJIL_")}
        scripts = str(Path(sys.executable).parent)
        kafka = {}
        if self.kafka_port is not None:
            # Also for the commands of this run, as its welcome says.
            kafka = {
                "SIJIL_BROKER_PORT": str(self.kafka_port),
                "SIJIL_BROKER_JARS": str(REPOSITORY / "build" / "kafka"),
            }
        return {
            **kept,
            **kafka,
            "PATH": os.pathsep.join((scripts, os.environ.get("PATH", ""))),
            "SIJIL_HOME": str(self.home),
            # One test loads a history; the others would wait for it.
            "SIJIL_SIMULATE": str(self.simulate),
            "SIJIL_PORT": str(self.port),
            "SIJIL_VIEW_PROCESSES": str(self.runners),
            "TEST_RUN_MARK": self._mark,
        }

    def start(self) -> None:
        """Start it; what it prints goes to ``output``."""
        self._printed_before = len(self.printed())
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "api.cli", "run"),
                    *(["--kafka"] if self.kafka_port is not None else []),
                ],
                cwd=REPOSITORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Until this start has said that it runs, and answers that it is ready.

        An answer alone may be that of a former start: what a killed one has left
        behind serves for a moment longer, and then nobody does.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (_WELCOME in self.printed_since_start() and self.is_ready()):
            assert self.process is not None
            assert self.process.poll() is None, self.printed()
            assert time.monotonic() < deadline, self.printed() + self.logs()
            time.sleep(_LOOK_EVERY_S)

    def is_ready(self) -> bool:
        """Whether it says so now."""
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=5).is_success
        except httpx2.TransportError:
            return False

    def sijil(
        self, *arguments: str, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """One command of ``sijil`` against this run."""
        kafka = {}
        if self.kafka_port is not None:
            kafka = {"SIJIL_KAFKA": f"127.0.0.1:{self.kafka_port}"}
        return subprocess.run(
            [sys.executable, "-m", "api.cli", *arguments],
            cwd=REPOSITORY,
            env={**self.environment, **kafka},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def processes(self) -> list[psutil.Process]:
        """Every process of this run: supervisor, children and PostgreSQL."""
        found = []
        postmaster = EmbeddedServer(self.home).pid() if self.home.exists() else None
        for process in psutil.process_iter():
            try:
                if process.pid == postmaster:
                    found += [process, *process.children(recursive=True)]
                elif process.environ().get("TEST_RUN_MARK") == self._mark:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def commands(self) -> list[tuple[psutil.Process, list[str]]]:
        """Every process with its command line, but for those that end meanwhile."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                found.append((process, process.cmdline()))
        return found

    def kill_everything(self) -> None:
        """SIGKILL to every process of this run, the database's too."""
        while victims := self.processes():
            for victim in victims:
                try:
                    victim.kill()
                except psutil.NoSuchProcess:
                    continue
            psutil.wait_procs(victims, timeout=10)
        if self.process is not None:
            self.process.wait()

    def interrupt(self) -> int:
        """Ctrl-C, and the exit code once it has stopped."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_TIMEOUT_S)

    def printed(self) -> str:
        """What it has printed so far."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def printed_since_start(self) -> str:
        """What it has printed since it was started the last time."""
        return self.printed()[self._printed_before :]

    def logs(self) -> str:
        """The ends of the children's logs."""
        folder = self.home / "logs"
        return "".join(
            f"\n== {log.name}\n{log.read_text(errors='replace')[-4000:]}"
            for log in sorted(folder.glob("*.log"))
        )

    def close(self) -> None:
        """End everything and remove the home."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.interrupt()
        self.kill_everything()
        shutil.rmtree(EmbeddedServer(self.home).place, ignore_errors=True)
        shutil.rmtree(self.place, ignore_errors=True)
