"""One line of log a request, a trace id on it, and no error that says too much."""

from __future__ import annotations

import secrets
import time
import traceback
from pathlib import Path

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from domain.acts import ActorKind

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""What every answer has unless its route says otherwise."""
_FRAMES = 5
"""Places of an unforeseen error that are logged: the last ones, where it began."""

_log = structlog.get_logger()


class Observed:
    """The outermost layer: it sees every answer, also those that went wrong.

    The line has the route's template, never the path or the query: what was typed
    there may be a person's. A citizen's subject is left out too. An unforeseen error
    ends here, told by its type and places alone: its words may repeat what was sent,
    and the server's own log would print them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request.state.trace_id = trace_id = secrets.token_hex(8)
        began = time.monotonic()
        status: int | None = None

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers["Trace-Id"] = trace_id
            await send(message)

        with structlog.contextvars.bound_contextvars(trace_id=trace_id):
            try:
                await self._app(scope, receive, seen)
            except Exception as error:  # noqa: BLE001 -- the outermost layer
                _log.error("api.internal_error", **_told(error))
                # A half-sent answer is left unfinished: the server cuts it off.
                if status is None:
                    await problems.answer(request, "internal-error")(
                        scope, receive, seen
                    )
            _log.info("api.request", **_line(request, status, began))


def _told(error: Exception) -> dict[str, object]:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return {
        "error": type(error).__name__,
        "at": [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames],
    }


def _line(request: Request, status: int | None, began: float) -> dict[str, object]:
    principal = getattr(request.state, "principal", None)
    is_citizen = principal is not None and principal.role is ActorKind.CITIZEN
    return {
        "method": request.method,
        "route": getattr(request.scope.get("route"), "path", None),
        "status": status,
        "duration_ms": round((time.monotonic() - began) * 1000, 1),
        "role": None if principal is None else str(principal.role),
        "actor": None if principal is None or is_citizen else principal.id,
    }
