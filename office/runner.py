"""The runner: the views and the process managers, in one process, until stopped."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import Event, Thread

import structlog

from office.house import House, ViewsRoom
from office.sweeping import sweep_parties

RESTART_AFTER_S = 1.0
"""How long a part that fell rests before it is started again."""
SWEEP_EVERY_S = 3600.0
"""How often parties that nobody named are looked for."""

_log = structlog.get_logger()


def run(house: House, stop: Event) -> None:
    """Run every part until ``stop`` is set. One that falls does not take the others.

    Each part keeps its own position with what it wrote, so it can fall anywhere.
    """
    views = ViewsRoom(house.settings)
    parts: dict[str, Callable[[Event], None]] = {
        "views": views.runner.run,
        "assignment": house.assignment().run,
        "sweeping": lambda stop: _sweep(house, stop),
    }
    threads = [
        Thread(target=_keep_running, args=(name, part, stop), name=name)
        for name, part in parts.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    views.close()


def _keep_running(name: str, part: Callable[[Event], None], stop: Event) -> None:
    while not stop.is_set():
        try:
            part(stop)
        except Exception as error:  # noqa: BLE001 -- the top of a part's loop
            _log.error("runner.part_fell", part=name, error=type(error).__name__)
            stop.wait(RESTART_AFTER_S)


def _sweep(house: House, stop: Event) -> None:
    after = timedelta(days=house.office_settings.sweep_parties_after_days)
    while not stop.is_set():
        swept = sweep_parties(house.ledger, house.vault, older_than=after)
        if swept:
            _log.info("sweeping.done", parties=swept)
        stop.wait(SWEEP_EVERY_S)
