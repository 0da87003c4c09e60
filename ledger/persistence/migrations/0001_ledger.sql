-- The ledger: one row a fact, appended by one function, never changed.
-- Names are unqualified: the runner sets search_path to the ledger's own schema.

CREATE TABLE events (
    position bigint PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    aggregate_id uuid NOT NULL,
    version integer NOT NULL CHECK (version >= 0),
    topic text NOT NULL
        CHECK (topic ~ '^[ -~]+$' AND length(topic) <= 100),
    body bytea NOT NULL CHECK (octet_length(body) <= 60000),
    UNIQUE (aggregate_id, version)
);

-- Bodies hardly compress and are read far more often than written.
ALTER TABLE events ALTER COLUMN body SET STORAGE EXTERNAL;

-- One row. Locking it is what puts appends in order; it also hands out positions.
CREATE TABLE ledger_head (
    is_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_only_row),
    ledger_id uuid NOT NULL DEFAULT gen_random_uuid(),
    incarnation integer NOT NULL DEFAULT 1,
    position bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT '-infinity',
    -- A ledger that came back from a backup is an earlier head: it refuses appends
    -- until its operator resumes it as a new incarnation.
    is_suspended boolean NOT NULL DEFAULT false
);
INSERT INTO ledger_head DEFAULT VALUES;

CREATE TABLE commands (
    id uuid PRIMARY KEY,
    actor text NOT NULL,
    digest bytea NOT NULL,
    first_position bigint,
    last_position bigint,
    recorded_at timestamptz NOT NULL
);

-- A high-water mark for each followed stream: once 23 is tracked, 22 never can be.
CREATE TABLE tracking (
    name text PRIMARY KEY,
    position bigint NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'SJ003';
END $$;

CREATE TRIGGER events_are_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Appends a batch of acts in one transaction. Called in autocommit, so that the lock
-- on the head lives for one call inside the server and never across a round trip.
--
-- Arrays: one element an act for commands and tracking (NULL where there is none) and
-- event_counts; one element an event, acts one after the other, for the rest.
-- Returns one row an act, in order. An act is stored whole or not at all.
CREATE FUNCTION append(
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
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    head ledger_head%ROWTYPE;
    known commands%ROWTYPE;
    next_event integer := 1;
    first_event integer;
    last_event integer;
    at timestamptz;
    tracked bigint;
    is_moved boolean := false;
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

    -- Every statement from here on has a snapshot from after the lock, and sees what
    -- this function has itself inserted: duplicates inside the batch need no rule.
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
                RETURN NEXT;
                CONTINUE;
            END IF;
        END IF;

        IF tracking_names[i] IS NOT NULL THEN
            SELECT t.position INTO tracked FROM tracking t WHERE t.name = tracking_names[i];
            IF FOUND AND tracked >= tracking_positions[i] THEN
                outcome := 'tracking-conflict';
                RETURN NEXT;
                CONTINUE;
            END IF;
        END IF;

        -- All or nothing: one lost version loses the whole act.
        IF EXISTS (
            SELECT FROM generate_series(first_event, last_event) AS e (n)
            JOIN events s ON s.aggregate_id = aggregate_ids[e.n] AND s.version = versions[e.n]
        ) OR (
            SELECT count(*) <> count(DISTINCT (aggregate_ids[e.n], versions[e.n]))
            FROM generate_series(first_event, last_event) AS e (n)
        ) THEN
            outcome := 'version-conflict';
            RETURN NEXT;
            CONTINUE;
        END IF;

        -- An act of the office leaves no hole: the version before is stored or its own.
        IF command_ids[i] IS NOT NULL AND EXISTS (
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
REVOKE ALL ON FUNCTION append FROM PUBLIC;

-- For the owner only: what a restore and its operator do to the head.
CREATE FUNCTION suspend() RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    UPDATE ledger_head SET is_suspended = true;
$$;
REVOKE ALL ON FUNCTION suspend FROM PUBLIC;

CREATE FUNCTION resume_as_new_incarnation() RETURNS integer
LANGUAGE sql SET search_path FROM CURRENT AS $$
    UPDATE ledger_head SET is_suspended = false, incarnation = incarnation + 1
    RETURNING incarnation;
$$;
REVOKE ALL ON FUNCTION resume_as_new_incarnation FROM PUBLIC;
