"""Views under fire: runners and a rebuild at work, and blows at random moments.

Two runners fold the views of a ledger that grows, a third process makes them anew and
puts them in their place, again and again. Each may be struck at any moment, and many
blows are aimed: into the transaction of a fold, or into a switch. What the views showed
meanwhile is remembered. At the end it is held against the views as of then, and every
row of every view against clean folds from the events.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any, Self

import psycopg2
from eventsourcing.persistence import PersistenceError, StoredEvent

from ledger.embedded import EmbeddedServer
from ledger.names import LEDGER_SCHEMA, VIEWS_SCHEMA, Role
from ledger.persistence.append import ActToAppend, Appended, Outcome
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.settings import LedgerSettings
from projections.governorate_counts import folding as counts
from tests.forks import forks
from tests.projections import at_work
from tests.projections.examining import Examination
from tests.projections.seen import Looking, Seen
from tests.projections.whole_histories import BLOCK, whole_history

LONG_S = 90.0
"""A bound that no healthy machine comes near."""
AIM_S = 20.0
"""So long a moment to strike at is waited for; then any moment will do."""
MOST_ACTS_AT_ONCE = 30
ACTS_PER_S = 100.0
"""The pace of what comes in: there is something to fold at nearly every moment."""

RUNNER = "a runner killed"
RUNNER_FOLDING = "a runner killed while it folds"
RUNNER_SESSION = "a runner's session ended while it folds"
REBUILD = "a rebuild killed"
REBUILD_SWITCHING = "a rebuild killed in its switch"
REBUILD_SESSION = "a rebuild's session ended in its switch"
REBUILD_BETWEEN = "a rebuild killed between the two transactions of a planted fault"
BACKEND = "a backend killed: the server recovers"
POSTMASTER = "the server killed and started"
GENTLE = (
    *(RUNNER, RUNNER_FOLDING, RUNNER_FOLDING, RUNNER_SESSION),
    *(REBUILD, REBUILD_SWITCHING, REBUILD_SESSION),
)
"""Blows that leave a server of others alone; half of a rebuild's are at the switch."""
ROUGH = (*GENTLE, *GENTLE, BACKEND, BACKEND, POSTMASTER)
"""All blows."""

# Who has written something that is not committed yet.
_FOLDING = """
SELECT pid, backend_xid::text FROM pg_stat_activity
WHERE datname = current_database() AND usename = 'sijil_runner'
    AND application_name LIKE %(name)s AND backend_xid IS NOT NULL
LIMIT 1
"""
_SWITCHING = """
SELECT pid, backend_xid::text FROM pg_stat_activity
WHERE datname = current_database() AND usename = 'sijil_owner'
    AND application_name LIKE %(name)s AND backend_xid IS NOT NULL
    AND (query LIKE 'DROP TABLE IF EXISTS "sijil_views"%%'
        OR query LIKE 'ALTER TABLE "sijil_rebuild"%%'
        OR ltrim(query, E'\\n') LIKE 'UPDATE "sijil_views"."progress"%%')
LIMIT 1
"""
# Who has just committed something: a planted fault, the first half of a switch.
_BETWEEN = """
SELECT pid, NULL FROM pg_stat_activity
WHERE datname = current_database() AND usename = 'sijil_owner'
    AND application_name LIKE %(name)s AND state = 'idle' AND query = 'COMMIT'
LIMIT 1
"""
_BACKENDS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database()
    AND usename IN ('sijil_app', 'sijil_owner', 'sijil_runner')
"""
_AIMED_AT = {REBUILD_SWITCHING: _SWITCHING, REBUILD_BETWEEN: _BETWEEN}
_SESSIONS_LEFT = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'trial-%%'
"""
_LEVELS = "SELECT view, position, failed_code FROM sijil_views.progress"
_HEAD = "SELECT position FROM sijil.ledger_head"
_STATUS = "SELECT pg_xact_status(%(transaction)s::xid8)"

FORKED = forks("tests.projections.at_work")


class Collecting:
    """A recorder that appends nothing and keeps what it is given."""

    def __init__(self) -> None:
        self.acts: list[Sequence[StoredEvent]] = []
        self._last = 0

    def append(self, acts: Sequence[ActToAppend]) -> list[Appended]:
        done = []
        for act in acts:
            self.acts.append(act.events)
            first, self._last = self._last + 1, self._last + len(act.events)
            done.append(
                Appended(
                    outcome=Outcome.APPENDED,
                    first_position=first,
                    last_position=self._last,
                    recorded_at=None,
                )
            )
        return done


def history(*, requests: int, seed: int) -> list[Sequence[StoredEvent]]:
    """Acts in which everything comes up that any view keeps rows of, in their order."""
    collecting: Any = Collecting()
    whole_history(collecting, requests=requests, seed=seed)
    found: list[Sequence[StoredEvent]] = collecting.acts
    return found


