"""Relays of simpler ways, each with the fault that the checks have to find.

And any relay as a process that is there quickly, to be killed.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event
from typing import Any

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from consumers import transactions
from consumers.cli import STAND_BY_S
from consumers.positions import read_published
from consumers.relay import Relay
from consumers.settings import KafkaSettings
from consumers.silence import Silence
from consumers.topics import REQUEST_STATUS
from ledger.names import LEDGER_SCHEMA, Lock, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import Head, LedgerReader
from ledger.settings import LedgerSettings
from ledger.turns import Turn
from tests.forks import forks

_FORKS = forks("tests.consumers.simpler_relays")


class TrustingRelay(Relay):
    """Trusts that a commit says no when a record of it was lost."""

    def _commit(self, producer: KafkaProducer, sent: Sequence[Any]) -> None:
        del sent
        transactions.commit(producer)


class BelievingRelay(Relay):
    """Believes its position record, whatever the partitions have."""

    def _prepare(self, producer: KafkaProducer, admin: KafkaAdminClient) -> Head:
        del producer
        head = self._reader.head()
        told = self._topics_as_they_are(admin)
        said = read_published(self._options)
        for each in self._outward:
            each.topic_id, each.width = told[each.name]
            before = said.get(each.name)
            position = 0 if before is None else before.position
            each.last = dict.fromkeys(range(each.width), position)
        return head


RELAYS: dict[str, type[Relay]] = {
    "the relay": Relay,
    "trusts the commit": TrustingRelay,
    "believes its position record": BelievingRelay,
}


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a process needs to know.

    For who takes aim, ``committing`` is there from the last record to the commit's
    end, and ``ending`` while the commit itself lasts.
    """

    settings: LedgerSettings
    bootstrap: str
    which: str
    committing: Path
    ending: Path
    log: Path


def begin(given: Given) -> BaseProcess:
    """Start a relay that stands by until the turn is its own."""
    process = _FORKS.Process(target=_work, args=(given,), daemon=True)
    process.start()
    return process


class _Announced:
    """A producer that says when it asks for a commit."""

    def __init__(self, producer: KafkaProducer, ending: Path) -> None:
        self._producer = producer
        self._ending = ending

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def commit_transaction(self) -> None:
        self._ending.touch()
        self._producer.commit_transaction()
        self._ending.unlink(missing_ok=True)


def _work(given: Given) -> None:
    # Only here is it known which class is to say when it commits.
    kind: Any = RELAYS[given.which]

    class Aimed(kind):  # type: ignore[misc] -- chosen as it runs
        def _commit(self, producer: KafkaProducer, sent: Sequence[Any]) -> None:
            given.committing.touch()
            super()._commit(_Announced(producer, given.ending), sent)
            given.committing.unlink(missing_ok=True)

    try:
        datastore = PostgresDatastore(
            given.settings.dsn(Role.READER), schema=LEDGER_SCHEMA
        )
        with Turn(datastore, Lock.RELAY) as turn:
            while not turn.take():
                Event().wait(STAND_BY_S)
            with Silence(lambda: os._exit(2)) as silence:
                Aimed(
                    LedgerReader(datastore),
                    KafkaSettings(kafka=given.bootstrap).client(),
                    statuses=REQUEST_STATUS,
                    goes_on=turn.is_ours,
                    at_work=silence.broken,
                ).run(Event())
    except BaseException as error:  # noqa: BLE001 -- the top of the process
        with given.log.open("a", encoding="utf-8") as log:
            log.write(f"{type(error).__name__}: {error}\n")
            traceback.print_exc(file=log)
    finally:
        # Without waiting for a client that waits for a broker.
        os._exit(2)
