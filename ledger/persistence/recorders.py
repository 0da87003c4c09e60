"""The library's recorders on psycopg2: one ledger a schema, other tables beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from importlib.resources import files
from typing import Any, cast
from uuid import UUID

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    Notification,
    ProcessRecorder,
    StoredEvent,
    Subscription,
    Tracking,
    TrackingRecorder,
)
from psycopg2 import sql

from ledger.persistence.append import (
    ActToAppend,
    Appended,
    Command,
    RecordedCommand,
    TrackingConflictError,
    must_be_appended,
)
from ledger.persistence.columns import (
    ANSWER,
    ANSWER_WHOLE,
    IN_ORDER,
    Columns,
    answers,
    arguments,
    columns,
    only_uuid,
    whole_arguments,
)
from ledger.persistence.committer import Committer, CommitterLimits
from ledger.persistence.datastore import PostgresDatastore
from ledger.persistence.ids import uuid_of
from ledger.persistence.intake import FEWEST_ACTS, PackedActs, bring, packed

_COMMAND = """
SELECT id::text, actor, digest, first_position, last_position
FROM commands WHERE id = %s::uuid
"""
_MAX_POSITION = "SELECT max(position) FROM events"
_TRACKED = "SELECT position FROM {} WHERE name = %s"
_CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS {} (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
)
"""
_INSERT = "INSERT INTO {} VALUES (%s::uuid, %s, %s, %s)"
_CREATE_MARKS = """
CREATE TABLE IF NOT EXISTS marks (name text PRIMARY KEY, position bigint NOT NULL)
"""
_MARK = """
INSERT INTO marks AS t VALUES (%s, %s)
ON CONFLICT (name) DO UPDATE SET position = excluded.position
WHERE t.position < excluded.position
RETURNING position
"""


def ledger_script() -> str:
    """The statements that make a ledger in the schema on the search_path."""
    folder = files("ledger.persistence") / "migrations"
    names = sorted(path.name for path in folder.iterdir() if path.name.endswith(".sql"))
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def _as_text(originator_id: UUID | str) -> str:
    return str(only_uuid(originator_id))


def _selection(
    *,
    gt: int | None,
    lte: int | None,
    desc: bool,
    limit: int | None,
    version: sql.Identifier,
) -> tuple[sql.Composable, list[Any]]:
    """The tail of a query over one aggregate, and its parameters."""
    parts: list[sql.Composable] = []
    params: list[Any] = []
    for bound, operator in ((gt, ">"), (lte, "<=")):
        if bound is not None:
            parts.append(sql.SQL(" AND {} " + operator + " %s").format(version))
            params.append(bound)
    parts.append(sql.SQL(" ORDER BY {}").format(version))
    if desc:
        parts.append(sql.SQL(" DESC"))
    if limit is not None:
        parts.append(sql.SQL(" LIMIT %s"))
        params.append(limit)
    return sql.Composed(parts), params


