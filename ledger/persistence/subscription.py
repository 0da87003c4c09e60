"""Waking up: LISTEN/NOTIFY with a poll to fall back on."""

from __future__ import annotations

import hashlib
import select
from collections.abc import Sequence
from contextlib import suppress
from threading import Event, Thread
from typing import Any

import psycopg2
import psycopg2.extensions
from eventsourcing.persistence import ListenNotifySubscription, PersistenceError
from psycopg2 import sql

from ledger.persistence.datastore import PostgresDatastore, is_away
from ledger.persistence.recorders import PostgresApplicationRecorder

FALLBACK_POLL_S = 1.0
"""How long a lost notification can delay a reader; one cheap query an interval."""
RETRY_S = 0.5
"""How soon a subscription asks a server again that was away."""
_STOP_CHECK_S = 0.2
"""How soon a stopped waker notices, while it waits on its socket."""


def channel(schema: str) -> str:
    """The NOTIFY channel of the ledger in ``schema`` (the append function's rule)."""
    digest = hashlib.md5(f"{schema}.events".encode(), usedforsecurity=False)
    return f"sijil_{digest.hexdigest()}"


class Waker:
    """Sets an event at every append, and every ``poll_s`` seconds in any case.

    It outlives a restart of the server: while LISTEN is impossible it only polls.
    """

    def __init__(
        self,
        datastore: PostgresDatastore,
        *,
        wake: Event,
        poll_s: float = FALLBACK_POLL_S,
    ) -> None:
        self._datastore = datastore
        self._wake = wake
        self._poll_s = poll_s
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="sijil-waker", daemon=True)

    def start(self) -> None:
        """Begin listening."""
        self._thread.start()

    def stop(self) -> None:
        """End listening and wait until the thread is gone."""
        self._stopped.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            with suppress(psycopg2.Error, PersistenceError, OSError):
                connection = self._datastore.own_connection()
                try:
                    self._listen(connection)
                finally:
                    connection.close()
            self._wake.set()
            self._stopped.wait(self._poll_s)

    def _listen(self, connection: psycopg2.extensions.connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("LISTEN {}").format(
                    sql.Identifier(channel(self._datastore.schema))
                )
            )
        # Whatever was appended before LISTEN took hold is found now.
        self._wake.set()
        waited_s = 0.0
        while not self._stopped.is_set():
            ready, _, _ = select.select([connection], [], [], _STOP_CHECK_S)
            if ready:
                connection.poll()
                if connection.notifies:
                    connection.notifies.clear()
                    self._wake.set()
                    waited_s = 0.0
            else:
                waited_s += _STOP_CHECK_S
                if waited_s >= self._poll_s:
                    self._wake.set()
                    waited_s = 0.0


class PostgresSubscription(ListenNotifySubscription[PostgresApplicationRecorder]):
    """The library's subscription, woken by NOTIFY and by a fallback poll.

    It waits out a server that is away, where the library's own would end in an error.
    """

    def __init__(
        self,
        recorder: PostgresApplicationRecorder,
        gt: int | None = None,
        topics: Sequence[str] = (),
    ) -> None:
        # The library's thread pulls from within its constructor.
        self._is_over = Event()
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._waker = Waker(recorder.datastore, wake=self._has_been_notified)
        self._waker.start()

    def _pull(self) -> None:
        while not self._is_over.is_set():
            try:
                super()._pull()
            except PersistenceError as error:
                if not is_away(error):
                    raise
                self._is_over.wait(RETRY_S)
            else:
                return

    def stop(self) -> None:
        """Stop pulling."""
        self._is_over.set()
        super().stop()

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        """Stop listening and pulling."""
        try:
            super().__exit__(*args, **kwargs)
        finally:
            self._waker.stop()
