"""A worker in a process of its own, made quickly, to be killed."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event

from eventsourcing.persistence import Tracking

from consumers.dead_letters import DeadLetters
from consumers.inward.lane import SetsAside
from consumers.inward.messages import Correspondence
from consumers.inward.records import InwardMessage
from consumers.inward.signatures import Senders
from consumers.inward.worker import InwardWorker
from consumers.settings import KafkaSettings
from ledger.settings import LedgerSettings
from office.acts import Done
from office.dead_letters import DeadLettersDesk, SetAside
from office.house import House
from tests.forks import forks

_FORKS = forks("tests.consumers.inward.process")


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a process needs to know.

    ``dies_keeping`` is the group of dead letters for which it keeps one message, and is
    killed before that is recorded. Without it, what cannot be used is only passed.
    """

    settings: LedgerSettings
    bootstrap: str
    senders: Path
    topics: dict[str, Correspondence]
    group: str
    dies_keeping: str | None = None


class Passing:
    """Passes what cannot be used, and keeps nothing of it."""

    def __init__(self, house: House) -> None:
        self._house = house

    def set_aside(
        self, message: InwardMessage, *, tracking: Tracking, **_: object
    ) -> None:
        self._house.ledger.append(tracking=tracking)


class Dying(DeadLettersDesk):
    """Kills its process when a message was just kept, and nothing is recorded."""

    def __init__(self) -> None:
        pass

    def set_aside(self, command: SetAside, *, tracking: Tracking) -> Done:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError(command, tracking)


def begin(given: Given) -> BaseProcess:
    """Start a worker; kill it whenever you like."""
    process = _FORKS.Process(target=_work, args=(given,), daemon=True)
    process.start()
    return process


def _work(given: Given) -> None:
    known = Senders.read(given.senders)
    options = KafkaSettings(kafka=given.bootstrap).client()
    with House(given.settings) as house:
        aside: SetsAside = Passing(house)
        if given.dies_keeping is not None:
            aside = DeadLetters(options, Dying(), group=given.dies_keeping)
        InwardWorker(
            house,
            options,
            senders=lambda: known,
            aside=aside,
            topics=given.topics,
            group=given.group,
            session_ms=6_000,
        ).run(Event())