class PostgresAggregateRecorder(AggregateRecorder):
    """Stored events of one plain table, such as snapshots: no positions, no ledger."""

    def __init__(
        self, datastore: PostgresDatastore, *, table_name: str = "stored_events"
    ) -> None:
        self.datastore = datastore
        self._table = sql.Identifier(table_name)

    def create_table(self) -> None:
        """Make the table when it is missing."""
        self.datastore.run_script("SELECT")
        with self.datastore.transaction() as cursor:
            cursor.execute(sql.SQL(_CREATE_TABLE).format(self._table))

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        **kwargs: Any,  # noqa: ARG002 -- the library's signature
    ) -> Sequence[int] | None:
        """Store the events, all or none. Raises IntegrityError on a conflict."""
        with self.datastore.transaction() as cursor:
            for event in stored_events:
                cursor.execute(
                    sql.SQL(_INSERT).format(self._table),
                    (
                        _as_text(event.originator_id),
                        event.originator_version,
                        event.topic,
                        event.state,
                    ),
                )
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The events of one aggregate in the order of their versions."""
        tail, params = _selection(
            gt=gt,
            lte=lte,
            desc=desc,
            limit=limit,
            version=sql.Identifier("originator_version"),
        )
        query = (
            sql.SQL(
                "SELECT originator_version, topic, state FROM {}"
                " WHERE originator_id = %s::uuid"
            ).format(self._table)
            + tail
        )
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(query, [_as_text(originator_id), *params])
            return [
                StoredEvent(originator_id, version, topic, bytes(state))
                for version, topic, state in cursor.fetchall()
            ]


class PostgresApplicationRecorder(ApplicationRecorder):
    """The ledger of one schema: appends through its one function, reads by position."""

    def __init__(
        self, datastore: PostgresDatastore, *, limits: CommitterLimits | None = None
    ) -> None:
        self.datastore = datastore
        self._committer = Committer(datastore, limits)

    def create_table(self) -> None:
        """Make the ledger when the schema has none."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(
                "SELECT to_regclass(%s)", (f'"{self.datastore.schema}".events',)
            )
            exists = cast("tuple[object]", cursor.fetchone())[0] is not None
        if not exists:
            self.datastore.run_script(ledger_script())

    def append(
        self, acts: Sequence[ActToAppend], *, clock: datetime | None = None
    ) -> list[Appended]:
        """Append a batch; one outcome an act, in order.

        A losing act is dropped whole and costs no other act anything. ``clock`` is
        the caller's time, now by default. When this returns, what is ``appended`` is
        durable. Raises ClockSkewError and LedgerSuspendedError for the whole batch.
        """
        return self.prepare(acts, clock=clock)()

    def prepare(
        self, acts: Sequence[ActToAppend], *, clock: datetime | None = None
    ) -> Callable[[], list[Appended]]:
        """A batch as it will be sent, and what appends it, as ``append`` does.

        For who appends in another thread: what of the work is the interpreter's own is
        done when this returns. ``clock`` is the caller's time, by default that of the
        call. Raises of values that have no place in the ledger; the rest is the call's.
        """
        if not acts:
            return list
        if len(acts) >= FEWEST_ACTS:
            return partial(self._bring, packed(acts), clock)
        return partial(self._insert, list(map(columns, acts)), clock)

    def _bring(self, batch: PackedActs, clock: datetime | None) -> list[Appended]:
        with self.datastore.autocommit() as cursor:
            return bring(cursor, batch, clock)

    def _insert(
        self, written: Sequence[Columns], clock: datetime | None
    ) -> list[Appended]:
        statement = f"{ANSWER}{arguments(written, clock)} {IN_ORDER}"
        with self.datastore.autocommit() as cursor:
            cursor.execute(statement)
            return answers(cursor.fetchall())

    def append_whole(
        self,
        acts: Sequence[ActToAppend],
        *,
        marks: Mapping[str, int | None],
        clock: datetime | None = None,
    ) -> list[Appended]:
        """Append acts of which none may be stored without the others.

        ``marks`` is where each followed stream stands, by name, None for nowhere yet:
        one that has moved is lost to somebody else. Raises NotWholeError where an act
        or a mark loses, and otherwise as ``append``; nothing was stored then. Only a
        lost connection leaves that open (OperationalError): the command ids tell.
        """
        if not acts:
            return []
        # One statement: the head is not held while the answer is read.
        asked = whole_arguments(list(map(columns, acts)), marks, clock)
        statement = f"{ANSWER_WHOLE}{asked} {IN_ORDER}"
        with self.datastore.autocommit() as cursor:
            cursor.execute(statement)
            return answers(cursor.fetchall())

    def commit(self, act: ActToAppend) -> Appended:
        """Append one act together with those of other threads; its outcome, durable.

        Raises LedgerBusyError, when nothing was stored because too much waits, and
        OutcomeUnknownError, when only the command id tells what became of the act; else
        as ``append``. What the database has against an act is raised for it alone.
        """
        return self._committer.append(act)

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        tracking: Tracking | None = None,
        command: Command | None = None,
        **kwargs: Any,  # noqa: ARG002 -- the library's signature
    ) -> Sequence[int] | None:
        """Append one act; its positions, or None when there was nothing to store.

        Raises VersionConflictError, TrackingConflictError, CommandReusedError,
        CommandRepeatedError (all are the library's IntegrityError); else as ``commit``.
        """
        if not stored_events and tracking is None and command is None:
            return None
        act = ActToAppend(events=stored_events, command=command, tracking=tracking)
        appended = must_be_appended(self.commit(act))
        if appended.first_position is None or appended.last_position is None:
            return None
        return list(range(appended.first_position, appended.last_position + 1))

    def find_command(self, command_id: UUID) -> RecordedCommand | None:
        """What the ledger remembers of a command, or None."""
        with self.datastore.autocommit() as cursor:
            cursor.execute(_COMMAND, (str(command_id),))
            row = cursor.fetchone()
        if row is None:
            return None
        return RecordedCommand(
            id=UUID(row[0]),
            actor=row[1],
            digest=bytes(row[2]),
            first_position=row[3],
            last_position=row[4],
        )

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The events of one aggregate in the order of their versions."""
        tail, params = _selection(
            gt=gt, lte=lte, desc=desc, limit=limit, version=sql.Identifier("version")
        )
        query = (
            sql.SQL(
                "SELECT version, topic, body FROM events WHERE aggregate_id = %s::uuid"
            )
            + tail
        )
        with self.datastore.autocommit() as cursor:
            cursor.execute(query, [_as_text(originator_id), *params])
            return [
                StoredEvent(originator_id, version, topic, bytes(body))
                for version, topic, body in cursor.fetchall()
            ]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Entries by position, at most ``limit``, as the library's notifications."""
        conditions: list[str] = []
        params: list[Any] = []
        if start is not None:
            conditions.append(
                "position >= %s" if inclusive_of_start else "position > %s"
            )
            params.append(start)
        if stop is not None:
            conditions.append("position <= %s")
            params.append(stop)
        if topics:
            conditions.append("topic = ANY(%s)")
            params.append(list(topics))
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        query = (
            "SELECT position, aggregate_id::text, version, topic, body FROM events "
            f"{where}ORDER BY position LIMIT %s"
        )
        with self.datastore.autocommit() as cursor:
            cursor.execute(query, [*params, limit])
            return [
                Notification(
                    uuid_of(aggregate_id), version, topic, bytes(body), position
                )
                for position, aggregate_id, version, topic, body in cursor.fetchall()
            ]

    def max_notification_id(self) -> int | None:
        """The newest visible position, or None when the ledger is empty."""
        with self.datastore.autocommit() as cursor:
            cursor.execute(_MAX_POSITION)
            return cast("tuple[int | None]", cursor.fetchone())[0]

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        """An endless iterator of notifications above ``gt``, waking by NOTIFY."""
        # The subscription reads through a recorder; the import would be circular.
        from ledger.persistence.subscription import (  # noqa: PLC0415
            PostgresSubscription,
        )

        return PostgresSubscription(recorder=self, gt=gt, topics=topics)


