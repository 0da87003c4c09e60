"""The ledger as an application of ``eventsourcing``: aggregates in, entries out."""

from __future__ import annotations

from collections.abc import Iterable
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
    reads,
    records,
    requests,
    services,
    stamps,
    views,
)
from domain.aggregates import OfficeAggregate
from ledger.bodies import BodyMapper
from ledger.names import LEDGER_SCHEMA, Role
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
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings

A = TypeVar("A", bound=OfficeAggregate)

AGGREGATES: tuple[type[OfficeAggregate], ...] = (
    agencies.Agency,
    attempts.Attempt,
    calendars.Calendar,
    centres.Centre,
    clerks.Clerk,
    reads.Look,
    records.PersonRecord,
    requests.ServiceRequest,
    services.Service,
    stamps.Stamp,
    views.FollowedView,
)
"""Every kind of aggregate the ledger keeps; importing them registers their topics."""


class Book(Protocol):
    """What the acts of the office need of a ledger: to read things, and to append."""

    def find(
        self,
        kind: type[A],
        aggregate_id: UUID,
        *,
        effective_at: datetime | None = None,
        version: int | None = None,
    ) -> A | None:
        """The aggregate of this kind: now, as of an effective time, or at a version."""

    def find_command(self, command_id: UUID) -> RecordedCommand | None:
        """What is remembered of a command, or None."""

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
        if effective_at is not None:
            found: object = self._as_of(aggregate_id, effective_at)
            return found if isinstance(found, kind) else None
        try:
            found = self.repository.get(aggregate_id, version=version)
        except AggregateNotFoundError:
            return None
        if not isinstance(found, kind):
            return None
        return found if version in {None, found.version} else None

    def _as_of(self, aggregate_id: UUID, effective_at: datetime) -> object:
        """What the events up to the highest version effective by then make, or None."""
        events = tuple(self.history(aggregate_id))
        last = max(
            (e.originator_version for e in events if e.timestamp <= effective_at),
            default=0,
        )
        found: object = None
        for event in events:
            if event.originator_version <= last:
                found = event.mutate(found)
        return found

    def find_command(self, command_id: UUID) -> RecordedCommand | None:
        """What the ledger remembers of a command, or None."""
        return self.process_recorder.find_command(command_id)

    def history(self, aggregate_id: UUID) -> Iterable[OfficeAggregate.Event]:
        """The events of one aggregate, in order."""
        return (
            event
            for event in self.events.get(aggregate_id)
            if isinstance(event, OfficeAggregate.Event)
        )

    def outcome_of(self, last: int | None, aggregate_id: UUID) -> tuple[UUID, int]:
        """Which thing an act changed, and its ETag after the act's last position.

        For an act that changed nothing, and so has no position: the thing now.
        """
        version = None
        entry = None if last is None else self.reader.entry(last)
        if entry is not None:
            aggregate_id, version = entry.aggregate_id, entry.version
        thing: OfficeAggregate = self.repository.get(aggregate_id, version=version)
        return aggregate_id, thing.etag_version

    def append(
        self,
        *aggregates: OfficeAggregate,
        command: Command | None = None,
        tracking: Tracking | None = None,
    ) -> Appended:
        """Store what is pending on the aggregates as one act, whole or not at all."""
        events = [
            self.mapper.to_stored_event(event)
            for aggregate in aggregates
            for event in aggregate.collect_events()
        ]
        act = ActToAppend(events=events, command=command, tracking=tracking)
        return must_be_appended(self.process_recorder.commit(act))
