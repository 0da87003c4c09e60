-- Acts of which none may be stored without the others: what was decided on many messages
-- of a stream together, whose place is marked once, behind the last of them.
--
-- The append function judges and stores them as ever. Each of the streams must stand
-- exactly at the mark that the caller went on from, NULL where it has none: somebody who
-- has passed a message in between has used it, or set it aside. Where a mark is another,
-- or one act loses, all is undone, and the error's message is the outcome.
CREATE FUNCTION append_whole(
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
    bodies bytea[],
    marked_names text[],
    marks bigint[]
) RETURNS TABLE (
    act integer,
    outcome text,
    first_position bigint,
    last_position bigint,
    recorded_at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    -- Whoever has the head is alone until the commit, and every statement from here on
    -- has a snapshot from after the wait.
    PERFORM FROM ledger_head AS h WHERE h.is_only_row FOR UPDATE;
    IF cardinality(marked_names) IS DISTINCT FROM cardinality(marks) OR EXISTS (
        SELECT FROM unnest(marked_names, marks) AS m (name, position)
        LEFT JOIN tracking k ON k.name = m.name
        WHERE k.position IS DISTINCT FROM m.position
    ) THEN
        RAISE EXCEPTION 'tracking-conflict' USING ERRCODE = 'SJ005';
    END IF;
    FOR act, outcome, first_position, last_position, recorded_at IN
        SELECT a.act, a.outcome, a.first_position, a.last_position, a.recorded_at
        FROM append(
            caller_clock, command_ids, command_actors, command_digests, tracking_names,
            tracking_positions, event_counts, aggregate_ids, versions, topics, bodies
        ) AS a
    LOOP
        IF outcome <> 'appended' THEN
            RAISE EXCEPTION '%', outcome USING ERRCODE = 'SJ005';
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION append_whole FROM PUBLIC;
