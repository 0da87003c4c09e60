"""Nodes of a Kafka cluster as processes: started, killed, stopped and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from consumers.broker.jars import NoKafkaError, class_path
from consumers.broker.ports import free_ports

HEAP = "-Xmx512m"
"""What one node needs: some 560 MB resident."""
START_TIMEOUT_S = 120.0
"""Six seconds alone; much more where everything else starts as well."""
STOP_TIMEOUT_S = 30.0
_PROC = Path("/proc")
"""Where Linux tells of processes; elsewhere ``ps`` does."""
LARGEST_MESSAGE_BYTES = 2 * 2**20
"""A message that is too large for Sijil must still reach it, to be set aside."""
_SOON_BACK = {"broker.session.timeout.ms": 2000, "broker.heartbeat.interval.ms": 500}
"""A killed node is back in half the time: its old session has to expire. Others keep
Kafka's own nine seconds: after two, one on a busy machine may count as dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    """Where a node listens: for clients, and for the other controllers."""

    number: int
    port: int
    controller_port: int


class Node:
    """One node, broker and controller in one. Its data outlive its process.

    ``jars`` is where Kafka's jars are kept; ``is_killed`` says that it may be killed,
    and is to be back soon.
    """

    def __init__(
        self,
        folder: Path,
        own: _Address,
        all_: Sequence[_Address],
        *,
        jars: Path,
        is_killed: bool,
    ) -> None:
        self._jars = jars
        self._sessions = _SOON_BACK if is_killed else {}
        self.number = own.number
        self.folder = folder
        self.log = folder / "node.log"
        self.bootstrap = f"127.0.0.1:{own.port}"
        self._own = own
        self._all = all_
        self._process: subprocess.Popen[bytes] | None = None

    def format(self, cluster_id: str) -> None:
        """Make the node's empty log; a node that has one keeps it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{key}={value}\n" for key, value in self._settings().items())
        # Anew each time: another start may have other ports.
        self._properties.write_text(text, encoding="utf-8")
        if (self.folder / "data" / "meta.properties").exists():
            return
        made = subprocess.run(  # noqa: S603 -- Kafka's own tool
            [
                *self._java("kafka.tools.StorageTool"),
                *("format", "-t", cluster_id, "-c", str(self._properties)),
                # Killed in the middle of it, it is done again.
                "--ignore-formatted",
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
        )
        if made.returncode != 0:
            raise NoKafkaError(made.stdout + made.stderr)

    def start(self) -> None:
        """Start the process; ``wait`` says when it serves.

        One that a killed process of ours left behind is ended first: it holds the data.
        """
        self._end_leftover()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- Kafka's own program
                [*self._java("kafka.Kafka"), str(self._properties)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C on the terminal is not for it: it is stopped in order.
                start_new_session=True,
            )
        self._pid_file.write_text(str(self._process.pid), encoding="utf-8")

    def _end_leftover(self) -> None:
        try:
            left = int(self._pid_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return
        deadline = time.monotonic() + STOP_TIMEOUT_S
        sign = signal.SIGTERM
        while self._is_of_this_node(left):
            with suppress(ProcessLookupError):
                os.kill(left, sign)
            if time.monotonic() > deadline:
                sign = signal.SIGKILL
            time.sleep(0.1)

    def _is_of_this_node(self, pid: int) -> bool:
        """Whether a process runs with this node's settings: a number may be reused."""
        if _PROC.is_dir():
            try:
                told = (_PROC / str(pid) / "cmdline").read_bytes()
            except OSError:
                return False
        else:
            told = subprocess.run(  # noqa: S603 -- a number of our own file
                ["ps", "-o", "args=", "-p", str(pid)],  # noqa: S607 -- the system's
                check=False,
                capture_output=True,
            ).stdout
        return bytes(self._properties) in told

    def wait(self) -> None:
        """Until clients can connect. Raises NoKafkaError when it ended instead."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            with closing(socket.socket()) as probe:
                probe.settimeout(1.0)
                is_there = probe.connect_ex(("127.0.0.1", self._own.port)) == 0
                if is_there and probe.getsockname() != probe.getpeername():
                    return
            time.sleep(0.05)
        last = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise NoKafkaError(f"node {self.number} did not start:\n{last}")

    @property
    def pid(self) -> int | None:
        """The process, while it lives."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def kill(self) -> None:
        """SIGKILL, at once. What it wrote last gets to the disk by the system."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """A polite end; SIGKILL when that takes too long."""
        self._end(signal.SIGTERM)

    def _end(self, sign: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(sign)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def _properties(self) -> Path:
        return self.folder.absolute() / "server.properties"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "node.pid"

    def _java(self, main: str) -> list[str]:
        # The star is Java's own and must not meet a shell.
        quick = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
        return ["java", HEAP, *quick, "-cp", class_path(self._jars), main]

    def _settings(self) -> dict[str, str | int]:
        copies = min(3, len(self._all))
        return {
            "node.id": self.number,
            "process.roles": "broker,controller",
            "controller.quorum.voters": ",".join(
                f"{each.number}@127.0.0.1:{each.controller_port}" for each in self._all
            ),
            "listeners": (
                f"PLAINTEXT://127.0.0.1:{self._own.port},"
                f"CONTROLLER://127.0.0.1:{self._own.controller_port}"
            ),
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
            ),
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.folder.absolute() / "data"),
            "auto.create.topics.enable": "false",
            "message.max.bytes": LARGEST_MESSAGE_BYTES,
            "offsets.topic.num.partitions": 8,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.num.partitions": 4,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": min(2, copies),
            "group.initial.rebalance.delay.ms": 0,
            **self._sessions,
        }


class Cluster:
    """Nodes on free loopback ports, their data below one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        jars: Path,
        nodes: int = 1,
        ports: Sequence[int] = (),
        is_killed: bool = False,
    ) -> None:
        free = [*ports, *free_ports(2 * nodes - len(ports))]
        addresses = [
            _Address(number=n + 1, port=free[n], controller_port=free[nodes + n])
            for n in range(nodes)
        ]
        self.nodes = [
            Node(
                folder / f"node-{own.number}",
                own,
                addresses,
                jars=jars,
                is_killed=is_killed,
            )
            for own in addresses
        ]

    @property
    def bootstrap(self) -> str:
        """Where clients begin: every node's address."""
        return ",".join(node.bootstrap for node in self.nodes)

    def start(self) -> None:
        """Make what is new, start every node and wait until all serve."""
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # As an argument it must not look like an option.
        cluster_id = "s" + cluster_id[1:]
        for node in self.nodes:
            node.format(cluster_id)
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait()

    def stop(self) -> None:
        """End every node."""
        for node in self.nodes:
            node.stop()
