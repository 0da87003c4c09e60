"""Connections to PostgreSQL: a blocking, bounded pool that heals itself."""

from __future__ import annotations

import random
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions
from eventsourcing.persistence import (
    Connection,
    ConnectionPool,
    ConnectionPoolClosedError,
    Cursor,
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    PersistenceError,
    ProgrammingError,
)
from psycopg2 import sql

from ledger.persistence.append import (
    AppendOnlyError,
    ClockSkewError,
    LedgerSuspendedError,
    NotWholeError,
)

POOL_SIZE = 5
"""Connections kept open: as many as a worker process keeps busy."""
MAX_OVERFLOW = 15
"""Connections above that under load: four processes stay below PostgreSQL's 100."""
POOL_TIMEOUT_S = 10.0
"""How long a caller waits for a connection: longer than any healthy statement."""
CONNECT_TIMEOUT_S = 10
"""How long one attempt to reach the server may take."""
CONNECT_WAIT_S = 5.0
"""How long callers wait for a server that is away, from when it was first missed.

Longer than a restart, shorter than the patience of who waits for an answer. In a longer
outage each caller tries once and is told at once, so that no threads pile up.
"""
FIRST_REST_S = 0.05
LONGEST_REST_S = 0.5
"""The rest between two attempts doubles from the first to this, less by chance."""
KEEPALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""A server whose machine is gone answers nothing: seen in 20 s, not in two hours.

Seconds, but the last: milliseconds. Only for TCP; a socket file ends with its server.
"""
LOCK_TIMEOUT_MS = 10_000
"""How long a statement waits for a lock: far above a batch's stay at the head."""
IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000
"""When the server ends a transaction whose client has gone silent."""

_WRONG_SERVER = "25006"
"""Read-only: the server is a standby now. The next connection may find the primary."""
_ENDED_FOR_LONG_SILENCE = ("25P03", "25P04")
"""The session was ended by a time limit of the server; the driver calls it internal."""
_WILL_NOT_CHANGE = ("authentication failed", "no pg_hba.conf entry", "does not exist")
"""Refusals of a connection, by their words (there is no code), that waiting won't help.

A server that speaks another language is waited for in vain, and then says the same.
"""
_IDLE_SETTING = "idle_in_transaction_session_timeout"
_OWN_ERRORS: dict[str, type[PersistenceError]] = {
    "SJ001": ClockSkewError,
    "SJ002": LedgerSuspendedError,
    "SJ003": AppendOnlyError,
    "SJ005": NotWholeError,
}
_ERRORS: tuple[tuple[type[psycopg2.Error], type[PersistenceError]], ...] = (
    (psycopg2.InterfaceError, InterfaceError),
    (psycopg2.DataError, DataError),
    (psycopg2.OperationalError, OperationalError),
    (psycopg2.IntegrityError, IntegrityError),
    (psycopg2.InternalError, InternalError),
    (psycopg2.ProgrammingError, ProgrammingError),
    (psycopg2.NotSupportedError, NotSupportedError),
    (psycopg2.DatabaseError, DatabaseError),
)


def translated(error: psycopg2.Error) -> PersistenceError:
    """The library's error for a driver's error; the message names no values.

    The server's DETAIL line would repeat a row, so only its first line is kept.
    """
    text = error.diag.message_primary or str(error).partition("\n")[0]
    own = _OWN_ERRORS.get(error.pgcode or "")
    if own is not None:
        return own(text)
    if error.pgcode in {_WRONG_SERVER, *_ENDED_FOR_LONG_SILENCE}:
        return OperationalError(text)
    if type(error) is psycopg2.DatabaseError and error.pgcode is None:
        # No server said this: the connection broke off while an answer was awaited.
        return OperationalError(text)
    for theirs, ours in _ERRORS:
        if isinstance(error, theirs):
            return ours(text)
    return PersistenceError(text)


