"""``sijil broker``: one Kafka node of one's own, for as long as the command runs."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import Annotated

import structlog
import typer

from consumers.broker.jars import NoKafkaError
from consumers.broker.nodes import Cluster
from consumers.settings import BrokerSettings
from consumers.topic_admin import TopicAdmin
from ledger.settings import LedgerSettings
from office.errors import OperatorError
from office.processes import stop_when_asked

LOOK_EVERY_S = 0.5

_log = structlog.get_logger()


def broker(
    *,
    end_with_parent: Annotated[
        bool, typer.Option("--end-with-parent", hidden=True, help="For the supervisor.")
    ] = False,
) -> None:
    """Run one Kafka node on this machine, for trying things, until stopped.

    Its data are in the home, and stay. The topics are as the catalogue has them.
    """
    settings = BrokerSettings()
    home = LedgerSettings.load().home
    stop = stop_when_asked(with_parent=end_with_parent)
    try:
        with _the_only_one(home / "kafka"):
            _serve(home, settings, stop)
    except NoKafkaError as error:
        raise OperatorError(f"Kafka does not run here, because {error}") from error


@contextmanager
def _the_only_one(folder: Path) -> Iterator[None]:
    """One of a home: a node that a killed one left behind is ended by the next."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OperatorError(f"another `sijil broker` has {folder}") from error
        yield


def _serve(home: Path, settings: BrokerSettings, stop: Event) -> None:
    cluster = Cluster(
        home / "kafka",
        jars=settings.broker_jars,
        ports=[settings.broker_port],
        is_killed=True,
    )
    serves = settings.serves(home)
    serves.unlink(missing_ok=True)
    try:
        cluster.start()
        with closing(TopicAdmin(settings.client(), replication=1)) as admin:
            admin.apply()
        serves.touch()
        _log.info("broker.serves", at=settings.bootstrap)
        while not stop.wait(LOOK_EVERY_S):
            if cluster.nodes[0].pid is None:
                raise NoKafkaError(f"the node ended: {cluster.nodes[0].log}")
    finally:
        serves.unlink(missing_ok=True)
        cluster.stop()
