"""Claim: one server of two cores carries the peak of a hundredfold working day.

    python -m benchmarks.working_day [--seconds S] [--times N] [--completed N]

44,000 requests completed in some 300 working days are 150 a day; a hundred times that
are 15,000. A third of a day's work falls between 09:00 and 11:00: 5,000 in 7,200 s, or
0.69 begun each second. This runs at that rate for some minutes, over HTTP, with the
people of ``benchmarks.people_at_work``, on a home of its own that has a simulated
history and that it removes. There must be no error, what is begun must be ended, and
the views must be level when all have gone; how long each act took, and how far the
views were behind meanwhile, is kept under ``results/``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from api.cli.migrate import bring_up_to_date
from api.settings import ApiSettings
from api.tokens import mint
from benchmarks.machine import machine
from domain.acts import ActorKind
from ledger.embedded import EmbeddedServer
from ledger.settings import LedgerSettings
from tests.running import free_port

RESULTS = Path(__file__).parent / "results"
A_YEAR, WORKING_DAYS = 44_000, 300
SHARE_AT_PEAK, PEAK_S = 1 / 3, 7_200
WARM_UP_S = 65.0
"""Until the last clerk has come in, and the first has been at it for a while."""
READY_S = 60.0
LEVEL_S = 10.0
"""How soon after the last act the views must be level."""
LEAST_DONE = 0.95
"""What is ended for what was offered: a server that is full falls behind."""
CUT = 5
"""Requests that the edges of the time may cut from it; more are not the edges'."""
SAMPLE_EVERY_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """How long, at how many times the national rate, on how long a history."""

    seconds: float = 240.0
    times: float = 100.0
    completed: int = A_YEAR

    @property
    def rate(self) -> float:
        """Requests begun a second."""
        return self.times * A_YEAR / WORKING_DAYS * SHARE_AT_PEAK / PEAK_S

    @property
    def offered(self) -> float:
        """Requests that are to be begun in all."""
        return self.rate * self.seconds


