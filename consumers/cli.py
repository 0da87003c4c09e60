"""What ``consumers`` contributes to the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import Annotated, NoReturn

import structlog
import typer
from kafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from consumers import backfilling, describing
from consumers.backfilling import verified
from consumers.partitions import HangingTransactionError, PartitionUnreadableError
from consumers.positions import read_published
from consumers.relay import (
    LedgerResumedError,
    OtherLedgerError,
    PartitionShortenedError,
    Relay,
    TopicMadeAgainError,
)
from consumers.replaying import Replaying
from consumers.settings import KafkaSettings
from consumers.silence import LIMIT_S as SILENCE_S
from consumers.silence import Silence
from consumers.topic_admin import Difference, TopicAdmin, TopicMissingError
from consumers.topics import EVENTS, REQUEST_STATUS, TOPICS, Topic
from consumers.verifying import Verdict
from ledger.names import LEDGER_SCHEMA, Lock, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings, SettingMissingError
from ledger.turns import Turn
from office.errors import OperatorError
from office.processes import stop_when_asked

STAND_BY_S = 0.5
"""How soon a relay that stands by notices that the turn is free."""
LARGEST_LAG = 10_000
"""Entries or messages that a follower may stand behind: seconds of work."""
MAKE_TOPICS = "`sijil topics apply` makes the topics"

_console = Console(highlight=False)
_log = structlog.get_logger()


@contextmanager
def in_words() -> Iterator[None]:
    """Kafka's troubles, and what is not set, as sentences for the operator."""
    try:
        yield
    except SettingMissingError as error:
        raise OperatorError(str(error)) from error
    except TopicMissingError as error:
        raise OperatorError(f"the topic {error} is not there; {MAKE_TOPICS}") from error
    except TopicMadeAgainError as error:
        raise OperatorError(
            f"the topic {error} was deleted and made again while a relay was at work, "
            "and lacks its beginning; stop every relay, delete it, make it with `sijil "
            "topics apply`, and start the relay",
            exit_code=1,
        ) from error
    except PartitionShortenedError as error:
        raise OperatorError(
            f"the partition {error} ends before what its broker had acknowledged; the "
            "next start publishes again what is missing"
        ) from error
    except LedgerResumedError as error:
        raise OperatorError(
            "the ledger was resumed as another incarnation while the relay was at "
            "work; the next start finds out whether its topics go on"
        ) from error
    except OtherLedgerError as error:
        raise OperatorError(
            f"the topic {error} holds what this ledger does not, because it belongs to "
            "another ledger or to one that has come back from a backup; publish this "
            "one to a topic of its own",
            exit_code=1,
        ) from error
    except HangingTransactionError as error:
        raise OperatorError(
            "a transaction stays open in a partition and cannot be closed; look at the "
            "brokers with kafka-transactions.sh"
        ) from error
    except PartitionUnreadableError as error:
        raise OperatorError(
            "a partition could not be read to its end, because a transaction hangs "
            "there or the brokers do not answer; start the relay, which closes what "
            "hangs, and try again"
        ) from error
    except KafkaError as error:
        raise OperatorError(
            f"Kafka does not answer as it should, because of {type(error).__name__}; "
            "is it running, and is SIJIL_KAFKA right?"
        ) from error


@contextmanager
def letter_box(settings: LedgerSettings) -> Iterator[Replaying]:
    """The dead letters as the cluster of the settings has them."""
    options = KafkaSettings.load(settings.home).client()
    with in_words(), closing(Replaying(options)) as made:
        yield made


topics = typer.Typer(
    no_args_is_help=True, help="The topics of Kafka, as the catalogue has them."
)


@topics.command("apply")
def apply() -> None:
    """Make the topics that are missing and change the settings that are not right."""
    with _admin() as admin:
        left = admin.apply()
    _print(left)
    if left:
        raise typer.Exit(1)


@topics.command("check")
def check() -> None:
    """Compare the brokers' topics with the catalogue; 1 when something differs."""
    with _admin() as admin:
        found = admin.differences()
    _print(found)
    if found:
        raise typer.Exit(1)


