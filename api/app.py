"""The HTTP server: every route, every problem, one description."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.responses import PlainTextResponse

from api import description, health, problems
from api.addresses import Addresses
from api.asking import only_known_questions
from api.limits import BodyLimit
from api.observing import Observed
from api.settings import ApiSettings
from api.spreadsheets import Downloads
from api.tokens import TokenReader
from api.v1 import (
    acts,
    catalogue,
    conditions,
    counts,
    dead_letters,
    desk,
    events,
    evidence,
    followed,
    inbox,
    papers,
    payments,
    people,
    places,
    post,
    queue,
    requests,
    tracking,
    trails,
    turnaround,
    unmatched_payments,
    work,
)
from domain.errors import NotFoundError
from office.house import House


def create_app(house: House, settings: ApiSettings) -> FastAPI:
    """The application over an open house. It closes the house when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.live.streams.end()
        house.close()

    app = FastAPI(
        title="Sijil",
        summary="سجل: the ledger of a country's citizen service centres",
        version=version("sijil"),
        lifespan=lifespan,
        # The interactive descriptions load scripts from elsewhere: none here.
        docs_url=None,
        redoc_url=None,
        # A redirect would name the host that the client claimed to have asked.
        redirect_slashes=False,
    )
    app.state.house = house
    app.state.addresses = Addresses(app)
    app.state.settings = settings
    app.state.tokens = TokenReader(
        settings, citizen=house.citizen, officer=house.officer
    )
    app.state.tracking_limits = tracking.TrackingLimits(settings)
    app.state.search_limits = people.SearchLimits()
    app.state.downloads = Downloads()
    app.state.live = events.Live.of(house)
    problems.install(app)
    for router in (
        requests.router,
        *acts.ROUTERS,
        work.router,
        conditions.router,
        people.router,
        queue.router,
        counts.router,
        turnaround.router,
        evidence.router,
        followed.router,
        *events.ROUTERS,
        trails.router,
        catalogue.router,
        places.router,
        desk.router,
        inbox.router,
        papers.router,
        payments.router,
        unmatched_payments.router,
        post.router,
        dead_letters.router,
        tracking.router,
    ):
        app.include_router(router, dependencies=[Depends(only_known_questions)])
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
    app.add_middleware(Observed)
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
    """The description: FastAPI's, with our problems, headers and links."""
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        components = schema.setdefault("components", {}).setdefault("schemas", {})
        components["Problem"] = problems.PROBLEM_SCHEMA
        for name in ("HTTPValidationError", "ValidationError"):
            components.pop(name, None)
        for path in schema["paths"].values():
            for operation in path.values():
                _without_fastapis_own(operation["responses"])
        description.complete(schema)
        app.openapi_schema = schema
    return app.openapi_schema


def _without_fastapis_own(declared: dict[str, Any]) -> None:
    """Drop the validation answer FastAPI promises where we declare none."""
    unprocessable = declared.get("422", {}).get("content", {})
    if "application/json" in unprocessable:
        unprocessable.pop("application/json")
        if not unprocessable:
            declared.pop("422")
