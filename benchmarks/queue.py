"""Claim: a clerk's queue among 10,000 open items costs little more than one row.

GET /v1/queue of one clerk, a full page, over real HTTP; and in the same run the same
application whose query is replaced by a SELECT of one row by primary key. Rounds
alternate; the median of each percentile and their ratio are printed and kept under
``results/``. The same is asked as of a position among the old versions.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import cast

import structlog
import uvicorn

from api.app import create_app
from api.settings import ApiSettings
from api.tokens import mint
from benchmarks.append import installation
from benchmarks.machine import machine
from domain.acts import Act, Actor, ActorKind
from domain.ids import derived_id, tracking_number
from domain.requests import (
    AssignedBecause,
    Channel,
    Delivery,
    Party,
    PartyRole,
    ServiceRequest,
)
from domain.services import Relationship
from ledger.bodies import BodyMapper
from ledger.names import LEDGER_SCHEMA, VIEWS_SCHEMA, Role
from ledger.persistence.append import ActToAppend
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.settings import LedgerSettings
from office.house import House, ViewsRoom, migrate
from projections.clerk_queue import ClerkQueueQueries
from projections.pages import Page
from projections.queue_items import QueueItem, item_of

OPEN_ITEMS = 10_000
CENTRES = 14
CLERKS_A_CENTRE = 14
"""Some 50 items a clerk: a full page."""
OLD_VERSIONS = 4
"""Versions that each item has behind it, by going from hand to hand."""
ROUNDS = 3
"""Odd, so that the median is a measured round."""
CALLS = 200
ACTS_A_CALL = 500
MOST_TIMES = 3.0
"""The bar: p99 of the queue beside p99 of the one row."""
BEGAN = datetime(2026, 11, 2, 6, tzinfo=UTC)
RESULTS = Path(__file__).parent / "results"
CENTRE, CLERK = "SY-C0-01", "clk-0-0"
_ONE_ROW = """
SELECT
    request_id::text, tracking_number, service, agency, centre, governorate, stage,
    clerk, token, next_act, waiting_for, since, until, etag_version, valid_from,
    lease_until
