"""Everything that is stored or was sent, for a search of marked values."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import structlog

from tests import marks
from tests.conftest import Database, Server
from tests.marks import Found, search


class Logged:
    """Everything that anything logs, at every level, with traces."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        handler = logging.Handler(logging.DEBUG)
        handler.emit = self._emitted  # type: ignore[method-assign]
        self._handler = handler

    def _emitted(self, record: logging.LogRecord) -> None:
        # The client of these tests logs what it asks: it is not a part of the server.
        if not record.name.startswith(("httpx", "httpcore")):
            trace = (
                traceback.format_exception(*record.exc_info)
                if (record.exc_info and record.exc_info[0])
                else ()
            )
            self.lines.append(f"{record.name} {record.getMessage()} {''.join(trace)}")

    def _event(self, _: Any, name: str, event: Any) -> Any:
        if event.get("exc_info"):
            event = {**event, "trace": traceback.format_exc()}
        self.lines.append(f"{name} {json.dumps(event, default=repr)}")
        raise structlog.DropEvent

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to both kinds of logs, and leave both as they were."""
        root = logging.getLogger()
        level, config = root.level, structlog.get_config()
        root.addHandler(self._handler)
        root.setLevel(logging.DEBUG)
        structlog.configure(
            processors=[structlog.contextvars.merge_contextvars, self._event]
        )
        try:
            yield
        finally:
            structlog.configure(**config)
            root.setLevel(level)
            root.removeHandler(self._handler)


def everything_stored(database: Database) -> dict[str, list[str]]:
    """Every row of every table of both databases, as text; bytes are hexadecimal."""
    found = {}
    for is_vault in (False, True):
        with (
            closing(
                psycopg2.connect(**database.superuser_dsn(is_vault=is_vault))
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE"
                " schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
            for (table,) in cursor.fetchall():
                cursor.execute(f"SELECT t::text FROM {table} t")
                name = f"{'vault' if is_vault else 'ledger'}: {table}"
                found[name] = [row for (row,) in cursor.fetchall()]
    return found


def server_log(server: Server) -> bytes:
    """What the embedded server itself has logged."""
    return server.embedded.log.read_bytes() if server.url is None else b""


def home_files(server: Server) -> Iterator[tuple[str, bytes]]:
    """Every file of the home but the database's own: it is searched row by row."""
    for path in server.home.rglob("*"):
        if path.is_file() and server.embedded.data not in path.parents:
            yield str(path.relative_to(server.home)), path.read_bytes()


def told(leaks: set[Found]) -> str:
    return "\n".join(
        sorted(f"{each.kind} ({each.how}) in {each.where}" for each in leaks)[:60]
    )


def leaks_of(database: Database, server: Server, logged: Logged) -> set[Found]:
    """The marked values in everything that is kept."""
    leaks: set[Found] = set()
    for table, rows in everything_stored(database).items():
        leaks |= marks.search_all(rows, table)
    for line in logged.lines:
        leaks |= search(line, f"the log: {line[:40]}")
    leaks |= search(server_log(server), "the database server's log")
    for name, content in home_files(server):
        leaks |= search(content, f"the file {name}")
    return leaks
