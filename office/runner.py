"""The runner: the views and the process managers, until stopped.

One process does all of it. Where the views are more than one interpreter can fold,
several share them; the first of these does everything else as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from threading import Event, Thread

import structlog
from pydantic import ValidationError

from ledger.settings import SettingMissingError
from office.house import House, ViewsRoom
from office.keeping import keep_mark
from office.sweeping import sweep_corrections, sweep_merges, sweep_parties
from projections.shares import WHOLE, Share

FIRST_REST_S = 1.0
"""How long a part that fell rests before it is started again, the first time."""
LONGEST_REST_S = 30.0
"""The rest doubles up to this while a part keeps falling: a fault fills no log."""
STEADY_AFTER_S = 60.0
"""A part that ran so long was well: the next fall is a first one."""
SWEEP_EVERY_S = 3600.0
"""How often parties that nobody named are looked for."""

_log = structlog.get_logger()


def run(house: House, stop: Event, share: Share = WHOLE) -> None:
    """Run every part until ``stop`` is set. One that falls does not take the others.

    Each part keeps its own position with what it wrote, so it can fall anywhere.
    """
    views = ViewsRoom(house.settings, share)
    parts: dict[str, Callable[[Event], None]] = {"views": views.runner.run}
    if share.number == 1:
        parts |= {
            "assignment": house.assignment().run,
            "telling": lambda stop: _tell(house, stop),
            "timers": house.scheduler().run,
            "sweeping": lambda stop: _sweep(house, stop),
            "mark": lambda stop: keep_mark(house, stop),
        }
    try:
        keep_running(parts, stop)
    finally:
        views.close()


def keep_running(parts: Mapping[str, Callable[[Event], None]], stop: Event) -> None:
    """Run each part in a thread of its own; start again what falls, until ``stop``."""
    threads = [
        Thread(target=_keep_running, args=(name, part, stop), name=name)
        for name, part in parts.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _keep_running(name: str, part: Callable[[Event], None], stop: Event) -> None:
    rest_s = FIRST_REST_S
    while not stop.is_set():
        started = time.monotonic()
        try:
            part(stop)
        except Exception as error:  # noqa: BLE001 -- the top of a part's loop
            _log.error("runner.part_fell", part=name, error=type(error).__name__)
        if time.monotonic() - started >= STEADY_AFTER_S:
            rest_s = FIRST_REST_S
        stop.wait(rest_s)
        rest_s = min(2 * rest_s, LONGEST_REST_S)


def _tell(house: House, stop: Event) -> None:
    """Tell citizens. A courier that is set up wrongly stops nothing but this part."""
    try:
        telling = house.telling()
    except (SettingMissingError, ValidationError) as error:
        named = getattr(error, "name", "of telling")
        _log.error("telling.setting_missing_or_wrong", setting=named)
        raise
    telling.run(stop)


def _sweep(house: House, stop: Event) -> None:
    after = timedelta(days=house.office_settings.sweep_parties_after_days)
    while not stop.is_set():
        swept = sweep_parties(house.ledger, house.vault, older_than=after)
        corrections = sweep_corrections(house.ledger, house.vault, older_than=after)
        merges = sweep_merges(house.ledger, house.records, older_than=after)
        if swept or corrections or merges:
            _log.info(
                "sweeping.done", parties=swept, corrections=corrections, merges=merges
            )
        stop.wait(SWEEP_EVERY_S)
