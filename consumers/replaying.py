"""Dead letters read back from Kafka, and sent again to where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from consumers.dead_letters import (
    REPLAY_OF,
    TOO_LARGE,
    Kept,
    Marks,
    Sender,
    origin_of,
    replay_mark,
)
from consumers.fetched import UNREADABLE
from consumers.inward.records import InwardMessage
from consumers.partitions import reader_of, records_between
from consumers.topics import dead_letters_of
from office.errors import OperatorError
from office.streams import LetterContent, LetterPlace, SentAgain

READ_TIMEOUT_S = 30.0
_GONE = "the content is gone: it was kept for 30 days, or its topic was made again"

_UNREADABLE = (
    "our client cannot read the record: its sender has to send it again, compressed "
    "with gzip or not at all, and with header names in UTF-8"
)


class Replaying:
    """The letter box of one cluster. Close it when done."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._sender = Sender(options)

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def send_again(self, letter: LetterPlace, *, replay: int) -> SentAgain:
        """Send a message to where it came from, once for each ``replay``.

        Raises OperatorError where its content is gone, and KafkaError.
        """
        return self._sent_before(letter, replay) or self._send(letter, replay)

    def content(self, letter: LetterPlace) -> LetterContent:
        """What was in a message. Raises OperatorError where nobody can read it."""
        dead = dead_letters_of(letter.group).name
        record = self._record(dead, letter.kept_partition, letter.kept_offset)
        marked = None if record is None else Marks.of(InwardMessage.of(record).headers)
        origin = origin_of(letter.topic, letter.partition, letter.offset)
        if record is None or marked is None or marked[0].letter_id != letter.id:
            raise OperatorError(_GONE, exit_code=1)
        marks, headers = marked
        if marks.origin != origin:
            raise OperatorError(_GONE, exit_code=1)
        key, value = record.key, record.value
        if marks.kept is Kept.NOTHING:
            key = value = None
        if marks.kept is Kept.ELSEWHERE:
            try:
                message = self._record(letter.topic, letter.partition, letter.offset)
            except UNREADABLE as error:
                raise OperatorError(_UNREADABLE, exit_code=1) from error
            if message is None or message.timestamp != marks.sent_ms:
                raise OperatorError(_GONE, exit_code=1)
            key, value = message.key, message.value
            headers = InwardMessage.of(message).headers
        return LetterContent(key=key, value=value, headers=headers, detail=marks.detail)

    def _record(self, topic: str, partition: int, offset: int) -> ConsumerRecord | None:
        """The record at a place, or None where there is none any more."""
        place = TopicPartition(topic, partition)
        with closing(reader_of(self._options)) as reader:
            if partition not in (reader.partitions_for_topic(topic) or ()):
                return None
            begin = reader.beginning_offsets([place])[place]
            if not begin <= offset < reader.end_offsets([place])[place]:
                return None
            asked = ({place: offset}, {place: offset + 1})
            for records, _ in records_between(reader, *asked, timeout_s=READ_TIMEOUT_S):
                for record in records:
                    if record.offset == offset:
                        return record
        return None

    def _sent_before(self, letter: LetterPlace, replay: int) -> SentAgain | None:
        """Where it stands if it was sent for this replay before, and nobody knows.

        Whoever sent it may have been stopped before that was recorded.
        """
        mark = replay_mark(letter.id, replay)
        place = TopicPartition(letter.topic, letter.partition)
        with closing(reader_of(self._options)) as reader:
            if letter.partition not in (
                reader.partitions_for_topic(letter.topic) or ()
            ):
                raise OperatorError(
                    f"the topic {letter.topic} has no partition {letter.partition}",
                    exit_code=1,
                )
            begins = reader.beginning_offsets([place])
            ends = reader.end_offsets([place])
            starts = {place: max(begins[place], letter.offset + 1)}
            for records, _ in records_between(
                reader, starts, ends, passes_unreadable=True
            ):
                for record in records:
                    if (REPLAY_OF, mark) in record.headers:
                        return SentAgain(
                            partition=record.partition,
                            offset=record.offset,
                            sent_ms=record.timestamp,
                            is_repeat=True,
                        )
        return None

    def _send(self, letter: LetterPlace, replay: int) -> SentAgain:
        content = self.content(letter)
        if content.key is None and content.value is None:
            raise OperatorError(
                "there is nothing to send: the message had neither key nor value",
                exit_code=1,
            )
        # Of an earlier replay it says no more: the events lead from one to the other.
        own = [each for each in content.headers if each[0] != REPLAY_OF]
        try:
            sent = self._sender.send(
                letter.topic,
                partition=letter.partition,
                key=content.key,
                value=content.value,
                headers=[*own, (REPLAY_OF, replay_mark(letter.id, replay))],
            )
        except TOO_LARGE as error:
            raise OperatorError(
                f"the message is larger than {letter.topic} takes from us: its sender "
                "had compressed it better; ask for it in parts",
                exit_code=1,
            ) from error
        return SentAgain(
            partition=sent.partition,
            offset=sent.offset,
            sent_ms=sent.timestamp,
            is_repeat=False,
        )
