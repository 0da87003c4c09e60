"""Waking up: LISTEN/NOTIFY with a poll to fall back on."""

from __future__ import annotations

import hashlib
import select
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from socket import socketpair
from threading import Event, Lock, Thread
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
"""How soon a server is asked again that was away."""

_HEAD = "SELECT position FROM ledger_head"
_LONGEST_S = 3600.0
"""A wait that the system can count in milliseconds; then it is begun again."""
_MANY = 4096
"""All that may have been said to a listener since it last heard."""


def channel(schema: str) -> str:
    """The NOTIFY channel of the ledger in ``schema`` (the append function's rule)."""
    digest = hashlib.md5(f"{schema}.events".encode(), usedforsecurity=False)
    return f"sijil_{digest.hexdigest()}"


class Listener:
    """Wakes all who follow one ledger in this process, over one connection.

    They are woken by NOTIFY. Every so often it asks for the ledger's head in the same
    session: so a lost notification is found, a dead connection is noticed, and an idle
    process sends one statement an interval, however many follow. It outlives a restart
    of the server: while LISTEN is impossible it wakes them to look for themselves.
    """

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore
        self._woken: dict[Event, float] = {}
        self._is_stopped = False
        # Ends the wait on the socket: select knows no events.
        self._ear, self._mouth = socketpair()
        self._thread = Thread(target=self._run, name="sijil-listener", daemon=True)

    def start(self) -> None:
        """Begin listening."""
        self._thread.start()

    def add(self, wake: Event, poll_s: float) -> None:
        """Wake somebody from now on; and once now, for what came until now."""
        self._woken = {**self._woken, wake: poll_s}
        self._mouth.send(b".")
        wake.set()

    def remove(self, wake: Event) -> bool:
        """Wake somebody no longer; whether anybody is left."""
        self._woken = {kept: s for kept, s in self._woken.items() if kept is not wake}
        return bool(self._woken)

    def stop(self) -> None:
        """End listening and wait until the thread is gone."""
        self._is_stopped = True
        self._mouth.send(b".")
        self._thread.join()
        self._ear.close()
        self._mouth.close()

    def _run(self) -> None:
        while not self._is_stopped:
            with (
                suppress(psycopg2.Error, PersistenceError, OSError),
                closing(self._datastore.own_connection()) as connection,
            ):
                self._listen(connection)
            self._wake_all()
            if not self._is_stopped:
                self._heard(None, min(RETRY_S, self._poll_s()))

    def _listen(self, connection: psycopg2.extensions.connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("LISTEN {}").format(
                    sql.Identifier(channel(self._datastore.schema))
                )
            )
            # Whatever was appended before LISTEN took hold is found now.
            known = -1
            while not self._is_stopped:
                cursor.execute(_HEAD)
                (position,) = cursor.fetchone() or (0,)
                if position != known:
                    known = position
                    self._wake_all()
                self._await(connection)

    def _await(self, connection: psycopg2.extensions.connection) -> None:
        """Wake others at each notification, until none has come for an interval."""
        due = time.monotonic() + self._poll_s()
        while not self._is_stopped and (left_s := due - time.monotonic()) > 0:
            if self._heard(connection, left_s):
                connection.poll()
                if connection.notifies:
                    connection.notifies.clear()
                    self._wake_all()
                    due = time.monotonic() + self._poll_s()
            # Somebody may have come who cannot wait as long.
            due = min(due, time.monotonic() + self._poll_s())

    def _heard(
        self, connection: psycopg2.extensions.connection | None, timeout_s: float
    ) -> bool:
        """Whether the connection has something to read, before the time is over."""
        sources = select.poll()
        sources.register(self._ear, select.POLLIN)
        if connection is not None:
            sources.register(connection, select.POLLIN)
        ready = {fd for fd, _ in sources.poll(min(timeout_s, _LONGEST_S) * 1000)}
        if self._ear.fileno() in ready:
            self._ear.recv(_MANY)
        return connection is not None and connection.fileno() in ready

    def _poll_s(self) -> float:
        return min(self._woken.values(), default=FALLBACK_POLL_S)

    def _wake_all(self) -> None:
        for wake in self._woken:
            wake.set()


_listeners: dict[int, Listener] = {}
_lock = Lock()


def listen(
    datastore: PostgresDatastore, *, wake: Event, poll_s: float = FALLBACK_POLL_S
) -> None:
    """Set ``wake`` now, and whenever there are new entries, until ``unlisten``.

    A notification that is lost is made up for within ``poll_s``.
    """
    with _lock:
        listener = _listeners.get(id(datastore))
        if listener is None:
            listener = _listeners[id(datastore)] = Listener(datastore)
            listener.start()
        listener.add(wake, poll_s)


def unlisten(datastore: PostgresDatastore, *, wake: Event) -> None:
    """Set ``wake`` no longer. The last one out closes the connection."""
    with _lock:
        listener = _listeners.get(id(datastore))
        if listener is None or listener.remove(wake):
            return
        del _listeners[id(datastore)]
    listener.stop()


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
        listen(recorder.datastore, wake=self._has_been_notified)

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
            unlisten(self._recorder.datastore, wake=self._has_been_notified)
