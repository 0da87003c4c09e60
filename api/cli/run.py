"""``sijil run``: everything on this machine, for as long as it runs.

It may be killed at any moment, and so may whatever it started: the next run finds the
home as the last one left it (docs/decisions/0007-one-supervisor.md).
"""

from __future__ import annotations

import errno
import fcntl
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from rich.console import Console

from api.cli.failures import COULD_NOT_ASK, Failure
from api.cli.first_start import FirstStart
from api.cli.logins import LOGINS, mint
from api.cli.migrate import bring_up_to_date
from api.cli.ports import why_not_free
from api.cli.supervisor import LOOK_EVERY_S, Child, Supervisor
from api.health import RETURNED
from api.settings import ApiSettings
from ledger.embedded import EmbeddedServer, EmbeddedServerError, make_private
from ledger.settings import LedgerSettings
from office.processes import GROUP, Contribution, Process
from office.settings import OfficeSettings

PORT_TIMEOUT_S = 30.0
"""How long the port may still be held by what a killed run left behind."""
SAY_WAITING_AFTER_S = 1.0
"""Mostly it is free at once, or in a moment."""
READY_TIMEOUT_S = 300.0
"""How long the views of a large ledger may take to come near the head."""
SAY_EVERY_S = 10.0
DATABASE_PAUSE_S = 5.0
"""How soon a database that could not be started again is tried the next time."""

_SERVE = Process(name="serve", arguments=("serve",))

_console = Console(highlight=False)


def run(
    *,
    kafka: Annotated[
        bool,
        typer.Option(
            "--kafka", help="Start a Kafka of its own too, unless one is named."
        ),
    ] = False,
) -> None:
    """Start everything, print where it is and whom to log in as, and keep it running.

    The database, its tables and the reference data; then the runner of the views, the
    HTTP server and, where there is a Kafka, the streams, which are started again when
    they die; at the first start of an empty home a simulated history. Ctrl-C stops all
    in order.
    """
    # From here on every polite end is a KeyboardInterrupt, so that all is stopped.
    for politely in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(politely, signal.default_int_handler)
    settings = LedgerSettings.load()
    door = ApiSettings.load()
    try:
        with _the_only_run(settings.home), _database(settings) as tend:
            bring_up_to_date(settings, say=_say, is_seeded=True)
            _wait_for_port(door)
            _supervise(settings, door, tend, _contributed(settings, kafka=kafka))
    except KeyboardInterrupt:
        _say("stopped")


def _say(sentence: str) -> None:
    _console.print(f"sijil: {sentence}", markup=False, soft_wrap=True)


