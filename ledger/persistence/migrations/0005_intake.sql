-- The bulk path: a batch of thousands of acts comes by COPY, as one row of arrays.
--
-- The row is judged when the whole of it is there, by the trigger at the end of the
-- statement that brought it, so the head is not held while a client sends. The trigger
-- sees the rows of its own statement and no others, and deletes what it has read in the
-- same transaction: there is nothing in this table that could be appended later, or by
-- another. It is not logged, for it is empty whenever a statement has ended.
--
-- Nobody but the owner reads, changes or deletes here; the application inserts.
CREATE UNLOGGED TABLE intake (
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
);

-- Read once, within the millisecond: compressing costs more than it saves.
ALTER TABLE intake
    ALTER COLUMN command_ids SET STORAGE EXTERNAL,
    ALTER COLUMN command_actors SET STORAGE EXTERNAL,
    ALTER COLUMN command_digests SET STORAGE EXTERNAL,
    ALTER COLUMN tracking_names SET STORAGE EXTERNAL,
    ALTER COLUMN tracking_positions SET STORAGE EXTERNAL,
    ALTER COLUMN event_counts SET STORAGE EXTERNAL,
    ALTER COLUMN aggregate_ids SET STORAGE EXTERNAL,
    ALTER COLUMN versions SET STORAGE EXTERNAL,
    ALTER COLUMN topics SET STORAGE EXTERNAL,
    ALTER COLUMN bodies SET STORAGE EXTERNAL;

-- Appends what one statement has brought, and says what became of it in the setting
-- sijil.taken_in of the session, which an undone transaction takes back:
--   <position before the first event> <its recorded time, in microseconds since 1970>
-- where every act was appended; else a line an act, in their order:
--   <outcome> <first position> <last position> <recorded time>
-- with a minus for what there is not.
--
-- A batch of commands without tracking, whose versions follow each other, is stored in
-- the hope that none of it is taken; the keys of both tables know. Where one says that
-- something is, all is undone, and the append function judges the batch.
CREATE FUNCTION take_in() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    brought_count bigint;
    batch intake%ROWTYPE;
    act_count integer;
    event_count integer;
    -- Whether the batch is stored as a whole.
    is_whole boolean;
    -- What must be stored already: the version below the first one of each aggregate.
    base_ids uuid[];
    base_versions integer[];
    head_position bigint;
    at timestamptz;
    is_suspended boolean;
    said text;
