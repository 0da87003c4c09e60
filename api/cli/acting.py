"""Acting on a request as a careful client does: who acts, on what, and what came of it.

What the actor read is what is acted on: its ETag and its token are fetched just before,
unless they are given. When an act fails, the very words that send it again are told.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Annotated, Any, Self
from uuid import UUID

import typer

from api.cli.failures import COULD_NOT_ASK, Failure
from api.cli.logins import Login, connect, login_of
from api.cli.server import Answer, RefusedError, RunningServer
from api.cli.settings import ClientSettings
from api.cli.tables import print_facts, print_json
from domain.acts import ActorKind

As = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="ROLE[:CODE[@PLACE]]",
        help="Who acts: clerk, clerk:clk-DI-2, agency:officer-1@CIV/SY-DI. By default "
        "who has to, at the request's centre.",
    ),
]
"""``PLACE`` is a centre, or an agency with its governorate."""
MOST_PAGES = 50
"""Where a search through a trail gives up; a life has some twenty events."""
_HELD = frozenset({ActorKind.CLERK, ActorKind.SUPERVISOR})
SHOWN = {
    "id": "request",
    "tracking_number": "tracking number",
    "secret_code": "secret code",
    "service": "service",
    "centre": "centre",
    "stage": "stage",
    "next_act": "next",
    "waiting_for": "waiting for",
    "clerk": "who has it",
    "lease_until": "in hand until",
    "information_asked": "asked for",
    "outcome": "outcome",
    "item": "postal item",
    "is_returned": "came back",
    "due_at": "due",
    "answer_due_at": "answer due",
    "payment_due_at": "to be paid by",
    "expires_at": "expires",
    "version": "version",
}
"""What is shown of a request, where there is something to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who shall act, as far as it was said."""

    role: ActorKind
    code: str | None = None
    place: str | None = None

    @classmethod
    def read(cls, text: str | None, *, default: ActorKind) -> Who:
        """From ROLE[:CODE[@PLACE]]. Raises Failure for anything else."""
        if text is None:
            return cls(role=default)
        role, _, rest = text.partition(":")
        code, _, place = rest.partition("@")
        if role not in set(ActorKind):
            raise Failure(
                "nobody can act as that",
                why="--as begins with one of " + ", ".join(ActorKind),
                exit_code=COULD_NOT_ASK,
            )
        return cls(role=ActorKind(role), code=code or None, place=place or None)

    def login(self, request: Mapping[str, Any] | None = None) -> Login:
        """The login; what was not said follows from the request."""
        at: Mapping[str, Any] = request or {}
        if self.role is ActorKind.AGENCY:
            agency, _, governorate = (self.place or "").partition("/")
            return login_of(
                self.role,
                subject=self.code,
                agency=agency or at.get("agency"),
                governorate=governorate if agency else at.get("governorate"),
            )
        if self.role not in _HELD:
            if self.place is not None:
                raise Failure(
                    f"nobody acts as {self.role} of a place",
                    then=f"say it with --as {self.role}:CODE",
                    exit_code=COULD_NOT_ASK,
                )
            return login_of(self.role, subject=self.code)
        code, seeded = self.code, login_of(self.role)
        centre = self.place or at.get("centre")
        if code is None and self.role is ActorKind.CLERK:
            code = at.get("clerk")
            if code is None and centre not in {None, seeded.centre}:
                raise Failure(
                    "it is not clear which clerk acts",
                    why=f"nobody of {centre} has the request",
                    then="say it with --as clerk:CODE",
                    exit_code=COULD_NOT_ASK,
                )
        return login_of(self.role, subject=code, centre=centre)


class Desk:
    """The running server, asked by whoever acts.

    With SIJIL_TOKEN there is one login, the token's; without it each login is minted
    as it is needed, and an auditor's to see whose the request is.
    """

    def __init__(self, as_who: str | None, *, default: ActorKind) -> None:
        self._has_token = ClientSettings().token is not None
        if self._has_token and as_who is not None:
            raise Failure(
                "--as says who acts, and so does SIJIL_TOKEN",
                then="leave one of them out",
                exit_code=COULD_NOT_ASK,
            )
        self.who = Who.read(as_who, default=default)
        self.as_said: str | None = None
        """The login that acts, as ``--as`` takes it; None with SIJIL_TOKEN."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """The desk itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self._stack.close()

    def _connect(self, login: Login) -> RunningServer:
        return self._stack.enter_context(connect(login))

    def onlooker(self) -> RunningServer:
        """Who may see every request; with SIJIL_TOKEN its bearer."""
        return self._connect(login_of(ActorKind.AUDITOR))

    def actor(
        self, request_id: UUID | None = None, *, centre: str | None = None
    ) -> RunningServer:
        """Who acts, on this request if there is one, else at ``centre``."""
        if self._has_token:
            return self.onlooker()
        seen = {"centre": centre}
        if request_id is not None:
            seen = self.onlooker().get(f"/v1/requests/{request_id}").body
        login = self.who.login(seen)
        place = login.centre or "/".join(
            filter(None, (login.agency, login.governorate))
        )
        self.as_said = f"{login.role}:{login.subject}" + (place and f"@{place}")
        return self._connect(login)

    def words(self, answer: Answer, key: UUID) -> list[str] | None:
        """What the act wrote, in words; None where it cannot be seen yet, or by us."""
        if answer.position is None:
            return []
        found: list[str] = []
        cursor = None
        try:
            for _ in range(MOST_PAGES):
                page = (
                    self.onlooker()
                    .get(
                        f"/v1/requests/{answer.body['id']}/trail",
                        min_position=answer.position,
                        as_of=answer.position,
                        limit=200,
                        cursor=cursor,
                    )
                    .body
                )
                found += [
                    row["words_en"]
                    for row in page["items"]
                    if row["command_id"] == str(key)
                ]
                cursor = page["next"]
                if cursor is None:
                    break
        except Failure:
            # The act is done. That its words cannot be had must not deny it.
            return None
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One act, ready to be sent, and sent again: its words, its body, its key.

    ``told`` is the body without what came from standard input.
    """

    command: str
    request_id: UUID | None
    path: str
    body: Mapping[str, Any]
    told: Mapping[str, Any]
    key: UUID
    if_match: str | None = None

    def again(self, as_said: str | None) -> str:
        """The command line that sends this very act once more, as the same actor."""
        words = ["sijil", "request", self.command]
        if self.request_id is not None:
            words.append(str(self.request_id))
        if as_said is not None:
            words += ["--as", as_said]
        for name, value in self.told.items():
            option = f"--{name.replace('_', '-')}"
            if value is True:
                words.append(option)
            elif isinstance(value, list):
                words += [word for each in value for word in (option, str(each))]
            elif value not in {None, False}:
                words += [option, str(value)]
        return shlex.join([*words, "--key", str(self.key)])

    def send(self, server: RunningServer, as_said: str | None) -> Answer:
        """What the server answered. Tells how to send it again when it fails."""
        try:
            return server.post(
                self.path, self.body, command_id=self.key, if_match=self.if_match
            )
        except Failure:
            typer.echo(f"To send this very act again: {self.again(as_said)}", err=True)
            raise

    def with_body(self, **more: Any) -> Deed:
        """The same with what the server knew better."""
        return replace(self, body={**self.body, **more}, told={**self.told, **more})


def do(desk: Desk, deed: Deed, *, fields: frozenset[str], as_json: bool) -> None:
    """Send the act on what the actor sees now, and print what happened."""
    server = desk.actor(deed.request_id, centre=deed.body.get("centre"))
    if deed.request_id is not None:
        deed = _as_seen(server, deed, fields)
    answer = deed.send(server, desk.as_said)
    happened = desk.words(answer, deed.key)
    if as_json:
        print_json(
            {
                "happened": happened,
                "position": answer.position,
                "key": str(deed.key),
                "is_repeat": answer.is_repeat,
                "request": answer.body,
            }
        )
        return
    said = ", ".join(happened or ()) or "nothing changed"
    if happened is None:
        said = "done; the trail cannot be read yet, or not by this login"
    if answer.is_repeat:
        said += " (before; this was a repeat)"
    print_facts(
        {
            "happened": said,
            "position": answer.position,
            "key": deed.key,
            **facts_of(answer.body),
        }
    )


def _as_seen(server: RunningServer, deed: Deed, fields: frozenset[str]) -> Deed:
    """The act with the ETag, the token and the fee that the actor sees now."""
    try:
        page = server.get(f"/v1/requests/{deed.request_id}")
    except RefusedError as refused:
        # An act may take the request out of its actor's sight, as paying does a
        # bank's; sent again it is a repeat all the same.
        if refused.code != "not-found":
            raise
        return deed
    if deed.if_match is None:
        deed = replace(deed, if_match=page.etag)
    seen = page.body
    if "token" in fields and deed.body.get("token") is None:
        deed = deed.with_body(token=seen["token"])
    if "amount" in fields and deed.body.get("amount") is None:
        due = seen["fee_due"]
        if due is None:
            raise Failure("no fee is due", then="say what was paid with --amount")
        unit = deed.body.get("unit") or due["unit"]
        deed = deed.with_body(amount=due["amount"], unit=unit)
    return deed


def facts_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """What there is to show of a request, under its headings."""
    facts = {
        heading: value
        for name, heading in SHOWN.items()
        if (value := request.get(name)) is not None and value is not False
    }
    if due := request.get("fee_due"):
        facts["fee due"] = f"{due['amount']} hundredths of {due['unit']}"
    return facts
