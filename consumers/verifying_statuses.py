"""Proves that the topic of statuses tells where each request of the ledger stands.

Every record must follow from the very entry that it names, positions must rise within a
partition, so that the last record of a request is its newest, and no entry that enters
a stage may be without its record, unless a later one of the same request has one: the
topic keeps the last of each key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kafka.consumer.fetcher import ConsumerRecord

from consumers import envelope
from consumers.envelope import EnvelopeError
from consumers.statuses import ID_BEGINS, LEAVES, first_leaves, status_of
from consumers.topics import REQUEST_STATUS
from consumers.verifying import MOST_FINDINGS, Fault, Verdict, Verifier
from ledger.entries import Entry
from ledger.reader import LedgerReader
from projections.stages import ENTERED

MOST_SUSPECTS: Final = 1_000
"""Requests that are asked for at once."""
_TOPICS: Final = tuple(ENTERED)


class StatusVerifier(Verifier):
    """Verifies one topic of statuses once, against the ledger that it follows."""

    def __init__(
        self,
        options: Mapping[str, Any],
        ledger: LedgerReader,
        *,
        topic: str = REQUEST_STATUS.name,
        until: int = 0,
    ) -> None:
        super().__init__(options, topic=topic, until=until)
        self._ledger = ledger
        self._source = ""

    def verify(self) -> Verdict:
        """Read the topic to its end now, and judge.

        ``behind`` counts the entries above that enter a stage. Raises
        TopicMissingError, and PartitionUnreadableError where a transaction hangs.
        """
        self._source = envelope.source_of(self._ledger.head().ledger_id)
        last = self._read().last
        self._judge(max(last, self._until))
        return Verdict(
            topic=self._topic,
            records=self._records,
            first=self._positions.first,
            last=last or None,
            compared=self._records,
            behind=self._ledger.count(after=last, topics=_TOPICS, once=LEAVES),
            findings=self._findings[:MOST_FINDINGS],
        )

    # What is there --------------------------------------------------------------

    def _take(self, records: Sequence[ConsumerRecord]) -> None:
        told = [
            (position, record)
            for record in records
            if (position := self._place(record)) is not None
        ]
        entries = self._ledger.at_positions([position for position, _ in told])
        first = first_leaves(
            self._ledger,
            ((str(each.aggregate_id), each.topic) for each in entries.values()),
        )
        for position, record in told:
            why = _why_not(record, entries.get(position), first)
            if why is not None:
                self._find(Fault.CHANGED, position, record, why)

    def _place(self, record: ConsumerRecord) -> int | None:
        """The position a record names, when it may stand where it stands."""
        try:
            told = envelope.told_of(record.headers)
        except EnvelopeError as error:
            self._find(Fault.NOT_AN_EVENT, None, record, error.code)
            return None
        if record.key is None or record.value is None:
            # A status is never taken back: a request always is in a stage.
            self._find(Fault.NOT_AN_EVENT, None, record, "no-key-or-value")
            return None
        position = int(told["ce_sequence"])
        if told["ce_source"] != self._source:
            self._find(Fault.FOREIGN, position, record, "another-source")
            return None
        self._stands(record, position)
        return position

    # What is not ----------------------------------------------------------------

    def _judge(self, last: int) -> None:
        """Whether every request's newest status up to a position is there."""
        suspects: dict[str, None] = {}
        for entry in self._ledger.stream(until=last, topics=_TOPICS):
            if self._positions.has(entry.position):
                continue
            suspects[str(entry.aggregate_id)] = None
            if len(suspects) >= MOST_SUSPECTS:
                self._judge_some(list(suspects), last)
                suspects = {}
            if self._is_enough:
                return
        self._judge_some(list(suspects), last)

    def _judge_some(self, things: Sequence[str], last: int) -> None:
        """Find each whose newest entry that enters a stage has no record."""
        if not things:
            return
        newest: dict[str, tuple[int, str]] = {}
        superseded: set[str] = set()
        left: set[str] = set()
        for thing, _, topic, position in self._ledger.kinds(
            things, topics=_TOPICS, until=2**63 - 1
        ):
            if topic in LEAVES:
                if thing in left:
                    continue
                left.add(thing)
            if position <= last:
                newest[thing] = (position, topic)
            elif self._positions.has(position):
                # Of several moves in one transaction only the last has a record.
                superseded.add(thing)
        for thing, (position, topic) in newest.items():
            if self._positions.has(position) or thing in superseded:
                continue
            if not self._says_nothing(position, topic):
                self._find(Fault.MISSING, position)

    def _says_nothing(self, position: int, topic: str) -> bool:
        """Whether the entry's body is none of ours, so that there is no status."""
        entry = self._ledger.entry(position)
        return entry is None or status_of("", topic, entry.body) is None


def _why_not(
    record: ConsumerRecord,
    entry: Entry | None,
    first: Mapping[str, int],
) -> str | None:
    """Why a record is not the status that follows from the ledger's entry, or None."""
    if entry is None:
        return "not-the-ledgers"
    thing = str(entry.aggregate_id)
    if record.key != thing.encode():
        return "key-is-not-the-request"
    told = dict(record.headers)
    wanted = {
        "ce_type": REQUEST_STATUS.name.encode(),
        "ce_id": ID_BEGINS + entry.key.encode(),
        "ce_leafhash": entry.leaf_hash().hex().encode(),
    }
    if any(told[name] != text for name, text in wanted.items()):
        return "headers"
    status = status_of(thing, entry.topic, entry.body)
    if status is None or first.get(thing, entry.version) < entry.version:
        return "enters-no-stage"
    return None if record.value == status.to_bytes() else "value"
