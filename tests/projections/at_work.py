"""Processes that fold views and make them anew, made to be killed at any moment.

What goes wrong in one is a line in a file that outlives it. ``plant`` is a fault to
have, for the tests of who is to catch it: a transaction that became two.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import structlog
from eventsourcing.persistence import InterfaceError, OperationalError

from ledger.names import LEDGER_SCHEMA, VIEWS_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from projections import folding, rebuilding
from projections.folding import Folder
from projections.governorate_counts import folding as counts
from projections.rebuilding import Rebuild, RebuildUnderWayError
from projections.runner import ViewRunner
from projections.schema import VIEWS
from projections.views import View
from tests.projections.whole_histories import BLOCK

AWAY_S = 0.05
"""A process that the server left goes on after so long."""
OPEN_S = 0.2
"""How long a planted fault stands between its two transactions: most blows meet it."""
SWITCHED = "switched"
"""The first word of a line about what went well."""

PROGRESS_APART = "progress in another transaction than the rows"
MOVED_APART = "a switch in two transactions: tables, then progress"
DROPPED_APART = "a switch in two transactions: away with the old, then the new"


def follow(
    settings: LedgerSettings,
    diary: str,
    name: str,
    plant: str | None = None,
    *,
    dies: bool = False,
) -> None:
    """The body of a process that folds all views, as ``sijil runner`` does.

    One that ``dies`` is killed between the two transactions of its fault.
    """
    told = _begin(diary, name, plant, dies=dies)
    dsn = {**settings.dsn(Role.RUNNER), "application_name": name}
    reader = LedgerReader(PostgresDatastore(dsn, schema=LEDGER_SCHEMA))
    runner = ViewRunner(PostgresDatastore(dsn, schema=VIEWS_SCHEMA), reader)
    while True:
        try:
            runner.run(Event())
        except Exception as error:  # noqa: BLE001 -- the top of a process
            told(f"a runner fell: {type(error).__name__}")
        time.sleep(AWAY_S)


def rebuild(
    settings: LedgerSettings,
    diary: str,
    name: str,
    plant: str | None = None,
    *,
    dies: bool = False,
) -> None:
    """The body of one that makes all views anew, as ``sijil rebuild``, for ever."""
    told = _begin(diary, name, plant, dies=dies)
    chance = Random(name)  # noqa: S311 -- a test's dice
    while True:
        try:
            with rebuilding.rebuilding(settings, VIEWS) as made:
                made.fold()
                for view in chance.sample(VIEWS, len(VIEWS)):
                    for each in made.compare(view).differences or ():
                        if not each.is_same:
                            told(f"a rebuild found another {each.table}: {each.keys}")
                    told(f"{SWITCHED} {view.name} at {made.switch(view)}")
        except RebuildUnderWayError:
            # The server has not yet noticed that the one before was killed.
            time.sleep(AWAY_S)
        except (OperationalError, InterfaceError):
            time.sleep(AWAY_S)
        except Exception as error:  # noqa: BLE001 -- the top of a process
            told(f"a rebuild fell: {type(error).__name__}: {error}")
            time.sleep(AWAY_S)


def _begin(
    diary: str, name: str, plant: str | None, *, dies: bool
) -> Callable[[str], None]:
    """Take a name and perhaps a fault; what notes a line."""
    # By it the server's sessions are known from outside.
    os.environ["PGAPPNAME"] = name
    # Sums of the counts fit into a short history.
    counts.BLOCK = BLOCK
    file = os.open(Path(diary), os.O_WRONLY | os.O_CREAT | os.O_APPEND, mode=0o600)

    def told(line: str) -> None:
        os.write(file, f"{line}\n".encode())

    def note(
        _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        if event["event"] == "views.failed":
            code, position = event["code"], event["position"]
            told(f"{event['view']} stopped at {position}: {code}")
        raise structlog.DropEvent

    structlog.configure(processors=[note])
    if plant is not None:
        _PLANTS[plant](_die if dies else _stay)
    return told


# Faults -----------------------------------------------------------------------


def _stay() -> None:
    time.sleep(OPEN_S)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _progress_apart(between: Callable[[], None]) -> None:
    """The progress is committed before any row is there."""
    fold_new = Folder._fold_new

    def apart(folder: Folder, cursor: Any, *batch: Any) -> None:
        cursor.connection.commit()
        between()
        fold_new(folder, cursor, *batch)

    folding.Folder._fold_new = apart  # type: ignore[method-assign]


class _Breaking:
    """A cursor that ends the transaction before a statement, and begins another."""

    def __init__(self, cursor: Any, before: str, between: Callable[[], None]) -> None:
        self._cursor = cursor
        self._before = before
        self._between = between

    def execute(self, query: Any, parameters: Any = None) -> None:
        text = query if isinstance(query, str) else query.as_string(self._cursor)
        if text.lstrip().startswith(self._before):
            self._cursor.execute("COMMIT")
            self._between()
            self._cursor.execute("BEGIN")
        self._cursor.execute(query, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def _switch_apart(before: str, between: Callable[[], None]) -> None:
    switch = Rebuild._switch

    def apart(made: Rebuild, view: View) -> int:
        whole = made._cursor
        made._cursor = _Breaking(whole, before, between)  # type: ignore[assignment]
        try:
            return switch(made, view)
        finally:
            made._cursor = whole

    rebuilding.Rebuild._switch = apart  # type: ignore[method-assign]


_PLANTS: dict[str, Callable[[Callable[[], None]], None]] = {
    PROGRESS_APART: _progress_apart,
    MOVED_APART: lambda between: _switch_apart("UPDATE", between),
    DROPPED_APART: lambda between: _switch_apart("ALTER", between),
}
