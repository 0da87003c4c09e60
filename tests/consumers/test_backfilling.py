"""All of the history once more: whole whatever the live topic has lost."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from consumers import envelope
from consumers.backfilling import backfill, next_number, target_of, verified
from consumers.partitions import last_records
from consumers.relay import Relay
from consumers.topic_admin import TopicAdmin, TopicMissingError
from consumers.topics import EVENTS, REQUEST_STATUS, Topic
from consumers.verifying import Fault, Verdict
from tests.consumers.conftest import Book, Lives, new_topic, relay_until, until
from tests.running import REPOSITORY


@pytest.fixture
def admin(options: dict[str, Any]) -> Iterator[TopicAdmin]:
    with closing(TopicAdmin(options, replication=1)) as made:
        yield made


def test_a_number_is_never_used_twice() -> None:
    names = [
        "sijil.events.v1",
        "sijil.events.v1.backfill-2",
        "sijil.events.v1.backfill-11",
        "sijil.events.v1.backfill-011",
        "sijil.events.v1.backfill-x",
        "sijil.request-status.v1.backfill-40",
        "sijilxevents.v1.backfill-50",
    ]
    assert next_number(EVENTS, names) == 12
    assert next_number(EVENTS, []) == 1
    assert target_of(EVENTS, 12).name == "sijil.events.v1.backfill-12"
    assert target_of(EVENTS, 12).partitions == EVENTS.partitions


def test_a_new_group_gets_all_of_the_history_and_then_what_is_new(
    options: dict[str, Any], topic: Topic, book: Book
) -> None:
    def read(many: int) -> list[int]:
        got: list[int] = []
        with closing(
            KafkaConsumer(
                topic.name,
                group_id=f"readers-{topic.name}",
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                enable_auto_commit=False,
                **options,
            )
        ) as reader:
            while len(got) < many:
                for records in reader.poll(timeout_ms=200).values():
                    got += [envelope.position_of(r.headers) or 0 for r in records]
            reader.commit()
        return sorted(got)

    head = book.add(20)
    relay_until(Relay(book.reader, options, topic=topic), head)
    assert read(head) == [*range(1, head + 1)]
    more = book.add(1, 2)
    relay_until(Relay(book.reader, options, topic=topic), more)
    assert read(2) == [head + 1, more]


def own(live: Topic, number: int) -> Topic:
    """The target of a backfill that no other run of the tests has."""
    return target_of(live, os.getpid() * 100 + number)


def let_pass(options: dict[str, Any], topic: Topic, *, leave: int) -> None:
    """Let all but the last record of each partition pass its time, or that one too."""
    partitions = [TopicPartition(topic.name, n) for n in range(topic.partitions)]
    last = last_records(options, partitions)
    with closing(KafkaAdminClient(**options)) as kafka:
        kafka.delete_records(
            {each: record.offset + 1 - leave for each, record in last.items()}
        )


def test_what_has_passed_its_time_is_whole_in_the_new_topic(
    options: dict[str, Any], topic: Topic, book: Book, admin: TopicAdmin
) -> None:
    head = book.add(10)
    relay_until(Relay(book.reader, options, topic=topic), head)
    let_pass(options, topic, leave=1)
    left = verified(book.reader, options, topic.name)
    assert left.first is not None
    assert left.first > 1
    target = own(EVENTS, 1)
    heard: list[int] = []
    assert not backfill(
        book.reader,
        options,
        target,
        admin=admin,
        until=head,
        published=heard.append,
    )
    whole = verified(book.reader, options, target.name, until=head)
    assert whole.is_whole
    assert (whole.first, whole.last, whole.records) == (1, head, head)
    assert heard[-1] == head
    # The same number again goes on where it stands.
    head = book.add(2)
    assert not backfill(book.reader, options, target, admin=admin, until=head)
    whole = verified(book.reader, options, target.name, until=head)
    assert (whole.is_whole, whole.records) == (True, head)


def test_a_deleted_topic_is_noticed_and_a_backfill_has_everything(
    options: dict[str, Any], lives: Lives, admin: TopicAdmin
) -> None:
    gone = new_topic(options, REQUEST_STATUS)
    relay = {"reader": lives.reader, "options": options, "topic": None}
    relay_until(Relay(**relay, statuses=gone), lives.head)
    with closing(KafkaAdminClient(**options)) as kafka:
        kafka.delete_topics([gone.name])
    until(lambda: bool(admin.differences([gone])))
    with pytest.raises(TopicMissingError):
        relay_until(Relay(**relay, statuses=gone), lives.head)
    with pytest.raises(TopicMissingError):
        verified(lives.reader, options, gone.name)
    target = own(REQUEST_STATUS, 2)
    assert not backfill(lives.reader, options, target, admin=admin, until=lives.head)
    whole = verified(lives.reader, options, target.name, until=lives.head)
    assert (whole.is_whole, whole.behind) == (True, 0)
    assert whole.records > 50


def test_a_topic_of_another_shape_is_not_filled(
    options: dict[str, Any], book: Book, admin: TopicAdmin
) -> None:
    head = book.add(1)
    target = own(EVENTS, 3)
    admin.apply([dataclasses.replace(target, partitions=2)])
    (left,) = backfill(book.reader, options, target, admin=admin, until=head)
    assert left.what == "partitions"
    assert verified(book.reader, options, target.name).records == 0


def missing(verdict: Verdict) -> list[int]:
    """The positions that it lacks, when nothing else is wrong."""
    assert {each.fault for each in verdict.findings} <= {Fault.MISSING}
    return sorted(each.position or 0 for each in verdict.findings)


def test_what_is_to_be_whole_has_its_end(
    options: dict[str, Any], book: Book, admin: TopicAdmin
) -> None:
    head = book.add(2)
    target = own(EVENTS, 4)
    admin.apply([target])
    empty = verified(book.reader, options, target.name, until=head)
    assert missing(empty) == list(range(1, head + 1))
    assert (empty.first, empty.records, empty.is_whole) == (None, 0, False)
    assert not backfill(book.reader, options, target, admin=admin, until=head)
    more = book.add(1)
    whole = verified(book.reader, options, target.name, until=head)
    # What came since is no part of it.
    assert (whole.is_whole, whole.behind) == (True, more - head)
    short = verified(book.reader, options, target.name, until=more)
    assert missing(short) == list(range(head + 1, more + 1))


def test_what_is_to_be_whole_has_its_beginning_and_every_partition(
    options: dict[str, Any], book: Book, admin: TopicAdmin
) -> None:
    head = book.add(9, 2)
    target = own(EVENTS, 5)
    assert not backfill(book.reader, options, target, admin=admin, until=head)
    (gone, *others) = last_records(
        options, [TopicPartition(target.name, n) for n in range(target.partitions)]
    )
    assert others
    with closing(KafkaAdminClient(**options)) as kafka:
        kafka.delete_records({gone: -1})
    # What has passed its time is no fault, but where nothing may have.
    assert verified(book.reader, options, target.name).is_whole
    short = verified(book.reader, options, target.name, until=head)
    assert len(missing(short)) == head - short.records > 0
    let_pass(options, target, leave=1)
    assert verified(book.reader, options, target.name).is_whole
    late = verified(book.reader, options, target.name, until=head)
    assert 1 in missing(late)
    assert len(missing(late)) == head - late.records


def test_statuses_that_are_to_be_whole_have_their_end(
    options: dict[str, Any], book: Book, admin: TopicAdmin
) -> None:
    head = book.add(2)
    target = own(REQUEST_STATUS, 6)
    admin.apply([target])
    empty = verified(book.reader, options, target.name, until=head)
    # Of each request the newest: accepted, and nothing of the submission before.
    assert missing(empty) == [3, 4]
    assert not backfill(book.reader, options, target, admin=admin, until=head)
    more = book.add(1)
    whole = verified(book.reader, options, target.name, until=head)
    assert (whole.is_whole, whole.behind) == (True, 2)
    short = verified(book.reader, options, target.name, until=more)
    assert missing(short) == [head + 2]


def ran(book: Book, options: dict[str, Any], *words: str) -> tuple[int, str, str]:
    kafka = {"SIJIL_KAFKA": ",".join(options["bootstrap_servers"])}
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "backfill", *words],
        cwd=REPOSITORY,
        env=os.environ | book.database.environment() | kafka,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_fills_proves_and_says_so(
    options: dict[str, Any], book: Book
) -> None:
    head = book.add(4)
    code, said, wrong = ran(book, options)
    assert code == 0, wrong
    name = said.partition(":")[0]
    assert name.startswith("sijil.events.v1.backfill-")
    assert said.startswith(f"{name}: whole, positions 1 to {head}, {head} records")
    # Another history is never led into it.
    owner = book.database.datastore("owner")
    with owner.transaction() as cursor:
        cursor.execute("SELECT resume_as_new_incarnation()")
    code, _, wrong = ran(book, options, "--number", name.rpartition("-")[2])
    assert code == 1, wrong
    assert "holds what this ledger does not" in " ".join(wrong.split())
    code, _, wrong = ran(book, options, "sijil.relay-position.v1")
    assert code == 2
    assert "can be filled from the ledger" in " ".join(wrong.split())


def test_the_command_calls_nothing_whole_that_is_empty(
    options: dict[str, Any], book: Book, admin: TopicAdmin
) -> None:
    head = book.add(4)
    target = own(EVENTS, 7)
    assert not backfill(book.reader, options, target, admin=admin, until=head)
    let_pass(options, target, leave=0)
    # The relay finds that all was published, and only the records are gone.
    code, said, wrong = ran(book, options, "--number", target.name.rpartition("-")[2])
    assert code == 1, said + wrong
    assert f"missing: position {head}\n" in said
    assert f"{target.name}: NOT whole, no records" in said
    wrong = " ".join(wrong.split())
    assert f"has not everything up to position {head}, or has what is wrong" in wrong


def test_the_command_says_that_the_beginning_is_missing(
    options: dict[str, Any], book: Book, admin: TopicAdmin
) -> None:
    head = book.add(4)
    target = own(EVENTS, 8)
    assert not backfill(book.reader, options, target, admin=admin, until=head)
    let_pass(options, target, leave=1)
    code, said, wrong = ran(book, options, "--number", target.name.rpartition("-")[2])
    assert code == 1, said + wrong
    assert said.startswith("missing: position 1\n")
    assert f"{target.name}: NOT whole, positions " in said