class PostgresTrackingRecorder(TrackingRecorder):
    """High-water marks of followed streams, for those who write no events."""

    table_name = "marks"

    def __init__(self, datastore: PostgresDatastore) -> None:
        self.datastore = datastore

    def create_table(self) -> None:
        """Make the table when it is missing."""
        self.datastore.run_script(_CREATE_MARKS)

    def insert_tracking(self, tracking: Tracking) -> None:
        """Track a position. Raises TrackingConflictError at or below the mark."""
        with self.datastore.transaction() as cursor:
            cursor.execute(_MARK, (tracking.application_name, tracking.notification_id))
            if cursor.fetchone() is None:
                raise TrackingConflictError("tracked already")

    def max_tracking_id(self, application_name: str) -> int | None:
        """The highest tracked position of a stream, or None."""
        with self.datastore.autocommit() as cursor:
            cursor.execute(
                sql.SQL(_TRACKED).format(sql.Identifier(self.table_name)),
                (application_name,),
            )
            row = cursor.fetchone()
        return None if row is None else int(row[0])


class PostgresProcessRecorder(
    PostgresTrackingRecorder, PostgresApplicationRecorder, ProcessRecorder
):
    """The ledger together with the marks its acts were tracked under."""

    table_name = "tracking"

    def __init__(
        self, datastore: PostgresDatastore, *, limits: CommitterLimits | None = None
    ) -> None:
        PostgresApplicationRecorder.__init__(self, datastore, limits=limits)

    def create_table(self) -> None:
        """Make the ledger, which has the tracking table too."""
        PostgresApplicationRecorder.create_table(self)

    def insert_tracking(self, tracking: Tracking) -> None:
        """Track a position through the append function, as an act without events."""
        self.insert_events([], tracking=tracking)
