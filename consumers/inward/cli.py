"""``sijil inward``: one worker of the group, in a process of its own."""

from __future__ import annotations

from contextlib import closing
from threading import Event
from typing import Annotated

import typer

from consumers.cli import end_at_once, in_words, never_silent, say_how_far
from consumers.dead_letters import DeadLetters
from consumers.inward.lane import LedgerResumedError
from consumers.inward.messages import FOLLOWED
from consumers.inward.signatures import SendersFile
from consumers.inward.worker import (
    InwardWorker,
    OffsetsLostError,
    TopicMadeAgainError,
    how_far,
)
from consumers.settings import KafkaSettings
from consumers.topics import INWARD
from ledger.settings import LedgerSettings
from office.errors import OperatorError
from office.house import House
from office.keeping import must_not_have_returned
from office.processes import stop_when_asked


def inward(
    *,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only say how far the group is; 1 if far behind."),
    ] = False,
    end_with_parent: Annotated[
        bool, typer.Option("--end-with-parent", hidden=True, help="For the supervisor.")
    ] = False,
) -> None:
    """Make acts of what agencies, the post and banks send over Kafka, until stopped.

    Start as many as you like: they share the partitions. A worker ends with 2 at an
    error that it cannot wait out, and is to be started again.
    """
    settings = LedgerSettings.load()
    kafka = KafkaSettings.load(settings.home)
    if check:
        _check(settings, kafka)
        return
    stop = stop_when_asked(with_parent=end_with_parent)
    try:
        with in_words():
            _inward(settings, kafka, stop)
    except OperatorError as error:
        end_at_once(str(error), error.exit_code)
    except OffsetsLostError as error:
        end_at_once(
            f"the partition {error} ends before what the ledger has of it, because its"
            " records were lost; new messages would be taken for done: delete the topic"
            " and make it again, and have its senders send what was not answered",
            1,
        )
    except LedgerResumedError:
        end_at_once(
            "the ledger was resumed as another incarnation; the next start goes on"
            " where that one stands",
            2,
        )
    except TopicMadeAgainError:
        end_at_once("a topic was made again; the next start reads the new one", 2)
    except Exception as error:  # noqa: BLE001 -- the top of the process
        end_at_once(f"the worker ends, because of {type(error).__name__}", 2)


def _check(settings: LedgerSettings, kafka: KafkaSettings) -> None:
    """Say how much of what was sent the whole group has passed, by the ledger."""
    with in_words(), House(settings) as house:
        passed, sent = how_far(
            house.ledger, kafka.client(), [each.name for each in FOLLOWED]
        )
    say_how_far(INWARD, passed, sent)


def _inward(settings: LedgerSettings, kafka: KafkaSettings, stop: Event) -> None:
    # What it appended to an earlier ledger would be a second history of its places.
    must_not_have_returned(settings)
    options = kafka.client()
    senders = SendersFile(kafka.senders_of(settings.home))
    with (
        House(settings) as house,
        closing(
            DeadLetters(options, house.dead_letters, group=INWARD, senders=senders)
        ) as aside,
        never_silent("worker") as silence,
    ):
        InwardWorker(
            house, options, senders=senders, aside=aside, at_work=silence.broken
        ).run(stop)
