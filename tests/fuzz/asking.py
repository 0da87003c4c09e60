"""Making a generated call one that gets somewhere: real ids, a login, what is current.

Left alone, nearly every generated call asks for something that is not there. Here most
of them get what a careful client would send, and some keep what was generated.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from threading import Event, Thread
from typing import Any
from uuid import UUID

from schemathesis import Case

from tests.api.door import DIGEST, ITEM, STAMP, WHO, Door
from tests.api.matrix import ROWS
from tests.api.test_marked_ways import WHOLE
from tests.fuzz.witness import NOBODY

CODES: dict[str, tuple[Any, ...]] = {
    "service": ("CIV-01", "CIV-06", "EDU-01"),
    "centre": ("SY-DI-01", "SY-HL-01"),
    "clerk": ("clk-DI-1", "clk-DI-2", "clk-HL-1"),
    "to": ("clk-DI-2", "home", "post_office"),
    "agency": ("CIV", "EDU"),
    "governorate": ("SY-DI", "SY-HL"),
    "documents": (["id-card"], []),
    "serial": (STAMP,),
    "item": (ITEM,),
    "stamped_digest": (DIGEST,),
    "amount": (3000, 3000, 0, 1),
    "unit": ("SYP.new",),
    "capacity": ("self",),
    "effective_at": (None,),
    "approval": (None,),
    "agencies": (["EDU"], ["CIV"], ["CIV", "EDU"]),
    "applicant": (WHOLE,),
    "concerned": (None,),
}
"""What stands in the seeded catalogue, by the name of the field."""
PLACES = {
    "services": CODES["service"],
    "agencies": CODES["agency"],
    "centres": CODES["centre"],
    "clerks": CODES["clerk"],
    "stamps": (STAMP,),
    "calendars": (2026, 2027),
    "entries": (1, 40, 90),
    "problems": ("stale-version", "not-found"),
}
MAKERS: tuple[Callable[[Door], str], ...] = (
    Door.submitted,
    Door.paid,
    Door.online,
    Door.claimed,
    Door.asked,
    Door.withdrawn,
    Door.forwarded,
    Door.issued,
    Door.stamped,
    Door.mailed,
    Door.refused,
)
LEVEL_EVERY = 40
"""Calls after which the views and the assignment follow, as they do all the time."""
_ALLOWED = {
    name: sorted(
        {
            who
            for row_name, row in ROWS.items()
            if row_name.partition("/")[0] == name
            for who, status in row.expected.items()
            if status < 400
        }
    )
    for name in {name.partition("/")[0] for name in ROWS}
}


class Asker:
    """Whoever asks: mostly somebody who may, with what the thing is now."""

    def __init__(self, door: Door, seed: int, follow: Callable[[], None]) -> None:
        self.door = door
        self.random = Random(seed)  # noqa: S311 -- to be drawn the same again
        self.requests = [make(door) for _ in range(2) for make in MAKERS]
        self.only: str | None = None
        self._follow = follow
        self._calls = 0
        self._level_at = 0
        self._keys: list[str] = []

    def often(self) -> bool:
        return self.random.random() < 0.85

    def who(self, operation: str) -> str | None:
        if self.only is not None:
            return None if self.only == NOBODY else self.only
        allowed = _ALLOWED.get(operation, [])
        if allowed and self.random.random() < 0.7:
            return self.random.choice(allowed)
        return self.random.choice([*WHO, None])

    def level(self) -> None:
        """Let the views and the assignment follow, each waiting for the other."""
        if self._level_at == self._head_now():
            return
        scene, stop = self.door.scene, Event()
        scene.room.runner.catch_up()
        assigning = Thread(target=scene.house.assignment().catch_up, args=(stop,))
        assigning.start()
        while assigning.is_alive():
            scene.room.runner.catch_up()
            assigning.join(timeout=0.005)
        scene.room.runner.catch_up()
        self._level_at = self._head_now()
        self._follow()

    def make(self, case: Case) -> None:
        """Give a generated case what it needs to be let in, most of the time."""
        self._calls += 1
        query = dict(case.query or {})
        if self._calls % LEVEL_EVERY == 0 or {"min_position", "as_of"} & query.keys():
            self.level()
        operation = str(case.operation.definition.raw.get("operationId", ""))
        headers = dict(case.headers or {})
        who = self.who(operation)
        headers.pop("Authorization", None)
        if who is not None:
            headers["Authorization"] = f"Bearer {self.door.token(who)}"
        elif self.random.random() < 0.3:
            headers["Authorization"] = "Bearer of.bad.news"
        is_stateful = case.meta is not None and case.meta.phase.name.name == "STATEFUL"
        path = dict(case.path_parameters or {})
        if path and self.often() and not is_stateful:
            path = {name: self._real(case, name, kept) for name, kept in path.items()}
        thing = self._thing(case, path)
        if case.method.upper() == "POST":
            self._head(headers, thing)
            self._body(case, thing)
        if "min_position" in query and self.often():
            query["min_position"] = self.random.randint(0, self._head_now())
        # Sorted: what is drawn depends on the order, and a set's is another each time.
        for name in sorted(query.keys() & CODES.keys()):
            if self.often():
                query[name] = self.random.choice(CODES[name])
        case.headers = headers
        case.path_parameters = path
        case.query = _as_sent(case, query)

    def _head_now(self) -> int:
        return self.door.scene.house.ledger.reader.head().position

    def _real(self, case: Case, name: str, generated: Any) -> Any:
        if name == "request_id":
            return self.random.choice(self.requests)
        for place, codes in PLACES.items():
            if f"/{place}/" in case.operation.path:
                return self.random.choice(codes)
        return generated

    def _thing(self, case: Case, path: dict[str, Any]) -> dict[str, Any]:
        """What the thing asked about is now: its ETag and, of a request, its token."""
        if not path or case.method.upper() != "POST":
            return {}
        template = case.operation.path
        head = template[: template.index("}") + 1]
        try:
            address = head.format(**path)
        except (KeyError, ValueError):
            return {}
        if "\n" in address or "\0" in address or "//" in address or "?" in address:
            return {}
        try:
            answer = self.door.get("auditor", address)
        except Exception:  # noqa: BLE001 -- an address that no client sends
            return {}
        kind = answer.headers.get("Content-Type", "")
        if answer.status_code != 200 or not kind.startswith("application/json"):
            return {}
        return {"etag": answer.headers.get("ETag"), "token": answer.json().get("token")}

    def _head(self, headers: dict[str, Any], thing: dict[str, Any]) -> None:
        if self.often():
            repeated = self._keys and self.random.random() < 0.1
            headers["Idempotency-Key"] = (
                self.random.choice(self._keys)
                if repeated
                else str(UUID(int=self.random.getrandbits(128), version=4))
            )
            self._keys.append(headers["Idempotency-Key"])
        if thing.get("etag") and self.often():
            headers["If-Match"] = thing["etag"]

    def _body(self, case: Case, thing: dict[str, Any]) -> None:
        body = case.body
        if not isinstance(body, dict) or not self.often():
            return
        body = dict(body)
        for name in sorted(body.keys() & CODES.keys()):
            if self.often():
                body[name] = self.random.choice(CODES[name])
        if thing.get("token") is not None and self.often():
            body["token"] = thing["token"]
        case.body = body


def _as_sent(case: Case, query: dict[str, Any]) -> dict[str, Any]:
    """Numbers where a text is taken as the texts that they are sent as.

    They were to be wrong, and are right: what judges the answer does not see it where
    the text may be left out.
    """
    texts = {
        told["name"]
        for told in case.operation.definition.raw.get("parameters", ())
        if any(
            each.get("type") == "string"
            for each in (told["schema"], *told["schema"].get("anyOf", ()))
        )
    }
    return {
        name: str(value) if name in texts and type(value) in {int, float} else value
        for name, value in query.items()
    }
