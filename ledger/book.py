"""The ledger as an application of ``eventsourcing``: aggregates in, entries out."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.persistence import Mapper, Tracking
from eventsourcing.utils import Environment

from domain import (
    agencies,
    attempts,
    calendars,
    centres,
    clerks,
    dead_letters,
    payments,
    reads,
    records,
    requests,
    resumptions,
    services,
    stamps,
    views,
)
from domain.aggregates import OfficeAggregate
from ledger.bodies import BodyMapper
from ledger.glance import Glances
from ledger.names import LEDGER_SCHEMA, Role
from ledger.past import Past
from ledger.persistence.append import (
    ActToAppend,
    Appended,
    Command,
    RecordedCommand,
    must_be_appended,
)
from ledger.persistence.committer import CommitterLimits
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.factory import PostgresFactory
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.persistence.tails import Tails
from ledger.reader import LedgerReader
from ledger.recent import Kept, Recent, twin
from ledger.settings import LedgerSettings

A = TypeVar("A", bound=OfficeAggregate)

AGGREGATES: tuple[type[OfficeAggregate], ...] = (
    agencies.Agency,
    attempts.Attempt,
    calendars.Calendar,
    centres.Centre,
    clerks.Clerk,
    dead_letters.DeadLetter,
    payments.Payment,
    reads.Look,
    records.PersonRecord,
    requests.ServiceRequest,
    resumptions.ReturnedLedger,
    services.Service,
    stamps.Stamp,
    views.FollowedView,
)
"""Every kind of aggregate the ledger keeps; importing them registers their topics."""

_WRITTEN_ONCE = (attempts.Attempt, reads.Look)
"""Nothing is ever decided on these: in memory they would only push others out."""


class Book(Protocol):
    """What the acts of the office need of a ledger: to read things, and to append."""

    def glance(
        self,
        *things: UUID,
        command_id: UUID | None = None,
        anew: bool = False,
    ) -> AbstractContextManager[None]:
        """One look at all that an act will ask for; inside it things stay as seen."""

    def look(self, *things: UUID) -> None:
        """Take in what will be asked for next, in one go, where a glance is open."""

    def peek(self, kind: type[A], aggregate_id: UUID) -> A | None:
        """A thing as it is in memory: maybe of before, and MUST NOT be decided on."""

    def find(
        self,
        kind: type[A],
        aggregate_id: UUID,
        *,
        effective_at: datetime | None = None,
        version: int | None = None,
    ) -> A | None:
        """The aggregate of this kind: now, as of an effective time, or at a version."""

    def find_command(
        self, command_id: UUID, *, anew: bool = False
    ) -> RecordedCommand | None:
        """What is remembered of a command, or None; ``anew`` past an open glance."""

    def history(self, aggregate_id: UUID) -> Iterable[OfficeAggregate.Event]:
        """The events of one aggregate, in order."""

    def outcome_of(self, last: int | None, aggregate_id: UUID) -> tuple[UUID, int]:
        """Which thing an act changed, and its ETag after the act's last position."""

    def append(
        self,
        *aggregates: OfficeAggregate,
        command: Command | None = None,
        tracking: Tracking | None = None,
    ) -> Appended:
        """Store what is pending on the aggregates as one act, whole or not at all."""


