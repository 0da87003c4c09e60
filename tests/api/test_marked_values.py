"""No value of a person leaves the vault: marked ones go in everywhere, and are sought.

Every field of every operation is given each marked value by those who may call it, on
a thing that the operation is right for, and the others in turn. Then everything that
is stored or was sent is searched: both databases, answers, logs, the files of the home
and the database server's own log. ``SIJIL_EVERY_MARK=1`` tries every value in every
field, headers too, and lets every role have its turn at each.
"""

from __future__ import annotations

import copy
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, cycle
from threading import Event
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from httpx2 import Response

from api.v1.people import SearchLimits
from tests import marks
from tests.api import door as doors
from tests.api.door import WHO, Door, door_of
from tests.api.matrix import ROWS, Row, Thing, catalogue_rows, operations
from tests.conftest import Database, Server, fresh_database
from tests.marks import Found, search
from tests.traces import Logged, leaks_of, told

IS_EXHAUSTIVE = bool(os.environ.get("SIJIL_EVERY_MARK"))
SHOWS_VALUES = {("get_request_parties", 200), ("export_person", 200)}
"""Answers that are there to show values, to staff of the request's own centre."""
CATALOGUE = {
    "publish_service": ("name_ar", "name_en", "basis", "documents"),
    "publish_agency": ("name_ar", "name_en"),
    "open_centre": ("name_ar", "name_en"),
    "publish_calendar": ("holidays", "hours"),
}
"""Texts that the administrator publishes for everybody to read: names of services and
places are no person's values, and nothing could tell one from the other. Nobody else
writes there, and no citizen's act reaches them."""
CODES = {
    "publish_service": ("code", "agency", "direct_in"),
    "publish_agency": ("code",),
    "open_centre": ("code",),
    "appoint_clerk": ("code", "centre"),
    "issue_stamp": ("serial", "centre", "kind"),
    "make_responsible": ("agencies",),
    "relieve_clerk": ("agencies",),
}
"""Codes that the administrator gives. Letters alone may be a code, so only what has the
shape of a person's number or address is planted there, and must be refused."""
REFERENCES = {"bank_reference", "agency_reference"}
"""Other offices' numbers. Letters alone are refused and so is what has the shape of a
national number or a phone; a passport's number looks like any office's."""
LETTERS = {"name", "latin word", "latin hyphens", "address", "identifier"}
"""Marks without the shape of anybody's number."""
HEADERS = (
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Accept-Language",
    "Authorization",
    "Content-Type",
)
UNREAD_HEADERS = (
    "User-Agent",
    "Traceparent",
    "X-Request-Id",
    "X-Forwarded-For",
    "Cookie",
    "Origin",
    "Referer",
)
"""Headers that nothing here reads: they are sent together."""
_NUMBERS = count(1)


# Fields ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """One field of one operation: of its body, query, path or headers."""

    where: str
    path: tuple[str | int, ...]

    def __str__(self) -> str:
        return f"{self.where}:{'/'.join(map(str, self.path))}"


def leaves(
    schema: dict[str, Any], parts: dict[str, Any], path: tuple[str | int, ...] = ()
) -> Iterator[tuple[str | int, ...]]:
    """The path of every value that a schema has room for; 0 for a list's first."""
    if reference := schema.get("$ref"):
        schema = parts[reference.rpartition("/")[2]]
    if "properties" in schema:
        for name, inner in schema["properties"].items():
            yield from leaves(inner, parts, (*path, name))
    elif schema.get("type") == "array":
        yield from leaves(schema["items"], parts, (*path, 0))
    elif choices := schema.get("anyOf"):
        for choice in choices:
            if choice.get("type") != "null":
                yield from leaves(choice, parts, path)
    else:
        yield path


def places(door: Door, operation_id: str) -> list[Place]:
    """Every field of an operation, as its own description says."""
    schema = door.app.openapi()
    method, path = operations(door)[operation_id]
    operation = schema["paths"][path][method]
    found = [
        Place(parameter["in"], (parameter["name"],))
        for parameter in operation.get("parameters", ())
        if parameter["in"] != "header"
    ]
    found += [Place("header", (name,)) for name in HEADERS]
    found += [Place("unread headers", ()), Place("unknown query", ("q",))]
    body = operation.get("requestBody")
    if body is not None:
        of = body["content"]["application/json"]["schema"]
        each = dict.fromkeys(leaves(of, schema["components"]["schemas"]))
        found += [Place("body", path) for path in each]
        found += [Place("whole body", ()), Place("unknown field", ("surprise",))]
        found += [Place("name of a field", ())]
    return found


