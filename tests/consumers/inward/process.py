"""A worker in a process of its own, made quickly, to be killed."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event

from eventsourcing.persistence import Tracking

from consumers.inward.messages import Correspondence
from consumers.inward.records import InwardMessage
from consumers.inward.signatures import Senders
from consumers.inward.worker import InwardWorker
from consumers.settings import KafkaSettings
from ledger.settings import LedgerSettings
from office.house import House
from tests.forks import forks

_FORKS = forks("tests.consumers.inward.process")


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a process needs to know."""

    settings: LedgerSettings
    bootstrap: str
    senders: Path
    topics: dict[str, Correspondence]
    group: str


class Passing:
    """Passes what cannot be used, and keeps nothing of it."""

    def __init__(self, house: House) -> None:
        self._house = house

    def set_aside(
        self, message: InwardMessage, *, tracking: Tracking, **_: object
    ) -> None:
        self._house.ledger.append(tracking=tracking)


def begin(given: Given) -> BaseProcess:
    """Start a worker; kill it whenever you like."""
    process = _FORKS.Process(target=_work, args=(given,), daemon=True)
    process.start()
    return process


def _work(given: Given) -> None:
    known = Senders.read(given.senders)
    with House(given.settings) as house:
        InwardWorker(
            house,
            KafkaSettings(kafka=given.bootstrap).client(),
            senders=lambda: known,
            aside=Passing(house),
            topics=given.topics,
            group=given.group,
            session_ms=6_000,
        ).run(Event())
