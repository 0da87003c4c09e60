"""The HTTP server: every route, every problem, one log line a request."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

from api import health, problems
from api.limits import BodyLimit
from api.settings import ApiSettings
from api.tokens import TokenReader
from api.v1 import acts, reading, requests, tracking
from domain.errors import NotFoundError
from office.house import House

_log = structlog.get_logger()
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def create_app(house: House, settings: ApiSettings) -> FastAPI:
    """The application over an open house. It closes the house when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        house.close()

    app = FastAPI(
        title="Sijil",
        summary="سجل: the ledger of a country's citizen service centres",
        version=version("sijil"),
        lifespan=lifespan,
        # The interactive descriptions load scripts from elsewhere: none here.
        docs_url=None,
        redoc_url=None,
    )
    app.state.house = house
    app.state.settings = settings
    app.state.tokens = TokenReader(settings, citizen=house.citizen)
    app.state.tracking_limits = tracking.TrackingLimits(settings)
    problems.install(app)
    for router in (requests.router, acts.router, reading.router, tracking.router):
        app.include_router(router)
    app.include_router(health.router)
    app.add_api_route(
        "/problems/{code}",
        problem_page,
        tags=["health"],
        operation_id="get_problem",
        summary="What a problem means",
        response_class=PlainTextResponse,
        responses=problems.responses("not-found"),
    )
    app.add_middleware(BodyLimit)
    app.middleware("http")(_observe)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def problem_page(code: str) -> PlainTextResponse:
    """Say what a problem code means and what to do, in Arabic and English."""
    kind = problems.KINDS.get(code)
    if kind is None:
        raise NotFoundError(thing="problem")
    return PlainTextResponse(
        f"{code} ({kind.status})\n\n{kind.ar}\n{kind.then_ar}\n\n"
        f"{kind.en}\n{kind.then_en}\n"
    )


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description: FastAPI's, with our problems instead of its own."""
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        components = schema.setdefault("components", {}).setdefault("schemas", {})
        components["Problem"] = problems.PROBLEM_SCHEMA
        for name in ("HTTPValidationError", "ValidationError"):
            components.pop(name, None)
        for path in schema["paths"].values():
            for operation in path.values():
                _without_fastapis_own(operation["responses"])
        app.openapi_schema = schema
    return app.openapi_schema


def _without_fastapis_own(declared: dict[str, Any]) -> None:
    """Drop the validation answer FastAPI promises where we declare none."""
    unprocessable = declared.get("422", {}).get("content", {})
    if "application/json" in unprocessable:
        unprocessable.pop("application/json")
        if not unprocessable:
            declared.pop("422")


async def _observe(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Give a request its trace id and write one line of log about it.

    The line has the route's template, never the path or the query: what was typed
    there may be a person's. A citizen's subject is left out too.
    """
    request.state.trace_id = secrets.token_hex(8)
    began = time.monotonic()
    response = await call_next(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Trace-Id"] = request.state.trace_id
    principal = getattr(request.state, "principal", None)
    is_citizen = principal is not None and principal.role == "citizen"
    _log.info(
        "api.request",
        trace_id=request.state.trace_id,
        method=request.method,
        route=getattr(request.scope.get("route"), "path", None),
        status=response.status_code,
        duration_ms=round((time.monotonic() - began) * 1000, 1),
        role=None if principal is None else str(principal.role),
        actor=None if principal is None or is_citizen else principal.id,
    )
    return response
