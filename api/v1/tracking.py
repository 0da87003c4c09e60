"""Tracking for citizens: a number and a secret code, without an account."""

import contextlib
import time
from math import ceil
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from api.asking import TheHouse
from api.limits import RateLimitedError
from api.problems import responses
from api.settings import ApiSettings
from api.v1.answers import StepAnswer, TrackingAnswer
from api.v1.bodies import TrackingQuestion
from domain.errors import InvalidValueError, NotFoundError
from domain.ids import parse_tracking_number
from domain.persons import ascii_digits
from projections.requests import PREFIX
from projections.words import WORDS

router = APIRouter(prefix="/v1/tracking", tags=["tracking"])

FLOOR_S = 0.05
"""No answer comes sooner, so that its time does not tell right from wrong.

Right and wrong do the same look-ups; the floor hides what is left of a difference.
"""
_PRIVATE_STEPS = frozenset({"assigned", "claimed", "released", "warned", "corrected"})
"""Inner steps of the office that say nothing to a citizen."""


class TrackingLimits:
    """Bounds guessing by address and by number, in the memory of one process."""

    def __init__(self, settings: ApiSettings) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._by_address = RateLimitItemPerMinute(settings.tracking_per_minute)
        self._by_number = RateLimitItemPerHour(settings.tracking_per_number_per_hour)

    def check(self, address: str, number: str | None) -> None:
        """Count one look-up. Raises RateLimitedError over the bound.

        A mistyped number is nobody's: it counts for its address alone, or one
        person's slips would shut out another's.
        """
        bounds: list[tuple[RateLimitItem, str]] = [(self._by_address, address)]
        if number is not None:
            bounds.append((self._by_number, number))
        for item, key in bounds:
            if not self._limiter.hit(item, "tracking", key):
                reset = self._limiter.get_window_stats(item, "tracking", key).reset_time
                raise RateLimitedError(retry_after_s=max(1, ceil(reset - time.time())))


def _limits(request: Request) -> TrackingLimits:
    limits: TrackingLimits = request.app.state.tracking_limits
    return limits


@router.post(
    "",
    operation_id="track_request",
    summary="Ask where a request stands",
    responses=responses(
        "not-found",
        "rate-limited",
        "invalid-value",
        "malformed-json",
        "body-too-large",
        "unsupported-media-type",
        "ledger-unavailable",
    ),
)
def track(
    question: TrackingQuestion,
    request: Request,
    response: Response,
    house: TheHouse,
    limits: Annotated[TrackingLimits, Depends(_limits)],
) -> TrackingAnswer:
    """Ask with the number and the code on the receipt. No login is needed."""
    began = time.monotonic()
    number = None
    with contextlib.suppress(InvalidValueError):
        number = parse_tracking_number(ascii_digits(question.number))
    address = request.client.host if request.client else "unknown"
    limits.check(address, number)
    found = house.tracking.look(question.number, question.code)
    answer = None
    if found is not None:
        state = found.request.state
        answer = TrackingAnswer(
            tracking_number=state.tracking_number,
            service=state.service,
            centre=state.centre,
            stage=state.stage,
            outcome=state.outcome,
            reason=state.reason,
            missing=state.missing,
            next_act=state.standing.next_act,
            due_at=state.due_at,
            payment_due_at=state.payment_due_at,
            item=state.item,
            steps=[
                StepAnswer.of(step, WORDS[f"{PREFIX}{step.name}.v1"])
                for step in found.steps
                if step.name not in _PRIVATE_STEPS
            ],
        )
    time.sleep(max(0.0, began + FLOOR_S - time.monotonic()))
    if answer is None:
        raise NotFoundError(thing="tracking")
    response.headers["Cache-Control"] = "no-store"
    return answer
