"""A ledger under fire: writers and readers at work, and blows at random moments.

Afterwards everything that anybody was told is held against what stands in the ledger.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

import psycopg2

from ledger.embedded import EmbeddedServer
from ledger.names import Role
from ledger.settings import LedgerSettings
from tests.forks import forks
from tests.ledger import at_work
from tests.ledger.order import Observed, observe

LONG_S = 90.0
"""A bound that no healthy machine comes near."""
_FORKED = forks("tests.ledger.at_work")

WRITER = "a writer killed"
READER = "a reader killed"
SESSION = "a session ended by the server"
BACKEND = "a backend killed: the server recovers"
POSTMASTER = "the server killed and started"
RESTART = "the server stopped fast and started"
GENTLE = (WRITER, WRITER, READER, SESSION)
"""Blows that leave a server of others alone; the commonest twice."""
ROUGH = (WRITER, WRITER, READER, SESSION, BACKEND, POSTMASTER, RESTART)
"""All blows."""


class Trial:
    """Writers and readers of one ledger, what is done to them, and what they saw.

    ``server`` is ours to kill; without one only gentle blows are possible.
    """

    def __init__(
        self,
        settings: LedgerSettings,
        superuser_dsn: dict[str, Any],
        *,
        server: EmbeddedServer | None = None,
        seed: int = 1,
        writers: int = 3,
        threads: int = 4,
        readers: Sequence[str] = ("follow", "subscribe"),
        fresh_share: float = 0.5,
    ) -> None:
        self.blows: Counter[str] = Counter()
        self.folder = Path(tempfile.mkdtemp(prefix="sijil-trial-"))
        self._app = settings.dsn(Role.APP)
        self._reader = settings.dsn(Role.READER)
        self._superuser = superuser_dsn
        self._server = server
        self._chance = random.Random(seed)  # noqa: S311 -- a test's dice
        self._threads = threads
        self._fresh_share = fresh_share
        self._started = 0
        self._readers = [
            self._read(f"reader-{number}-{way}") for number, way in enumerate(readers)
        ]
        self._writers = [self._write() for _ in range(writers)]

    # The processes -----------------------------------------------------------------

    def _write(self) -> Any:
        self._started += 1
        made = _FORKED.Process(
            target=at_work.write,
            args=(
                self._app,
                str(self.folder),
                self._started,
                self._threads,
                self._fresh_share,
            ),
        )
        made.start()
        return made

    def _read(self, name: str) -> tuple[str, Any]:
        way = name.rpartition("-")[2]
        made = _FORKED.Process(
            target=at_work.tail, args=(self._reader, str(self.folder), name, way)
        )
        made.start()
        return name, made

    # What is done to them ----------------------------------------------------------

    def strike(self, blows: Sequence[str]) -> str:
        """One blow at random; what it was."""
        blow = self._chance.choice(blows)
        striking: dict[str, Callable[[], None]] = {
            WRITER: self._kill_a_writer,
            READER: self._kill_a_reader,
            SESSION: self._end_a_session,
            BACKEND: self._kill_a_backend,
            POSTMASTER: self._kill_the_server,
            RESTART: self._restart,
        }
        striking[blow]()
        self.blows[blow] += 1
        return blow

    def _kill_a_writer(self) -> None:
        place = self._chance.randrange(len(self._writers))
        _killed(self._writers[place])
        self._writers[place] = self._write()

    def _kill_a_reader(self) -> None:
        place = self._chance.randrange(len(self._readers))
        name, process = self._readers[place]
        _killed(process)
        self._readers[place] = self._read(name)

    def _end_a_session(self) -> None:
        with self._asking("SELECT pg_terminate_backend(%s)") as ended:
            if backends := self._backends():
                ended(self._chance.choice(backends))

    def _kill_a_backend(self) -> None:
        if backends := self._backends():
            try:
                os.kill(self._chance.choice(backends), signal.SIGKILL)
            except ProcessLookupError:
                return
        self._wait_for_the_server()

    def _kill_the_server(self) -> None:
        assert self._server is not None
        pid = self._server.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            _until(lambda: self._server is not None and self._server.pid() is None)
        self._server.start()

    def _restart(self) -> None:
        assert self._server is not None
        self._server.stop()
        self._server.start()

    @contextmanager
    def _asking(self, statement: str) -> Iterator[Callable[..., list[Any]]]:
        with (
            closing(psycopg2.connect(**self._superuser)) as connection,
            connection.cursor() as cursor,
        ):
            connection.autocommit = True

            def ask(*parameters: object) -> list[Any]:
                cursor.execute(statement, parameters)
                return [row[0] for row in cursor.fetchall()]

            yield ask

    def _backends(self) -> list[int]:
        with self._asking(
            "SELECT pid FROM pg_stat_activity"
            " WHERE usename = %s AND datname = current_database()"
        ) as ask:
            return ask(self._app["user"])

    def _is_left_alone(self) -> bool:
        try:
            return not self._backends()
        except psycopg2.Error:
            # It answered once more before it noticed that a backend had been killed.
            return False

    def _wait_for_the_server(self) -> None:
        _until(self._answers)

    def _answers(self) -> bool:
        try:
            with self._asking("SELECT 1") as ask:
                return ask() == [1]
        except psycopg2.Error:
            # Also one in the middle of an answer.
            return False

    # What came of it ---------------------------------------------------------------

    def tails(self) -> list[list[int]]:
        """What each reader has seen so far."""
        return list(at_work.told(self.folder).tails.values())

    def acknowledged(self) -> int:
        """How many acknowledgements there are so far."""
        return len(at_work.told(self.folder).acknowledged)

    def unknown(self) -> set[str]:
        """The acts whose sender was at some time left without an answer."""
        return at_work.told(self.folder).unknown

    def wait_for_more(self, number: int) -> None:
        """Until so many more acts are acknowledged: it is at work again."""
        before = self.acknowledged()
        _until(lambda: self.acknowledged() >= before + number)

    def end(self) -> Observed:
        """Kill the writers, let the readers come to the head; what everybody saw."""
        for writer in self._writers:
            _killed(writer)
        # What killed writers had sent may still commit.
        _until(self._is_left_alone)
        with self._asking("SELECT coalesce(max(position), 0) FROM sijil.events") as ask:
            (last,) = ask()
        names = [name for name, _ in self._readers]
        # A reader that never comes there hangs, and that is a fault too.
        _until(lambda: all(at_work.last_seen(self.folder / n) >= last for n in names))
        for _, process in self._readers:
            _killed(process)
        told = at_work.told(self.folder)
        tails = [told.tails.get(name, []) for name in names]
        return observe(
            self._superuser, told.acknowledged, tails, told.refused, told.sent
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        """End whatever is left."""
        for process in (*self._writers, *(each for _, each in self._readers)):
            _killed(process)
        shutil.rmtree(self.folder, ignore_errors=True)


def _killed(process: Any) -> None:
    process.kill()
    process.join()


def _until(is_so: Callable[[], bool], timeout_s: float = LONG_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)
