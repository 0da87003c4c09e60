"""Processes under a supervisor: what packages contribute, and how they end with it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType

GROUP = "sijil.processes"
"""Entry points of the packages that contribute to ``sijil run``: a function of the home
and of whether a broker is wanted, which returns a Contribution."""


def _at_once() -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process that ``sijil run`` keeps alive: a command of ours, in short.

    ``environment`` is added to the supervisor's own; it starts, and is started again,
    when ``may_start`` says so.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    may_start: Callable[[], bool] = _at_once


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What a package adds: processes, a line to say, and lines of the welcome."""

    processes: tuple[Process, ...] = ()
    said: str = ""
    shown: Mapping[str, str] = field(default_factory=dict)


STOP_TIMEOUT_S = 20.0
"""How long a child may take to end by itself: longer than any open request."""


def stop_when_asked(*, with_parent: bool) -> threading.Event:
    """What is set when somebody asks this process to end: Ctrl-C or SIGTERM.

    ``with_parent``: also when its supervisor is gone (``end_with_parent``). Call it
    once, in the main thread.
    """
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for politely in (signal.SIGINT, signal.SIGTERM):
        signal.signal(politely, ask_to_stop)
    if with_parent:
        end_with_parent()
    return stop


def end_with_parent(*, grace_s: float = STOP_TIMEOUT_S) -> None:
    """End this process when its standard input closes: its supervisor is gone.

    It is asked to end as by the supervisor itself, and made to after ``grace_s``.
    """

    def watch() -> None:
        # os.read takes no lock of sys.stdin, which would block the interpreter's end.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
