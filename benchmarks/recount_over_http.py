"""Proof: every number the interface tells of a whole history equals a recount in SQL.

    python -m benchmarks.recount_over_http [COMPLETED]
        [--home FOLDER [--part K]] [--desk]

Loads the simulated history of 44,000 completed requests, or the real permit desk that
``SIJIL_PERMIT_DESK`` names, starts ``sijil serve`` over it and asks every route that
counts, adds up or lists, by every role that may, as JSON and as CSV: as of now, of
earlier positions and times, and of effective times. What is told is held against plain
SQL over the stored bodies (``tests/recount``), which imports nothing of the product.
``--home`` keeps the loaded home in a folder for another run; with ``--part`` only the
K-th moment (from 0) is asked about, and the page adds up the parts asked so far. Exit
code 1 where anything differs. There is no rival: what is claimed is equality.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import psycopg2

from api.settings import ApiSettings
from api.tokens import mint
from domain.acts import ActorKind
from ledger.embedded import EmbeddedServer
from ledger.settings import LedgerSettings
from office.house import House, ViewsRoom, migrate
from office.importing import Importer, read_mapping
from office.seeding import seed
from office.simulating.history import Options
from office.simulating.simulation import Simulation
from tests.recount.asking import Ask, Heard, Tally
from tests.recount.moment import Asker
from tests.recount.plan import Plan, ask_all
from tests.running import free_port

COMPLETED = 44_000
RESULTS = Path(__file__).parent / "results"
MAPPING = Path(__file__).parents[1] / "docs" / "how-to" / "permit-desk.toml"
DESK = "SIJIL_PERMIT_DESK"
READY_S = 60.0
TIMEOUT_S = 120.0
"""For one answer: a file of 50,000 rows is made before it is sent."""
PICTURE_BYTES = 8_000_000
"""More than the first event of any stream."""
LOADED = "loaded"
"""The file that says a home is whole."""


@contextmanager
def home_of(folder: Path | None, load: str, completed: int) -> Iterator[LedgerSettings]:
    """A home with the history in it and its views level, on a server of its own."""
    place = folder or Path(tempfile.mkdtemp(prefix="sijil-recount-"))
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o711)
    server = EmbeddedServer(place / "home")
    server.start()
    try:
        settings = LedgerSettings.load(home=place / "home", database_url=None)
        migrate(settings)
        if not (place / LOADED).exists():
            _load(settings, load, completed)
            (place / LOADED).touch()
        room = ViewsRoom(settings)
        room.runner.catch_up()
        room.close()
        yield settings
    finally:
        server.stop()
        if folder is None:
            shutil.rmtree(server.place, ignore_errors=True)
            shutil.rmtree(place, ignore_errors=True)


def _load(settings: LedgerSettings, load: str, completed: int) -> None:
    began = time.monotonic()
    with House(settings) as house:
        if load == "desk":
            report = Importer(house, read_mapping(MAPPING)).run(Path(os.environ[DESK]))
            assert report.adds_up
        else:
            seed(house.catalogue)
            Simulation(house, Options(completed=completed)).run()
    print(f"loaded in {time.monotonic() - began:.0f} s", flush=True)


@contextmanager
def serving(settings: LedgerSettings) -> Iterator[str]:
    """``sijil serve`` over the home; its address."""
    port = free_port()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("SIJIL_")},
        "SIJIL_HOME": str(settings.home),
        "SIJIL_PORT": str(port),
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "api.cli", "serve", "--end-with-parent"],
        env=environment,
        # It closes with us, however we end.
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            with suppress(httpx2.TransportError):
                if httpx2.get(f"{url}/readyz", timeout=5).is_success:
                    break
            time.sleep(0.1)
        yield url
    finally:
        child.terminate()
        child.wait()


def ask_of(client: httpx2.Client, settings: ApiSettings) -> Ask:
    """Asks the running server, with a token of whoever asks."""
    tokens: dict[Asker, str] = {}

    def ask(asker: Asker, path: str, params: Sequence[tuple[str, str]]) -> Heard:
        if asker not in tokens:
            tokens[asker] = mint(
                settings,
                role=ActorKind(asker.role),
                subject=asker.code,
                now=datetime.now(UTC),
                lifespan=timedelta(hours=2),
                centre=asker.centre,
                agency=asker.agency,
                governorate=asker.governorate,
            )
        who = {"Authorization": f"Bearer {tokens[asker]}"}
        with client.stream("GET", path, params=list(params), headers=who) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            if path.endswith("/events"):
                text = _begun(answer)
            else:
                text = answer.read().decode("utf-8")
            return Heard(status=answer.status_code, headers=headers, text=text)

    return ask


def _begun(answer: httpx2.Response) -> str:
    """A stream up to the end of its first event that says something."""
    text = ""
    for piece in answer.iter_text():
        text += piece
        _, reset, rest = text.partition("event: reset")
        if (reset and "\n\n" in rest) or len(text) > PICTURE_BYTES:
            break
    return text


def measure(settings: LedgerSettings, plan: Plan) -> tuple[Tally, int]:
    """What was compared, and how many entries the ledger has."""
    tally = Tally()
    server = EmbeddedServer(settings.home)
    dsn = server.dsn(dbname=settings.database_name)
    api = ApiSettings.load(home=settings.home)
    with (
        serving(settings) as url,
        httpx2.Client(base_url=url, timeout=TIMEOUT_S) as client,
        closing(psycopg2.connect(**dsn)) as connection,
    ):
        with connection.cursor() as cursor:
            cursor.execute("SET work_mem = '256MB'; SET temp_buffers = '256MB'")
        ask_all(
            ask_of(client, api),
            connection,
            plan,
            tally,
            say=lambda line: print(line, flush=True),
        )
        with connection.cursor() as cursor:
            cursor.execute("SELECT max(position) FROM sijil.events")
            (head,) = cursor.fetchone() or (0,)
    return tally, head


def main() -> None:
    """Load or find the home, ask everything, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("completed", type=int, nargs="?", default=COMPLETED)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--part", type=int)
    parser.add_argument("--desk", action="store_true")
    asked = parser.parse_args()
    load = "desk" if asked.desk else "simulation"
    if asked.part is not None and asked.home is None:
        parser.error("--part adds up in a home that stays: give --home too")
    if asked.desk and DESK not in os.environ:
        print(f"{DESK} names no file of the permit desk: nothing was compared")
        return
    plan = PLANS[load]
    if asked.part is not None:
        plan = replace(plan, parts=frozenset({asked.part}))
    began = time.monotonic()
    with home_of(asked.home, load, asked.completed) as settings:
        tally, head = measure(settings, plan)
    spent_s = time.monotonic() - began
    is_right = not tally.differing
    told = plan.names
    if asked.part is not None:
        tally, spent_s, told = with_kept(asked.home, asked.part, (tally, spent_s), told)
    page = report((load, asked.completed, head), told, tally, spent_s)
    print(page)
    path = RESULTS / f"recount-{load}-{datetime.now(UTC):%Y-%m-%d}.md"
    path.write_text(page, encoding="utf-8")
    sys.exit(not is_right)


