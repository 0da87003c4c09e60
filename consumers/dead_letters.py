"""Dead letters: messages that could not be used, kept as they came, and sent again.

A message is first written to the dead-letter topic of its group, and then its event is
stored together with its offset. A crash in between leaves it there twice: the event
names the one that counts, and each says where it came from (decision 0037).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from threading import Lock
from typing import Any
from uuid import UUID

import structlog
from eventsourcing.persistence import Tracking
from kafka import KafkaProducer
from kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)
from kafka.producer.future import RecordMetadata

from consumers.inward.records import Headers, InwardMessage, UnusableError
from consumers.inward.signatures import Senders
from consumers.sockets import let_go
from consumers.topics import dead_letters_of
from domain.dead_letters import DeadLetter
from office.dead_letters import DeadLettersDesk, SetAside

DELIVERY_TIMEOUT_MS = 25_000
"""How long one record may take to be written, all retries in it."""
FUTURE_TIMEOUT_S = 30.0
LARGEST_RECORD_BYTES = 32 * 2**20
"""What a record may have before it is compressed: what is larger stays where it is."""
LONGEST_DETAIL = 200
"""Letters of a worker's detail: it is a code, and never a message's own text."""
REPLAY_OF = "sijil_replay_of"
"""The header of a message that was sent again: ``<dead letter>/<replay>``."""
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)

_log = structlog.get_logger()


class Kept(StrEnum):
    """How much of a message a dead letter has.

    ELSEWHERE: larger than even this topic takes, or not to be read by our client; it is
    where it came from, for as long as that topic keeps it. NOTHING: it had neither key
    nor value.
    """

    WHOLE = "whole"
    ELSEWHERE = "elsewhere"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What the headers say that a dead letter has beside those of the message."""

    letter_id: UUID
    group: str
    origin: str
    sent_ms: int
    cause: str
    attempts: int
    kept: Kept
    detail: str = ""

    def headers(self) -> list[tuple[str, bytes]]:
        """The headers; they stand behind the message's own, always all of them."""
        said = (
            str(self.letter_id),
            self.group,
            self.origin,
            str(self.sent_ms),
            self.cause,
            str(self.attempts),
            self.kept,
            self.detail,
        )
        return [(name, text.encode()) for name, text in zip(NAMES, said, strict=True)]

    @classmethod
    def of(cls, headers: Headers) -> tuple[Marks, Headers] | None:
        """The marks and the message's own headers; None where they are no letter's."""
        own, marked = headers[: -len(NAMES)], headers[-len(NAMES) :]
        if tuple(name for name, _ in marked) != NAMES:
            return None
        try:
            letter, group, origin, sent, cause, attempts, kept, detail = (
                text.decode() for _, text in marked
            )
            marks = cls(
                letter_id=UUID(letter),
                group=group,
                origin=origin,
                sent_ms=int(sent),
                cause=cause,
                attempts=int(attempts),
                kept=Kept(kept),
                detail=detail,
            )
        except ValueError:
            return None
        return marks, own


NAMES = (
    "sijil_dead_letter",
    "sijil_group",
    "sijil_origin",
    "sijil_sent_ms",
    "sijil_cause",
    "sijil_attempts",
    "sijil_kept",
    "sijil_detail",
)
"""The headers that a dead letter has of ours, in the order of the fields of Marks."""


