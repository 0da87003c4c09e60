-- What acts have to know of the ledger, in one round trip: whether their commands are
-- stored, and of each thing what is stored above the version that is known of it.
--
-- Each thing comes with a known version, 0 for none, and the time at which the entry at
-- that version was recorded. No two entries share a time: where the ledger has no such
-- entry it was brought back from a backup, which a row with version 0 says, and then
-- comes everything that is stored. A thing with nothing new has no row at all.
--
-- Rows of commands carry -1, -2, ... in the order asked; actor and digest stand in the
-- columns of topic and body, the first position in that of the version.
--
-- Each look is a scan of its own by an index, and must stay one: a plan that was made
-- while the tables were nearly empty would read all of them later.
CREATE FUNCTION tails(
    command_ids uuid[],
    aggregate_ids uuid[],
    known_versions integer[],
    known_times timestamptz[]
) RETURNS TABLE (
    thing integer,
    version bigint,
    recorded_at timestamptz,
    topic text,
    body bytea,
    "position" bigint
)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    known integer;
BEGIN
    FOR i IN 1 .. cardinality(command_ids) LOOP
        RETURN QUERY
        SELECT -i, c.first_position, c.recorded_at, c.actor, c.digest, c.last_position
        FROM commands c WHERE c.id = command_ids[i];
    END LOOP;
    FOR i IN 1 .. cardinality(aggregate_ids) LOOP
        known := known_versions[i];
        IF known > 0 THEN
            PERFORM FROM events e
            WHERE e.aggregate_id = aggregate_ids[i] AND e.version = known
                AND e.recorded_at = known_times[i];
            IF NOT FOUND THEN
                known := 0;
                thing := i;
                version := 0;
                RETURN NEXT;
            END IF;
        END IF;
        RETURN QUERY
        SELECT i, e.version::bigint, e.recorded_at, e.topic, e.body, e.position
        FROM events e
        WHERE e.aggregate_id = aggregate_ids[i] AND e.version > known
        ORDER BY e.version;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION tails FROM PUBLIC;