def with_kept(
    home: Path, part: int, found: tuple[Tally, float], names: Sequence[str]
) -> tuple[Tally, float, list[str]]:
    """All parts together that have been asked by now, and which they are."""
    tally, spent_s = found
    told = {**asdict(tally), "wrong": sorted(tally.wrong)}
    path = home / f"part-{part}.json"
    path.write_text(json.dumps({"tally": told, "spent_s": spent_s}), encoding="utf-8")
    whole, seconds, done = Tally(), 0.0, []
    for number, name in enumerate(names):
        each = home / f"part-{number}.json"
        if each.exists():
            kept = json.loads(each.read_text(encoding="utf-8"))
            one = Tally(**{**kept["tally"], "wrong": set(kept["tally"]["wrong"])})
            whole.take_in(one)
            seconds += kept["spent_s"]
            done.append(name)
    return whole, seconds, done


def report(
    of: tuple[str, int, int], moments: Sequence[str], tally: Tally, spent_s: float
) -> str:
    """The dated page."""
    load, completed, head = of
    what = (
        "The real permit desk, imported by `docs/how-to/permit-desk.toml`"
        if load == "desk"
        else f"A simulated history of {completed:,} completed requests"
    )
    asked = "".join(f"- {moment}\n" for moment in moments)
    rows = "\n".join(
        f"| `{operation}` | {numbers:,} |"
        for operation, numbers in sorted(tally.by_operation.items())
    )
    told = "".join(f"- {line}\n" for line in tally.told)
    return f"""# Every number the interface tells, recounted in SQL: {load}, \
{datetime.now(UTC):%Y-%m-%d}

{what}, {head:,} entries.
A running `sijil serve` was asked over HTTP, in JSON and in CSV, by every role that may,
at {len(moments)} moments:

{asked}
Each answer was held against plain SQL over the stored bodies (`tests/recount`), which
imports nothing of the product; {spent_s:.0f} s, on a machine that others used.

{tally.questions:,} answers; **{tally.numbers:,} numbers** (lengths of lists among them)
and {tally.others:,} other values (states, codes, times) were compared;
**{tally.differing} differ**.
{told}
| route | numbers compared |
|---|---|
{rows}
"""


_MOMENTS = Plan(
    positions=(0.21, 0.55, 0.83),
    times=(0.4, 0.9),
    effective=(0.3, 0.7),
    most=16,
    csv=1.0,
)
PLANS = {"simulation": replace(_MOMENTS, is_past_whole=False), "desk": _MOMENTS}
"""The longest lists of the national history are compared as of now alone."""


if __name__ == "__main__":
    main()
