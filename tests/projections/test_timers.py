"""The view of timers against the requests themselves, and what it shows as due."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from domain.acts import Act, Actor, ActorKind
from domain.errors import SijilError
from domain.ids import derived_id, tracking_number
from domain.money import Unit
from domain.requests import (
    Answer,
    AssignedBecause,
    Channel,
    Delivery,
    GivenWarning,
    Limit,
    Means,
    Party,
    PartyRole,
    PaymentChannel,
    ReleasedBecause,
    ServiceRequest,
    WarnedWhen,
    WithdrawnBecause,
)
from domain.services import FeeDue, Relationship
from domain.stages import Stage
from ledger.names import VIEWS_SCHEMA
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from projections.runner import ViewRunner
from projections.timers import BATCH, Timer, TimerKind, TimersQueries
from tests.conftest import Database
from tests.domain.office import DIGEST, NINE, WORKING_TIME, stamp, terms
from tests.projections.histories import store

CLERK = "clk-1"
PLACE = "SY-DI-01"
LONG_AGO = NINE - timedelta(days=3650)
FAR_AHEAD = NINE + timedelta(days=3650)


class Folded:
    """A ledger, its views, and what the scheduler asks of them."""

    def __init__(self, database: Database) -> None:
        self.recorder = PostgresProcessRecorder(database.datastore("app"))
        self.runner = ViewRunner(
            database.datastore("runner", schema=VIEWS_SCHEMA),
            LedgerReader(database.datastore("runner")),
        )
        self.written = database.datastore("runner", schema=VIEWS_SCHEMA)
        self.timers = TimersQueries(database.datastore("app", schema=VIEWS_SCHEMA))

    def due(self, now: datetime, horizon: datetime | None = None) -> list[Timer]:
        return list(self.timers.due(now=now, horizon=horizon or now))

    def rows(self, request: ServiceRequest) -> dict[str, tuple[Any, ...]]:
        """The current rows of a request: due time, step, whether it runs, token."""
        with self.written.autocommit() as cursor:
            cursor.execute(
                "SELECT kind, due_at, is_before, is_running, token FROM timers"
                " WHERE valid_to IS NULL AND request_id = %s::uuid",
                (str(request.id),),
            )
            return {kind: tuple(rest) for kind, *rest in cursor.fetchall()}


@pytest.fixture
def folded(database: Database) -> Iterator[Folded]:
    return Folded(database)


class Life:
    """One request to which anything may happen, at any time that moves on."""

    def __init__(self, seed: int, *, is_imported: bool = False) -> None:
        self.is_imported = is_imported
        self.random = Random(seed)  # noqa: S311 -- reproducible test data
        self.now = NINE + timedelta(minutes=seed)
        self.id = derived_id(f"timed/{seed}", NINE)
        expires = self.now + timedelta(days=30) if self.random.random() < 0.8 else None
        self.request = ServiceRequest.submit(
            self.act(ActorKind.CITIZEN),
            request_id=self.id,
            service="CIV-06",
            agency="CIV",
            centre=PLACE,
            governorate="SY-DI",
            channel=Channel.ONLINE,
            parties=(Party(role=PartyRole.APPLICANT, id=derived_id("p", NINE)),),
            relationship=Relationship.SELF,
            documents=("id-card",),
            delivery=Delivery.HOME,
            tracking_number=tracking_number(self.id),
            code_key="k1",
            expires_at=expires,
        )

    def act(self, kind: ActorKind = ActorKind.CLERK) -> Act:
        if self.is_imported:
            kind = ActorKind.IMPORT
        return Act(
            command_id=derived_id(f"{self.id}/{self.now}", self.now),
            actor=Actor(kind=kind, id=CLERK, place=PLACE),
            correlation_id=self.id,
            effective_at=self.now,
        )

    def step(self) -> None:
        """Try something; what the rules refuse does not happen."""
        hours = self.random.choice([0, 0, 1, 5, 30, 100])
        self.now += timedelta(hours=hours, minutes=self.random.randint(1, 59))
        name = self.random.choice(USUAL if self.random.random() < 0.4 else DOABLE)
        with suppress(SijilError):
            DOINGS[name](self)

    @property
    def token(self) -> int:
        return self.request.token

    def system(self) -> Act:
        """An act of the scheduler: bookkeeping takes the time of the last event."""
        return self.act(ActorKind.SYSTEM)

    def warn(self, limit: Limit) -> None:
        request = self.request
        due = request.answer_due_at if limit is Limit.FIRST_ANSWER else request.due_at
        if due is not None:
            side = WarnedWhen.BEFORE if self.now < due else WarnedWhen.AFTER
            request.warn(self.system(), limit=limit, when=side, due_at=due)

    def expire(self) -> None:
        request = self.request
        for due in (request.expires_at, request.payment_due_at):
            if due is not None and due <= self.now:
                request.expire(self.system(), due_at=due)

    def accept(self) -> None:
        self.request.accept(
            self.act(),
            terms=terms(
                self.now,
                direct_in=("*",) if self.random.random() < 0.3 else (),
                fee_due=self.random.choice(list(FeeDue)),
                completion_days=self.random.choice([0, 1, 5]),
            ),
            documents=("id-card",),
            token=self.token,
        )


DOINGS: dict[str, Callable[[Life], None]] = {
    "assign": lambda life: life.request.assign(
        life.system(),
        clerk=life.random.choice([CLERK, "clk-2"]),
        reason=AssignedBecause.RESPONSIBLE,
    ),
    "claim": lambda life: life.request.claim(
        life.act(), now=life.now, lease_until=life.now + timedelta(hours=2)
    ),
    "give back": lambda life: life.request.release(
        life.act(), reason=ReleasedBecause.GIVEN_BACK, token=life.token
    ),
    "end lease": lambda life: life.request.release(
        life.system(),
        reason=ReleasedBecause.LEASE_ENDED,
        token=life.token,
        now=life.now,
    ),
    "accept": Life.accept,
    "accept again": Life.accept,
    "pay": lambda life: life.request.pay(
        life.act(),
        channel=PaymentChannel.CASH,
        amount=3000,
        unit=Unit.NEW,
        token=life.token,
    ),
    "forward": lambda life: life.request.forward(
        life.act(), working_time=WORKING_TIME, token=life.token
    ),
    "ask": lambda life: life.request.request_information(
        life.act(), missing=("family-book",), token=life.token
    ),
    "supply": lambda life: life.request.supply_information(
        life.act(),
        supplied=("family-book",),
        working_time=WORKING_TIME,
        token=life.token,
    ),
    "answer": lambda life: life.request.respond(
        life.act(),
        outcome=Answer.ISSUED,
        working_time=WORKING_TIME,
        token=life.token,
    ),
    "refuse": lambda life: life.request.respond(
        life.act(),
        outcome=Answer.REFUSED,
        reason="no-record",
        working_time=WORKING_TIME,
        token=life.token,
    ),
    "need more": lambda life: life.request.respond(
        life.act(),
        outcome=Answer.INFORMATION_NEEDED,
        reason="family-book",
        working_time=WORKING_TIME,
        token=life.token,
    ),
    "stamp": lambda life: life.request.stamp(
        life.act(),
        stamp=stamp(centre=PLACE),
        serial="ختم-DI-000001",
        stamped_digest=DIGEST,
        working_time=WORKING_TIME,
        token=life.token,
    ),
    "hand over": lambda life: life.request.hand_over(
        life.act(), capacity=Relationship.SELF, token=life.token
    ),
    "tell": lambda life: life.request.tell_result(
        life.act(), means=Means.PHONE, token=life.token
    ),
    "withdraw": lambda life: (
        life.request.withdraw(life.act(), reason=WithdrawnBecause.NOT_NEEDED)
        if life.random.random() < 0.2
        else None
    ),
    "warn of the answer": lambda life: life.warn(Limit.FIRST_ANSWER),
    "warn of completion": lambda life: life.warn(Limit.COMPLETION),
    "expire": Life.expire,
}

DOABLE = sorted(DOINGS)
USUAL = ["claim", "accept", "pay", "forward"]
"""Tried more often, so that many requests come far."""


def expected(request: ServiceRequest) -> dict[str, tuple[Any, ...]]:
    """What is pending, read from the request: due time, whether it runs, token."""
    found: dict[str, tuple[Any, ...]] = {}
    is_in_progress = request.stage is Stage.IN_PROGRESS
    if request.stage is Stage.WAITING and request.expires_at is not None:
        found[TimerKind.EXPIRY] = (request.expires_at, True, None)
    if is_in_progress and request.is_fee_outstanding and request.payment_due_at:
        found[TimerKind.EXPIRY] = (request.payment_due_at, True, None)
    if request.standing.is_open and request.claim_held is not None:
        lease = request.claim_held.until
        found[TimerKind.LEASE] = (lease, True, request.token)
    is_running = not request.standing.is_clock_stopped
    if is_in_progress and request.is_forwarded and request.answer is None:
        due = request.answer_due_at
        if due and not is_warned(request, Limit.FIRST_ANSWER, due, WarnedWhen.AFTER):
            found[TimerKind.FIRST_ANSWER] = (due, is_running, None)
    if is_in_progress and request.due_at is not None:
        due = request.due_at
        if not is_warned(request, Limit.COMPLETION, due, WarnedWhen.AFTER):
            found[TimerKind.COMPLETION] = (due, is_running, None)
    return found


def is_warned(
    request: ServiceRequest, limit: Limit, due: datetime, when: WarnedWhen
) -> bool:
    return GivenWarning(limit=limit, when=when, due_at=due) in request.warnings_given


def live(folded: Folded, *, requests: int, steps: int, seed: int) -> list[Life]:
    lives = [Life(seed * 1000 + number) for number in range(requests)]
    for life in lives:
        for _ in range(life.random.randint(0, steps)):
            life.step()
    for life in lives:
        store(folded.recorder, life.request)
    return lives


def test_what_is_pending_is_what_the_requests_say(folded: Folded) -> None:
    lives = live(folded, requests=300, steps=60, seed=1)
    folded.runner.catch_up()
    met: set[str] = set()
    for life in lives:
        rows = folded.rows(life.request)
        seen = {
            kind: (due, is_running, token)
            for kind, (due, _, is_running, token) in rows.items()
        }
        assert seen == expected(life.request), life.request.stage
        for limit in Limit:
            if (row := rows.get(limit)) and is_warned(
                life.request, limit, row[0], WarnedWhen.BEFORE
            ):
                assert not row[1]
        met |= set(rows)
    assert met == set(TimerKind)


def test_an_answer_that_takes_a_positive_one_back_ends_the_time_to_pay(
    folded: Folded,
) -> None:
    for outcomes in (
        (Answer.ISSUED,),
        (Answer.ISSUED, Answer.REFUSED),
        (Answer.ISSUED, Answer.INFORMATION_NEEDED),
    ):
        life = Life(len(outcomes) * 100 + len(outcomes[-1]))
        later = terms(fee_due=FeeDue.HAND_OVER, live_stamp=False)
        life.request.assign(
            life.system(), clerk=CLERK, reason=AssignedBecause.RESPONSIBLE
        )
        life.request.accept(
            life.act(), terms=later, documents=("id-card",), token=life.token
        )
        for outcome in outcomes:
            life.request.respond(
                life.act(),
                outcome=outcome,
                reason=None if outcome is Answer.ISSUED else "record-disputed",
                supersedes=life.request.answer_version,
                working_time=WORKING_TIME,
                token=life.token,
            )
        store(folded.recorder, life.request)
        folded.runner.catch_up()
        is_due = TimerKind.EXPIRY in folded.rows(life.request)
        assert is_due is (outcomes == (Answer.ISSUED,))


def test_what_has_come_is_read_in_order_page_by_page(
    folded: Folded, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(folded, requests=60, steps=12, seed=9)
    folded.runner.catch_up()
    whole = folded.due(FAR_AHEAD, FAR_AHEAD)
    assert 7 < len(whole) < BATCH
    monkeypatch.setattr("projections.timers.BATCH", 7)
    assert folded.due(FAR_AHEAD, FAR_AHEAD) == whole
    for steps in (True, False):
        times = [timer.due_at for timer in whole if timer.is_before is steps]
        assert times == sorted(times)
    assert not folded.due(LONG_AGO)
    middle = whole[len(whole) // 2].due_at
    assert folded.due(middle, LONG_AGO) == [
        timer for timer in whole if timer.due_at <= middle and not timer.is_before
    ]


def test_what_was_taken_over_sets_no_timer_until_the_office_acts(
    folded: Folded,
) -> None:
    life = Life(1, is_imported=True)
    request = life.request
    request.accept(
        life.act(), terms=terms(life.now, direct_in=()), documents=("id-card",)
    )
    # Its time to pay was over long ago, so that the rules give none.
    assert request.payment_due_at is None
    store(folded.recorder, request)
    folded.runner.catch_up()
    assert not folded.rows(request)
    life.is_imported = False
    for name in ("assign", "pay", "forward"):
        life.now += timedelta(minutes=1)
        if name == "assign":
            request.assign(
                life.system(), clerk=CLERK, reason=AssignedBecause.RESPONSIBLE
            )
        else:
            DOINGS[name](life)
    store(folded.recorder, request)
    folded.runner.catch_up()
    assert set(folded.rows(request)) == {TimerKind.FIRST_ANSWER}
