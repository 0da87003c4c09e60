"""The views over requests against a plain fold written apart, as of any position.

Every act of the office is tried at random moments on every request; what the rules
refuse leaves nothing. The slow fold keeps whole states by position, decides what is
next by the aggregate itself, and knows nothing of the views' code.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.persistence import StoredEvent

from domain.acts import ActorKind
from domain.errors import SijilError
from domain.money import FeeKind, Unit
from domain.post import item_number
from domain.requests import (
    Answer,
    AssignedBecause,
    CorrectedBecause,
    CorrectedField,
    Declined,
    Delivery,
    Limit,
    Means,
    PaymentChannel,
    RefundedBecause,
    ReleasedBecause,
    ReturnedBecause,
    ServiceRequest,
    WarnedWhen,
    WithdrawnBecause,
)
from domain.services import Relationship
from domain.stages import NextAct, WaitingFor
from projections.timers import TimersQueries
from tests.conftest import Database
from tests.domain.office import DIGEST, WORKING_TIME, stamp, terms
from tests.projections.histories import MAPPER, Life, store
from tests.projections.live import EVERYTHING, NOW, Views, whole_queue

REQUESTS = 14
ROUNDS = 2_000
SOME_POSITIONS = 12


@pytest.fixture
def views(database: Database) -> Views:
    return Views(database)


class Anything(Life):
    """A request that anything may happen to, at the token it has."""

    def life(self) -> Any:
        while True:
            yield

    @property
    def token(self) -> int:
        return self.request.token

    @property
    def item(self) -> Any:
        return self.request.item

    def try_something(self) -> None:
        kind = self.random.choice((ActorKind.CLERK, ActorKind.SUPERVISOR))
        self.now = self.act(kind, self.request.clerk or "clk-1")
        with contextlib.suppress(SijilError):
            self.random.choice(ACTS)(self)


def respond(life: Anything) -> None:
    request, random, act = life.request, life.random, life.now
    outcome = random.choice(list(Answer))
    request.respond(
        act,
        working_time=WORKING_TIME,
        outcome=outcome,
        reason=None if outcome is Answer.ISSUED else "no-record",
        supersedes=request.answer_version,
        token=request.token,
    )


def mail(life: Anything) -> None:
    request, random, act = life.request, life.random, life.now
    item = item_number(random.randint(0, 10**8 - 1))
    to = random.choice((Delivery.HOME, Delivery.POST_OFFICE))
    request.mail(act, item=item, to=to, token=request.token)


def warn(life: Anything) -> None:
    request, random = life.request, life.random
    limit = random.choice(list(Limit))
    due = request.due_at if limit is Limit.COMPLETION else request.answer_due_at
    when = random.choice(list(WarnedWhen))
    request.warn(life.act(ActorKind.SYSTEM), limit=limit, when=when, due_at=due)


def expire(life: Anything) -> None:
    request, random = life.request, life.random
    due = request.payment_due_at or request.expires_at
    if due is not None and random.random() < 0.03:
        life.minutes += 20_000
        request.expire(life.act(ActorKind.SYSTEM), due_at=due)


def stamped(life: Anything) -> None:
    life.request.stamp(
        life.now,
        stamp=stamp(centre=life.centre),
        serial="ختم-DI-000001",
        working_time=WORKING_TIME,
        stamped_digest=DIGEST,
        token=life.token,
    )


ACTS: list[Any] = [
    lambda life: life.request.accept(
        life.now,
        terms=terms(
            direct_in=("*",) if life.direct else (), governorate=life.governorate
        ),
        documents=("id-card",),
        token=life.token,
    ),
    lambda life: (
        life.request.decline(life.now, reason=Declined.INELIGIBLE, token=life.token)
        if life.random.random() < 0.03
        else None
    ),
    lambda life: life.request.assign(
        life.act(ActorKind.SUPERVISOR),
        clerk=f"clk-{life.random.randint(1, 3)}",
        reason=AssignedBecause.SUPERVISOR,
    ),
    lambda life: life.request.claim(
        life.act(ActorKind.CLERK, f"clk-{life.random.randint(1, 3)}"),
        now=life.now.effective_at,
        lease_until=life.now.effective_at
        + timedelta(minutes=life.random.randint(1, 60)),
    ),
    lambda life: life.request.release(
        life.now,
        reason=life.random.choice(list(ReleasedBecause)),
        token=life.token,
        now=life.now.effective_at + timedelta(hours=2),
    ),
    lambda life: life.request.pay(
        life.now,
        channel=PaymentChannel.CASH,
        amount=3000,
        unit=Unit.NEW,
        token=life.token,
    ),
    lambda life: life.request.refund(
        life.now,
        kinds=(FeeKind.STATE_FEE,),
        reason=life.random.choice(list(RefundedBecause)),
        channel=PaymentChannel.CASH,
    ),
    lambda life: life.request.forward(
        life.now, working_time=WORKING_TIME, token=life.token
    ),
    respond,
    respond,
    lambda life: life.request.request_information(
        life.now, missing=("birth_place",), token=life.token
    ),
    lambda life: life.request.supply_information(
        life.now, supplied=("birth_place",), working_time=WORKING_TIME, token=life.token
    ),
    stamped,
    stamped,
    mail,
    lambda life: life.request.deliver(
        life.now, item=life.item, capacity=Relationship.SELF
    ),
    lambda life: life.request.collect(
        life.now, item=life.item, capacity=Relationship.SELF
    ),
    lambda life: life.request.bring_back(
        life.now,
        item=life.item,
        reason=life.random.choice(list(ReturnedBecause)),
    ),
    lambda life: life.request.hand_over(
        life.now, capacity=Relationship.SELF, token=life.token
    ),
    lambda life: life.request.tell_result(
        life.now, means=Means.PHONE, token=life.token
    ),
    lambda life: life.request.inform(life.now, message="ready", means=Means.SMS),
    warn,
    lambda life: (
        life.request.withdraw(life.now, reason=WithdrawnBecause.NOT_NEEDED)
        if life.random.random() < 0.03
        else None
    ),
    expire,
    lambda life: life.request.correct(
        life.now,
        field=CorrectedField.DELIVERY,
        reason=CorrectedBecause.TYPING_ERROR,
        delivery=life.random.choice(list(Delivery)),
    ),
]


def history_of_anything(views: Views, seed: int) -> None:
    random = Random(seed)  # noqa: S311 -- reproducible test data
    lives = []
    for number in range(REQUESTS):
        life = Anything(number, random)
        life.step()
        lives.append(life)
    for _ in range(ROUNDS):
        life = random.choice(lives)
        life.try_something()
        if life.request.pending_events:
            store(views.recorder, life.request)


class Slow:
    """What the views have to say, by folding the aggregates entry by entry."""

    def __init__(self, views: Views) -> None:
        self.requests: dict[UUID, ServiceRequest] = {}
        self.steps: dict[UUID, list[tuple[str, datetime]]] = {}
        self.since: dict[UUID, datetime] = {}
        self.last: dict[UUID, int] = {}
        self.shown: dict[UUID, int] = {}
        self.entries = list(views.reader.stream())

    def take(self, entry: Any) -> None:
        event: Any = MAPPER.to_domain_event(
            StoredEvent(
                originator_id=entry.aggregate_id,
                originator_version=entry.version,
                topic=entry.topic,
                state=entry.body,
            )
        )
        key = entry.aggregate_id
        before = self.requests.get(key)
        act = None if before is None else before.standing.next_act
        request: Any = event.mutate(before)
        self.requests[key] = request
        if request.standing.next_act is not act:
            self.since[key] = event.timestamp
        name = entry.topic.split(".")[2]
        self.steps.setdefault(key, []).append((name, event.timestamp))
        self.last[key] = entry.position
        if name not in {"informed", "warned"}:
            self.shown[key] = entry.position

    def queue(self) -> dict[UUID, tuple[Any, ...]]:
        """Clerk, token, what next, since and until, ETag, lease and position."""
        found = {}
        for key, request in self.requests.items():
            standing = request.standing
            if standing.next_act is NextAct.NOTHING:
                continue
            claim = request.claim_held
            found[key] = (
                request.clerk,
                request.token,
                standing.next_act,
                standing.waiting_for,
                self.since[key],
                until(request),
                request.etag_version,
                None if claim is None else claim.until,
                self.shown[key],
            )
        return found

    def in_the_post(self) -> set[UUID]:
        return {
            key
            for key, request in self.requests.items()
            if request.item is not None
            and not request.is_received
            and not request.is_returned
        }


def until(request: ServiceRequest) -> datetime | None:
    match request.standing.next_act:
        case NextAct.ACCEPT:
            return request.expires_at
        case NextAct.TAKE_FEE:
            return request.payment_due_at or request.due_at
        case NextAct.RECORD_REPLY if request.is_forwarded:
            return request.answer_due_at
        case NextAct.RECORD_INFORMATION | NextAct.DEAL_WITH_RETURN:
            return None
        case _:
            return request.due_at


def compare(views: Views, slow: Slow, position: int) -> None:
    """Queue, post and tracking as of a position against the slow fold there."""
    queue = {
        key: (
            item.clerk,
            item.token,
            item.next_act,
            item.waiting_for,
            item.since,
            item.until,
            item.etag_version,
            item.lease_until,
            item.position,
        )
        for key, item in whole_queue(views, position).items()
    }
    assert queue == slow.queue()
    post = views.queue.page(
        EVERYTHING, now=NOW, waiting_for=WaitingFor.POST, limit=200, as_of=position
    )
    assert {item.request_id for item in post.items} == slow.in_the_post()
    for key, request in slow.requests.items():
        row = views.tracking.by_id(key, as_of=position)
        assert row is not None
        state = row.state
        assert row.position == slow.last[key]
        assert row.whereabouts == request.whereabouts
        assert state.standing == request.standing
        assert state.next_act == request.standing.next_act
        assert (state.stage, state.clerk) == (request.stage, request.clerk)
        assert (state.version, state.etag_version) == (
            request.version,
            request.etag_version,
        )
        assert (state.due_at, state.payment_due_at, state.expires_at) == (
            request.due_at,
            request.payment_due_at,
            request.expires_at,
        )
        assert (state.item, state.delivery) == (request.item, request.delivery)
        steps = views.tracking.steps(key, as_of=position)
        assert [(step.name, step.effective_at) for step in steps] == slow.steps[key]


def timers(views: Views) -> list[Any]:
    far = datetime(2099, 1, 1, tzinfo=UTC)
    return list(TimersQueries(views.read).due(now=far, horizon=far))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_view_is_what_a_plain_fold_says_as_of_any_position(
    views: Views, seed: int
) -> None:
    history_of_anything(views, seed)
    views.runner.catch_up()
    slow = Slow(views)
    happened = {entry.topic for entry in slow.entries}
    assert len(happened) > 15, happened
    at = set(Random(seed).sample(range(1, len(slow.entries)), SOME_POSITIONS))  # noqa: S311
    for entry in slow.entries:
        slow.take(entry)
        if entry.position in at or entry.position == len(slow.entries):
            compare(views, slow, entry.position)


@pytest.mark.parametrize("size", [1, 7])
def test_the_size_of_a_batch_is_no_matter_whatever_happens(
    views: Views, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    history_of_anything(views, seed=9)
    views.runner.catch_up()
    whole, due = views.contents(), timers(views)
    views.start_over()
    monkeypatch.setattr("projections.runner.BATCH_SIZE", size)
    views.runner.catch_up()
    assert timers(views) == due
    assert views.contents() == whole
