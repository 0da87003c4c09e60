"""Claim: a history goes in through the rules at thousands of events a second.

Whole lives of imported requests (submitted, assigned, accepted, paid, answered,
stamped, mailed, delivered), many at a time, through ``office.bulk`` in one process; and
in the same run, on the same embedded server, some of the same lives one act after the
other through the same use cases. Rounds alternate; medians and their ratio are printed
and kept under ``results/``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from benchmarks.append import installation
from benchmarks.machine import machine
from domain.access import Principal
from domain.acts import ActorKind, Provenance
from domain.ids import derived_id
from domain.money import Unit
from domain.post import item_number
from domain.requests import (
    Answer,
    AssignedBecause,
    Channel,
    Delivery,
    PaymentChannel,
)
from domain.services import Relationship
from office import commands
from office.acts import Envelope
from office.bulk import BulkDesk, Item
from office.commands import Command
from office.house import House, migrate
from office.requests.taking_in import request_id_of
from office.seeding import SEEDED_AT, seed

ROUNDS = 3
"""Odd, so that the median is a measured round."""
LIVES = 3_000
LIVES_ONE_BY_ONE = 150
AT_ONCE = 400
"""Requests under way at a time."""
EVENTS_A_LIFE = 8
CENTRE = "SY-DI-01"
DIGEST = "1f6d0c0e5a3b7c9d1e2f30415263748596a7b8c9d0e1f2031425364758697a8b"
RESULTS = Path(__file__).parent / "results"


def life(source: str, number: int) -> Iterator[Item]:
    """One request from submission to delivery."""
    case = f"case-{number}"
    principal = Principal(role=ActorKind.IMPORT, id=source, centre=CENTRE)
    # Spread over the working days of one spring, as a history is.
    start = SEEDED_AT + timedelta(days=20 + number % 90, hours=6, seconds=number % 3600)

    def item(step: int, command: Command, **more: AssignedBecause) -> Item:
        at = start + timedelta(hours=step)
        return Item(
            command=command,
            envelope=Envelope(
                principal=principal,
                command_id=derived_id(f"import/{source}/{case}/{step}", at),
                route=f"import/{step}",
                effective_at=at,
                provenance=Provenance(
                    source=source, case=case, line=step, activity="step"
                ),
            ),
            **more,
        )

    submit = item(
        1,
        commands.SubmitRequest(
            service="CIV-01",
            centre=CENTRE,
            channel=Channel.COUNTER,
            applicant=None,
            concerned=None,
            relationship=Relationship.SELF,
            documents=("id-card",),
            delivery=Delivery.HOME,
        ),
    )
    yield submit
    request_id: UUID = request_id_of(
        submit.envelope.command_id, start + timedelta(hours=1)
    )
    posted = item_number(number % 90_000_000)
    yield item(
        2,
        commands.AssignRequest(request_id=request_id, clerk="clk-DI-1"),
        because=AssignedBecause.RESPONSIBLE,
    )
    for step, command in enumerate(
        (
            commands.AcceptRequest(
                request_id=request_id, token=None, documents=("id-card",)
            ),
            commands.PayFee(
                request_id=request_id,
                token=None,
                channel=PaymentChannel.CASH,
                amount=3_000,
                unit=Unit.NEW,
            ),
            commands.RecordResponse(
                request_id=request_id, token=None, outcome=Answer.ISSUED
            ),
            commands.StampDocument(
                request_id=request_id,
                token=None,
                serial="ختم-DI-000001",
                stamped_digest=DIGEST,
            ),
            commands.MailDocument(
                request_id=request_id, token=None, item=posted, to=Delivery.HOME
            ),
            commands.ConfirmDelivery(
                request_id=request_id, item=posted, capacity=Relationship.SELF
            ),
        ),
        start=3,
    ):
        yield item(step, command)


def many(source: str, lives: int) -> Iterator[Item]:
    """Lives side by side, ``AT_ONCE`` at a time."""
    for first in range(0, lives, AT_ONCE):
        under_way = [
            life(source, number) for number in range(first, min(first + AT_ONCE, lives))
        ]
        for steps in zip(*under_way, strict=True):
            yield from steps


def in_batches(house: House, source: str) -> float:
    """Events a second of the bulk desk."""
    began = time.perf_counter()
    done = [each.done for each in BulkDesk(house).run(many(source, LIVES))]
    took = time.perf_counter() - began
    assert len(done) == LIVES * EVENTS_A_LIFE
    assert all(each is not None and not each.is_repeat for each in done)
    return len(done) / took


def one_by_one(house: House, source: str) -> float:
    """Events a second of the same use cases, each act stored before the next."""
    requests = house.requests
    items = list(many(source, LIVES_ONE_BY_ONE))
    began = time.perf_counter()
    for item in items:
        done = BulkDesk.do(requests, item)
        assert not done.is_repeat
    return len(items) / (time.perf_counter() - began)


def report(ours: Sequence[float], rival: Sequence[float]) -> str:
    """The table, with what it was measured on."""
    batches, single = statistics.median(ours), statistics.median(rival)
    lines = [
        f"# A history through the rules, {datetime.now(UTC).date()}",
        "",
        f"{machine()}, embedded server;",
        f"{LIVES} lives of {EVENTS_A_LIFE} events, {AT_ONCE} at a time;",
        f"medians of {len(ours)} rounds in turn, one process.",
        "",
        "| way | events/s |",
        "|---|---|",
        f"| in batches (office/bulk.py) | {batches:,.0f} |",
        f"| one act after the other | {single:,.0f} |",
        f"| ratio | {batches / single:.1f} |",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and keep the result."""
    ours, rival = [], []
    with installation() as settings:
        migrate(settings)
        with House(settings) as house:
            seed(house.catalogue)
            for number in range(ROUNDS):
                ours.append(in_batches(house, f"bulk-{number}"))
                rival.append(one_by_one(house, f"single-{number}"))
    text = report(ours, rival)
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / f"bulk-{datetime.now(UTC).date()}.md"
    kept.write_text(text, encoding="utf-8")
    print(text)
    print(f"kept in benchmarks/results/{kept.name}")


if __name__ == "__main__":
    main()