class Trial:
    """Processes that fold and switch, what is done to them, and what was seen.

    ``server`` is ours to kill; without one only gentle blows are possible. ``plant`` is
    a fault that the processes have. Of the acts so many come in a blow.
    """

    def __init__(
        self,
        settings: LedgerSettings,
        superuser_dsn: dict[str, Any],
        acts: Sequence[Sequence[StoredEvent]],
        *,
        server: EmbeddedServer | None = None,
        seed: int = 1,
        acts_a_blow: int = 60,
        runners: int = 2,
        plant: str | None = None,
    ) -> None:
        self.blows: Counter[str] = Counter()
        self.undone: Counter[str] = Counter()
        """Blows by kind in whose middle a transaction was, which is not committed."""
        self.seen: list[Seen] = []
        self.events = 0
        self._settings = settings
        self._superuser = superuser_dsn
        self._acts = acts
        self._acts_a_blow = acts_a_blow
        self._count = runners
        self._is_aiming = False
        self._server = server
        self._plant = plant
        self._chance = Random(seed)  # noqa: S311 -- a test's dice
        self._folder = Path(tempfile.mkdtemp(prefix="sijil-views-trial-"))
        self._struck: list[tuple[str, str]] = []
        self._number = 0
        self._connection: Any = None
        self._stop = Event()
        self._block = counts.BLOCK
        self._looking = PostgresDatastore(
            settings.dsn(Role.RUNNER), schema=VIEWS_SCHEMA, pool_size=2
        )
        self._look = Looking(self._looking)
        self._writer = Thread(target=self._append_all)

    # At work ----------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Begin: the history comes in, and everybody is at work."""
        # The clean folds here have to sum as the processes do.
        counts.BLOCK = BLOCK
        self._runners = [self._began(at_work.follow) for _ in range(self._count)]
        self._rebuild = self._began(at_work.rebuild)
        self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End whatever is left."""
        self._stop.set()
        self._writer.join()
        for process in (*self._runners, self._rebuild):
            _killed(process)
        self._looking.close()
        if self._connection is not None:
            self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        counts.BLOCK = self._block

    def _began(self, body: Callable[..., None]) -> Any:
        self._number += 1
        name = f"trial-{body.__name__}-{self._number}"
        diary = str(self._folder / "diary")
        made = FORKED.Process(
            target=body, args=(self._settings, diary, name, self._plant), name=name
        )
        made.start()
        return made

    def _append_all(self) -> None:
        """Append the history at its pace, some acts at once; whatever is struck."""
        store = PostgresDatastore(self._settings.dsn(Role.APP), schema=LEDGER_SCHEMA)
        recorder = PostgresProcessRecorder(store)
        chance = Random(self._number)  # noqa: S311 -- a test's dice
        done = 0
        while done < len(self._acts) and not self._stop.is_set():
            bound = self._acts_a_blow * (self.blows.total() + 1)
            if done >= bound and not self._is_aiming:
                # There is to be news at every blow, also at the last.
                self._stop.wait(at_work.AWAY_S)
                continue
            count = chance.choice((1, 1, 2, 5, MOST_ACTS_AT_ONCE))
            chunk = self._acts[done : done + count]
            try:
                # What was stored by a call that broke off loses now, and is there.
                recorder.append([ActToAppend(events=events) for events in chunk])
            except PersistenceError:
                time.sleep(at_work.AWAY_S)
                continue
            done += len(chunk)
            self.events += sum(map(len, chunk))
            self._stop.wait(len(chunk) / ACTS_PER_S)
        store.close()

    # What is done to them ---------------------------------------------------------

    def strike(self, blows: Sequence[str]) -> str:
        """One blow at random; what it was."""
        blow = self._chance.choice(blows)
        striking: dict[str, Callable[[str], None]] = {
            RUNNER: self._kill_a_runner,
            RUNNER_FOLDING: self._kill_a_runner,
            RUNNER_SESSION: self._end_a_session,
            REBUILD: self._kill_the_rebuild,
            REBUILD_SWITCHING: self._kill_the_rebuild,
            REBUILD_BETWEEN: self._kill_the_rebuild,
            REBUILD_SESSION: self._end_a_session,
            BACKEND: self._kill_a_backend,
            POSTMASTER: self._kill_the_server,
        }
        striking[blow](blow)
        self.blows[blow] += 1
        return blow

    def _kill_a_runner(self, blow: str) -> None:
        place = self._chance.randrange(len(self._runners))
        process = self._runners[place]
        if blow == RUNNER_FOLDING:
            self._aim(blow, _FOLDING, process.name)
        _killed(process)
        self._runners[place] = self._began(at_work.follow)

    def _kill_the_rebuild(self, blow: str) -> None:
        if blow in _AIMED_AT:
            self._aim(blow, _AIMED_AT[blow], self._rebuild.name)
        _killed(self._rebuild)
        self._rebuild = self._began(at_work.rebuild)

    def _end_a_session(self, blow: str) -> None:
        if blow == REBUILD_SESSION:
            found = self._aim(blow, _SWITCHING, self._rebuild.name)
        else:
            name = self._chance.choice(self._runners).name
            found = self._aim(blow, _FOLDING, name)
        if found is not None:
            self._ask("SELECT pg_terminate_backend(%(pid)s)", pid=found)

    def _aim(self, blow: str, query: str, name: str) -> int | None:
        """Wait until a process is in the middle of it; the session it is in."""
        deadline = time.monotonic() + AIM_S
        self._is_aiming = True
        try:
            return self._aimed(blow, query, name, deadline)
        finally:
            self._is_aiming = False

    def _aimed(self, blow: str, query: str, name: str, deadline: float) -> int | None:
        # Not always the first statement of a transaction.
        passed_over = self._chance.randint(0, 3)
        while time.monotonic() < deadline:
            if found := self._ask(query, name=name):
                pid, transaction = found[0]
                if passed_over == 0:
                    if transaction is not None:
                        self._struck.append((blow, transaction))
                    return int(pid)
                passed_over -= 1
            time.sleep(0.0005)
        return None

    def _kill_a_backend(self, _: str) -> None:
        self._count_undone()
        if backends := self._ask(_BACKENDS):
            try:
                os.kill(self._chance.choice(backends)[0], signal.SIGKILL)
            except ProcessLookupError:
                return
            # The server ends every session, ours too, before it recovers.
            self._until(lambda: not self._ask("SELECT 1"))
        self._until(lambda: bool(self._ask("SELECT 1")))

    def _kill_the_server(self, _: str) -> None:
        self._count_undone()
        server = self._server
        assert server is not None
        if (pid := server.pid()) is not None:
            os.kill(pid, signal.SIGKILL)
            self._until(lambda: server.pid() is None)
        server.start()

    def _count_undone(self) -> None:
        """What became of the transactions that were struck in their middle.

        Before a server falls: it may give their numbers away once more.
        """
        for blow, transaction in self._struck:
            self._until(lambda t=transaction: self._status(t) != "in progress")
            self.undone[blow] += self._status(transaction) == "aborted"
        self._struck.clear()

    def _status(self, transaction: str) -> str:
        ((status,),) = self._ask(_STATUS, transaction=transaction)
        return str(status)

    def _ask(self, statement: str, **given: Any) -> list[tuple[Any, ...]]:
        """What the server says; nothing of one that is away for a moment."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg2.connect(**self._superuser)
                self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                cursor.execute(statement, given)
                found: list[tuple[Any, ...]] = cursor.fetchall()
                return found
        except (psycopg2.DatabaseError, psycopg2.InterfaceError) as error:
            if not _is_away(error):
                raise
            self._connection = None
            return []

    # Between the blows ------------------------------------------------------------

    def come_level(self) -> None:
        """Until every view has passed where the ledger is now, or one has failed."""
        head = self._head()

        if not self._runners:
            return

        def is_level() -> bool:
            levels = self._ask(_LEVELS)
            return bool(levels) and all(
                position >= head or code is not None for _, position, code in levels
            )

        self._until(is_level)

    def look(self) -> None:
        """Remember what the views show now."""
        try:
            self.seen += self._look.now()
        except PersistenceError:
            # The server is away, or a switch had the way.
            return

    def told(self) -> list[str]:
        """What went wrong in the processes so far, in their words."""
        return [each for each in self._diary() if not _is_switch(each)]

    @property
    def switches(self) -> int:
        """How often a view was put in its place so far."""
        return sum(map(_is_switch, self._diary()))

    def _diary(self) -> list[str]:
        diary = self._folder / "diary"
        return diary.read_text().splitlines() if diary.exists() else []

    def _head(self) -> int:
        self._until(lambda: bool(self._ask("SELECT 1")))
        ((position,),) = self._ask(_HEAD)
        return int(position)

    def _until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LONG_S
        while not is_so():
            if time.monotonic() > deadline:
                raise TimeoutError(self.told())
            time.sleep(0.01)

    # What came of it --------------------------------------------------------------

    def end(self) -> list[str]:
        """Kill everybody; what is wrong with the views then, and was meanwhile."""
        self._stop.set()
        self._writer.join()
        for process in (*self._runners, self._rebuild):
            _killed(process)
        self._until(lambda: self._ask(_SESSIONS_LEFT) == [(0,)])
        self._count_undone()
        with Examination(self._settings) as examined:
            return list(dict.fromkeys(self.told())) + examined.faults(self.seen)


def _killed(process: Any) -> None:
    process.kill()
    process.join()


def _is_switch(line: str) -> bool:
    return line.startswith(at_work.SWITCHED)


def _is_away(error: psycopg2.Error) -> bool:
    return error.pgcode is None or error.pgcode.startswith("57")
