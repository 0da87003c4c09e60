-- The append function anew, for batches: thousands of acts in a few statements.
--
-- The same signature, outcomes and order of steps as before. Two things are new. A
-- batch in which every act can be stored is checked and stored as a whole; any other
-- goes act by act. And an act loses when an earlier act of the batch on the same
-- aggregate was not stored: it was decided on what is not there.
--
-- The planner is told to use the indexes: a plan that was made while the tables were
-- nearly empty would be kept for as long as the session lives.
CREATE OR REPLACE FUNCTION append(
    caller_clock timestamptz,
    command_ids uuid[],
    command_actors text[],
    command_digests bytea[],
    tracking_names text[],
    tracking_positions bigint[],
    event_counts integer[],
    aggregate_ids uuid[],
    versions integer[],
    topics text[],
    bodies bytea[]
) RETURNS TABLE (
    act integer,
    outcome text,
    first_position bigint,
    last_position bigint,
    recorded_at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    head ledger_head%ROWTYPE;
    known commands%ROWTYPE;
    next_event integer := 1;
    first_event integer;
    last_event integer;
    at timestamptz;
    tracked bigint;
    is_moved boolean := false;
    lost uuid[] := '{}';
BEGIN
    -- The statement's time, not the time after the wait for the lock below.
    IF abs(extract(epoch FROM statement_timestamp() - caller_clock)) > 60 THEN
        RAISE EXCEPTION 'the caller''s clock and the server''s are over a minute apart'
            USING ERRCODE = 'SJ001';
    END IF;

    -- Whoever has the head is alone until the commit.
    SELECT * INTO head FROM ledger_head FOR UPDATE;

    IF head.is_suspended THEN
        RAISE EXCEPTION 'the ledger was restored and is not resumed'
            USING ERRCODE = 'SJ002';
    END IF;
    IF clock_timestamp() < head.recorded_at - interval '1 minute' THEN
        RAISE EXCEPTION 'the server''s clock is over a minute behind the last entry'
            USING ERRCODE = 'SJ001';
    END IF;

    -- Every statement from here on has a snapshot from after the lock.

    -- A batch of commands without tracking in which nothing was stored before, and
    -- whose versions follow each other and what is stored, is stored as a whole.
    IF cardinality(event_counts) > 1
        AND cardinality(aggregate_ids) > 0
        AND array_position(command_ids, NULL) IS NULL
        AND NOT EXISTS (
            SELECT FROM unnest(tracking_names) AS t (name) WHERE t.name IS NOT NULL
        )
        AND (
            SELECT count(DISTINCT c.id) = count(*) FROM unnest(command_ids) AS c (id)
        )
        AND NOT EXISTS (
            SELECT FROM unnest(command_ids) AS c (id) JOIN commands k ON k.id = c.id
        )
        AND NOT EXISTS (
            SELECT FROM (
                SELECT
                    u.id, u.version,
                    lag(u.version) OVER (PARTITION BY u.id ORDER BY u.n) AS before
                FROM unnest(aggregate_ids, versions) WITH ORDINALITY AS u (id, version, n)
            ) AS e
            WHERE CASE
                WHEN e.before IS NOT NULL THEN e.version <> e.before + 1
                ELSE e.version < 1
                    OR EXISTS (
                        SELECT FROM events s
                        WHERE s.aggregate_id = e.id AND s.version >= e.version
                    )
                    OR e.version > 1 AND NOT EXISTS (
                        SELECT FROM events s
                        WHERE s.aggregate_id = e.id AND s.version = e.version - 1
                    )
            END
        )
    THEN
        -- Each entry is at least a microsecond after the one before.
        at := greatest(clock_timestamp(), head.recorded_at + interval '1 microsecond');
        INSERT INTO events (position, recorded_at, aggregate_id, version, topic, body)
        SELECT
            head.position + e.n, at + (e.n - 1) * interval '1 microsecond',
            e.id, e.version, e.topic, e.body
        FROM unnest(aggregate_ids, versions, topics, bodies)
            WITH ORDINALITY AS e (id, version, topic, body, n);
        RETURN QUERY
        WITH counted AS (
            SELECT
                a.id, a.actor, a.digest, a.events, a.n,
                sum(a.events) OVER (ORDER BY a.n) AS until
            FROM unnest(command_ids, command_actors, command_digests, event_counts)
                WITH ORDINALITY AS a (id, actor, digest, events, n)
        ), placed AS (
            SELECT
                c.n, c.id, c.actor, c.digest,
                CASE WHEN c.events > 0 THEN head.position + c.until - c.events + 1 END
                    AS first_one,
                CASE WHEN c.events > 0 THEN head.position + c.until END AS last_one,
                at + greatest(c.until - 1, 0) * interval '1 microsecond' AS moment
            FROM counted c
        ), remembered AS (
            INSERT INTO commands AS k
            SELECT p.id, p.actor, p.digest, p.first_one, p.last_one, p.moment
            FROM placed p
        )
        SELECT p.n::integer, 'appended', p.first_one::bigint, p.last_one::bigint, p.moment
        FROM placed p;
        UPDATE ledger_head h SET
            position = head.position + cardinality(aggregate_ids),
            recorded_at = at + (cardinality(aggregate_ids) - 1) * interval '1 microsecond';
        PERFORM pg_notify(
            'sijil_' || md5(current_schema() || '.events'),
            (head.position + cardinality(aggregate_ids))::text
        );
        RETURN;
    END IF;

    -- Act by act. Each statement sees what this function has itself inserted:
    -- duplicates inside the batch need no rule.
    FOR i IN 1 .. cardinality(event_counts) LOOP
        act := i;
        outcome := 'appended';
        first_position := NULL;
        last_position := NULL;
        recorded_at := NULL;
        first_event := next_event;
        last_event := next_event + event_counts[i] - 1;
        next_event := last_event + 1;

        IF command_ids[i] IS NOT NULL THEN
            SELECT * INTO known FROM commands c WHERE c.id = command_ids[i];
            IF FOUND THEN
                IF known.actor = command_actors[i] AND known.digest = command_digests[i] THEN
                    outcome := 'repeated';
                    first_position := known.first_position;
                    last_position := known.last_position;
                    recorded_at := known.recorded_at;
                ELSE
                    outcome := 'command-reused';
                END IF;
            END IF;
        END IF;

        IF outcome = 'appended' AND tracking_names[i] IS NOT NULL THEN
            SELECT t.position INTO tracked FROM tracking t WHERE t.name = tracking_names[i];
            IF FOUND AND tracked >= tracking_positions[i] THEN
                outcome := 'tracking-conflict';
            END IF;
        END IF;

        -- All or nothing: one lost version loses the whole act. So does standing on an
        -- act of this batch that was not stored.
        IF outcome = 'appended' AND (
            EXISTS (
                SELECT FROM generate_series(first_event, last_event) AS e (n)
                WHERE aggregate_ids[e.n] = ANY (lost)
            ) OR EXISTS (
                SELECT FROM generate_series(first_event, last_event) AS e (n)
                JOIN events s ON s.aggregate_id = aggregate_ids[e.n] AND s.version = versions[e.n]
            ) OR (
                SELECT count(*) <> count(DISTINCT (aggregate_ids[e.n], versions[e.n]))
                FROM generate_series(first_event, last_event) AS e (n)
            )
        ) THEN
            outcome := 'version-conflict';
        END IF;

        -- An act of the office leaves no hole: the version before is stored or its own.
        IF outcome = 'appended' AND command_ids[i] IS NOT NULL AND EXISTS (
            SELECT FROM generate_series(first_event, last_event) AS e (n)
            WHERE versions[e.n] < 1 OR versions[e.n] > 1 AND NOT EXISTS (
                SELECT FROM events s
                WHERE s.aggregate_id = aggregate_ids[e.n] AND s.version = versions[e.n] - 1
            ) AND NOT EXISTS (
                SELECT FROM generate_series(first_event, e.n - 1) AS p (n)
                WHERE aggregate_ids[p.n] = aggregate_ids[e.n]
                    AND versions[p.n] = versions[e.n] - 1
            )
        ) THEN
            outcome := 'version-gap';
        END IF;

        IF outcome <> 'appended' THEN
            lost := lost || aggregate_ids[first_event:last_event];
            RETURN NEXT;
            CONTINUE;
        END IF;

        at := head.recorded_at;
        IF event_counts[i] > 0 THEN
            first_position := head.position + 1;
            last_position := head.position + event_counts[i];
            -- Each entry is at least a microsecond after the one before.
            at := greatest(clock_timestamp(), head.recorded_at + interval '1 microsecond');
            INSERT INTO events (position, recorded_at, aggregate_id, version, topic, body)
            SELECT
                head.position + 1 + e.n - first_event,
                at + (e.n - first_event) * interval '1 microsecond',
                aggregate_ids[e.n], versions[e.n], topics[e.n], bodies[e.n]
            FROM generate_series(first_event, last_event) AS e (n);
            head.position := last_position;
            head.recorded_at := at + (event_counts[i] - 1) * interval '1 microsecond';
            at := head.recorded_at;
            is_moved := true;
        ELSE
            at := greatest(clock_timestamp(), head.recorded_at);
        END IF;
        recorded_at := at;

        IF command_ids[i] IS NOT NULL THEN
            INSERT INTO commands
            VALUES (
                command_ids[i], command_actors[i], command_digests[i],
                first_position, last_position, at
            );
        END IF;
        IF tracking_names[i] IS NOT NULL THEN
            INSERT INTO tracking AS t VALUES (tracking_names[i], tracking_positions[i])
            ON CONFLICT (name) DO UPDATE SET position = excluded.position;
        END IF;
        RETURN NEXT;
    END LOOP;

    IF is_moved THEN
        UPDATE ledger_head h SET position = head.position, recorded_at = head.recorded_at;
        PERFORM pg_notify(
            'sijil_' || md5(current_schema() || '.events'), head.position::text
        );
    END IF;
END $$;