_NOT_THE_STATEMENTS_FAULT = ("08", "25", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE that tell of the server, of others, or of means: try again."""


def is_away(error: BaseException) -> bool:
    """Whether a failure lies in the server or in others' locks, not in what was asked.

    The same statement may succeed a moment later. A row that no index can hold is an
    OperationalError to the driver too, and will never succeed.
    """
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    code = getattr(error.__cause__, "pgcode", None)
    return code is None or str(code).startswith(_NOT_THE_STATEMENTS_FAULT)


def is_refused(error: BaseException) -> bool:
    """Whether a server that answers will not have us, now or later."""
    return any(words in str(error) for words in _WILL_NOT_CHANGE)


class PostgresCursor(Cursor):
    """A cursor of one connection, as the library's pool wants it."""

    def __init__(self, cursor: psycopg2.extensions.cursor) -> None:
        self.raw = cursor

    def execute(self, statement: str | bytes, params: Any = None) -> None:
        """Execute one statement."""
        self.raw.execute(statement, params)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        return self.raw.fetchall()

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None."""
        return self.raw.fetchone()


class PostgresConnection(Connection[PostgresCursor]):
    """One connection of the pool, opened when it is first used.

    The pool makes it under its own lock, and a server that is slow to answer must not
    keep those waiting who have an open connection to take or to give back.
    """

    def __init__(
        self,
        connect: Callable[[], psycopg2.extensions.connection],
        max_age: float | None,
    ) -> None:
        super().__init__(max_age=max_age)
        self._connect = connect
        self._raw: psycopg2.extensions.connection | None = None

    @property
    def raw(self) -> psycopg2.extensions.connection:
        """The driver's connection. Raises OperationalError where none can be had."""
        if self._raw is None:
            self._raw = self._connect()
        return self._raw

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that neither side is known to have ended."""
        return self._raw is not None and self._raw.closed == 0

    def commit(self) -> None:
        """Commit the open transaction."""
        self.raw.commit()

    def rollback(self) -> None:
        """Undo the open transaction."""
        self.raw.rollback()

    def cursor(self) -> PostgresCursor:
        """A new cursor."""
        return PostgresCursor(self.raw.cursor())

    def _close(self) -> None:
        if self._raw is not None:
            self._raw.close()
        super()._close()


class PostgresPool(ConnectionPool[PostgresConnection]):
    """The library's fair, blocking pool over psycopg2 connections."""

    def __init__(self, connect: Any, *, max_age_s: float | None, **limits: Any) -> None:
        self._connect = connect
        super().__init__(max_age=max_age_s, **limits)

    def _create_connection(self) -> PostgresConnection:
        return PostgresConnection(self._connect, self.max_age)


class PostgresDatastore:
    """One database, seen by one role through one schema.

    ``dsn`` is what ``psycopg2.connect`` takes. Every connection has its search_path
    set to ``schema``. All methods raise the errors of ``eventsourcing.persistence``.
    """

    def __init__(
        self,
        dsn: dict[str, Any],
        *,
        schema: str = "public",
        pool_size: int = POOL_SIZE,
        max_overflow: int = MAX_OVERFLOW,
        pool_timeout_s: float = POOL_TIMEOUT_S,
        max_age_s: float | None = None,
        pre_ping: bool = True,
        connect_wait_s: float = CONNECT_WAIT_S,
        lock_timeout_ms: int = LOCK_TIMEOUT_MS,
        idle_in_transaction_timeout_ms: int = IDLE_IN_TRANSACTION_TIMEOUT_MS,
    ) -> None:
        self.schema = schema
        self._dsn = {
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "sijil",
            **KEEPALIVE,
            **dsn,
            "options": " ".join(
                (
                    f"-c search_path={schema},pg_temp",
                    f"-c lock_timeout={lock_timeout_ms}",
                    f"-c {_IDLE_SETTING}={idle_in_transaction_timeout_ms}",
                    "-c timezone=UTC",
                    # Literals are written for it, whatever the server's default.
                    "-c standard_conforming_strings=on",
                )
            ),
        }
        self._pool = PostgresPool(
            self._new_connection,
            max_age_s=max_age_s,
            pool_size=pool_size,
            max_overflow=max_overflow,
            pool_timeout=pool_timeout_s,
            # The pool's own ping would leave a transaction open on autocommit.
            pre_ping=False,
        )
        self._pre_ping = pre_ping
        self._connect_wait_s = connect_wait_s
        self._away_since: float | None = None
        self._at_close: list[Callable[[], None]] = []

    def _new_connection(self) -> psycopg2.extensions.connection:
        try:
            connection: psycopg2.extensions.connection = psycopg2.connect(**self._dsn)
        except psycopg2.Error as error:
            raise translated(error) from error
        return connection

    def own_connection(self) -> psycopg2.extensions.connection:
        """A connection outside the pool, in autocommit. The caller closes it."""
        connection = self._new_connection()
        connection.autocommit = True
        return connection

    @contextmanager
    def _connection(self, *, autocommit: bool) -> Iterator[PostgresConnection]:
        """A live connection in the wanted mode; a dead one is replaced, not given."""
        connection = self._live_connection()
        try:
            connection.raw.autocommit = autocommit
            yield connection
        except psycopg2.Error as error:
            if error.pgcode == _WRONG_SERVER:
                connection.close()
            if not connection.is_open and type(error) is psycopg2.DatabaseError:
                # The driver knows no better word when the answer broke off.
                raise OperationalError("the connection was lost") from error
            raise translated(error) from error
        finally:
            self._give_back(connection)

    def _live_connection(self) -> PostgresConnection:
        """A connection that answers; waits for a server that is away, within bounds."""
        began = time.monotonic()
        rest_s = FIRST_REST_S
        while True:
            connection = self._pool.get_connection()
            try:
                is_usable = self._is_usable(connection)
            except OperationalError as error:
                self._drop(connection)
                if not self._may_wait(error, began):
                    raise
                # Not all at once, when the server is back.
                time.sleep(rest_s * random.uniform(0.5, 1))  # noqa: S311
                rest_s = min(2 * rest_s, LONGEST_REST_S)
            else:
                if is_usable:
                    self._away_since = None
                    return connection
                self._drop(connection)

    def _is_usable(self, connection: PostgresConnection) -> bool:
        raw = connection.raw
        return raw.closed == 0 and (not self._pre_ping or is_alive(raw))

    def _may_wait(self, error: OperationalError, began: float) -> bool:
        """Whether to try again to connect. Nothing was sent, so it is safe."""
        if is_refused(error):
            return False
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
        return now - min(began, self._away_since) < self._connect_wait_s

    def _drop(self, connection: PostgresConnection) -> None:
        connection.close()
        self._put_back(connection)

    def _give_back(self, connection: PostgresConnection) -> None:
        try:
            if connection.is_open and not connection.raw.autocommit:
                connection.raw.rollback()
        except psycopg2.Error:
            # A connection that cannot roll back is dead; the pool drops closed ones.
            connection.close()
        if not connection.is_open and not connection.closed:
            connection.close()
        self._put_back(connection)

    def _put_back(self, connection: PostgresConnection) -> None:
        try:
            self._pool.put_connection(connection)
        except ConnectionPoolClosedError:
            # Closed while a thread was still at work: the pool closed this one too.
            connection.close()

    @contextmanager
    def transaction(
        self, *, commit: bool = True
    ) -> Iterator[psycopg2.extensions.cursor]:
        """A cursor in a transaction: committed at the end, undone by an error."""
        with self._connection(autocommit=False) as connection:
            with connection.raw.cursor() as cursor:
                yield cursor
            if commit:
                connection.commit()

    @contextmanager
    def autocommit(self) -> Iterator[psycopg2.extensions.cursor]:
        """A cursor whose every statement is a transaction of its own."""
        with (
            self._connection(autocommit=True) as connection,
            connection.raw.cursor() as cursor,
        ):
            yield cursor

    def at_close(self, close: Callable[[], None]) -> None:
        """Have something closed before the connections are."""
        self._at_close.append(close)

    def close(self) -> None:
        """Close every connection; the datastore is of no use after that."""
        for close in self._at_close:
            close()
        self._pool.close()

    def run_script(self, script: str) -> None:
        """Execute a file of statements in the schema, made when it is missing."""
        with self.transaction() as cursor:
            cursor.execute(
                sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(
                    sql.Identifier(self.schema)
                )
            )
            cursor.execute(script)


def is_alive(connection: psycopg2.extensions.connection) -> bool:
    """Whether an idle connection is alive, without a round trip when all is well.

    A server that ended the session has left something to read on the socket.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP)
    if not poll.poll(0):
        return True
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.Error:
        return False
    return True
