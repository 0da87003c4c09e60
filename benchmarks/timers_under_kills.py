"""Claim: killed at random moments, the scheduler does each thing once and no other.

Requests are made so that each kind of timer falls due: expiry of what nobody accepted
and of what nobody paid for, the end of a lease, warnings before and after both limits;
others where nothing may happen. Schedulers run by twos, as processes that are killed
at random moments and started again, while the views follow. Then the ledger is read:
what each request met is compared with what it had to meet, event by event, and the ids
of the commands with those that their names give. The outcome is kept under
``results/``. The test of the scheduler runs the same with fewer requests.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from threading import Event
from uuid import UUID

from benchmarks.append import installation
from domain.acts import Act, Actor, ActorKind
from domain.calendars import OFFICE_ZONE
from domain.ids import derived_id, new_id, tracking_number
from domain.money import FeeKind, FeeLine, Unit
from domain.requests import (
    Channel,
    Delivery,
    Limit,
    Party,
    PartyRole,
    PaymentChannel,
    ServiceRequest,
    WarnedWhen,
    WithdrawnBecause,
)
from domain.services import FeeDue, Relationship, Route, Terms
from domain.working_time import WorkingTime
from ledger.bodies import plain
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from office.acts import Clock, utc_now
from office.house import House, ViewsRoom, migrate
from office.seeding import seed
from office.timers import NAME
from tests.forks import forks

RESULTS = Path(__file__).parent / "results"
GROUP = 500
"""Requests of each kind: there are six kinds, and some 4,000 things to do."""
KILLS = 240
LONGEST_LIFE_S = 0.4
"""Long enough to have done something, short enough to be cut off at it."""
FIRST_ACT_S = 20.0
"""How long a first act is waited for, so that something is struck at work."""
START_S = 60.0
FINISH_S = 600.0
AHEAD = timedelta(minutes=30)
"""How long before a due time the clock of a step stands; a step takes less."""
SEED = 20261124
"""Moments are random, but the same ones in every run."""
CLERK = "clk-DI-1"
CENTRE = "SY-DI-01"
FEE = (FeeLine(kind=FeeKind.STATE_FEE, amount=3000, unit=Unit.NEW),)
WORKING = WorkingTime([])
_EXPIRED = "sijil.request.expired.v1"
_RELEASED = "sijil.request.released.v1"
_WARNED = "sijil.request.warned.v1"

Happened = tuple[str, str, str]
"""What a timer did to a request: topic, which limit or reason, which side."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A request, what has to happen to it, and the names of the acts that do it."""

    id: UUID
    happens: Counter[Happened]
    commands: dict[UUID, str]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run showed. ``wrong`` must be empty."""

    requests: int
    things: int
    kills: int
    kills_at_work: int
    wrong: list[str]
    took_s: float


class Life:
    """One request, made step by step at nine on its day."""

    def __init__(self, number: int, nine: datetime, **submitted: datetime) -> None:
        self.at = nine + timedelta(seconds=number)
        self.id = new_id(self.at)
        self.request = ServiceRequest.submit(
            self.act(ActorKind.CITIZEN),
            request_id=self.id,
            service="CIV-01",
            agency="CIV",
            centre=CENTRE,
            governorate="SY-DI",
            channel=Channel.ONLINE,
            parties=(Party(role=PartyRole.APPLICANT, id=new_id(self.at)),),
            relationship=Relationship.SELF,
            documents=("id-card",),
            delivery=Delivery.HOME,
            tracking_number=tracking_number(self.id),
            code_key="k1",
            **submitted,
        )
        self.happens: Counter[Happened] = Counter()
        self.commands: dict[UUID, str] = {}

    def act(self, kind: ActorKind = ActorKind.CLERK) -> Act:
        """An act a second after the last one."""
        self.at += timedelta(seconds=1)
        return Act(
            command_id=new_id(self.at),
            actor=Actor(kind=kind, id=CLERK, place=CENTRE),
            correlation_id=self.id,
            effective_at=self.at,
        )

    def claimed(self, lease: timedelta) -> Life:
        """A clerk takes it in hand."""
        until = self.at + lease
        self.request.claim(self.act(), now=self.at, lease_until=until)
        return self

    def accepted(self) -> Life:
        """Accepted at nine: three days for an answer, five for all, seven to pay."""
        self.claimed(timedelta(days=400))
        at = self.at
        self.request.accept(
            self.act(),
            terms=Terms(
                agency="CIV",
                route=Route.REPLY,
                service_version=1,
                calendars=(),
                unpublished_years=(at.year,),
                first_answer_days=3,
                completion_days=5,
                due_at=WORKING.due(at, 5).at,
                fee_lines=FEE,
                fee_due=FeeDue.ACCEPTANCE,
                payment_days=7,
                paper=True,
                live_stamp=True,
                post=True,
                applicants=("self",),
                spouse_counts=False,
                receipt=("self",),
                documents=("id-card",),
                payment_due_at=WORKING.due(at, 7).at,
            ),
            documents=("id-card",),
            token=self.request.token,
        )
        return self

    def paid(self) -> Life:
        """The fee is taken."""
        self.request.pay(
            self.act(),
            channel=PaymentChannel.CASH,
            amount=3000,
            unit=Unit.NEW,
            token=self.request.token,
        )
        return self

    def forwarded(self) -> Life:
        """The agency is asked."""
        self.request.forward(self.act(), working_time=WORKING, token=self.request.token)
        return self

    def asked(self) -> Life:
        """The citizen is asked for something, and the clock stands still."""
        self.request.request_information(
            self.act(), missing=("family-book",), token=self.request.token
        )
        return self

    def withdrawn(self) -> Life:
        """The citizen takes it back."""
        self.request.withdraw(
            self.act(ActorKind.CITIZEN), reason=WithdrawnBecause.NOT_NEEDED
        )
        return self

    # What has to happen ----------------------------------------------------------

    def expires(self, reason: str, due_at: datetime) -> Life:
        """It has to expire, once."""
        self._expect(
            (_EXPIRED, reason, ""),
            f"timer/expiry/{self.id}/{plain(due_at)}",
            due_at,
        )
        return self

    def is_released(self, until: datetime) -> Life:
        """Its lease has to end, once."""
        self._expect(
            (_RELEASED, "lease_ended", ""),
            f"timer/lease/{self.id}/{self.request.token}",
            until,
        )
        return self

    def is_warned(self, limit: Limit, due_at: datetime | None) -> Life:
        """Its limit has to be warned of, once before and once after."""
        assert due_at is not None
        for side in WarnedWhen:
            self._expect(
                (_WARNED, limit, side),
                f"timer/warning/{self.id}/{limit}/{side}/{plain(due_at)}",
                due_at,
            )
        return self

    def _expect(self, happened: Happened, name: str, due_at: datetime) -> None:
        self.happens[happened] += 1
        self.commands[derived_id(name, due_at)] = name


def nine_o_clock(now: datetime) -> datetime:
    """Nine in the morning of a Sunday seven or eight weeks ago, in Damascus."""
    day = (now - timedelta(days=50)).astimezone(OFFICE_ZONE)
    day -= timedelta(days=(day.weekday() + 1) % 7)
    return day.replace(hour=9, minute=0, second=0, microsecond=0).astimezone(UTC)


def make(house: House, *, group: int, nine: datetime) -> list[Planned]:
    """So many requests of each of the six kinds, in the ledger."""
    lives = []
    for number in range(group):
        expires = WORKING.due(nine, 10).at
        waits = Life(number, nine, expires_at=expires)
        lives.append(waits.expires("not_accepted", expires))

        unpaid = Life(number, nine).accepted()
        request = unpaid.request
        assert request.payment_due_at is not None
        unpaid.expires("not_paid", request.payment_due_at)
        lives.append(unpaid.is_warned(Limit.COMPLETION, request.due_at))

        late = Life(number, nine).accepted().paid().forwarded()
        request = late.request
        late.is_warned(Limit.FIRST_ANSWER, request.answer_due_at)
        lives.append(late.is_warned(Limit.COMPLETION, request.due_at))

        held = Life(number, nine).claimed(timedelta(hours=2))
        assert held.request.claim_held is not None
        lives.append(held.is_released(held.request.claim_held.until))

        lives.append(Life(number, nine).accepted().paid().forwarded().asked())
        lives.append(Life(number, nine, expires_at=expires).withdrawn())
    for life in lives:
        house.ledger.append(life.request)
    return [
        Planned(id=life.id, happens=life.happens, commands=life.commands)
        for life in lives
    ]


# Running and killing ------------------------------------------------------------

# What takes long to import is imported once; this module may be the main one.
_FORKS = forks("benchmarks.append", "office.house", "office.seeding")


def shifted(by: timedelta) -> Clock:
    """The clock of a process that lives some time ago."""
    return lambda: utc_now() + by


def _schedule(settings: LedgerSettings, by: timedelta, parent: Connection) -> None:
    with House(settings, clock=shifted(by)) as house:
        parent.send("ready")
        house.scheduler().run(Event())


@contextmanager
def two_scheduling(settings: LedgerSettings, by: timedelta) -> Iterator[None]:
    """Two processes that act on the same timers, killed at the end."""
    children = []
    for _ in range(2):
        ours, theirs = _FORKS.Pipe()
        child = _FORKS.Process(
            target=_schedule, args=(settings, by, theirs), daemon=True
        )
        child.start()
        children.append((child, ours))
    try:
        for _, ours in children:
            if not ours.poll(START_S):
                raise TimeoutError
        yield
    finally:
        for child, ours in children:
            child.kill()
            child.join()
            child.close()
            ours.close()


@contextmanager
def views_running(settings: LedgerSettings) -> Iterator[None]:
    """The views, folded in a thread of this process."""
    room, stop = ViewsRoom(settings), Event()
    thread = threading.Thread(target=room.runner.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        room.close()


def drive(settings: LedgerSettings, *, group: int, kills: int) -> Outcome:
    """Make the requests, let time pass in four steps, kill all along; what came of it.

    The steps: shortly before the first answers are due, shortly before completion is,
    shortly before the fees are, and now.
    """
    moments = Random(SEED)  # noqa: S311 -- moments of a test
    started = time.monotonic()
    now = utc_now()
    nine = nine_o_clock(now)
    steps = [WORKING.due(nine, days).at - AHEAD - now for days in (3, 5, 7)]
    at_work = struck = 0
    with House(settings) as house, views_running(settings):
        planned = make(house, group=group, nine=nine)
        house.queries.progress.wait_for(
            ["timers"], house.ledger.reader.head().position, timeout_s=FINISH_S
        )
        rounds = kills // (2 * (len(steps) + 1))
        for by in [*steps, timedelta(0)]:
            for _ in range(rounds):
                before = house.ledger.reader.head().position
                with two_scheduling(settings, by):
                    time.sleep(moments.uniform(0.01, LONGEST_LIFE_S))
                    # On a busy machine all such lives may end before their first act.
                    patience = time.monotonic() + FIRST_ACT_S
                    while (
                        not at_work
                        and house.ledger.reader.head().position == before
                        and time.monotonic() < patience
                    ):
                        time.sleep(0.01)
                struck += 2
                at_work += house.ledger.reader.head().position > before
            with two_scheduling(settings, by):
                wait_until_still(house, shifted(by))
        wrong = faults(house.ledger.reader, planned)
        wrong += strangers(settings, planned)
    return Outcome(
        requests=len(planned),
        things=sum(plan.happens.total() for plan in planned),
        kills=struck,
        kills_at_work=at_work,
        wrong=wrong,
        took_s=time.monotonic() - started,
    )


def wait_until_still(house: House, clock: Clock) -> None:
    """Until nothing is due any more by this clock, with the view level."""
    deadline = time.monotonic() + FINISH_S
    timers, progress = house.queries.timers, house.queries.progress
    while True:
        head = house.ledger.reader.head().position
        is_level = progress.wait_for(["timers"], head, timeout_s=1.0)
        now = clock()
        # What is warned of in this step is due in half an hour.
        horizon = now + 2 * AHEAD
        if is_level and next(timers.due(now=now, horizon=horizon), None) is None:
            return
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


# What came of it ----------------------------------------------------------------


def faults(reader: LedgerReader, planned: list[Planned]) -> list[str]:
    """Each thing that happened to a request too often, too rarely, or wrongly."""
    met: dict[UUID, Counter[Happened]] = {plan.id: Counter() for plan in planned}
    wrong = []
    for entry in reader.stream():
        body = json.loads(entry.body)
        if body["actor"] != {"kind": "system", "id": NAME, "place": "ministry"}:
            continue
        data = body["data"]
        limit = data.get("limit") or data.get("reason")
        if entry.aggregate_id not in met:
            wrong.append(f"{entry.topic} on a stranger")
            continue
        met[entry.aggregate_id][entry.topic, limit, data.get("when", "")] += 1
        if entry.topic == _EXPIRED and body["effective_at"] != data["due_at"]:
            wrong.append(f"{entry.key} expired at another time")
    for plan in planned:
        if met[plan.id] != plan.happens:
            more, less = met[plan.id] - plan.happens, plan.happens - met[plan.id]
            wrong.append(f"{plan.id}: too much {dict(more)}, too little {dict(less)}")
    return wrong


def strangers(settings: LedgerSettings, planned: list[Planned]) -> list[str]:
    """Commands of the scheduler that no name gives, and names without a command."""
    names = {key: name for plan in planned for key, name in plan.commands.items()}
    datastore = PostgresDatastore(settings.dsn(Role.OWNER), schema=LEDGER_SCHEMA)
    try:
        with datastore.autocommit() as cursor:
            cursor.execute(
                "SELECT id::text FROM commands WHERE actor = %s", (f"system:{NAME}",)
            )
            found = [UUID(text) for (text,) in cursor.fetchall()]
    finally:
        datastore.close()
    return [f"command {key} has no cause" for key in found if key not in names] + [
        f"{name} was not sent" for key, name in names.items() if key not in found
    ]


def report(outcome: Outcome) -> str:
    """The outcome as a page."""
    return f"""# Timers under kills, {datetime.now(UTC).date()}

{outcome.requests:,} requests with {outcome.things:,} things to do (expiry, end of a
lease, warnings before and after two limits). Schedulers run by twos and killed
{outcome.kills:,} times at random moments of at most {LONGEST_LIFE_S} s, in
{outcome.kills_at_work:,} of {outcome.kills // 2:,} pairs while events were stored;
{outcome.took_s:.0f} s on {os.cpu_count()} cores, embedded PostgreSQL.

Each thing happened exactly once, under the id that its name gives; nothing else was
touched.
"""


def main() -> int:
    """Run, print and keep the outcome."""
    with installation() as settings:
        migrate(settings)
        with House(settings) as house:
            seed(house.catalogue)
        outcome = drive(settings, group=GROUP, kills=KILLS)
    if outcome.wrong:
        print("\n".join(outcome.wrong[:50]))
        return 1
    page = report(outcome)
    print(page)
    RESULTS.mkdir(exist_ok=True)
    name = f"timers-under-kills-{datetime.now(UTC).date()}.md"
    (RESULTS / name).write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
