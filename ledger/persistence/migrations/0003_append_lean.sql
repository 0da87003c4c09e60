-- The append function anew, for group commit: little is done while the head is held.
--
-- The same signature, outcomes and order of steps as before. New is how few statements
-- an append takes: one that locks the head and hands out positions for all, one that
-- checks all, and those that store all. An act that cannot be stored sends only those
-- to be judged one by one that share an aggregate, a command or a followed stream with
-- it; then the survivors are stored together, in the order they came in.
--
-- The planner is told to use the indexes, and to plan once a session: a plan made while
-- the tables were nearly empty would be kept, and planning anew for every batch costs
-- more than a small batch.
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
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    act_count constant integer := cardinality(event_counts);
    event_count constant integer := cardinality(aggregate_ids);
    -- An act of the library may come without a command; then versions may have holes.
    has_command constant boolean := cardinality(array_remove(command_ids, NULL)) > 0;
    has_tracking constant boolean := cardinality(array_remove(tracking_names, NULL)) > 0;
    -- Where the head stood before this append, and when its first entry is recorded.
    head_position bigint;
    at timestamptz;
    is_suspended boolean;
    is_clean boolean;
    is_whole boolean;
    -- Judging one by one. What an act became: 0 not judged, 1 appended, 2 repeated,
    -- 3 command reused, 4 version conflict, 5 version gap, 6 tracking conflict.
    verdicts smallint[] := array_fill(0::smallint, ARRAY[act_count]);
    verdict smallint;
    -- Of a repeated act: its positions and time, or which act of the batch it repeats.
    known_firsts bigint[];
    known_lasts bigint[];
    known_ats timestamptz[];
    originals integer[];
    original integer;
    -- Which act an event is of, each act's first event, and the last position until it.
    event_acts integer[];
    starts integer[];
    untils bigint[];
    first_event integer;
    last_event integer;
    -- What cannot be taken for granted.
    doubtful integer[];
    suspects uuid[];
    wider uuid[];
    -- What acts that were judged before have lost and taken.
    lost uuid[] := '{}';
    taken_ids uuid[] := '{}';
    taken_versions integer[] := '{}';
    taken_commands uuid[] := '{}';
    taken_by integer[] := '{}';
    taken_names text[] := '{}';
    taken_marks bigint[] := '{}';
    stored_count bigint;
    known record;