class Sender:
    """A producer that looks at the future of each record. Many threads may use one.

    It is made when it is first needed, and anew after an error that it cannot get over.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._mutex = Lock()
        self._producer: KafkaProducer | None = None

    def send(
        self,
        topic: str,
        *,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> RecordMetadata:
        """Where a record stands, once all brokers that have to have it have it.

        Raises KafkaError; MessageSizeTooLargeError and RecordListTooLargeError where it
        is larger than the topic takes. It may be there all the same after any other.
        """
        producer = self._made()
        try:
            sent: RecordMetadata = producer.send(
                topic, partition=partition, key=key, value=value, headers=[*headers]
            ).get(FUTURE_TIMEOUT_S)
        except KafkaError as error:
            if not error.retriable and not isinstance(error, TOO_LARGE):
                self._forget(producer)
            raise
        if sent.offset < 0:
            # The broker had it already from a try whose answer was lost, and cannot
            # say where: it is written once more, to a place that is known.
            raise KafkaTimeoutError("no offset")
        return sent

    def close(self) -> None:
        """Let the producer go; nothing is on its way any more."""
        with self._mutex:
            producer, self._producer = self._producer, None
        if producer is not None:
            let_go(producer, wait_s=FUTURE_TIMEOUT_S)

    def _made(self) -> KafkaProducer:
        with self._mutex:
            if self._producer is None:
                self._producer = KafkaProducer(
                    **self._options,
                    enable_idempotence=True,
                    acks="all",
                    delivery_timeout_ms=DELIVERY_TIMEOUT_MS,
                    max_block_ms=DELIVERY_TIMEOUT_MS,
                    # Its sender may have compressed a message: as large as it came it
                    # would be more than a topic takes.
                    compression_type="gzip",
                    max_request_size=LARGEST_RECORD_BYTES,
                    retry_backoff_ms=20,
                    allow_auto_create_topics=False,
                    metrics_enabled=False,
                )
            return self._producer

    def _forget(self, failed: KafkaProducer) -> None:
        """Leave a producer that is broken for good; the next record has another."""
        with self._mutex:
            if self._producer is failed:
                self._producer = None
        # Others may have something on its way, which comes or fails by itself.
        let_go(failed, wait_s=FUTURE_TIMEOUT_S)


class DeadLetters:
    """Sets messages of one group aside. Many threads may use one; close it.

    ``senders`` gives who is believed now, so that events say whose a message was.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        desk: DeadLettersDesk,
        *,
        group: str,
        senders: Callable[[], Senders] | None = None,
    ) -> None:
        self._topic = dead_letters_of(group).name
        self._group = group
        self._desk = desk
        self._senders = senders
        self._sender = Sender(options)
        # Of each partition the message that was kept last, until it is passed: while
        # the ledger takes no acts it is tried every few seconds, and kept once.
        self._mutex = Lock()
        self._kept: dict[tuple[str, int], tuple[Marks, RecordMetadata]] = {}

    def set_aside(
        self,
        message: InwardMessage,
        *,
        cause: str,
        attempts: int,
        detail: str | None = None,
        tracking: Tracking,
    ) -> None:
        """Keep a message that cannot be used, and pass its offset.

        ``cause`` is a code; ``detail`` MUST have no value of the message. Raises
        TrackingConflictError where the offset was passed already, KafkaError where the
        message could not be kept, and the office's errors where the ledger is away:
        each time it may be tried again.
        """
        place = (self._group, message.topic, message.partition, message.offset)
        marks = Marks(
            letter_id=DeadLetter.id_of(*place, message.timestamp_ms),
            group=self._group,
            origin=origin_of(message.topic, message.partition, message.offset),
            sent_ms=message.timestamp_ms,
            cause=cause,
            attempts=attempts,
            kept=Kept.WHOLE,
            detail=(detail or "")[:LONGEST_DETAIL],
        )
        kept = self._kept_once(message, marks)
        self._desk.set_aside(
            SetAside(
                group=self._group,
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                sent_ms=message.timestamp_ms,
                cause=cause,
                attempts=attempts,
                kept_partition=kept.partition,
                kept_offset=kept.offset,
                sender=self._proved(message),
                replay_of=replayed_by(message.headers),
            ),
            tracking=tracking,
        )
        with self._mutex:
            self._kept.pop((message.topic, message.partition), None)

    def close(self) -> None:
        """Let the producer go."""
        self._sender.close()

    def _proved(self, message: InwardMessage) -> str | None:
        """The code of whom a message was proved to be from, or None."""
        if self._senders is None:
            return None
        try:
            return self._senders().sender_of(message).id
        except UnusableError:
            return None

    def _kept_once(self, message: InwardMessage, marks: Marks) -> RecordMetadata:
        """The message's place on the dead-letter topic; an earlier try may have it."""
        partition = message.topic, message.partition
        with self._mutex:
            before = self._kept.get(partition)
        if before is not None and before[0] == marks:
            return before[1]
        kept = self._keep(message, marks)
        with self._mutex:
            self._kept[partition] = marks, kept
        return kept

    def _keep(self, message: InwardMessage, marks: Marks) -> RecordMetadata:
        """Write a message to the dead-letter topic; its place there."""
        value = message.value
        if message.is_unread:
            return self._name(marks)
        if value is None and message.key is None:
            # The client sends no record with neither.
            value, marks = b"", replace(marks, kept=Kept.NOTHING)
        try:
            return self._sender.send(
                self._topic,
                partition=0,
                key=message.key,
                value=value,
                headers=[*message.headers, *marks.headers()],
            )
        except TOO_LARGE:
            # It was compressed better than we can: a place is worth more than nothing,
            # and a partition that stands still would be worth less.
            _log.warning("dead_letters.too_large", message=message.name)
            return self._name(marks)

    def _name(self, marks: Marks) -> RecordMetadata:
        """Write where a message is, and nothing of it."""
        marks = replace(marks, kept=Kept.ELSEWHERE)
        return self._sender.send(
            self._topic, partition=0, key=None, value=b"", headers=marks.headers()
        )


def origin_of(topic: str, partition: int, offset: int) -> str:
    """A message's place as dead letters name it."""
    return f"{topic}/{partition}/{offset}"


def replay_mark(letter_id: UUID, replay: int) -> bytes:
    """What a message carries that was sent again: for which letter, which time."""
    return f"{letter_id}/{replay}".encode()


def replayed_by(headers: Headers) -> UUID | None:
    """The dead letter that a message says it was sent again for, or None.

    Anybody may write a header: whoever rests on it MUST look whether there is one.
    """
    said = [text for name, text in headers if name == REPLAY_OF]
    if len(said) != 1:
        return None
    letter, _, replay = said[0].decode("ascii", "replace").partition("/")
    try:
        return UUID(letter) if replay.isdecimal() else None
    except ValueError:
        return None