def planted(body: Any, path: tuple[str | int, ...], value: str) -> Any:
    """The body with one value replaced; what it lies in is made when it is absent."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if first == 0:
        inner = body[0] if isinstance(body, list) and body else None
        return [planted(inner, rest, value)]
    whole = dict(body) if isinstance(body, dict) else {}
    if first in {"applicant", "concerned"} and not isinstance(whole.get(first), dict):
        whole[first] = dict(marks.PERSON)
    whole[str(first)] = planted(whole.get(str(first)), rest, value)
    if operation_wants_one_of(path):
        for name in {"national_number", "other_identifier", "phone", "name"} - {first}:
            whole.pop(name, None)
    return whole


def operation_wants_one_of(path: tuple[str | int, ...]) -> bool:
    """Whether this is a question of the search, which takes exactly one."""
    return len(path) == 1 and path[0] in {
        "national_number",
        "other_identifier",
        "phone",
        "name",
    }


# The sweep ------------------------------------------------------------------------


def somebody() -> dict[str, str]:
    """The marked person, under an identifier of this time's own."""
    own = f"{marks.IDENTIFIER}-{next(_NUMBERS)}"
    return {**marks.PERSON, "other_identifier": own}


@dataclass(slots=True)
class Asked:
    """What a row asks on, made anew when it was used up."""

    door: Door
    row: Row
    name: str
    request_id: str = ""
    thing: Thing | None = None
    _body: Any = None
    _etag: str | None = None

    def make(self) -> None:
        # A person of its own, or one export would tell of every request of the sweep.
        doors.SUBMISSION["applicant"] = somebody()
        self.request_id = self.row.make(self.door) if self.row.make else ""
        self.thing = self.row.thing(self.door) if self.row.thing else None
        self._body = self._etag = None

    def body(self) -> Any:
        if self.row.body is None:
            return None
        if self._body is None:
            self._body = self.row.body(self.door, self.request_id)
        body = copy.deepcopy(self._body)
        if self.name.startswith("submit_request"):
            body["applicant"] = somebody()
        if self.name in {"publish_service", "publish_agency", "open_centre"}:
            body["code"] = f"M-{next(_NUMBERS)}"
        if self.name == "appoint_clerk":
            body["code"] = f"M-{next(_NUMBERS)}"
        if self.name == "issue_stamp":
            body["serial"] = f"M-{next(_NUMBERS)}"
        return body

    def etag(self) -> str | None:
        if self.thing is not None:
            return self.thing.etag
        if self.row.make is not None:
            # A refused attempt moves nothing, so it stays the same until a success.
            self._etag = self._etag or self.door.etag(self.request_id)
            return self._etag
        if self.name == "publish_calendar":
            told = self.door.get("administrator", "/v1/calendars/2031")
            return told.headers.get("ETag")
        return None


