"""A layer over the interface that sees what each call changed, and says what is wrong.

It stands outside of everything: it asks the databases, not the office, what happened,
and knows nothing of the rules but these: a refused call changes nothing (an attempt may
be recorded), a reading changes nothing (a look may be recorded), nobody without a login
gets in, no marked value gets out where it does not belong, and every problem is one
that its route declares.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from fastapi import FastAPI
from psycopg2 import extensions
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import MEDIA_TYPE
from tests.api.door import WHO
from tests.conftest import Database
from tests.marks import search

NOBODY = "nobody"
"""Whoever sends no token."""
STRANGER = "stranger"
"""Whoever sends one that is not ours."""
ATTEMPT = "sijil.attempt.refused.v1"
LOOK = "sijil.read.looked.v1"
SHOWS_VALUES = {"get_request_parties", "export_person"}
"""What staff may see a person's values by, of their own centre's requests; the table of
roles holds who."""
CENTRES = {who: login["centre"] for who, login in WHO.items() if "centre" in login}
ALWAYS_SENT = ("x-content-type-options", "cache-control", "trace-id")
_HEAD = "SELECT position FROM sijil.ledger_head"
_TOPICS = "SELECT topic FROM sijil.events WHERE position > %s"
_IS_USED = "SELECT count(*) FROM sijil.commands WHERE id = %s::uuid"
_CENTRE = """
SELECT convert_from(body, 'UTF8')::jsonb #>> '{data,centre}' FROM sijil.events
WHERE aggregate_id = %s::uuid AND topic = 'sijil.request.submitted.v1'
"""
_TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """What one call did that no call may do."""

    what: str
    operation: str
    who: str
    status: int
    detail: str = ""


class State:
    """What both databases hold, told so cheaply that it can be asked at every call."""

    def __init__(self, database: Database) -> None:
        self.ledger = _connected(database.superuser_dsn())
        self.vault = _connected(database.superuser_dsn(is_vault=True))
        tables = sorted(str(row[0]) for row in _rows(self.vault, _TABLES))
        # The newest row's transaction moves with an insert and an update, the number
        # of rows with a deletion.
        self._contents = " UNION ALL ".join(
            f"SELECT '{table}', count(*), max(xmin::text::bigint) FROM {table}"
            for table in tables
        )

    def close(self) -> None:
        self.ledger.close()
        self.vault.close()

    def head(self) -> int:
        return int(_rows(self.ledger, _HEAD)[0][0])

    def kept(self) -> tuple[tuple[Any, ...], ...]:
        """The vault's tables, each with what changes when anything in it does."""
        return tuple(_rows(self.vault, self._contents))

    def topics_after(self, position: int) -> list[str]:
        return [str(row[0]) for row in _rows(self.ledger, _TOPICS, position)]

    def centre_of(self, request_id: str) -> str | None:
        """Where a request is handled; None without one."""
        found = _rows(self.ledger, _CENTRE, request_id)
        return str(found[0][0]) if found else None

    def is_used(self, command_id: str) -> bool:
        return bool(_rows(self.ledger, _IS_USED, command_id)[0][0])


def _connected(dsn: dict[str, Any]) -> extensions.connection:
    made = psycopg2.connect(**dsn)
    made.autocommit = True
    return made


def _rows(
    connection: extensions.connection, statement: str, *values: Any
) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall()


@contextmanager
def state_of(database: Database) -> Iterator[State]:
    with closing(State(database)) as state:
        yield state


@dataclass(slots=True)
class Seen:
    """An answer as it went out, and who asked what."""

    who: str
    operation: str
    key: str | None
    path: str = ""
    asked: bytes = b""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""


