"""Keeps child processes alive, and ends them in order.

Each child holds the reading end of a pipe as its standard input. When the supervisor
is gone, however it went, the kernel closes the pipe and the child ends by itself
(``office.processes.end_with_parent``), so no start has to look for leftovers.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from office.processes import STOP_TIMEOUT_S

FIRST_PAUSE_S = 0.5
"""How long a child that died for the first time stays dead."""
LONGEST_PAUSE_S = 15.0
"""The pause doubles up to here: a broken child must not eat the machine."""
STEADY_AFTER_S = 60.0
"""A child that lived this long starts with the first pause again."""
LOOK_EVERY_S = 0.2
"""How soon a death is noticed."""
LONGEST_LOG_BYTES = 10_000_000
"""A log larger than this is put aside at the next start, and the older one dropped."""


@dataclass(kw_only=True)
class Child:
    """One process to keep alive: its name, command and log.

    ``environment`` is added to ours. It is not started while ``may_start`` says no;
    ``waits`` is whether that was said.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    may_start: Callable[[], bool] = lambda: True
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    start_at: float | None = field(default=0.0)
    waits: bool = False

    def start(self) -> None:
        """Start the process; what it says goes to its log."""
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LONGEST_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 -- our own commands
                self.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                # Ctrl-C in the terminal is the supervisor's, which stops in order.
                start_new_session=True,
            )
        self.started_at = time.monotonic()
        self.start_at = None
        self.waits = False

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def last_line(self) -> str:
        """The last line of the log, for a word on why it ended."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 2000))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return lines[-1][:300] if lines else ""

    def stop(self) -> None:
        """Ask the process to end, and make it after a while."""
        if self.process is None:
            return
        if self.is_alive:
            self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.let_go()

    def let_go(self) -> None:
        """Close our end of the pipe of a process that has ended."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()


class Supervisor:
    """Starts children in order, restarts the dead, stops them in the reverse order.

    ``tend`` is called between looks: it brings up again what is not a child.
    """

    def __init__(
        self,
        children: Sequence[Child],
        *,
        say: Callable[[str], None],
        tend: Callable[[], None] = lambda: None,
    ) -> None:
        self.children = children
        self._say = say
        self._tend = tend

    def start(self) -> None:
        """Start every child that may."""
        for child in self.children:
            if child.may_start():
                child.start()

    def look(self) -> None:
        """One look at every child; the dead are started again after their pause."""
        self._tend()
        now = time.monotonic()
        for child in self.children:
            if child.is_alive:
                continue
            if child.start_at is None:
                self._mourn(child, now)
            elif now < child.start_at:
                continue
            elif child.may_start():
                child.start()
            else:
                self._say_that_it_waits(child)

    def _say_that_it_waits(self, child: Child) -> None:
        """Once, of a child that ran: whoever adds one that never ran has said why."""
        if child.waits or child.process is None:
            return
        child.waits = True
        self._say(f"{child.name} starts again once what it needs serves")

    def _mourn(self, child: Child, now: float) -> None:
        if now - child.started_at > STEADY_AFTER_S:
            child.pause_s = FIRST_PAUSE_S
        child.start_at = now + child.pause_s
        child.let_go()
        code = child.process.returncode if child.process is not None else None
        when = f"in {child.pause_s:g} s"
        if not child.may_start():
            child.waits = True
            when = "once what it needs serves"
        self._say(
            f"{child.name} ended with code {code} and starts again {when}: "
            f"{child.last_line()}"
        )
        child.pause_s = min(2 * child.pause_s, LONGEST_PAUSE_S)

    def watch(self) -> None:
        """Look after the children until interrupted."""
        while True:
            time.sleep(LOOK_EVERY_S)
            self.look()

    def stop(self) -> None:
        """Stop every child, the last started first."""
        for child in reversed(self.children):
            child.stop()