class Ledger(Application[UUID]):
    """The ledger of one installation.

    Raises the errors of ``ledger.persistence.append`` where an act loses.
    """

    name = "Sijil"

    def __init__(self, settings: LedgerSettings, role: Role = Role.APP) -> None:
        self._settings = settings
        self._role = role
        super().__init__()
        self.datastore = self.datastore_factory.datastore
        self.reader = LedgerReader(self.datastore)
        self._recent = Recent(settings.recent_things)
        self._glances = Glances(
            Tails(self.datastore), self.mapper.to_domain_event, self._recent
        )

    def construct_factory(  # type: ignore[override]
        self, env: Environment
    ) -> PostgresFactory:
        """Our factory, on the database of the settings, making no tables."""
        datastore = PostgresDatastore(
            self._settings.dsn(self._role),
            schema=LEDGER_SCHEMA,
            pool_size=self._settings.pool_size,
            max_overflow=self._settings.max_overflow,
        )
        self.datastore_factory = PostgresFactory(
            Environment(env.name, {"CREATE_TABLE": "no"}),
            datastore=datastore,
            limits=CommitterLimits(
                queue_acts=self._settings.append_queue_acts,
                retry_s=self._settings.append_retry_s,
                wait_s=self._settings.append_wait_s,
            ),
        )
        return self.datastore_factory

    def construct_mapper(self) -> Mapper[UUID]:
        """The contract's body instead of the library's transcoder."""
        return BodyMapper()

    def construct_recorder(self) -> PostgresProcessRecorder:
        """The recorder of the ledger and its tracking."""
        self.process_recorder = self.datastore_factory.process_recorder()
        return self.process_recorder

    def find(
        self,
        kind: type[A],
        aggregate_id: UUID,
        *,
        effective_at: datetime | None = None,
        version: int | None = None,
    ) -> A | None:
        """The aggregate of this kind: now, as of an effective time, or at a version.

        As of an effective time T it is what the highest version effective at or
        before T left (docs/reference/contract.md, "Two times"). None when there is
        none, when it did not exist yet then, and when it has no such version.
        """
        if effective_at is not None and version is not None:
            raise TypeError("either an effective time or a version")
        kept = self._glances.thing(aggregate_id)
        if version is not None and (kept is None or version > kept.version):
            # Whoever names a version knows more than this glance has seen.
            kept = self._glances.thing(aggregate_id, anew=True)
        if kept is None:
            return None
        found: object = kept.thing
        if version is not None and version != kept.version:
            found = self._past(kept).after(version) if version < kept.version else None
            if not isinstance(found, kind) or found.version != version:
                return None
        if not isinstance(found, kind):
            return None
        if effective_at is not None and effective_at < found.modified_on:
            past = self._past(kept)
            found = past.after(past.last_by(effective_at))
        return twin(found) if isinstance(found, kind) else None

    def _past(self, kept: Kept) -> Past:
        """The past of a thing up to the version it is kept at."""
        past = self._recent.past_of(kept)
        if past is None:
            past = Past(
                [
                    event
                    for event in self.events.get(kept.id, lte=kept.version)
                    if isinstance(event, OfficeAggregate.Event)
                ]
            )
            self._recent.keep_past(kept, past)
        return past

    def glance(
        self,
        *things: UUID,
        command_id: UUID | None = None,
        anew: bool = False,
    ) -> AbstractContextManager[None]:
        """One look at all that an act will ask for; inside it things stay as seen.

        Within another glance it joins that one, unless ``anew``. Raises the errors of
        ``eventsourcing.persistence`` when it is entered.
        """
        return self._glances.open(things, command_id=command_id, anew=anew)

    def look(self, *things: UUID) -> None:
        """Take in what will be asked for next, in one go, where a glance is open."""
        self._glances.look(things)

    def peek(self, kind: type[A], aggregate_id: UUID) -> A | None:
        """A thing as it is in memory: maybe of before, and MUST NOT be decided on.

        For guessing what an act will need. Nothing is read.
        """
        kept = self._in_memory(aggregate_id)
        thing = None if kept is None else kept.thing
        return thing if isinstance(thing, kind) else None

    def _in_memory(self, aggregate_id: UUID) -> Kept | None:
        """What is kept of a thing, folded, without a question to the ledger."""
        kept = self._recent.get(aggregate_id)
        if kept is not None and kept.to_fold:
            kept = kept.folded(self.mapper.to_domain_event)
            self._recent.keep(kept)
        return kept

    def find_command(
        self, command_id: UUID, *, anew: bool = False
    ) -> RecordedCommand | None:
        """What the ledger remembers of a command, or None.

        Inside a glance at it what was seen then, unless it is asked ``anew``.
        """
        is_seen, known = self._glances.command(command_id)
        if is_seen and not anew:
            return known
        return self.process_recorder.find_command(command_id)

    def history(self, aggregate_id: UUID) -> Iterable[OfficeAggregate.Event]:
        """The events of one aggregate, in order."""
        kept = self._glances.thing(aggregate_id)
        return () if kept is None else self._past(kept).events

    def outcome_of(self, last: int | None, aggregate_id: UUID) -> tuple[UUID, int]:
        """Which thing an act changed, and its ETag after the act's last position.

        For an act that changed nothing, and so has no position: the thing now.
        """
        thing = self.left_by(OfficeAggregate, last, aggregate_id)
        return thing.id, thing.etag_version

    def left_by(self, kind: type[A], last: int | None, aggregate_id: UUID) -> A:
        """What an act left of the thing it changed, by the act's last position.

        For an act that changed nothing: the thing now. Raises AggregateNotFoundError
        where there is none.
        """
        version = None
        if last is not None:
            kept = self._in_memory(aggregate_id)
            found = None if kept is None or kept.position != last else kept.thing
            if isinstance(found, kind):
                # An entry never changes, so there is nothing to ask the ledger.
                return twin(found)
            entry = self.reader.entry(last)
            if entry is not None:
                aggregate_id, version = entry.aggregate_id, entry.version
        thing = self.find(kind, aggregate_id, version=version)
        if thing is None:
            raise AggregateNotFoundError(aggregate_id)
        return thing

    def append(
        self,
        *aggregates: OfficeAggregate,
        command: Command | None = None,
        tracking: Tracking | None = None,
    ) -> Appended:
        """Store what is pending on the aggregates as one act, whole or not at all."""
        mapped = self.mapper.to_stored_event
        pending = [
            [mapped(event) for event in aggregate.collect_events()]
            for aggregate in aggregates
        ]
        events = [event for each in pending for event in each]
        act = ActToAppend(events=events, command=command, tracking=tracking)
        try:
            appended = must_be_appended(self.process_recorder.commit(act))
        finally:
            self._glances.pass_over()
        # The time and the position are the last entry's, so they tell of one thing.
        is_one = len(aggregates) == 1 and bool(events)
        if is_one and not isinstance(aggregates[0], _WRITTEN_ONCE):
            self._recent.follow(
                events,
                recorded_at=appended.recorded_at,
                position=appended.last_position,
            )
        return appended