@dataclass(slots=True)
class Sweep:
    """Plants values through a door and keeps what was found in the answers."""

    door: Door
    leaks: set[Found] = field(default_factory=set)
    shown: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    took: Counter[str] = field(default_factory=Counter)
    _turns: Iterator[tuple[str, str]] = field(
        default_factory=lambda: cycle(marks.TYPED.items())
    )
    _bad: Iterator[tuple[str, str]] = field(
        default_factory=lambda: cycle(marks.BAD_TEXTS.items())
    )

    def row(self, name: str) -> None:
        """Every field of one row of the matrix."""
        row, operation_id = ROWS[name], name.partition("/")[0]
        may = [who for who, status in row.expected.items() if status < 300]
        others = [who for who in WHO if who not in may]
        main, rest = (may or others)[0], cycle([*(may or others)[1:], *others])
        asked = Asked(self.door, row, name)
        asked.make()
        self.door.scene.level()
        for place in places(self.door, operation_id):
            for who, mark, text in self._plan(place, main, rest, may, others):
                if not _is_out_of_scope(operation_id, place, mark):
                    self._plant(asked, place, who, text, mark)

    def _plan(
        self,
        place: Place,
        main: str,
        rest: Iterator[str],
        may: list[str],
        others: list[str],
    ) -> Iterator[tuple[str, str, str]]:
        """Who plants which values here."""
        every = [*marks.TYPED.items(), *marks.BAD_TEXTS.items()]
        if IS_EXHAUSTIVE:
            yield from ((main, *each) for each in every)
            for who in (*may, *others):
                yield (who, *next(self._turns))
            return
        if place.where in {"body", "path", "query"}:
            yield from ((main, *each) for each in marks.TYPED.items())
            yield (main, *next(self._bad))
        else:
            yield (main, *next(self._turns))
        yield (next(rest, main), *next(self._turns))

    def _plant(
        self, asked: Asked, place: Place, who: str, text: str, mark: str
    ) -> None:
        operation_id = asked.name.partition("/")[0]
        method, template = operations(self.door)[operation_id]
        body, asking = asked.body(), dict(asked.row.asked)
        path = {"request_id": asked.request_id, **asked.row.path}
        path |= asked.thing.path if asked.thing else {}
        headers: dict[str, Any] = {"Content-Type": "application/json"}
        headers |= self.door.headers(
            who, Idempotency_Key=str(uuid4()), If_Match=asked.etag()
        )
        match place.where:
            case "body":
                body = planted(body, place.path, text)
            case "whole body":
                body = text
            case "unknown field":
                body = {**body, "surprise": text}
            case "name of a field":
                body = {**body, text: 1}
            case "query" | "unknown query":
                asking[str(place.path[0])] = text
            case "path":
                path[str(place.path[0])] = text
            case "unread headers":
                headers |= dict.fromkeys(UNREAD_HEADERS, text)
            case "header":
                name = str(place.path[0])
                scheme = "Bearer " if name == "Authorization" else ""
                headers[name] = f"{scheme}{text}"
        answer = self.door.client.request(
            method,
            template.format(**{k: _in_a_path(v) for k, v in path.items()}),
            headers=[
                (k, v.encode("utf-8", "replace").replace(b"\0", b""))
                for k, v in headers.items()
            ],
            params=[
                (k, v.encode("utf-8", "replace").decode()) for k, v in asking.items()
            ],
            content=b"" if body is None else json.dumps(body).encode(),
        )
        self.statuses[answer.status_code] += 1
        self.look(asked.name, place, who, mark, answer)
        if answer.is_success and (asked.row.make or asked.row.thing):
            self.took[asked.name] += 1
            if method == "post" and operation_id != "export_person":
                asked.make()

    def look(
        self, name: str, place: Place, who: str, mark: str, answer: Response
    ) -> None:
        """Keep what an answer shows that it must not."""
        assert answer.status_code != 500, (
            name,
            str(place),
            mark,
            [x[:400] for x in self.logged.lines if "error" in x][-2:],
        )
        where = f"answer {answer.status_code} of {name} to {who}, {mark} in {place}"
        headers = dict(answer.headers)
        if place.where == "query":
            # The next page's link asks the asker's own question again.
            headers.pop("link", None)
        self.leaks |= search(str(headers), f"{where}, headers")
        if (name.partition("/")[0], answer.status_code) in SHOWS_VALUES:
            self.shown[f"{name} to {who}"] += marks.NAME in answer.text
        else:
            self.leaks |= search(answer.text, where)


def _in_a_path(text: str) -> str:
    return quote(text.encode("utf-8", "replace"), safe="")


def _is_out_of_scope(operation_id: str, place: Place, mark: str) -> bool:
    if place.where == "name of a field":
        # A plain name of a field is told back: that is how a misspelt one is found.
        return mark == "latin word"
    if place.where != "body":
        return False
    first = place.path[0]
    if first in REFERENCES:
        return mark == "identifier"
    if first in CATALOGUE.get(operation_id, ()):
        return True
    return first in CODES.get(operation_id, ()) and mark in {
        *LETTERS,
        *marks.BAD_TEXTS,
    }


@pytest.fixture(scope="module")
def marked_database(server: Server, seeded_template: str) -> Iterator[Database]:
    database = fresh_database(server, seeded_template)
    try:
        yield database
    finally:
        database.close()


@pytest.fixture
def everybody_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes to this module's door is the marked person, and views do not wait.

    They are folded by hand here, so what is not there will not come.
    """
    monkeypatch.setattr("api.asking.FRESH_TIMEOUT_S", 0.0)
    monkeypatch.setitem(doors.SUBMISSION, "applicant", somebody())


@pytest.fixture
def logged() -> Iterator[Logged]:
    made = Logged()
    with made.listening():
        yield made


@pytest.mark.long
@pytest.mark.timeout(1_800 if IS_EXHAUSTIVE else 300)
@pytest.mark.usefixtures("everybody_is_marked")
def test_no_field_of_any_operation_lets_a_value_out(
    marked_database: Database, server: Server, logged: Logged
) -> None:
    with door_of(marked_database, tracking_per_number_per_hour=100_000) as door:
        door.app.state.search_limits = SearchLimits(1_000_000)
        sweep = Sweep(door)
        # What makes clerks comes last, for the work of the others would go to them,
        # and what moves all of a clerk's work first, while there is little.
        last = [*catalogue_rows()]
        first = [name for name in ROWS if name not in {*last, "move_work"}]
        for name in ("move_work", *first, *last):
            sweep.row(name)
        door.scene.level()
        door.scene.house.scheduler().catch_up(Event())
    leaks = sweep.leaks | leaks_of(marked_database, server, logged)
    assert not leaks, told(leaks)
    # It is no proof of anything unless values got to where they belong.
    assert all(sweep.shown.values())
    assert {200, 201, 400, 401, 403, 404, 409, 412, 422} <= set(sweep.statuses)
    assert set(sweep.shown) >= {"get_request_parties to clerk"}
