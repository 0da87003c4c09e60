-- The vault: what may never enter an event. Every value is sealed under a key of its
-- person, every person's key is wrapped by the master key, which is in no database.

CREATE TABLE persons (
    id uuid PRIMARY KEY,
    -- NULL once the person is erased: without the key no seal of theirs opens again.
    wrapped_key bytea,
    master_key_name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    erasure_id uuid
);

-- A party is a person's part in one request: a random id that nothing else can follow.
CREATE TABLE parties (
    id uuid PRIMARY KEY,
    person_id uuid NOT NULL REFERENCES persons,
    request_id uuid NOT NULL,
    role text NOT NULL,
    -- The keyed digest of the login that opened it. What a citizen typed proves no
    -- identity, so a login sees the parties it opened itself, never the person's.
    opened_by bytea,
    -- An event names it: swept are only parties that none came to name.
    is_named boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX parties_unnamed ON parties (created_at) WHERE NOT is_named;
CREATE INDEX parties_by_login ON parties (opened_by) WHERE opened_by IS NOT NULL;
CREATE INDEX parties_by_person ON parties (person_id);
CREATE INDEX parties_by_request ON parties (request_id);

-- Values as they were given for one party: later ones never rewrite earlier ones.
CREATE TABLE sealed_values (
    party_id uuid NOT NULL REFERENCES parties ON DELETE CASCADE,
    field text NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (party_id, field)
);

-- Found by keyed digests only.
CREATE TABLE blind_index (
    kind text NOT NULL,
    digest bytea NOT NULL,
    person_id uuid NOT NULL REFERENCES persons,
    PRIMARY KEY (kind, digest, person_id)
);
CREATE INDEX blind_index_by_person ON blind_index (person_id);

-- Salts of document digests: an event's digest says nothing without its salt.
CREATE TABLE salts (
    document text PRIMARY KEY,
    salt bytea NOT NULL
);

-- A refused request and the one that asked again: no reader of events may link them.
CREATE TABLE asked_again (
    request_id uuid PRIMARY KEY,
    refused_request_id uuid NOT NULL
);
