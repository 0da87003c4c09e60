"""The paper leaves, comes back, is received; the citizen is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.acts import Act
from domain.errors import NotPostableError
from domain.post import parse_item_number
from domain.requests.facts import Answer, Delivery, Means, ReturnedBecause
from domain.requests.guards import (
    must_be_allowed_to_receive,
    must_be_in_progress,
    must_be_ready_to_leave,
    must_be_settled,
    must_have_paper_here,
    must_hold,
    must_not_stand_still,
    wrong_state,
)
from domain.services import FeeDue, Relationship, Terms

if TYPE_CHECKING:
    from domain.requests.record import ServiceRequest


def mail(
    request: ServiceRequest,
    act: Act,
    *,
    item: str,
    to: Delivery,
    token: int | None = None,
) -> None:
    """Give the paper to the post; the first mailing completes the request.

    What came back may be mailed again, under a number that it never had.
    """
    terms = must_have_paper_here(request, "mail")
    must_hold(request, act, token)
    must_be_ready_to_leave(request, "mail", terms)
    if not terms.post or to is Delivery.COUNTER or terms.fee_due is FeeDue.HAND_OVER:
        raise NotPostableError
    number = parse_item_number(item)
    # A late scan of an earlier journey must never be taken for one of this journey.
    if number == request.item or number in request.former_items:
        raise wrong_state(request, "mail", "same-item")
    request._happened(request.Mailed, act, item=number, to=to)


def deliver(
    request: ServiceRequest, act: Act, *, item: str, capacity: Relationship
) -> None:
    """Record that the post delivered the item at home to who may receive it."""
    number, terms = _on_its_way(request, "deliver", item)
    if request.mailed_to is Delivery.POST_OFFICE:
        raise wrong_state(request, "deliver", "to-post-office")
    must_be_allowed_to_receive(capacity, terms)
    request._happened(
        request.Delivered,
        act,
        item=number,
        capacity=capacity,
        condition=terms.receipt,
    )


def collect(
    request: ServiceRequest, act: Act, *, item: str, capacity: Relationship
) -> None:
    """Record that the item was fetched at a post office by who may receive it.

    What was sent home and met nobody is kept at the post office, and fetched there.
    """
    number, terms = _on_its_way(request, "collect", item)
    must_be_allowed_to_receive(capacity, terms)
    request._happened(
        request.Collected,
        act,
        item=number,
        capacity=capacity,
        condition=terms.receipt,
    )


def bring_back(
    request: ServiceRequest, act: Act, *, item: str, reason: ReturnedBecause
) -> None:
    """Record that the item came back; it opens work, and ends nothing again."""
    number, _ = _on_its_way(request, "bring-back", item)
    request._happened(request.Returned, act, item=number, reason=reason)


def _on_its_way(request: ServiceRequest, act: str, item: str) -> tuple[str, Terms]:
    """The number of the item that is in the post now, and the terms it goes under."""
    if request.terms is None or request.item is None:
        raise wrong_state(request, act, "not-mailed")
    if request.is_received:
        raise wrong_state(request, act, "received-already")
    if request.is_returned:
        raise wrong_state(request, act, "returned-already")
    if parse_item_number(item) != request.item:
        raise wrong_state(request, act, "other-item")
    return request.item, request.terms


def hand_over(
    request: ServiceRequest,
    act: Act,
    *,
    capacity: Relationship,
    token: int | None = None,
) -> None:
    """Hand the paper over at the counter under its receipt condition."""
    terms = must_have_paper_here(request, "hand-over")
    must_hold(request, act, token)
    must_be_ready_to_leave(request, "hand-over", terms)
    must_be_allowed_to_receive(capacity, terms)
    request._happened(
        request.HandedOver, act, capacity=capacity, condition=terms.receipt
    )


def tell_result(
    request: ServiceRequest, act: Act, *, means: Means, token: int | None = None
) -> None:
    """Tell the citizen; completes refusals and services without paper."""
    terms = must_be_in_progress(request, "tell-result")
    must_hold(request, act, token)
    must_not_stand_still(request, "tell-result")
    if request.answer not in {Answer.ISSUED, Answer.REFUSED}:
        raise wrong_state(request, "tell-result", "not-answered")
    if request.answer is Answer.ISSUED:
        if terms.paper:
            raise wrong_state(request, "tell-result", "paper-must-leave")
        must_be_settled(request)
    request._happened(request.ResultTold, act, outcome=request.answer, means=means)


def inform(request: ServiceRequest, act: Act, *, message: str, means: Means) -> None:
    """Record that a message went to the citizen; it changes no stage."""
    request._happened(request.Informed, act, message=message, means=means)