@contextmanager
def running(day: Day) -> Iterator[tuple[str, dict[str, str]]]:
    """A server and a runner on a home of their own; its address and environment."""
    memory = Path("/dev/shm")  # noqa: S108 -- a fresh private folder below it
    folder = Path(
        tempfile.mkdtemp(
            prefix="sijil-day-", dir=memory if os.access(memory, os.W_OK) else None
        )
    )
    folder.chmod(0o711)
    port = free_port()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("SIJIL_")},
        "SIJIL_HOME": str(folder / "home"),
        "SIJIL_PORT": str(port),
        # All citizens come from one address here.
        "SIJIL_TRACKING_PER_MINUTE": "100000",
        "SIJIL_TRACKING_PER_NUMBER_PER_HOUR": "100000",
    }
    server = EmbeddedServer(folder / "home")
    children: list[subprocess.Popen[bytes]] = []
    try:
        server.start()
        settings = LedgerSettings.load(home=folder / "home", database_url=None)
        bring_up_to_date(settings, say=lambda _: None, is_seeded=True)
        if day.completed:
            subprocess.run(
                [
                    *(sys.executable, "-m", "api.cli", "simulate"),
                    f"--completed={day.completed}",
                ],
                env=environment,
                stdout=subprocess.DEVNULL,
                check=True,
            )
        for name in ("runner", "serve"):
            with (folder / f"{name}.log").open("wb") as log:
                children.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "api.cli", name, "--end-with-parent"],
                        env=environment,
                        # It closes with us, however we end.
                        stdin=subprocess.PIPE,
                        stdout=log,
                        stderr=log,
                    )
                )
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url)
        yield url, environment
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait()
        server.stop()
        shutil.rmtree(server.place, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + READY_S
    said = "nobody answers"
    while time.monotonic() < deadline:
        with suppress(httpx2.TransportError):
            answer = httpx2.get(f"{url}/readyz", timeout=5)
            if answer.is_success:
                return
            said = answer.text
        time.sleep(0.1)
    raise TimeoutError(said)


class Lag(threading.Thread):
    """How many entries the view that is furthest behind lacks, again and again."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._stop_asking = threading.Event()
        self.entries: list[int] = []

    def run(self) -> None:
        """Ask until it is told to stop."""
        with httpx2.Client() as client:
            while not self._stop_asking.wait(SAMPLE_EVERY_S):
                told = client.get(f"{self._url}/readyz", timeout=30).json()
                self.entries.append(max(view["lag"] for view in told["views"]))

    def stop(self) -> float | None:
        """Ask no more. Seconds until the views were level; None when they were not."""
        self._stop_asking.set()
        self.join()
        began = time.monotonic()
        while (spent_s := time.monotonic() - began) < LEVEL_S:
            told = httpx2.get(f"{self._url}/readyz", timeout=30).json()
            if not any(view["lag"] for view in told["views"]):
                return spent_s
        return None


def measure(day: Day, folder: Path) -> tuple[dict[str, Any], list[int], float | None]:
    """What Locust measured, the lags meanwhile, and how soon the views were level."""
    with running(day) as (url, environment):
        settings = ApiSettings.load(home=Path(environment["SIJIL_HOME"]))
        login = mint(
            settings, role=ActorKind.AUDITOR, subject="aud-1", now=datetime.now(UTC)
        )
        services = httpx2.get(
            f"{url}/v1/services?limit=200", headers={"Authorization": f"Bearer {login}"}
        ).json()["items"]
        (folder / "services.json").write_text(json.dumps(services))
        lag = Lag(url)
        lag.start()
        subprocess.run(
            [
                *(sys.executable, "-m", "locust", "--headless", "--only-summary"),
                *("-f", str(Path(__file__).with_name("people_at_work.py"))),
                *("--host", url, "--run-time", f"{WARM_UP_S + day.seconds:.0f}s"),
                # Fixed numbers of each kind of people; all of them at once.
                *("--users", "1000", "--spawn-rate", "1000", "--stop-timeout", "5"),
                *("--exit-code-on-error", "0"),
            ],
            env={
                **environment,
                "PYTHONPATH": str(Path(__file__).parents[1]),
                "WORKING_DAY_RATE": str(day.rate),
                "WORKING_DAY_WARM_UP_S": str(WARM_UP_S),
                "WORKING_DAY_OUTCOME": str(folder / "outcome.json"),
                "WORKING_DAY_SERVICES": str(folder / "services.json"),
            },
            check=True,
        )
        level_s = lag.stop()
        told = json.loads((folder / "outcome.json").read_text())
        return told, lag.entries, level_s


def report(
    day: Day, told: dict[str, Any], lags: list[int], level_s: float | None
) -> str:
    """The dated page."""
    ordered = sorted(lags)
    behind = {s: ordered[int(len(ordered) * s / 100)] for s in (50, 95, 99)}
    tally = dict(told["tally"])
    begun, ended = tally.pop("begun", 0), tally.pop("ended", 0)
    again = ", ".join(f"{name} {n}x" for name, n in sorted(tally.items())) or "none"
    acts = "\n".join(
        f"| {name} | {act['calls']:,} | {act['p50']:,.0f} | {act['p95']:,.0f} "
        f"| {act['p99']:,.0f} | {act['failures']} |"
        for name, act in sorted(told["acts"].items())
    )
    level = "not level" if level_s is None else f"level after {level_s:.1f} s"
    return f"""# A working day's peak at {day.times:g} times the national rate, \
{datetime.now(UTC):%Y-%m-%d}

{machine()}, embedded server, one `sijil serve` and one
`sijil runner`, on a history of {day.completed:,} completed requests; Locust on the same
two cores, so the times hold its own work too. Load average over the last five minutes
at the end: {os.getloadavg()[1]:.1f}.

{A_YEAR:,} completed in {WORKING_DAYS} working days are {A_YEAR // WORKING_DAYS} a day;
{day.times:g} times that with a third between 09:00 and 11:00 are {day.rate:.2f} begun
a second. At that rate for {day.seconds:.0f} s, after {WARM_UP_S:.0f} s in which
everybody came in:

| offered | begun | led to the end | calls/s | errors | done again, or otherwise |
|---|---|---|---|---|---|
| {day.offered:.0f} requests, {day.rate:.2f}/s | {begun}, {begun / day.seconds:.2f}/s \
| {ended}, {ended / day.seconds:.2f}/s | {told["acts"]["Aggregated"]["a_second"]:.1f} \
| {len(told["failed"])} | {again} |

| what | calls | p50 ms | p95 ms | p99 ms | failures |
|---|---|---|---|---|---|
{acts}

Entries that the view furthest behind lacked, sampled {len(lags)} times: median
{behind[50]}, p95 {behind[95]}, p99 {behind[99]}, most {ordered[-1]}; {level} when the
last had gone. A stream's first event tells the whole list, so opening one is dearer
than hearing of what changes.
"""


def main() -> None:
    """Run the peak, write it down, and fail if anything was refused or left undone."""
    usual = Day()
    parser = argparse.ArgumentParser(prog="benchmarks.working_day")
    parser.add_argument("--seconds", type=float, default=usual.seconds)
    parser.add_argument("--times", type=float, default=usual.times)
    parser.add_argument("--completed", type=int, default=usual.completed)
    day = Day(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory(prefix="sijil-day-") as folder:
        told, lags, level_s = measure(day, Path(folder))
    page = report(day, told, lags, level_s)
    print(page)
    if told["failed"]:
        sys.exit("\n".join(told["failed"][:20]))
    if level_s is None:
        sys.exit(f"the views were not level {LEVEL_S:g} s after the last act")
    if told["tally"].get("ended", 0) < LEAST_DONE * day.offered - CUT:
        sys.exit("fewer requests came to their end than were offered")
    path = RESULTS / f"working-day-{datetime.now(UTC):%Y-%m-%d}.md"
    path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
