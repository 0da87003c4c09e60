"""The supervisor: the dead start again, the orphaned end, the stopping is in order."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from api.cli.supervisor import FIRST_PAUSE_S, Child, Supervisor

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")
TIMEOUT_S = 60.0


def child(folder: Path, *command: str, name: str = "child") -> Child:
    return Child(name=name, command=command or SLEEPER, log=folder / f"{name}.log")


def until(is_so: Callable[[], bool], between: Callable[[], None]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not is_so():
        assert time.monotonic() < deadline
        between()
        time.sleep(0.02)


def test_a_child_that_was_killed_starts_again(tmp_path: Path) -> None:
    said: list[str] = []
    made = child(tmp_path)
    supervisor = Supervisor([made], say=said.append)
    supervisor.start()
    try:
        assert made.process is not None
        first = made.process.pid
        made.process.kill()
        until(
            lambda: (
                made.is_alive and made.process is not None and made.process.pid != first
            ),
            supervisor.look,
        )
        assert any("ended with code -9" in sentence for sentence in said)
    finally:
        supervisor.stop()
    assert not made.is_alive


def test_a_child_starts_when_it_may_and_with_what_is_given_to_it(
    tmp_path: Path,
) -> None:
    sign = tmp_path / "sign"
    command = (sys.executable, "-c", "import os; print(os.environ['GIVEN'])")
    made = Child(
        name="child",
        command=command,
        log=tmp_path / "child.log",
        environment={"GIVEN": "this and that"},
        may_start=sign.exists,
    )
    said: list[str] = []
    supervisor = Supervisor([made], say=said.append)
    supervisor.start()
    supervisor.look()
    assert made.process is None
    sign.touch()
    until(lambda: bool(said), supervisor.look)
    supervisor.stop()
    assert said[0].endswith("this and that")


def test_a_child_that_has_to_wait_says_so_once(tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    made = child(tmp_path, sys.executable, "-c", "print('gone')")
    made.may_start = sign.exists
    said: list[str] = []
    supervisor = Supervisor([made], say=said.append)
    supervisor.start()
    supervisor.look()
    assert said == []
    # What it needs goes away with it, as the broker of the streams does.
    sign.touch()
    supervisor.look()
    sign.unlink()
    until(lambda: bool(said), supervisor.look)
    looks_past_the_pause(supervisor, made)
    assert said == [
        "child ended with code 0 and starts again once what it needs serves: gone"
    ]
    # And after it: what was said before is not true any more.
    sign.touch()
    until(lambda: len(said) == 2, supervisor.look)
    assert "starts again in " in said[1]
    sign.unlink()
    looks_past_the_pause(supervisor, made)
    assert said[2:] == ["child starts again once what it needs serves"]
    supervisor.stop()


def looks_past_the_pause(supervisor: Supervisor, dead: Child) -> None:
    """Several looks after the time of its start."""
    assert dead.start_at is not None
    over = dead.start_at + 0.1
    until(lambda: time.monotonic() > over, supervisor.look)
    supervisor.look()


def test_a_child_that_cannot_live_is_started_ever_more_rarely(tmp_path: Path) -> None:
    made = child(tmp_path, sys.executable, "-c", "raise SystemExit('no such setting')")
    said: list[str] = []
    supervisor = Supervisor([made], say=said.append)
    supervisor.start()
    until(lambda: len(said) >= 2, supervisor.look)
    supervisor.stop()
    assert made.pause_s == 4 * FIRST_PAUSE_S
    assert "no such setting" in said[0]


def test_children_stop_in_the_reverse_order(tmp_path: Path) -> None:
    order = tmp_path / "order"
    program = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    open({str(order)!r}, 'a').write(sys.argv[1])\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"open({str(tmp_path)!r} + '/up-' + sys.argv[1], 'w').close()\n"
        "time.sleep(600)\n"
    )
    children = [
        child(tmp_path, sys.executable, "-c", program, name, name=name)
        for name in ("a", "b", "c")
    ]
    supervisor = Supervisor(children, say=lambda _: None)
    supervisor.start()
    until(lambda: len(list(tmp_path.glob("up-*"))) == 3, lambda: None)
    supervisor.stop()
    assert order.read_text() == "cba"


@pytest.mark.parametrize("is_stubborn", [False, True])
def test_a_child_ends_when_its_supervisor_is_killed(
    tmp_path: Path, *, is_stubborn: bool
) -> None:
    heir = (
        "import signal, time\n"
        "from office.processes import end_with_parent\n"
        f"{'signal.signal(signal.SIGTERM, signal.SIG_IGN)' if is_stubborn else ''}\n"
        "end_with_parent(grace_s=0.2)\n"
        "time.sleep(600)\n"
    )
    parent = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from api.cli.supervisor import Child\n"
        f"child = Child(name='heir', command=(sys.executable, '-c', {heir!r}),\n"
        f"    log=Path({str(tmp_path / 'heir.log')!r}))\n"
        "child.start()\n"
        "print(child.process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE
    ) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        time.sleep(0.5)
        assert psutil.pid_exists(pid)
        supervisor.kill()
    until(lambda: not _runs(pid), lambda: None)


@pytest.mark.parametrize("asked_by", ["SIGINT", "SIGTERM", "parent"])
def test_a_process_that_is_asked_to_end_finishes_what_it_does(asked_by: str) -> None:
    program = (
        "from office.processes import stop_when_asked\n"
        f"stop = stop_when_asked(with_parent={asked_by == 'parent'})\n"
        "print('works', flush=True)\n"
        "stop.wait(60)\n"
        "print('in order' if stop.is_set() else 'too late')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as asked:
        assert asked.stdin is not None
        assert asked.stdout is not None
        assert asked.stdout.readline() == b"works\n"
        if asked_by == "parent":
            asked.stdin.close()
        else:
            asked.send_signal(signal.Signals[asked_by])
        assert asked.stdout.read() == b"in order\n"
    assert asked.returncode == 0


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
