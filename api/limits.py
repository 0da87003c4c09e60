"""What no request gets past: the size and kind of a body, and how often."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import answer
from domain.errors import SijilError

LARGEST_BODY_BYTES = 64 * 1024
"""A submission with two persons is under 4 kB; a body is read whole into memory."""
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class RateLimitedError(SijilError):
    """Too much at once or in a row; ``retry_after_s`` says when again."""

    code = "rate-limited"

    def __init__(self, *, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class BodyLimit:
    """Refuses bodies that are too large, announced or chunked, and not JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, within the bounds."""
        if (
            scope["type"] != "http"
            or scope["method"] not in _WITH_BODY
            or not _is_taken(scope)
        ):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        announced = request.headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced) > LARGEST_BODY_BYTES:
            await answer(request, "body-too-large")(scope, receive, send)
            return
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            await answer(request, "unsupported-media-type")(scope, receive, send)
            return
        try:
            body = await _whole(receive)
        except ClientDisconnect:
            # What came so far is not what was meant, and nobody waits for an answer.
            return
        if body is None:
            await answer(request, "body-too-large")(scope, receive, send)
            return
        is_given = False

        async def replayed() -> Message:
            nonlocal is_given
            if is_given:
                return await receive()
            is_given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replayed, send)


def _is_taken(scope: Scope) -> bool:
    """Whether a route takes the method; if none does, no body is read either."""
    app = scope.get("app")
    if app is None:
        return True
    return scope["method"] in app.state.addresses.methods(scope["path"])


async def _whole(receive: Receive) -> bytes | None:
    """The whole body; None as soon as it goes over the bound.

    Raises ClientDisconnect when its sender is gone before its end.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return bytes(body)
