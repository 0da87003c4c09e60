-- Messages to citizens on their way: which, because of which event, and how far. No
-- address, no text, nothing of a person: both are read anew whenever one is sent.

CREATE TABLE outbox (
    -- The id of the command that records it: repeating the cause repeats it.
    id uuid PRIMARY KEY,
    request_id uuid NOT NULL,
    cause_version integer NOT NULL,
    cause_position bigint NOT NULL,
    cause_at timestamptz NOT NULL,
    message text NOT NULL,
    -- waiting -> sending -> sent -> told; from waiting and sending to one of the others.
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN (
        'waiting', 'sending', 'sent', 'told', 'overtaken', 'unreachable', 'given_up'
    )),
    attempts integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    means text,
    -- A code such as smtp-450; never what a server said.
    failure text,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX outbox_due ON outbox (next_try_at)
    WHERE state IN ('waiting', 'sending', 'sent');
CREATE INDEX outbox_ended ON outbox (changed_at)
    WHERE state IN ('told', 'overtaken', 'unreachable', 'given_up');