FROM clerk_queue WHERE request_id = %s::uuid AND valid_from = %s
"""


class OneRow(ClerkQueueQueries):
    """The rival: whatever is asked, one row by its primary key."""

    key: tuple[str, int]
    rows: PostgresDatastore

    def page(self, *_: object, now: datetime, **__: object) -> Page[QueueItem]:
        """A page of one item."""
        with self.rows.autocommit() as cursor:
            cursor.execute(_ONE_ROW, self.key)
            row = cursor.fetchone()
        assert row is not None
        return Page(items=(item_of(row, now),), next=None)


def requests(number: int, random: Random) -> ServiceRequest:
    """One request that went from hand to hand and is to be accepted."""
    centre = number % CENTRES
    at = BEGAN + timedelta(seconds=number)
    request_id = derived_id(f"bench/queue/{number}", at)

    def act(step: int, kind: ActorKind) -> Act:
        return Act(
            command_id=derived_id(f"bench/queue/{number}/{step}", at),
            actor=Actor(kind=kind, id="bench", place=f"SY-C{centre}-01"),
            correlation_id=request_id,
            effective_at=at + timedelta(minutes=step),
        )

    request = ServiceRequest.submit(
        act(0, ActorKind.SYSTEM),
        request_id=request_id,
        service="CIV-01",
        agency="CIV",
        centre=f"SY-C{centre}-01",
        governorate=f"SY-C{centre}",
        channel=Channel.ONLINE,
        parties=(
            Party(role=PartyRole.APPLICANT, id=derived_id(f"party/{number}", at)),
        ),
        relationship=Relationship.SELF,
        documents=(),
        delivery=Delivery.HOME,
        tracking_number=tracking_number(request_id),
        code_key="k1",
        expires_at=at + timedelta(days=random.randint(1, 30)),
    )
    own = number // CENTRES % CLERKS_A_CENTRE
    for step in range(1, OLD_VERSIONS + 1):
        hand = own if step == OLD_VERSIONS else (own + step) % CLERKS_A_CENTRE
        request.assign(
            act(step, ActorKind.SYSTEM),
            clerk=f"clk-{centre}-{hand}",
            reason=AssignedBecause.SUPERVISOR,
        )
    return request


def fill(settings: LedgerSettings) -> None:
    """Append the items and fold the views."""
    app = PostgresDatastore(settings.dsn(Role.APP), schema=LEDGER_SCHEMA)
    recorder, mapper = PostgresProcessRecorder(app), BodyMapper()
    random = Random(1)  # noqa: S311 -- reproducible data
    # Step by step over all items, so that their versions lie apart.
    events = [
        [mapper.to_stored_event(event) for event in item.collect_events()]
        for item in (requests(number, random) for number in range(OPEN_ITEMS))
    ]
    for step in range(OLD_VERSIONS + 1):
        for first in range(0, OPEN_ITEMS, ACTS_A_CALL):
            part = events[first : first + ACTS_A_CALL]
            recorder.append([ActToAppend(events=[each[step]]) for each in part])
    app.close()
    room = ViewsRoom(settings)
    room.runner.catch_up()
    room.close()


@contextmanager
def serving(
    settings: LedgerSettings, api: ApiSettings, *, is_rival: bool
) -> Iterator[int]:
    """The application on a port of its own, in a thread."""
    house = House(settings)
    views = PostgresDatastore(settings.dsn(Role.APP), schema=VIEWS_SCHEMA)
    if is_rival:
        rival = OneRow(views)
        rival.rows = views
        with views.autocommit() as cursor:
            cursor.execute(
                "SELECT request_id::text, valid_from FROM clerk_queue"
                " WHERE clerk = %s AND valid_to IS NULL LIMIT 1",
                (CLERK,),
            )
            rival.key = cast("tuple[str, int]", cursor.fetchone())
        house.queries = replace(house.queries, queue=rival)
    config = uvicorn.Config(
        create_app(house, api), port=0, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        views.close()


@dataclass(frozen=True, kw_only=True)
class Times:
    """Milliseconds of one round."""

    p50: float
    p99: float


def ask(port: int, token: str, path: str, items: int) -> Times:
    """A round of calls on one connection."""
    connection = HTTPConnection("127.0.0.1", port)
    took = []
    for _ in range(CALLS):
        began = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        told = answer.read()
        took.append((time.perf_counter() - began) * 1e3)
        assert answer.status == 200, told
    assert len(json.loads(told)["items"]) == items
    connection.close()
    return Times(p50=statistics.median(took), p99=statistics.quantiles(took, n=100)[98])


def median(rounds: list[Times]) -> Times:
    """The median of each percentile."""
    return Times(
        p50=statistics.median(each.p50 for each in rounds),
        p99=statistics.median(each.p99 for each in rounds),
    )


def measure(settings: LedgerSettings) -> dict[str, Times]:
    """Rounds in turn: the one row, the queue, and the queue as of the middle."""
    api = ApiSettings.load(home=settings.home)
    token = mint(
        api,
        role=ActorKind.CLERK,
        subject=CLERK,
        now=datetime.now(UTC),
        centre=CENTRE,
    )
    middle = OPEN_ITEMS * OLD_VERSIONS // 2
    found: dict[str, list[Times]] = {"one row": [], "queue": [], "queue as of": []}
    with (
        serving(settings, api, is_rival=True) as rival,
        serving(settings, api, is_rival=False) as ours,
    ):
        for number in range(ROUNDS + 1):
            now = {
                "one row": ask(rival, token, "/v1/queue", 1),
                "queue": ask(ours, token, "/v1/queue", 50),
                "queue as of": ask(ours, token, f"/v1/queue?as_of={middle}", 50),
            }
            for name, times in now.items():
                # The first round warms both up.
                if number:
                    found[name].append(times)
    return {name: median(rounds) for name, rounds in found.items()}


def report(times: dict[str, Times]) -> str:
    """The table of a run."""
    row = times["one row"]
    lines = [
        f"# A clerk's queue beside one row, {datetime.now(UTC):%Y-%m-%d}",
        "",
        (
            f"{machine()}, embedded PostgreSQL, one client"
            f" over HTTP; {OPEN_ITEMS:,} open items, each with {OLD_VERSIONS} older"
            f" versions; median of {ROUNDS} rounds of {CALLS} calls, in turn. A queue's"
            " page has 50 items. The bar for p99 is three times the one row's."
        ),
        "",
        "| GET /v1/queue | p50, ms | p99, ms | p99, times |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {each.p50:.2f} | {each.p99:.2f} | {each.p99 / row.p99:.2f} |"
        for name, each in times.items()
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and keep."""
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    with installation() as settings:
        migrate(settings)
        fill(settings)
        times = measure(settings)
    text = report(times)
    sys.stdout.write(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"queue-{datetime.now(UTC):%Y-%m-%d}.md").write_text(text)
    if times["queue"].p99 > MOST_TIMES * times["one row"].p99:
        sys.exit(1)


if __name__ == "__main__":
    main()