class Witness:
    """The interface with a look at the databases after each call."""

    def __init__(
        self,
        app: FastAPI,
        state: State,
        tokens: Mapping[str, str],
        inner: ASGIApp | None = None,
    ) -> None:
        self._paths = app.openapi()["paths"]
        self._addresses = [
            (compile_path(path)[0], methods) for path, methods in self._paths.items()
        ]
        self._inner: ASGIApp = inner or app
        self.state = state
        self.faults: list[Fault] = []
        self.calls: Counter[tuple[str, str, int]] = Counter()
        self.made: list[str] = []
        self._who = {f"Bearer {token}": who for who, token in tokens.items()}
        self._used: set[str] = set()
        self._head = 0
        self._kept: tuple[tuple[Any, ...], ...] = ()
        self.look()

    def look(self) -> None:
        """What the databases hold now is no call's doing."""
        self._head, self._kept = self.state.head(), self.state.kept()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call, and judge it. The lifespan is the owner's."""
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        token = headers.get("authorization")
        seen = Seen(
            who=NOBODY if token is None else self._who.get(token, STRANGER),
            operation=self._operation(scope),
            key=headers.get("idempotency-key"),
            path=scope["path"],
        )

        async def said() -> Message:
            message = await receive()
            seen.asked += message.get("body", b"")
            return message

        async def heard(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                seen.headers = {
                    name.decode("latin-1").lower(): value.decode("latin-1")
                    for name, value in message["headers"]
                }
            else:
                seen.content += message.get("body", b"")
            await send(message)

        await self._inner(scope, said, heard)
        self._judge(seen, is_reading=scope["method"] in {"GET", "HEAD", "OPTIONS"})

    def _operation(self, scope: Scope) -> str:
        for pattern, methods in self._addresses:
            operation = methods.get(scope["method"].lower())
            if operation is not None and pattern.match(scope["path"]):
                return str(operation["operationId"])
        return ""

    def _judge(self, seen: Seen, *, is_reading: bool) -> None:
        self.calls[seen.operation, seen.who, seen.status] += 1
        for fault in self._faults(seen, is_reading=is_reading):
            self.faults.append(fault)
        if seen.key is not None:
            self._used.add(seen.key.strip().strip('"'))
        if seen.status == 201 and "location" in seen.headers:
            self.made.append(seen.headers["location"].rpartition("/")[2])

    def _faults(self, seen: Seen, *, is_reading: bool) -> Iterator[Fault]:
        def fault(what: str, detail: str = "") -> Fault:
            return Fault(what, seen.operation, seen.who, seen.status, detail)

        before, kept = self._head, self._kept
        self.look()
        topics = self.state.topics_after(before)
        if seen.status >= 500 and b'"not-fresh-enough"' not in seen.content:
            yield fault("failed")
        if seen.status >= 400:
            if set(topics) - {ATTEMPT} or len(topics) > 1:
                yield fault("refused, and something was recorded", " ".join(topics))
            if kept != self._kept:
                changed = {row[0] for row in set(self._kept) ^ set(kept)}
                yield fault("refused, and the vault changed", " ".join(sorted(changed)))
            if self._is_fresh(seen.key) and self.state.is_used(str(seen.key)):
                yield fault("refused, and its id was used up")
            yield from (fault(what, detail) for what, detail in self._problem(seen))
        elif is_reading:
            if set(topics) - {LOOK}:
                yield fault("read, and something was recorded", " ".join(topics))
            if kept != self._kept:
                yield fault("read, and the vault changed")
        if seen.who in {NOBODY, STRANGER} and topics:
            yield fault("changed by nobody", " ".join(topics))
        if missing := [name for name in ALWAYS_SENT if name not in seen.headers]:
            yield fault("sent without headers", " ".join(missing))
        if not self._may_show_values(seen):
            for found in search(seen.content) | search(json.dumps(seen.headers)):
                yield fault("showed a marked value", found.kind)

    def _may_show_values(self, seen: Seen) -> bool:
        """Whether it is staff that asked, of a request of their own centre."""
        if seen.operation not in SHOWS_VALUES or seen.status >= 400:
            return False
        request_id = (
            json.loads(seen.asked)["request_id"]
            if seen.operation == "export_person"
            else seen.path.split("/")[3]
        )
        centre = CENTRES.get(seen.who)
        return centre is not None and self.state.centre_of(request_id) == centre

    def _is_fresh(self, key: str | None) -> bool:
        return key is not None and len(key) == 36 and key not in self._used

    def _problem(self, seen: Seen) -> Iterator[tuple[str, str]]:
        """Every refusal is a problem document that its operation declares."""
        if seen.headers.get("content-type") != MEDIA_TYPE:
            if seen.operation != "readyz":
                yield "no problem document", seen.headers.get("content-type", "")
            return
        problem = json.loads(seen.content) if seen.content else None
        if problem is None:
            return
        if problem["status"] != seen.status:
            yield "another status in the document", str(problem["status"])
        for operation in (
            operation
            for methods in self._paths.values()
            for operation in methods.values()
            if operation["operationId"] == seen.operation
        ):
            told = operation["responses"].get(str(seen.status), {})
            codes = told.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {})
            if problem["code"] not in codes:
                yield "an undeclared problem", problem["code"]
