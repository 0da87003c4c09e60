-- Corrected values beside the told ones, which stay; records of persons that were made
-- one; and which parties an export showed.

-- A correction counts once an event names it: its id is that event's command.
CREATE TABLE corrections (
    id uuid PRIMARY KEY,
    party_id uuid NOT NULL REFERENCES parties ON DELETE CASCADE,
    field text NOT NULL,
    sealed bytea NOT NULL,
    is_named boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX corrections_of_party ON corrections (party_id);
CREATE INDEX corrections_unnamed ON corrections (created_at) WHERE NOT is_named;

-- Keyed digests of corrected values. Apart from the index of what was told, so that a
-- correction that is swept takes its digest along and nothing else.
CREATE TABLE corrected_index (
    kind text NOT NULL,
    digest bytea NOT NULL,
    correction_id uuid NOT NULL REFERENCES corrections ON DELETE CASCADE,
    PRIMARY KEY (kind, digest, correction_id)
);
CREATE INDEX corrected_index_by_correction ON corrected_index (correction_id);

-- The record that now stands for this one; always one that is merged into no other.
ALTER TABLE persons ADD COLUMN merged_into uuid REFERENCES persons;
ALTER TABLE persons ADD CONSTRAINT persons_not_into_itself CHECK (merged_into <> id);
CREATE INDEX persons_merged ON persons (merged_into) WHERE merged_into IS NOT NULL;

-- What person.merged means: its aggregate's id, and the records that only we know of.
-- It takes effect once the event is in the ledger.
CREATE TABLE merges (
    id uuid PRIMARY KEY,
    first_party uuid NOT NULL,
    second_party uuid NOT NULL,
    in_effect boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX merges_waiting ON merges (created_at) WHERE NOT in_effect;

-- The parties an export showed beside the one it was asked by: an event that named
-- them would link the requests of one person.
CREATE TABLE exports (
    look_id uuid NOT NULL,
    party_id uuid NOT NULL REFERENCES parties ON DELETE CASCADE,
    PRIMARY KEY (look_id, party_id)
);
CREATE INDEX exports_of_party ON exports (party_id);
