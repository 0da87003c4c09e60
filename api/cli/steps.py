"""The steps of a journey: each an act of somebody, and what every view shows of it.

Nothing here decides: a step that the office refuses ends the journey with the office's
own words.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from api.cli.failures import Failure
from api.cli.logins import Login, login_of, mint
from api.cli.server import Answer, RunningServer
from api.cli.sightings import Expected, Seen, Sightings
from api.settings import ApiSettings
from domain.acts import ActorKind
from domain.ids import new_id
from office.seeding import centre_code

GOVERNORATE = "SY-DI"
CENTRE = centre_code(GOVERNORATE)
ASSIGNED_TIMEOUT_S = 20.0
"""How long the runner may take to find a clerk; it needs milliseconds."""
_LOOK_EVERY_S = 0.1

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: who did what, its events with their leaf hashes, what views show."""

    by: str
    does: str
    events: list[dict[str, Any]]
    seen: list[Seen]


class Steps:
    """One request, and the people who act on it, each with a token."""

    def __init__(self, url: str, settings: ApiSettings, *, service: str) -> None:
        self.service = service
        self._url = url
        self._settings = settings
        self._servers: dict[Login, RunningServer] = {}
        self._stack = ExitStack()
        self._auditor = login_of(ActorKind.AUDITOR)
        self._supervisor = login_of(ActorKind.SUPERVISOR, centre=CENTRE)
        self._clerk = login_of(ActorKind.CLERK, centre=CENTRE)
        self._request: dict[str, Any] = {}
        self._known = 0

    @property
    def request_id(self) -> str:
        """The request's id, once it is submitted."""
        return str(self._request["id"])

    @property
    def tracking_number(self) -> str:
        """The number a citizen follows it by."""
        return str(self._request["tracking_number"])

    def _submit(self, by: Login, does: str, how: Body, expected: Expected) -> Step:
        answer = self._as(by).post(
            "/v1/requests",
            {
                "service": self.service,
                "applicant": _invented_person(),
                "relationship": "self",
                "documents": self._documents(),
                "delivery": "home",
                **how,
            },
            command_id=new_id(datetime.now(UTC)),
        )
        self._request = answer.body
        return self._done(by, does, answer, expected)

    def _act(
        self, by: Login, does: str, path: str, body: Body, expected: Expected
    ) -> Step:
        server = self._as(by)
        page = server.get(f"/v1/requests/{self.request_id}")
        answer = server.post(
            f"/v1/requests/{self.request_id}/{path}",
            body,
            command_id=new_id(datetime.now(UTC)),
            if_match=page.etag,
        )
        self._request |= {name: answer.body[name] for name in ("stage", "next_act")}
        return self._done(by, does, answer, expected)

    def _await_assignment(self, expected: Expected) -> Step:
        """Until the system has given the request to a clerk, whose token acts carry."""
        deadline = time.monotonic() + ASSIGNED_TIMEOUT_S
        while True:
            answer = self._as(self._supervisor).get(f"/v1/requests/{self.request_id}")
            if answer.body["clerk"] is not None:
                break
            if time.monotonic() > deadline:
                raise Failure(
                    "no clerk got the request",
                    why="the runner did not assign it in time",
                    then="see the runner's log and `sijil views`",
                )
            time.sleep(_LOOK_EVERY_S)
        self._request = {**answer.body, "secret_code": self._request["secret_code"]}
        self._clerk = login_of(
            ActorKind.CLERK, subject=answer.body["clerk"], centre=CENTRE
        )
        return self._done(None, f"assigns it to {answer.body['clerk']}", None, expected)

    def _done(
        self, by: Login | None, does: str, answer: Answer | None, expected: Expected
    ) -> Step:
        events = self._events_since(self._known, answer)
        self._known = events[-1]["version"]
        sightings = Sightings(
            self._as(self._supervisor), centre=CENTRE, service=self.service
        )
        return Step(
            by="system assignment" if by is None else f"{by.role} {by.subject}",
            does=does,
            events=events,
            seen=sightings.look(self.request_id, events, expected),
        )

    def _events_since(
        self, version: int, answer: Answer | None
    ) -> list[dict[str, Any]]:
        """The step's events, each with the leaf of its raw entry.

        Those above ``version``, up to the act's position: the system may have acted
        since.
        """
        last = None if answer is None else answer.position
        deadline = time.monotonic() + ASSIGNED_TIMEOUT_S
        auditor = self._as(self._auditor)
        while True:
            rows = auditor.get(
                f"/v1/requests/{self.request_id}/trail",
                limit=200,
                min_position=last,
                as_of=last,
            ).body["items"]
            new = [
                row
                for row in rows
                if row["aggregate_id"] == self.request_id and row["version"] > version
            ]
            if new:
                return [self._attested(row) for row in new]
            if time.monotonic() > deadline:
                raise Failure("the trail does not show the step", then="see the logs")
            time.sleep(_LOOK_EVERY_S)

    def _attested(self, row: dict[str, Any]) -> dict[str, Any]:
        """The event; its hash is computed here, over the bytes of its entry."""
        entry = self._as(self._auditor).get(f"/v1/entries/{row['position']}").body
        leaf = hashlib.sha256(b"\x00" + base64.b64decode(entry["entry"])).hexdigest()
        if leaf != entry["leaf_hash"]:
            raise Failure(f"the entry at {row['position']} has another leaf hash")
        return {
            "position": row["position"],
            "version": row["version"],
            "topic": row["topic"],
            "leaf_hash": leaf,
        }

    def track(self) -> dict[str, Any]:
        """What the citizen sees with the number and the code on the receipt."""
        with RunningServer(self._url) as anybody:
            answer = anybody.ask(
                "/v1/tracking",
                {
                    "number": self.tracking_number,
                    "code": self._request["secret_code"],
                },
            )
        tracked: dict[str, Any] = answer.body
        return tracked

    # What steps say -------------------------------------------------------------

    def _as(self, login: Login) -> RunningServer:
        if login not in self._servers:
            token = mint(self._settings, login)
            self._servers[login] = self._stack.enter_context(
                RunningServer(self._url, token)
            )
        return self._servers[login]

    def _token(self) -> Body:
        """The token as it is now: the system may have moved the work meanwhile."""
        page = self._as(self._supervisor).get(f"/v1/requests/{self.request_id}")
        return {"token": page.body["token"]}

    def _kinds(self) -> list[str]:
        """The lines of the fee."""
        found = self._as(self._supervisor).get(
            f"/v1/requests/{self.request_id}/conditions"
        )
        return [line["kind"] for line in found.body["fee_lines"]]

    def _fee(self) -> Body:
        page = self._as(self._supervisor).get(f"/v1/requests/{self.request_id}")
        due = page.body["fee_due"]
        return {"amount": due["amount"], "unit": due["unit"]}

    def _documents(self) -> list[str]:
        found = self._as(self._supervisor).get(f"/v1/services/{self.service}")
        return [document["code"] for document in found.body["facts"]["documents"]]


def _invented_person() -> Body:
    """Nobody: the name says so, and the number begins as no registry's does."""
    return {
        "full_name": "شخص مختلق للتجربة",
        "national_number": f"000{secrets.randbelow(10**8):08d}",
        "phone": f"+9639{secrets.randbelow(10**8):08d}",
        "address": "عنوان مختلق للتجربة",
    }
