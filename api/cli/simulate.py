"""``sijil simulate``: a national history of which nobody exists."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from api.cli.failures import COULD_NOT_ASK, NO, Failure
from api.cli.migrate import bring_up_to_date, server_up
from api.cli.options import AsJson, EndWithParent
from api.cli.tables import print_json, print_table
from ledger.settings import LedgerSettings
from office.errors import CommandReusedError
from office.house import House, ViewsRoom
from office.processes import end_with_parent as follow_parent
from office.simulating import assumptions
from office.simulating.history import Options, SimulationError
from office.simulating.simulation import (
    Simulation,
    SimulationReport,
    State,
    Told,
)

SAY_EVERY_S = 5.0
"""How often a line says how far it is where no bar can be drawn."""
SHOW_EVERY_S = 0.2
"""How often the bar moves."""
_DAY = "%Y-%m-%d"

_Day = Annotated[datetime | None, typer.Option(formats=[_DAY])]


def simulate(
    *,
    completed: Annotated[
        int, typer.Option(min=1, help="Requests that are completed, exactly.")
    ] = assumptions.COMPLETED,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31, help="The same seed, the same history.")
    ] = 1,
    first_day: _Day = None,
    last_day: _Day = None,
    beside: Annotated[
        bool, typer.Option("--beside", help="Also into a ledger that has requests.")
    ] = False,
    as_json: AsJson = False,
    end_with_parent: EndWithParent = False,
) -> None:
    """Load a simulated national history into the ledger; nobody in it exists.

    Exit code 0: it is in, whole. 1: the ledger has other requests, or acts were
    refused. 2: it could not run. It may be killed and run again at any moment.
    """
    options = Options(
        completed=completed,
        seed=seed,
        first=assumptions.FIRST_DAY if first_day is None else first_day.date(),
        last=assumptions.LAST_DAY if last_day is None else last_day.date(),
    )
    settings = LedgerSettings.load()
    if end_with_parent:
        # The supervisor has brought everything up, and its runner folds the views.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        follow_parent(grace_s=0.0)
        with House(settings) as house:
            _load(house, options, is_beside=beside)
        return
    with server_up(settings):
        bring_up_to_date(settings, say=_quietly, is_seeded=True)
        with House(settings) as house:
            report = _load(house, options, is_beside=beside)
        _fold(settings)
    _tell(report, as_json=as_json)


def _quietly(_: str) -> None:
    """The migration's words are not this command's."""


def _load(house: House, options: Options, *, is_beside: bool) -> SimulationReport:
    simulation = Simulation(house, options)
    if simulation.state() is State.OTHERS and not is_beside:
        raise Failure(
            "the ledger has requests that are not of this simulation",
            then="take another SIJIL_HOME, or say --beside if they may stand together",
            exit_code=NO,
        )
    try:
        report = _with_progress(simulation)
    except SimulationError as error:
        raise Failure(str(error), exit_code=COULD_NOT_ASK) from error
    except CommandReusedError as error:
        raise Failure(
            f"{options.source} was begun in this ledger with other options",
            then="run it with those, or take another SIJIL_HOME",
            exit_code=NO,
        ) from error
    if report.refused:
        told = ", ".join(
            f"{acts} {activity} ({code})"
            for (activity, code), acts in sorted(report.refused.items())
        )
        raise Failure(f"acts of the simulation were refused: {told}", exit_code=NO)
    return report


def _with_progress(simulation: Simulation) -> SimulationReport:
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        return simulation.run(progress=_in_lines(console))
    with Progress(
        TextColumn("simulated history"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[told]}"),
        TimeElapsedColumn(),
        console=console,
    ) as shown:
        task = shown.add_task("history", total=1.0, told="beginning")
        shown_at = 0.0

        def show(told: Told) -> None:
            nonlocal shown_at
            if time.monotonic() - shown_at >= SHOW_EVERY_S:
                shown_at = time.monotonic()
                shown.update(task, completed=told.share, told=_said(told))

        report = simulation.run(progress=show)
        shown.update(task, completed=1.0, told=f"{report.acts:,} acts")
        return report


def _in_lines(console: Console) -> Callable[[Told], None]:
    said_at = time.monotonic()

    def say(told: Told) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= SAY_EVERY_S:
            said_at = time.monotonic()
            console.print(f"simulated history: {told.share:.0%}, {_said(told)}")

    return say


def _said(told: Told) -> str:
    left = "" if told.left_s is None else f", {told.left_s:.0f} s left"
    refused = f", {told.refused} refused" if told.refused else ""
    repeated = f", {told.repeated:,} repeated" if told.repeated else ""
    return f"{told.acts:,} acts, {told.acts_per_s:,.0f}/s{left}{repeated}{refused}"


def _fold(settings: LedgerSettings) -> None:
    """Bring the views to the head, so that the history can be seen at once."""
    sys.stderr.write("folding the views\n")
    room = ViewsRoom(settings)
    try:
        room.runner.catch_up()
    finally:
        room.close()


def _tell(report: SimulationReport, *, as_json: bool) -> None:
    if as_json:
        print_json(report.to_json())
        return
    print_table(
        [
            {"activity": activity, "acts": acts}
            for activity, acts in sorted(report.by_activity.items())
        ]
        + [{"activity": "all", "acts": report.acts}],
        {"activity": "activity", "acts": "acts"},
        empty="nothing was done",
    )
    typer.echo(
        f"\n{report.written:,} acts written, {report.repeated:,} repeated, "
        f"{report.events:,} events, in {report.seconds:.0f} s"
    )