@contextmanager
def _the_only_run(home: Path) -> Iterator[None]:
    """One run a home: the kernel lets go of the lock however its holder ends."""
    make_private(home)
    with (home / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failure(
                f"another `sijil run` has {home}",
                then="use that one, or set SIJIL_HOME and SIJIL_PORT for a second",
                exit_code=COULD_NOT_ASK,
            ) from error
        yield


class _Tending:
    """Brings the embedded server up again when it was killed."""

    def __init__(self, server: EmbeddedServer | None) -> None:
        self._server = server
        self._not_before = 0.0

    def __call__(self) -> None:
        if self._server is None or self._server.pid() is not None:
            return
        if time.monotonic() < self._not_before:
            return
        _say("PostgreSQL ended and starts again")
        try:
            self._server.start(say=_say)
        except EmbeddedServerError as error:
            self._not_before = time.monotonic() + DATABASE_PAUSE_S
            _say(str(error))


@contextmanager
def _database(settings: LedgerSettings) -> Iterator[_Tending]:
    """The embedded server for the time of the run; another server is just there."""
    if not settings.is_embedded:
        yield _Tending(None)
        return
    server = settings.server()
    _say("starting PostgreSQL")
    try:
        server.start(say=_say)
        yield _Tending(server)
    finally:
        _stop_undisturbed()
        server.stop()


def _stop_undisturbed() -> None:
    """A second Ctrl-C must not leave half of it running."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)


def _wait_for_port(door: ApiSettings) -> None:
    """Until the port is free: children of a killed run need a moment to end."""
    began = time.monotonic()
    has_said = False
    while (error := why_not_free(door)) is not None:
        waited_s = time.monotonic() - began
        if error.errno != errno.EADDRINUSE or waited_s > PORT_TIMEOUT_S:
            raise Failure(
                f"{door.host}:{door.port} cannot be listened on",
                why=error.strerror or str(error),
                then="stop what listens there, or set SIJIL_HOST and SIJIL_PORT",
                exit_code=COULD_NOT_ASK,
            )
        if waited_s > SAY_WAITING_AFTER_S and not has_said:
            has_said = True
            _say(f"waiting until port {door.port} is free")
        time.sleep(LOOK_EVERY_S)


def _contributed(settings: LedgerSettings, *, kafka: bool) -> list[Contribution]:
    """What other packages add to this run, by name; each says its line."""
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    made = [point.load()(settings.home, with_broker=kafka) for point in points]
    for each in made:
        if each.said:
            _say(each.said)
    return made


def _supervise(
    settings: LedgerSettings,
    door: ApiSettings,
    tend: _Tending,
    contributed: Sequence[Contribution],
) -> None:
    logs = settings.home / "logs"
    more = [process for each in contributed for process in each.processes]
    ourselves = (sys.executable, "-m", "api.cli")
    supervisor = Supervisor(
        [
            Child(
                name=each.name,
                command=(*ourselves, *each.arguments, "--end-with-parent"),
                log=logs / f"{each.name}.log",
                environment=each.environment,
                may_start=each.may_start,
            )
            for each in (*_runners(OfficeSettings().view_processes), _SERVE, *more)
        ],
        say=_say,
        tend=tend,
    )
    first = FirstStart(settings, ourselves, say=_say)
    try:
        supervisor.start()
        _wait_until_ready(supervisor, door)
        shown = {k: v for each in contributed for k, v in each.shown.items()}
        _print_welcome(settings, door, history=first.described, shown=shown)
        first.start()
        while True:
            time.sleep(LOOK_EVERY_S)
            supervisor.look()
            first.look()
    finally:
        _stop_undisturbed()
        _say("stopping")
        first.stop()
        supervisor.stop()


def _runners(number: int) -> list[Process]:
    """So many runners, which share the views."""
    if number == 1:
        return [Process(name="runner", arguments=("runner",))]
    return [
        Process(
            name=f"runner-{each}", arguments=("runner", "--share", f"{each}/{number}")
        )
        for each in range(1, number + 1)
    ]


def _wait_until_ready(supervisor: Supervisor, door: ApiSettings) -> None:
    began = said = time.monotonic()
    while not _is_ready(door):
        supervisor.look()
        now = time.monotonic()
        if now - began > READY_TIMEOUT_S:
            _say("it is not ready yet; what is wrong stands in the logs")
            return
        if now - said > SAY_EVERY_S:
            said = now
            _say("waiting until it is ready")
        time.sleep(LOOK_EVERY_S)


def _is_ready(door: ApiSettings) -> bool:
    try:
        answer = httpx2.get(f"{door.own_url}/readyz", timeout=5.0)
    except httpx2.TransportError:
        return False
    # A ledger that came back is for reading: it was said, and nothing will change it.
    return answer.is_success or answer.json().get("reasons") == [RETURNED]


def _print_welcome(
    settings: LedgerSettings,
    door: ApiSettings,
    *,
    history: str,
    shown: Mapping[str, str],
) -> None:
    def say(line: str) -> None:
        _console.print(line, soft_wrap=True, markup=False)

    name = _our_name()
    url = door.own_url
    say(f"\nSijil runs. Ctrl-C stops it.\n\n  API      {url}/v1")
    say(f"  OpenAPI  {url}/openapi.json")
    say(f"  health   {url}/readyz\n  state    {settings.home.absolute()}")
    if settings.is_embedded:
        say(f"  data     {settings.server().place}")
    for what, where in shown.items():
        say(f"  {what:<8} {where}")
    if history:
        say(f"\n{history}")
    if door.is_local:
        say("\nLog in with a bearer token; these are for development, on this machine:")
        for login in LOGINS:
            say(f"\n  {login.described}")
            say(f"  {mint(door, login)}")
        say(f"\nMore with `{name} token --help`.")
    say(
        f"\nThree things to try, in another window:\n\n  {name} walk\n"
        f"  {name} queue --centre SY-DI-01\n"
        f'  curl -H "Authorization: Bearer $({name} token clerk)" {url}/v1/requests\n'
    )


def _our_name() -> str:
    """What to type to reach this program from where we are."""
    script = Path(sys.executable).parent / "sijil"
    try:
        return str(script.relative_to(Path.cwd()))
    except ValueError:
        return "sijil"
