"""The running server as the command line sees it: HTTP with a token, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin
from uuid import UUID

import httpx2

from api.cli.failures import COULD_NOT_ASK, Failure

_WORDS = {
    "date": "is no day written as 2026-11-23",
    "eleven-digits": "has not eleven digits",
    "greater_than_equal": "is too small",
    "in-the-future": "is in the future",
    "less_than_equal": "is too large",
    "may-be-a-persons-number": "may be a person's own number",
    "missing": "is missing",
    "not-paid-with-it": "was not paid with this payment",
    "order": "ends before it begins",
    "range": "is not in the range",
    "shape": "is not written as it has to be",
    "span": "is after the last day, or too long before it",
    "string_too_long": "is too long",
    "string_too_short": "is too short",
    "twice": "is given twice",
    "unknown-code": "is not known",
    "unknown-parameter": "is not asked for here",
    "value_error": "is not written as it has to be",
}
"""Commoner reason codes in words; the others say what they are."""
TIMEOUT_S = 30.0
"""Longer than any read waits for its view, so that the server's answer comes first."""
_FAILED = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server answered. ``position`` is the ledger's after a write."""

    status: int
    body: Any
    position: int | None = None
    etag: str | None = None
    location: str | None = None
    is_repeat: bool = False


class RefusedError(Failure):
    """The server said no; ``code`` is the problem's."""

    def __init__(self, status: int, problem: Mapping[str, Any], *, url: str) -> None:
        self.status = status
        self.code = str(problem.get("code", status))
        wrong = ", ".join(_told_error(error) for error in problem.get("errors", ()))
        facts = told_facts(problem.get("facts") or {})
        title = wrong or str(problem.get("title") or "")
        page = problem.get("type")
        super().__init__(
            f"the server answered {status} {self.code}",
            why=f"{title} ({facts})" if facts else title,
            then=f"see {urljoin(url, page)}" if page else "",
        )


class RunningServer:
    """One server, asked with one bearer token, or as anybody without one."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        headers = {"Accept-Language": "en"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        """The server itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its connections."""
        self._client.close()

    def get(self, path: str, **parameters: Any) -> Answer:
        """The answer to a read. Raises RefusedError, or Failure when nobody answers."""
        asked = {name: value for name, value in parameters.items() if value is not None}
        return self._ask("GET", path, params=asked)

    def post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        command_id: UUID,
        if_match: str | None = None,
    ) -> Answer:
        """The answer to an act; the same ``command_id`` may be sent again."""
        headers = {"Idempotency-Key": str(command_id)}
        if if_match is not None:
            headers["If-Match"] = if_match
        return self._ask("POST", path, json=dict(body), headers=headers)

    def must_have(self, noun: str, code: str) -> None:
        """Raise Failure unless the catalogue has such a thing: ``centres``, a code.

        What belongs to nothing is empty too, and nobody would see the slip.
        """
        try:
            self.get(f"/v1/{noun}/{code}")
        except RefusedError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            raise Failure(
                f"{code} is none of the {noun}",
                then=f"`sijil catalogue show {noun}` names them",
            ) from error

    def ask(self, path: str, body: Mapping[str, Any]) -> Answer:
        """The answer to a question that is too private for an address."""
        return self._ask("POST", path, json=dict(body))

    def _ask(self, method: str, path: str, **parts: Any) -> Answer:
        try:
            response = self._client.request(method, path, **parts)
        except httpx2.TransportError as error:
            raise Failure(
                f"nobody answers at {self.url}",
                why=str(error) or type(error).__name__,
                then="start it with `make run`, or name it with SIJIL_URL",
                exit_code=COULD_NOT_ASK,
            ) from error
        except UnicodeEncodeError:
            # Without its cause, which holds what was typed.
            raise Failure(
                "what was typed cannot be sent",
                why="it is not UTF-8",
                then="see the terminal's encoding",
                exit_code=COULD_NOT_ASK,
            ) from None
        body = _json(response)
        if response.status_code >= _FAILED:
            problem = body if isinstance(body, dict) else {}
            raise RefusedError(response.status_code, problem, url=self.url)
        position = response.headers.get("Ledger-Position")
        return Answer(
            status=response.status_code,
            body=body,
            position=None if position is None else int(position),
            etag=response.headers.get("ETag"),
            location=response.headers.get("Location"),
            is_repeat="Idempotency-Hit" in response.headers,
        )


def _told_error(error: Mapping[str, Any]) -> str:
    detail = str(error.get("detail"))
    name = str(error.get("pointer")).lstrip("/").replace("/", ".")
    return f"{name} {_WORDS.get(detail, detail)}"


def told_facts(facts: Mapping[str, Any]) -> str:
    """A problem's facts in words: who has it now, until when, what is due."""
    told = {name: str(value) for name, value in facts.items()}
    parts = []
    if holder := told.pop("holder", None):
        parts.append(f"{holder} has it now")
    if amount := told.pop("amount", told.pop("due", None)):
        unit = told.pop("unit", "")
        parts.append(f"{amount} hundredths of {unit} are due")
    parts += [f"{name.replace('_', ' ')} {value}" for name, value in told.items()]
    return ", ".join(parts)


def _json(response: httpx2.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
