"""Claim: a simulated history killed at any moment is the one that was left alone.

The history comes into one ledger by processes that are killed while they write, one
after the other, and into another at once. Afterwards both have the same bodies in the
same order, the same values of persons in their vaults, and views that are clean folds.
``benchmarks/import_under_kills.py`` runs it with the import; a test runs it small.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from benchmarks.cutting import Cutting, fold
from ledger.settings import LedgerSettings
from office.bulk import BulkDesk
from office.house import House
from office.simulating import simulation
from office.simulating.history import Options
from office.simulating.simulation import Simulation, State
from tests.forks import forks
from tests.projections.examining import Examination

LONGEST_S = 0.12
"""After its first write of a life; some batches come in it."""
SEED = 20261127
_FORKS = forks("benchmarks.simulation_under_kills")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it; ``wrong`` is empty when all is well."""

    acts: int
    events: int
    kills: int
    while_writing: int
    wrong: list[str]
    took_s: float


def _simulate(settings: LedgerSettings, options: Options, batch: int) -> None:
    # Smaller batches than an installation's give a short history as many moments.
    simulation.BulkDesk = partial(BulkDesk, batch=batch)  # type: ignore[attr-defined]
    with House(settings) as house:
        Simulation(house, options).run()


def drive(
    settings: LedgerSettings,
    alone: LedgerSettings,
    options: Options,
    *,
    kills: int,
    batch: int,
) -> Outcome:
    """Load a history into two seeded ledgers: under kills, and at once."""
    began = time.monotonic()
    wrong: list[str] = []
    with House(settings) as house:
        cutting = Cutting(
            reader=house.ledger.reader,
            begin=lambda: (
                _FORKS.Process(target=_simulate, args=(settings, options, batch)),
                _FORKS.Process(target=fold, args=(settings,)),
            ),
            moments=Random(f"{SEED}-{options.source}"),  # noqa: S311
            longest_s=LONGEST_S,
        )
        cutting.cut(kills)
        if Simulation(house, options).state() not in {State.BEGUN, State.DONE}:
            wrong.append("nobody can tell that it was begun")
        report = Simulation(house, options).run()
        if report.refused:
            wrong.append(f"refused: {dict(report.refused)}")
        if report.acts != report.written + report.repeated:
            wrong.append("the report does not add up")
        if Simulation(house, options).state() is not State.DONE:
            wrong.append("it is not done")
        with House(alone) as other:
            Simulation(other, options).run()
            wrong += unlike(house, other)
            events = other.ledger.reader.head().position
        while_writing = cutting.while_writing()
    with Examination(settings) as examined:
        wrong += examined.faults()
    return Outcome(
        acts=report.acts,
        events=events,
        kills=len(cutting.heads),
        while_writing=while_writing,
        wrong=wrong,
        took_s=time.monotonic() - began,
    )


def bodies(house: House) -> Iterator[tuple[Any, ...]]:
    """Every entry but for its time, in order."""
    for entry in house.ledger.reader.stream():
        yield (entry.aggregate_id, entry.version, entry.topic, entry.body)


def unlike(house: House, other: House) -> list[str]:
    """How two ledgers and their vaults differ."""
    mine, theirs = list(bodies(house)), list(bodies(other))
    wrong = []
    if sorted(mine) != sorted(theirs):
        more, less = set(mine) - set(theirs), set(theirs) - set(mine)
        wrong.append(f"{len(more)} bodies too many, {len(less)} too few")
    elif mine != theirs:
        wrong.append("the same bodies in another order")
    parties = [
        party["id"]
        for _, _, topic, body in theirs
        if topic == "sijil.request.submitted.v1"
        for party in json.loads(body)["data"]["parties"]
    ]
    if house.vault.details_of(parties) != other.vault.details_of(parties):
        wrong.append("other persons in the vault")
    return wrong
