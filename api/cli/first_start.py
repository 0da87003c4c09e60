"""The first start of a home: a simulated history comes in while everything serves.

Only into an embedded server whose ledger has no requests, and once: the ledger itself
remembers what was begun, so a first start that was killed goes on at the next.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import date

from api.cli.failures import NO
from ledger.settings import LedgerSettings
from office.house import House
from office.settings import OfficeSettings
from office.simulating.history import Options
from office.simulating.simulation import Simulation, State

STOP_TIMEOUT_S = 10.0
"""It may be killed anywhere; this is to be polite to the server."""
AGAIN_AFTER_S = 10.0
"""How soon it goes on when it was killed, or the database went away."""
LEVEL_EVERY_S = 0.5
"""How often the views are asked whether they have the history."""


class FirstStart:
    """Loads the history in a process of its own, and says when it is there."""

    def __init__(
        self,
        settings: LedgerSettings,
        program: Sequence[str],
        *,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._program = program
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._again_at: float | None = None
        self._asked_at = 0.0
        self._head: int | None = None
        self._options = Options(completed=OfficeSettings().simulate or 1)
        self._late_until: date | None = None
        self._state = self._asked_state()

    def _asked_state(self) -> State | None:
        """How the ledger stands to the history; None where none is wanted."""
        if not self._settings.is_embedded or OfficeSettings().simulate == 0:
            return None
        with House(self._settings) as house:
            simulation = Simulation(house, self._options)
            state = simulation.state()
            if state is State.LATE:
                self._late_until = simulation.late_until()
            return state

    @property
    def described(self) -> str:
        """What the welcome says of the history; nothing where there is none."""
        said = (
            f"history of {self._options.completed:,} completed requests. Nobody in it\n"
            "exists; what it assumes: docs/explanation/simulation.md"
        )
        match self._state:
            case State.EMPTY | State.BEGUN:
                return (
                    f"A simulated {said}.\n"
                    "It comes in now, while Sijil serves; SIJIL_SIMULATE=0 stops that."
                )
            case State.DONE:
                return f"What you see begins with a simulated {said}."
            case State.OTHERWISE:
                return (
                    "A simulated history was begun here with another number or other "
                    "days;\nwith those it goes on."
                )
            case State.LATE:
                return (
                    "No simulated history comes in: it would begin on "
                    f"{self._options.first}, and this ledger,\nwhich an earlier "
                    f"release opened, has its services from {self._late_until} on.\n"
                    f"`sijil simulate --first-day {self._late_until}` loads one; "
                    "so does a new SIJIL_HOME."
                )
            case _:
                return ""

    def start(self) -> None:
        """Begin, or go on, if there is something to load."""
        if self._state not in {State.EMPTY, State.BEGUN}:
            return
        self._began = self._began or time.monotonic()
        self._again_at = None
        self._process = subprocess.Popen(  # noqa: S603 -- our own command
            (
                *self._program,
                "simulate",
                f"--completed={self._options.completed}",
                f"--seed={self._options.seed}",
                "--end-with-parent",
            ),
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def look(self) -> None:
        """Say when the history is in, and when the views are level."""
        if self._process is not None and self._process.poll() is not None:
            code = self._process.returncode
            self._let_go()
            if code == 0:
                self._say("the simulated history is in; the views follow")
                with House(self._settings) as house:
                    self._head = house.ledger.reader.head().position
            elif code == NO:
                self._say("the simulated history stopped; the next start tries again")
            else:
                self._say(
                    f"the simulated history ended with code {code} and goes on in "
                    f"{AGAIN_AFTER_S:g} s"
                )
                self._again_at = time.monotonic() + AGAIN_AFTER_S
        if self._again_at is not None and time.monotonic() >= self._again_at:
            self.start()
        if (
            self._head is not None
            and time.monotonic() - self._asked_at >= LEVEL_EVERY_S
        ):
            self._asked_at = time.monotonic()
            if self._are_views_level(self._head):
                self._head = None
                spent_s = time.monotonic() - self._began
                self._say(f"history in and views level after {spent_s:.0f} s")

    def _are_views_level(self, position: int) -> bool:
        with House(self._settings) as house:
            levels = house.queries.progress.levels()
        return all(level.position >= position for level in levels)

    def stop(self) -> None:
        """End it where it is."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._let_go()

    def _let_go(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None