@topics.command("describe")
def describe(
    name: Annotated[
        str | None,
        typer.Argument(help="A schema: a type of events, or a ce_dataschema."),
    ] = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option(help="Write the document and every schema into this folder."),
    ] = None,
) -> None:
    """Print the AsyncAPI document of the topics, or one schema. Nothing has to run."""
    if output is not None:
        describing.write(output)
        return
    text = describing.described(name)
    if text is None:
        raise OperatorError(f"there is no schema {name}")
    typer.echo(text, nl=False)


@contextmanager
def _admin() -> Iterator[TopicAdmin]:
    kafka = KafkaSettings.load(LedgerSettings.load().home)
    options = kafka.client()
    with (
        in_words(),
        closing(TopicAdmin(options, replication=kafka.kafka_replication)) as admin,
    ):
        yield admin


def _print(differences: list[Difference]) -> None:
    if not differences:
        _console.print(f"{len(TOPICS)} topics are as the catalogue has them")
        return
    table = Table("topic", "what", "wanted", "found")
    for each in differences:
        table.add_row(each.topic, each.what, each.wanted, each.found)
    _console.print(table)


def relay(
    *,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only say how far the topic is; 1 if far behind."),
    ] = False,
    end_with_parent: Annotated[
        bool, typer.Option("--end-with-parent", hidden=True, help="For the supervisor.")
    ] = False,
) -> None:
    """Publish every entry of the ledger to Kafka, once and in order, until stopped.

    A second one stands by and takes over. At the first error it ends with 2 and is to
    be started again: what has been published is what the topic has. With 1 where a
    topic has to be seen to first.
    """
    settings = LedgerSettings.load()
    options = KafkaSettings.load(settings.home).client()
    if check:
        _check(settings, options)
        return
    stop = stop_when_asked(with_parent=end_with_parent)
    try:
        with in_words():
            _relay(settings, options, stop)
    except OperatorError as error:
        end_at_once(str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 -- the top of the process
        end_at_once(f"the relay ends, because of {type(error).__name__}", 2)


def _check(settings: LedgerSettings, options: dict[str, object]) -> None:
    """Say how far the topic is behind the ledger, as the relay itself has said."""
    datastore = PostgresDatastore(settings.dsn(Role.READER), schema=LEDGER_SCHEMA)
    try:
        head = LedgerReader(datastore).head()
    finally:
        datastore.close()
    with in_words():
        said = read_published(options).get(EVENTS.name)
    say_how_far(EVENTS.name, 0 if said is None else said.position, head.position)


def say_how_far(what: str, position: int, of: int) -> None:
    """One line; exit code 1 where more than LARGEST_LAG are missing."""
    _console.print(f"{what}: {position} of {of}", markup=False, soft_wrap=True)
    if of - position > LARGEST_LAG:
        raise typer.Exit(1)


def _relay(settings: LedgerSettings, options: dict[str, object], stop: Event) -> None:
    datastore = PostgresDatastore(settings.dsn(Role.READER), schema=LEDGER_SCHEMA)
    with Turn(datastore, Lock.RELAY) as turn:
        is_said = False
        while not stop.is_set() and not turn.take():
            if not is_said:
                _log.info("relay.stands_by")
            is_said = True
            stop.wait(STAND_BY_S)
        if stop.is_set():
            return
        with never_silent("relay") as silence:
            Relay(
                LedgerReader(datastore),
                options,
                statuses=REQUEST_STATUS,
                goes_on=turn.is_ours,
                at_work=silence.broken,
            ).run(stop)


def never_silent(what: str) -> Silence:
    """A watch that ends this process with 2 once its work has hung."""
    sentence = f"the {what} ends, because it was silent for {SILENCE_S:.0f} s"
    return Silence(lambda: end_at_once(sentence, 2))


def end_at_once(sentence: str, code: int) -> NoReturn:
    """End without waiting for a client that waits for a broker."""
    Console(stderr=True).print(f"sijil: {sentence}", markup=False, highlight=False)
    sys.stderr.flush()
    os._exit(code)


def backfill(
    topic: Annotated[str, typer.Argument(help="The topic to fill anew.")] = EVENTS.name,
    *,
    number: Annotated[
        int | None,
        typer.Option(min=1, help="Go on with this one, or begin it; a new one if not."),
    ] = None,
) -> None:
    """Publish all of the history once more, into a topic of its own, and prove it.

    0 when the topic has everything up to where the ledger stood; 1 when it has not; 2
    when something went wrong: then the same number goes on where it stopped.
    """
    live = backfilling.CAN_BE_FILLED.get(topic)
    if live is None:
        known = " and ".join(backfilling.CAN_BE_FILLED)
        raise OperatorError(f"only {known} can be filled from the ledger")
    try:
        with in_words():
            verdict, until = _backfilled(live, number)
    except OperatorError as error:
        end_at_once(str(error), error.exit_code)
    except KeyboardInterrupt:
        end_at_once("stopped; with the same --number it goes on", 130)
    except Exception as error:  # noqa: BLE001 -- the top of the process
        end_at_once(f"the backfill ends, because of {type(error).__name__}", 2)
    _say(verdict)
    if not verdict.is_whole:
        raise OperatorError(
            f"{verdict.topic} has not everything up to position {until}, or has what is"
            " wrong; delete it, and fill another with `sijil backfill`",
            exit_code=1,
        )


def _backfilled(live: Topic, number: int | None) -> tuple[Verdict, int]:
    """What is found of the new topic, and up to where it was to be filled."""
    settings = LedgerSettings.load()
    kafka = KafkaSettings.load(settings.home)
    options = kafka.client()
    reader = LedgerReader(
        PostgresDatastore(settings.dsn(Role.READER), schema=LEDGER_SCHEMA)
    )
    with closing(TopicAdmin(options, replication=kafka.kafka_replication)) as admin:
        if number is None:
            number = backfilling.next_number(live, admin.names())
        target = backfilling.target_of(live, number)
        until = reader.head().position
        with Progress(
            TextColumn(target.name),
            BarColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        ) as progress:
            task = progress.add_task("", total=until)
            left = backfilling.backfill(
                reader,
                options,
                target,
                admin=admin,
                until=until,
                published=lambda at: progress.update(task, completed=at),
            )
    if left:
        _print(left)
        raise OperatorError(f"the topic {target.name} is not as it has to be")
    return verified(reader, options, target.name, until=until), until


def verify_topic(
    topic: Annotated[str, typer.Argument(help="Which topic.")] = EVENTS.name,
    *,
    alone: Annotated[
        bool,
        typer.Option("--alone", help="From the topic alone, without the ledger."),
    ] = False,
) -> None:
    """Prove that a topic has every entry, once, in order and unaltered.

    Compares each with the ledger too, unless ``--alone``. 0 when it is whole as far as
    it goes, 1 when something is missing, doubled, changed or out of order, named; 2
    when it could not be read.
    """
    settings = LedgerSettings.load()
    options = KafkaSettings.load(settings.home).client()
    ledger = None
    if not alone:
        ledger = LedgerReader(
            PostgresDatastore(settings.dsn(Role.READER), schema=LEDGER_SCHEMA)
        )
    if ledger is None and topic.startswith(REQUEST_STATUS.name):
        raise OperatorError(
            "a topic that keeps the last of each key proves nothing alone; without "
            "--alone it is compared with the ledger"
        )
    with in_words():
        verdict = verified(ledger, options, topic)
    _say(verdict)
    if not verdict.is_whole:
        raise typer.Exit(1)


def _say(verdict: Verdict) -> None:
    for finding in verdict.findings:
        _console.print(str(finding), markup=False, soft_wrap=True)
    what = "whole" if verdict.is_whole else "NOT whole"
    if verdict.first is not None:
        compared = (
            f", {verdict.compared} compared with the ledger" if verdict.compared else ""
        )
        said = (
            f"{what}, positions {verdict.first} to {verdict.last},"
            f" {verdict.records} records{compared}"
        )
    elif verdict.records:
        said = f"{what}, {verdict.records} records, none of them as it has to be"
    elif not verdict.is_whole:
        said = f"{what}, no records"
    elif verdict.behind:
        said = "EMPTY, nothing of what the ledger has; has a relay published to it?"
    else:
        said = "no records"
    _console.print(f"{verdict.topic}: {said}", markup=False, soft_wrap=True)
    if verdict.behind:
        _console.print(f"the ledger has {verdict.behind} more", markup=False)
