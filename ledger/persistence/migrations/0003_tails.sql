-- What an act has to know of the ledger, in one round trip: its command, and of each
-- thing what is stored from a version on.
--
-- Each thing comes with the version that the caller has in memory, 0 for none. The
-- entry at that version comes back without topic and body, for the caller to see that
-- it is still the one that was read; what lies above comes whole. Row 0 is the
-- command: actor and digest stand in the columns of topic and body.
--
-- Each thing is a scan of its own by (aggregate_id, version), and must stay one: a plan
-- that was made while the table was nearly empty would read all of it later.
CREATE FUNCTION tails(
    command_id uuid,
    aggregate_ids uuid[],
    known_versions integer[]
) RETURNS TABLE (
    thing integer,
    version integer,
    recorded_at timestamptz,
    topic text,
    body bytea,
    first_position bigint,
    last_position bigint
)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    IF command_id IS NOT NULL THEN
        RETURN QUERY
        SELECT 0, NULL::integer, c.recorded_at, c.actor, c.digest,
            c.first_position, c.last_position
        FROM commands c WHERE c.id = command_id;
    END IF;
    FOR i IN 1 .. cardinality(aggregate_ids) LOOP
        RETURN QUERY
        SELECT i, e.version, e.recorded_at,
            CASE WHEN e.version > known_versions[i] THEN e.topic END,
            CASE WHEN e.version > known_versions[i] THEN e.body END,
            e.position, e.position
        FROM events e
        WHERE e.aggregate_id = aggregate_ids[i] AND e.version >= known_versions[i]
        ORDER BY e.version;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION tails FROM PUBLIC;
