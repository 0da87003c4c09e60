"""What no request gets past: the size of a body, and the kind of its content."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import answer

LARGEST_BODY_BYTES = 64 * 1024
"""A submission with two persons is under 4 kB; a body is read whole into memory."""
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class _TooLargeError(Exception):
    """The body went over the bound while it was read."""


class BodyLimit:
    """Refuses bodies that are too large, announced or chunked, and not JSON."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, within the bounds."""
        if scope["type"] != "http" or scope["method"] not in _WITH_BODY:
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
        received = 0
        is_begun = False

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST_BODY_BYTES:
                raise _TooLargeError
            return message

        async def noticed(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self._app(scope, bounded, noticed)
        except _TooLargeError:
            if not is_begun:
                await answer(request, "body-too-large")(scope, receive, send)
