"""Five ways to put appends in an order that readers can rely on, each in its schema.

All keep the same rows with the same constraints and make the same checks in the same
statements; they differ in what is locked, where positions come from, and in how a
reader must read. Each act has one event, the first of its aggregate.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg2
import psycopg2.extensions

from benchmarks.writers import BODY, TOPIC

_TABLES = """
DROP SCHEMA IF EXISTS {schema} CASCADE;
CREATE SCHEMA {schema};
SET search_path = {schema};
CREATE TABLE events (
    position bigint PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    aggregate_id uuid NOT NULL,
    version integer NOT NULL CHECK (version >= 0),
    topic text NOT NULL CHECK (topic ~ '^[ -~]+$' AND length(topic) <= 100),
    body bytea NOT NULL CHECK (octet_length(body) <= 60000),
    UNIQUE (aggregate_id, version)
);
ALTER TABLE events ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE commands (
    id uuid PRIMARY KEY,
    actor text NOT NULL,
    digest bytea NOT NULL,
    first_position bigint,
    last_position bigint,
    recorded_at timestamptz NOT NULL
);
CREATE TABLE head (position bigint NOT NULL, recorded_at timestamptz NOT NULL);
INSERT INTO head VALUES (0, '-infinity');
CREATE SEQUENCE positions;
"""
_FUNCTION = """
CREATE FUNCTION add(
    aggregate_ids uuid[], command_ids uuid[], topics text[], bodies bytea[]
) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    head head%ROWTYPE;
    positions bigint[];
    at timestamptz;
BEGIN
    {lock}
    -- In a later statement than the lock's: its snapshot is from after the wait.
    IF EXISTS (
        SELECT FROM unnest(command_ids) AS c (id) JOIN commands k ON k.id = c.id
    ) OR EXISTS (
        SELECT FROM unnest(aggregate_ids) AS a (id)
        JOIN events s ON s.aggregate_id = a.id AND s.version = 1
    ) THEN
        RAISE unique_violation;
    END IF;
    {place}
    INSERT INTO events (position, recorded_at, aggregate_id, version, topic, body)
    SELECT
        e.position, at + (e.n - 1) * interval '1 microsecond', e.id, 1, e.topic, e.body
    FROM unnest(positions, aggregate_ids, topics, bodies)
        WITH ORDINALITY AS e (position, id, topic, body, n);
    INSERT INTO commands
    SELECT c.id, 'clerk/clk-DI-1', uuid_send(c.id) || uuid_send(c.id),
        c.position, c.position, at + (c.n - 1) * interval '1 microsecond'
    FROM unnest(positions, command_ids) WITH ORDINALITY AS c (position, id, n);
    {move}
    {wake}
END $$;
"""
# A transaction that notifies commits alone in its database, whatever orders the rest.
_WAKE = "PERFORM pg_notify('{schema}', positions[cardinality(positions)]::text);"
_AFTER_THE_LAST = """
    SELECT e.position, e.recorded_at INTO head FROM events e
    ORDER BY e.position DESC LIMIT 1;
    IF NOT FOUND THEN
        head := (0, '-infinity');
    END IF;
"""
_DENSE = """
    positions := ARRAY(
        SELECT head.position + n
        FROM generate_series(1, cardinality(aggregate_ids)) AS n
    );
    at := greatest(clock_timestamp(), head.recorded_at + interval '1 microsecond');
"""
_FROM_SEQUENCE = """
    positions := ARRAY(
        SELECT nextval('positions')
        FROM generate_series(1, cardinality(aggregate_ids)) AS n
    );
    at := clock_timestamp();
"""
_READ = """
SELECT 0, position, aggregate_id::text FROM events
WHERE position > %(position)s ORDER BY position LIMIT 1000
"""
# By position alone it would lose: a transaction with an earlier number may take a later
# position. So the reader's place is a pair, and wants an index of its own.
_READ_BELOW_HORIZON = """
SELECT xid::text::bigint, position, aggregate_id::text FROM events
WHERE (xid, position) > (%(xid)s::text::xid8, %(position)s)
    AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY xid, position LIMIT 1000
"""
_HORIZON = """
ALTER TABLE events ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX ON events (xid, position);
"""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One way to order appends.

    ``patience_s``: how long its reader waits at a gap before it passes. ``wakes``:
    whether an append notifies; without it readers can only poll.
    """

    name: str
    schema: str
    lock: str = ""
    place: str
    move: str = ""
    more: str = ""
    read: str = _READ
    patience_s: float | None = None
    wakes: bool = True

    def create(self, dsn: dict[str, Any]) -> None:
        """Its schema, anew and empty."""
        function = _FUNCTION.format(
            lock=self.lock,
            place=self.place,
            move=self.move,
            wake=_WAKE.format(schema=self.schema) if self.wakes else "",
        )
        with closing(self.connect(dsn)) as connection, connection.cursor() as cursor:
            cursor.execute(_TABLES.format(schema=self.schema) + self.more + function)

    def connect(self, dsn: dict[str, Any]) -> psycopg2.extensions.connection:
        """A connection in autocommit that sees its schema."""
        connection: psycopg2.extensions.connection = psycopg2.connect(
            **dsn, options=f"-c search_path={self.schema}"
        )
        connection.autocommit = True
        return connection


ORDERS = (
    Order(
        name="table lock until the commit",
        schema="table_lock",
        lock="LOCK TABLE events IN EXCLUSIVE MODE;",
        place=_AFTER_THE_LAST + _DENSE,
    ),
    Order(
        name="advisory lock",
        schema="advisory_lock",
        lock="PERFORM pg_advisory_xact_lock(4813);",
        place=_AFTER_THE_LAST + _DENSE,
    ),
    Order(
        name="sequence, readers below the snapshot horizon",
        schema="horizon",
        place=_FROM_SEQUENCE,
        more=_HORIZON,
        read=_READ_BELOW_HORIZON,
    ),
    Order(
        name="sequence, readers wait at gaps",
        schema="gaps",
        place=_FROM_SEQUENCE,
        patience_s=0.2,
    ),
    Order(
        name="the same, and nobody is notified",
        schema="gaps_unnotified",
        place=_FROM_SEQUENCE,
        patience_s=0.2,
        wakes=False,
    ),
    Order(
        name="head row (ours)",
        schema="head_row",
        lock="SELECT * INTO head FROM head FOR UPDATE;",
        place=_DENSE,
        move="""
    UPDATE head h SET position = positions[cardinality(positions)],
        recorded_at = at + (cardinality(positions) - 1) * interval '1 microsecond';
""",
    ),
)

_ADD = "SELECT add(%s::uuid[], %s::uuid[], %s, %s)"


def add(
    cursor: psycopg2.extensions.cursor,
    aggregates: Sequence[UUID],
    commands: Sequence[UUID],
) -> None:
    """Append one act for each aggregate, all in one statement."""
    count = len(aggregates)
    cursor.execute(
        _ADD,
        (
            [str(each) for each in aggregates],
            [str(each) for each in commands],
            [TOPIC] * count,
            [BODY] * count,
        ),
    )
