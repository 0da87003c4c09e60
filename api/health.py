"""Health: alive, and ready to serve. No secrets and no names of machines."""

from typing import Any

from eventsourcing.persistence import PersistenceError
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from api.settings import ApiSettings
from ledger import migrations
from ledger.mark import has_returned
from office.errors import LedgerUnavailableError
from office.house import House
from office.keeping import EARLIER
from projections.schema import not_made

RETURNED = (
    "the ledger came back from a backup and takes no acts until it is resumed "
    "(sijil ledger resume)"
)

router = APIRouter(tags=["health"])


@router.get("/livez", operation_id="livez", summary="Whether the process answers")
def livez() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Whether the office can work",
    responses={503: {"description": "Not ready; `reasons` says why"}},
)
def readyz(request: Request) -> JSONResponse:
    """Say whether both databases answer and are migrated, and the views keep up.

    And whether the ledger takes acts: not before it is resumed, once it came back.
    """
    house: House = request.app.state.house
    settings: ApiSettings = request.app.state.settings
    reasons: list[str] = []
    views: list[dict[str, Any]] = []
    try:
        waiting = migrations.pending(house.settings)
        reasons += [f"migration {name} is not applied" for name in waiting]
        head = house.ledger.reader.head()
        if head.is_suspended:
            reasons.append(RETURNED)
        elif has_returned(house.ledger.reader, house.settings.home):
            reasons.append(EARLIER)
        levels = house.queries.progress.levels()
        reasons += [f"view {name} is not migrated" for name in not_made(levels)]
        for level in levels:
            lag = max(0, head.position - level.position)
            views.append(
                {
                    "view": level.view,
                    "position": level.position,
                    "lag": lag,
                    "failed_position": level.failed_position,
                    "failed_code": level.failed_code,
                }
            )
            if level.position > head.position:
                reasons.append(
                    f"view {level.view} has seen {level.position - head.position} "
                    "entries that the ledger has not: it is an earlier one "
                    "(sijil ledger suspend)"
                )
            elif level.error is not None:
                reasons.append(f"view {level.view} stopped: {level.error}")
            elif lag > settings.largest_lag:
                reasons.append(f"view {level.view} is {lag} entries behind")
    except PersistenceError:
        reasons = ["the database does not answer"]
    try:
        waiting = migrations.vault_pending(house.settings)
        reasons += [f"the vault's migration {name} is not applied" for name in waiting]
        # Any look-up shows it: this login has opened nothing.
        house.citizen("")
    except (LedgerUnavailableError, PersistenceError):
        reasons.append("the vault does not answer")
    return JSONResponse(
        {
            "status": "not-ready" if reasons else "ready",
            "reasons": reasons,
            "views": views,
        },
        status_code=503 if reasons else 200,
    )