BEGIN
    -- The statement's time, not the time after the wait for the lock below.
    IF abs(extract(epoch FROM statement_timestamp() - caller_clock)) > 60 THEN
        RAISE EXCEPTION 'the caller''s clock and the server''s are over a minute apart'
            USING ERRCODE = 'SJ001';
    END IF;
    -- Arrays that do not fit together would number positions that no event has.
    IF (
        cardinality(command_ids) = act_count AND cardinality(command_actors) = act_count
        AND cardinality(command_digests) = act_count
        AND cardinality(tracking_names) = act_count
        AND cardinality(tracking_positions) = act_count
        AND cardinality(versions) = event_count AND cardinality(topics) = event_count
        AND cardinality(bodies) = event_count
    ) IS NOT TRUE THEN
        RAISE EXCEPTION 'the arrays of acts or of events differ in length'
            USING ERRCODE = 'array_subscript_error';
    END IF;

    -- Whoever has the head is alone until the commit. Positions are taken for all
    -- events, and given back below for those that are not stored. The clock is read
    -- after the wait: the row is looked at anew when another has changed it.
    UPDATE ledger_head AS h SET
        position = h.position + event_count,
        recorded_at = CASE event_count WHEN 0 THEN h.recorded_at ELSE
            greatest(clock_timestamp(), h.recorded_at + interval '1 microsecond')
            + (event_count - 1) * interval '1 microsecond'
        END
    WHERE h.is_only_row
    RETURNING
        h.position - event_count,
        h.recorded_at - greatest(event_count - 1, 0) * interval '1 microsecond',
        h.is_suspended
    INTO STRICT head_position, at, is_suspended;

    IF is_suspended THEN
        RAISE EXCEPTION 'the ledger was restored and is not resumed'
            USING ERRCODE = 'SJ002';
    END IF;
    IF clock_timestamp() < at - interval '1 minute' THEN
        RAISE EXCEPTION 'the server''s clock is over a minute behind the last entry'
            USING ERRCODE = 'SJ001';
    END IF;

    -- Every statement from here on has a snapshot from after the lock.

    -- One act of one event: what a counter with one clerk sends.
    IF act_count = 1 AND event_count = 1 AND event_counts[1] = 1
        AND has_command AND NOT has_tracking
    THEN
        WITH clean AS MATERIALIZED (
            SELECT WHERE NOT EXISTS (SELECT FROM commands c WHERE c.id = command_ids[1])
                AND versions[1] = 1 + coalesce((
                    SELECT max(s.version) FROM events s
                    WHERE s.aggregate_id = aggregate_ids[1]
                ), 0)
        ), remembered AS (
            INSERT INTO commands
            SELECT
                command_ids[1], command_actors[1], command_digests[1],
                head_position + 1, head_position + 1, at
            FROM clean
        )
        INSERT INTO events (position, recorded_at, aggregate_id, version, topic, body)
        SELECT head_position + 1, at, aggregate_ids[1], versions[1], topics[1], bodies[1]
        FROM clean;
        IF FOUND THEN
            PERFORM pg_notify(
                'sijil_' || md5(current_schema() || '.events'), (head_position + 1)::text
            );
            act := 1;
            outcome := 'appended';
            first_position := head_position + 1;
            last_position := head_position + 1;
            recorded_at := at;
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;

    IF event_count = 0 THEN
        at := greatest(clock_timestamp(), at);
    END IF;

    -- Can each act be taken for granted? Then its command was never used, no stream is
    -- tracked twice or backwards, and its versions follow what is stored and each other;
    -- where there is no command at all they need only rise.
    SELECT
        (NOT has_command OR NOT EXISTS (
            SELECT FROM unnest(command_ids) AS c (id) JOIN commands k ON k.id = c.id
        ) AND (
            SELECT count(DISTINCT c.id) = count(c.id) FROM unnest(command_ids) AS c (id)
        ))
        AND (NOT has_tracking OR NOT EXISTS (
            SELECT FROM unnest(tracking_names, tracking_positions) AS t (name, position)
            JOIN tracking k ON k.name = t.name AND k.position >= t.position
        ) AND (
            SELECT count(DISTINCT t.name) = count(t.name)
            FROM unnest(tracking_names) AS t (name)
        ))
        AND NOT EXISTS (
            SELECT FROM (
                SELECT
                    u.id, u.version,
                    lag(u.version) OVER (PARTITION BY u.id ORDER BY u.n) AS before
                FROM unnest(aggregate_ids, versions) WITH ORDINALITY AS u (id, version, n)
            ) AS e
            WHERE (CASE
                WHEN has_command THEN e.version = 1 + coalesce(e.before, (
                    SELECT max(s.version) FROM events s WHERE s.aggregate_id = e.id
                ), 0)
                ELSE e.version > coalesce(e.before, (
                    SELECT max(s.version) FROM events s WHERE s.aggregate_id = e.id
                ), -1)
            END) IS NOT TRUE
        ),
        (
            SELECT coalesce(sum(c.events), 0) = event_count
                AND coalesce(min(c.events), 0) >= 0
            FROM unnest(event_counts) AS c (events)
        )
    INTO is_clean, is_whole;
    IF is_whole IS NOT TRUE THEN
        RAISE EXCEPTION 'the acts do not have the events that were sent'
            USING ERRCODE = 'array_subscript_error';
    END IF;

    IF is_clean THEN
        INSERT INTO events (position, recorded_at, aggregate_id, version, topic, body)
        SELECT
            head_position + e.n, at + (e.n - 1) * interval '1 microsecond',
            e.id, e.version, e.topic, e.body
        FROM unnest(aggregate_ids, versions, topics, bodies)
            WITH ORDINALITY AS e (id, version, topic, body, n);
        IF has_tracking THEN
            INSERT INTO tracking AS k
            SELECT t.name, t.position
            FROM unnest(tracking_names, tracking_positions) AS t (name, position)
            WHERE t.name IS NOT NULL
            ON CONFLICT (name) DO UPDATE SET position = excluded.position;
        END IF;
        RETURN QUERY
        WITH placed AS MATERIALIZED (
            SELECT
                a.n, a.id, a.actor, a.digest, a.events,
                sum(a.events) OVER (ORDER BY a.n ROWS UNBOUNDED PRECEDING) AS until
            FROM unnest(command_ids, command_actors, command_digests, event_counts)
                WITH ORDINALITY AS a (id, actor, digest, events, n)
        ), remembered AS (
            INSERT INTO commands
            SELECT
                p.id, p.actor, p.digest,
                CASE WHEN p.events > 0 THEN head_position + p.until - p.events + 1 END,
                CASE WHEN p.events > 0 THEN head_position + p.until END,
                at + greatest(p.until - 1, 0) * interval '1 microsecond'
            FROM placed p
            WHERE p.id IS NOT NULL
        )
        SELECT
            p.n::integer, 'appended',
            CASE WHEN p.events > 0 THEN head_position + p.until - p.events + 1 END,
            CASE WHEN p.events > 0 THEN head_position + p.until END,
            at + greatest(p.until - 1, 0) * interval '1 microsecond'
        FROM placed p;
        IF event_count > 0 THEN
            PERFORM pg_notify(
                'sijil_' || md5(current_schema() || '.events'),
                (head_position + event_count)::text
            );
        END IF;
        RETURN;
    END IF;

    -- Some act loses, or may. First, what was stored before.
    known_firsts := array_fill(NULL::bigint, ARRAY[act_count]);
    known_lasts := known_firsts;
    known_ats := array_fill(NULL::timestamptz, ARRAY[act_count]);
    originals := array_fill(NULL::integer, ARRAY[act_count]);
    FOR known IN
        SELECT
            a.n, k.first_position AS first_one, k.last_position AS last_one,
            k.recorded_at AS moment, (k.actor = a.actor AND k.digest = a.digest) AS is_same
        FROM unnest(command_ids, command_actors, command_digests)
            WITH ORDINALITY AS a (id, actor, digest, n)
        JOIN commands k ON k.id = a.id
    LOOP
        IF known.is_same THEN
            verdicts[known.n] := 2;
            known_firsts[known.n] := known.first_one;
            known_lasts[known.n] := known.last_one;
            known_ats[known.n] := known.moment;
        ELSE
            verdicts[known.n] := 3;
        END IF;
    END LOOP;

    -- Acts whose command comes twice, or whose stream is tracked twice or backwards.
    SELECT coalesce(array_agg(d.n), '{}') INTO doubtful
    FROM (
        SELECT
            a.n, a.id, a.name, a.position,
            count(*) OVER (PARTITION BY a.id) AS ids,
            count(*) OVER (PARTITION BY a.name) AS names
        FROM unnest(command_ids, tracking_names, tracking_positions)
            WITH ORDINALITY AS a (id, name, position, n)
    ) AS d
    WHERE d.id IS NOT NULL AND d.ids > 1
        OR d.name IS NOT NULL AND (d.names > 1 OR EXISTS (
            SELECT FROM tracking k WHERE k.name = d.name AND k.position >= d.position
        ));

    SELECT
        coalesce(array_agg(a.until - a.events + 1 ORDER BY a.n), '{}'),
        coalesce((
            SELECT array_agg(c.n ORDER BY c.n)
            FROM unnest(event_counts) WITH ORDINALITY AS c (events, n),
                generate_series(1, c.events)
        ), '{}')
    INTO starts, event_acts
    FROM (
        SELECT c.n, c.events, sum(c.events) OVER (ORDER BY c.n) AS until
        FROM unnest(event_counts) WITH ORDINALITY AS c (events, n)
    ) AS a;

    -- Aggregates of such acts, and of events whose versions do not follow.
    SELECT coalesce(array_agg(DISTINCT e.id), '{}') INTO suspects
    FROM (
        SELECT
            u.id, u.version, u.act,
            lag(u.version) OVER (PARTITION BY u.id ORDER BY u.n) AS before
        FROM unnest(aggregate_ids, versions, event_acts)
            WITH ORDINALITY AS u (id, version, act, n)
    ) AS e
    WHERE verdicts[e.act] > 0
        OR e.act = ANY (doubtful)
        OR (CASE
            WHEN command_ids[e.act] IS NOT NULL THEN e.version = 1 + coalesce(e.before, (
                SELECT max(s.version) FROM events s WHERE s.aggregate_id = e.id
            ), 0)
            ELSE e.version > coalesce(e.before, (
                SELECT max(s.version) FROM events s WHERE s.aggregate_id = e.id
            ), -1)
        END) IS NOT TRUE;

    -- An act on several aggregates may lose all of them.
    LOOP
        SELECT coalesce(array_agg(DISTINCT o.id), '{}') INTO wider
        FROM (
            SELECT u.id, bool_or(u.id = ANY (suspects)) OVER (PARTITION BY u.act) AS is_one
            FROM unnest(aggregate_ids, event_acts) AS u (id, act)
        ) AS o
        WHERE o.is_one;
        EXIT WHEN cardinality(wider) = cardinality(suspects);
        suspects := wider;
    END LOOP;

    -- One by one, in their order. Nothing is stored yet, so what an earlier act takes
    -- or loses is remembered; acts that are not judged here have nothing to do with it.
    FOR known IN
        SELECT a.n
        FROM (
            SELECT u.act AS n FROM unnest(aggregate_ids, event_acts) AS u (id, act)
            WHERE u.id = ANY (suspects)
            UNION SELECT d.n FROM unnest(doubtful) AS d (n)
            UNION SELECT v.n FROM unnest(verdicts) WITH ORDINALITY AS v (verdict, n)
            WHERE v.verdict > 0
        ) AS a
        ORDER BY a.n
    LOOP
        act := known.n;
        verdict := verdicts[act];
        first_event := starts[act];
        last_event := first_event + event_counts[act] - 1;

        IF verdict = 0 AND command_ids[act] IS NOT NULL THEN
            original := taken_by[array_position(taken_commands, command_ids[act])];
            IF original IS NULL THEN
                NULL;
            ELSIF command_actors[original] = command_actors[act]
                AND command_digests[original] = command_digests[act]
            THEN
                verdict := 2;
                originals[act] := original;
            ELSE
                verdict := 3;
            END IF;
        END IF;

        IF verdict = 0 AND tracking_names[act] IS NOT NULL AND (
            EXISTS (
                SELECT FROM tracking k
                WHERE k.name = tracking_names[act] AND k.position >= tracking_positions[act]
            ) OR EXISTS (
                SELECT FROM unnest(taken_names, taken_marks) AS k (name, position)
                WHERE k.name = tracking_names[act] AND k.position >= tracking_positions[act]
            )
        ) THEN
            verdict := 6;
        END IF;

        -- All or nothing: one lost version loses the whole act. So does standing on an
        -- act of this batch that was not stored.
        IF verdict = 0 AND EXISTS (
            SELECT FROM unnest(
                aggregate_ids[first_event:last_event], versions[first_event:last_event]
            ) WITH ORDINALITY AS e (id, version, n)
            WHERE e.id = ANY (lost)
                OR EXISTS (
                    SELECT FROM events s WHERE s.aggregate_id = e.id AND s.version = e.version
                ) OR EXISTS (
                    SELECT FROM unnest(taken_ids, taken_versions) AS s (id, version)
                    WHERE s.id = e.id AND s.version = e.version
                ) OR EXISTS (
                    SELECT FROM unnest(
                        aggregate_ids[first_event:last_event],
                        versions[first_event:last_event]
                    ) WITH ORDINALITY AS s (id, version, n)
                    WHERE s.n < e.n AND s.id = e.id AND s.version = e.version
                )
        ) THEN
            verdict := 4;
        END IF;

        -- An act of the office leaves no hole: the version before is stored or its own.
        IF verdict = 0 AND command_ids[act] IS NOT NULL AND EXISTS (
            SELECT FROM unnest(
                aggregate_ids[first_event:last_event], versions[first_event:last_event]
            ) WITH ORDINALITY AS e (id, version, n)
            WHERE e.version < 1 OR e.version > 1 AND NOT EXISTS (
                SELECT FROM events s
                WHERE s.aggregate_id = e.id AND s.version = e.version - 1
            ) AND NOT EXISTS (
                SELECT FROM unnest(taken_ids, taken_versions) AS s (id, version)
                WHERE s.id = e.id AND s.version = e.version - 1
            ) AND NOT EXISTS (
                SELECT FROM unnest(
                    aggregate_ids[first_event:last_event], versions[first_event:last_event]
                ) WITH ORDINALITY AS s (id, version, n)
                WHERE s.n < e.n AND s.id = e.id AND s.version = e.version - 1
            )
        ) THEN
            verdict := 5;
        END IF;

        IF verdict > 0 THEN
            lost := lost || aggregate_ids[first_event:last_event];
        ELSE
            verdict := 1;
            taken_ids := taken_ids || aggregate_ids[first_event:last_event];
            taken_versions := taken_versions || versions[first_event:last_event];
            IF command_ids[act] IS NOT NULL THEN
                taken_commands := taken_commands || command_ids[act];
                taken_by := taken_by || act;
            END IF;
            IF tracking_names[act] IS NOT NULL THEN
                taken_names := taken_names || tracking_names[act];
                taken_marks := taken_marks || tracking_positions[act];
            END IF;
        END IF;
        verdicts[act] := verdict;
    END LOOP;

    -- The survivors, numbered densely in their order.
    INSERT INTO events (position, recorded_at, aggregate_id, version, topic, body)
    SELECT
        head_position + e.place, at + (e.place - 1) * interval '1 microsecond',
        e.id, e.version, e.topic, e.body
    FROM (
        SELECT u.*, row_number() OVER (ORDER BY u.n) AS place
        FROM unnest(aggregate_ids, versions, topics, bodies, event_acts)
            WITH ORDINALITY AS u (id, version, topic, body, act, n)
        WHERE verdicts[u.act] < 2
    ) AS e;
    GET DIAGNOSTICS stored_count = ROW_COUNT;

    SELECT array_agg(a.until ORDER BY a.n) INTO untils
    FROM (
        SELECT
            c.n,
            sum(CASE WHEN verdicts[c.n] < 2 THEN c.events ELSE 0 END)
                OVER (ORDER BY c.n) AS until
        FROM unnest(event_counts) WITH ORDINALITY AS c (events, n)
    ) AS a;
    INSERT INTO commands
    SELECT
        a.id, a.actor, a.digest,
        CASE WHEN a.events > 0 THEN head_position + untils[a.n] - a.events + 1 END,
        CASE WHEN a.events > 0 THEN head_position + untils[a.n] END,
        at + greatest(untils[a.n] - 1, 0) * interval '1 microsecond'
    FROM unnest(command_ids, command_actors, command_digests, event_counts)
        WITH ORDINALITY AS a (id, actor, digest, events, n)
    WHERE a.id IS NOT NULL AND verdicts[a.n] < 2;
    IF has_tracking THEN
        -- A stream may be tracked by several survivors; each went further.
        INSERT INTO tracking AS k
        SELECT t.name, max(t.position)
        FROM unnest(tracking_names, tracking_positions)
            WITH ORDINALITY AS t (name, position, n)
        WHERE t.name IS NOT NULL AND verdicts[t.n] < 2
        GROUP BY t.name
        ON CONFLICT (name) DO UPDATE SET position = excluded.position;
    END IF;

    -- Give back the positions that nobody has.
    IF stored_count < event_count THEN
        UPDATE ledger_head AS h SET
            position = head_position + stored_count,
            recorded_at = coalesce((
                SELECT s.recorded_at FROM events s
                WHERE s.position = head_position + stored_count
            ), '-infinity');
    END IF;
    IF stored_count > 0 THEN
        PERFORM pg_notify(
            'sijil_' || md5(current_schema() || '.events'),
            (head_position + stored_count)::text
        );
    END IF;

    FOR i IN 1 .. act_count LOOP
        act := i;
        outcome := (ARRAY[
            'appended', 'appended', 'repeated', 'command-reused', 'version-conflict',
            'version-gap', 'tracking-conflict'
        ])[verdicts[i] + 1];
        first_position := NULL;
        last_position := NULL;
        recorded_at := NULL;
        original := coalesce(originals[i], CASE WHEN verdicts[i] < 2 THEN i END);
        IF original IS NOT NULL THEN
            recorded_at := at + greatest(untils[original] - 1, 0) * interval '1 microsecond';
            IF event_counts[original] > 0 THEN
                last_position := head_position + untils[original];
                first_position := last_position - event_counts[original] + 1;
            END IF;
        ELSIF verdicts[i] = 2 THEN
            first_position := known_firsts[i];
            last_position := known_lasts[i];
            recorded_at := known_ats[i];
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
