"""Claim: one server of two cores carries the peak of a hundredfold working day.

44,000 requests completed in some 300 working days are 150 a day; a hundred times that
are 15,000. A third of a day's work falls between 09:00 and 11:00: 5,000 in 7,200 s, or
0.69 begun each second. This runs at that rate for some minutes, over HTTP, with the
people of ``benchmarks.people_at_work``, on a home of its own that it removes. There
must be no error; how long each act took, and how far the views were behind, is kept
under ``results/``.
"""

from __future__ import annotations

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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from api.cli.migrate import bring_up_to_date
from api.settings import ApiSettings
from api.tokens import mint
from domain.acts import ActorKind
from ledger.embedded import EmbeddedServer
from ledger.settings import LedgerSettings
from tests.running import free_port

RESULTS = Path(__file__).parent / "results"
A_YEAR, WORKING_DAYS, TIMES = 44_000, 300, 100
SHARE_AT_PEAK, PEAK_S = 1 / 3, 7_200
RATE = TIMES * A_YEAR / WORKING_DAYS * SHARE_AT_PEAK / PEAK_S
WARM_UP_S = 62.0
"""Until the last clerk has come in."""
RUN_S = float(os.environ.get("WORKING_DAY_S", "240"))
READY_S = 60.0
SAMPLE_EVERY_S = 0.25


@contextmanager
def running() -> Iterator[tuple[str, dict[str, str]]]:
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

    def stop(self) -> None:
        """Ask no more."""
        self._stop_asking.set()
        self.join()


def measure(folder: Path) -> tuple[dict[str, Any], list[int]]:
    """What Locust measured, and the lags meanwhile."""
    with running() as (url, environment):
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
                *("--host", url, "--run-time", f"{WARM_UP_S + RUN_S:.0f}s"),
                # Fixed numbers of each kind of people; all of them at once.
                *("--users", "1000", "--spawn-rate", "1000", "--stop-timeout", "5"),
                *("--exit-code-on-error", "0"),
            ],
            env={
                **environment,
                "PYTHONPATH": str(Path(__file__).parents[1]),
                "WORKING_DAY_RATE": str(RATE),
                "WORKING_DAY_WARM_UP_S": str(WARM_UP_S),
                "WORKING_DAY_OUTCOME": str(folder / "outcome.json"),
                "WORKING_DAY_SERVICES": str(folder / "services.json"),
            },
            check=True,
        )
        lag.stop()
        return json.loads((folder / "outcome.json").read_text()), lag.entries


def report(told: dict[str, Any], lags: list[int]) -> str:
    """The dated page."""
    ordered = sorted(lags)
    behind = {s: ordered[int(len(ordered) * s / 100)] for s in (50, 95, 99)}
    acts = "\n".join(
        f"| {name} | {act['calls']:,} | {act['p50']:,.0f} | {act['p95']:,.0f} "
        f"| {act['p99']:,.0f} |"
        for name, act in sorted(told["acts"].items())
    )
    return f"""# A working day's peak at a hundred times the national rate, \
{datetime.now(UTC):%Y-%m-%d}

2 cores, Python {sys.version.split()[0]}, embedded server, one `sijil serve` and one
`sijil runner`; Locust on the same two cores, so the times hold its own work too.

{A_YEAR:,} completed in {WORKING_DAYS} working days are {A_YEAR // WORKING_DAYS} a day;
{TIMES} times that with a third between 09:00 and 11:00 are {RATE:.2f} begun a second.
At that rate for {RUN_S:.0f} s, after {WARM_UP_S:.0f} s in which everybody came in:
{told["begun"]} requests begun in all, each led on to its end,
{told["acts"]["Aggregated"]["a_second"]:.1f} calls/s, {len(told["failed"])} errors.

| what | calls | p50 ms | p95 ms | p99 ms |
|---|---|---|---|---|
{acts}

Entries that the view furthest behind lacked, sampled {len(lags)} times: median
{behind[50]}, p95 {behind[95]}, p99 {behind[99]}, most {ordered[-1]}.
"""


def main() -> None:
    """Run the peak, write it down, and fail if anything was refused."""
    with tempfile.TemporaryDirectory(prefix="sijil-day-") as folder:
        told, lags = measure(Path(folder))
    page = report(told, lags)
    print(page)
    if told["failed"]:
        sys.exit("\n".join(told["failed"][:20]))
    path = RESULTS / f"working-day-{datetime.now(UTC):%Y-%m-%d}.md"
    path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