BEGIN
    SELECT count(*) INTO brought_count FROM brought;
    IF brought_count <> 1 THEN
        RAISE EXCEPTION 'a statement brings one batch'
            USING ERRCODE = 'cardinality_violation';
    END IF;
    SELECT b.* INTO STRICT batch FROM brought b;
    DELETE FROM intake;

    act_count := cardinality(batch.event_counts);
    event_count := cardinality(batch.aggregate_ids);
    is_whole := (
        cardinality(batch.command_ids) = act_count
        AND cardinality(batch.command_actors) = act_count
        AND cardinality(batch.command_digests) = act_count
        AND cardinality(batch.tracking_names) = act_count
        AND cardinality(batch.tracking_positions) = act_count
        AND cardinality(batch.versions) = event_count
        AND cardinality(batch.topics) = event_count
        AND cardinality(batch.bodies) = event_count
        AND event_count > 0
        AND array_position(batch.command_ids, NULL) IS NULL
        AND cardinality(array_remove(batch.tracking_names, NULL)) = 0
        AND (
            SELECT sum(c.events) = event_count AND min(c.events) >= 0
            FROM unnest(batch.event_counts) AS c (events)
        )
        AND abs(extract(epoch FROM statement_timestamp() - batch.caller_clock)) <= 60
    ) IS TRUE;
    IF is_whole THEN
        SELECT
            bool_and((CASE
                WHEN e.before IS NULL THEN e.version >= 1
                ELSE e.version = e.before + 1
            END) IS TRUE),
            array_agg(e.id) FILTER (WHERE e.before IS NULL AND e.version > 1),
            array_agg(e.version - 1) FILTER (WHERE e.before IS NULL AND e.version > 1)
        INTO is_whole, base_ids, base_versions
        FROM (
            SELECT
                u.id, u.version,
                lag(u.version) OVER (PARTITION BY u.id ORDER BY u.n) AS before
            FROM unnest(batch.aggregate_ids, batch.versions)
                WITH ORDINALITY AS u (id, version, n)
        ) AS e;
    END IF;

    IF is_whole THEN
        BEGIN
            -- As in append: whoever has the head is alone until the commit, and each
            -- entry is at least a microsecond after the one before.
            UPDATE ledger_head AS h SET
                position = h.position + event_count,
                recorded_at =
                    greatest(clock_timestamp(), h.recorded_at + interval '1 microsecond')
                    + (event_count - 1) * interval '1 microsecond'
            WHERE h.is_only_row
            RETURNING
                h.position - event_count,
                h.recorded_at - (event_count - 1) * interval '1 microsecond',
                h.is_suspended
            INTO STRICT head_position, at, is_suspended;

            -- Every statement from here on has a snapshot from after the lock.
            IF is_suspended OR clock_timestamp() < at - interval '1 minute' OR EXISTS (
                SELECT FROM unnest(base_ids, base_versions) AS b (id, version)
                WHERE NOT EXISTS (
                    SELECT FROM events s
                    WHERE s.aggregate_id = b.id AND s.version = b.version
                )
            ) THEN
                -- Undone together with what was taken of the head.
                RAISE EXCEPTION 'not as a whole' USING ERRCODE = 'SJ004';
            END IF;

            -- Commands first: a batch that comes again ends here, at its first row.
            INSERT INTO commands
            SELECT
                a.id, a.actor, a.digest,
                CASE WHEN a.events > 0 THEN head_position + a.until - a.events + 1 END,
                CASE WHEN a.events > 0 THEN head_position + a.until END,
                at + greatest(a.until - 1, 0) * interval '1 microsecond'
            FROM (
                SELECT
                    c.id, c.actor, c.digest, c.events,
                    sum(c.events) OVER (ORDER BY c.n ROWS UNBOUNDED PRECEDING) AS until
                FROM unnest(
                    batch.command_ids, batch.command_actors, batch.command_digests,
                    batch.event_counts
                ) WITH ORDINALITY AS c (id, actor, digest, events, n)
            ) AS a;
            INSERT INTO events (position, recorded_at, aggregate_id, version, topic, body)
            SELECT
                head_position + e.n, at + (e.n - 1) * interval '1 microsecond',
                e.id, e.version, e.topic, e.body
            FROM unnest(batch.aggregate_ids, batch.versions, batch.topics, batch.bodies)
                WITH ORDINALITY AS e (id, version, topic, body, n);
            PERFORM pg_notify(
                'sijil_' || md5(current_schema() || '.events'),
                (head_position + event_count)::text
            );
            said := head_position || ' ' || (extract(epoch FROM at) * 1000000)::bigint;
        EXCEPTION WHEN unique_violation OR SQLSTATE 'SJ004' THEN
            is_whole := false;
        END;
    END IF;

    IF NOT is_whole THEN
        SELECT string_agg(
            concat_ws(
                ' ', a.outcome, coalesce(a.first_position::text, '-'),
                coalesce(a.last_position::text, '-'),
                coalesce((extract(epoch FROM a.recorded_at) * 1000000)::bigint::text, '-')
            ),
            E'\n' ORDER BY a.act
        ) INTO said
        FROM append(
            batch.caller_clock, batch.command_ids, batch.command_actors,
            batch.command_digests, batch.tracking_names, batch.tracking_positions,
            batch.event_counts, batch.aggregate_ids, batch.versions, batch.topics,
            batch.bodies
        ) AS a;
    END IF;
    PERFORM set_config('sijil.taken_in', coalesce(said, ''), false);
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION take_in FROM PUBLIC;

CREATE TRIGGER intake_is_taken_in
    AFTER INSERT ON intake REFERENCING NEW TABLE AS brought
    FOR EACH STATEMENT EXECUTE FUNCTION take_in();

-- Gives back the room of what was brought and deleted, unless somebody is just bringing
-- something; whether it did. A server cleans up behind deletes by itself, but about once
-- a minute, and an import brings gigabytes in that time.
CREATE FUNCTION tidy_intake() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF pg_total_relation_size('intake') < 64 * 1024 * 1024 THEN
        RETURN false;
    END IF;
    LOCK TABLE intake IN ACCESS EXCLUSIVE MODE NOWAIT;
    TRUNCATE intake;
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;
REVOKE ALL ON FUNCTION tidy_intake FROM PUBLIC;
