"""The fee of each request, and every movement of it."""

from __future__ import annotations

# What acceptance made due, and what became of it. Answers and stamps say until when.
FEES = """
CREATE TEMP TABLE fees AS
SELECT l.id, l.governorate, l.centre, l.agency, l.service,
    l.submitted ->> 'tracking_number' AS tracking_number,
    l.terms #>> '{fee_lines,0,unit}' AS unit, f.state_fee, f.service_charge,
    l.accepted_at AS expected_at, paid.at AS paid_at,
    paid.data ->> 'channel' AS channel,
    back.state_fee AS refunded_state_fee,
    back.service_charge AS refunded_service_charge, back.at AS refunded_at,
    CASE WHEN paid.at IS NULL THEN ended.at END AS cancelled_at,
    ended.position AS cancelled_position,
    CASE WHEN back.state_fee + back.service_charge = f.state_fee + f.service_charge
            THEN 'refunded'
        WHEN back.at IS NOT NULL THEN 'partly_refunded'
        WHEN paid.at IS NOT NULL THEN 'paid'
        WHEN ended.at IS NOT NULL THEN 'cancelled'
        ELSE 'expected' END AS state,
    due.at AS due_at, l.terms ->> 'fee_due' AS fee_due, answer.outcome
FROM life l
CROSS JOIN LATERAL (
    SELECT coalesce(sum((line ->> 'amount')::bigint)
            FILTER (WHERE line ->> 'kind' = 'state_fee'), 0)::bigint AS state_fee,
        coalesce(sum((line ->> 'amount')::bigint)
            FILTER (WHERE line ->> 'kind' = 'service_charge'), 0)::bigint
            AS service_charge
    FROM jsonb_array_elements(l.terms -> 'fee_lines') line) f
LEFT JOIN told paid ON paid.id = l.id AND paid.happened = 'fee-paid'
LEFT JOIN LATERAL (SELECT at, position FROM told WHERE id = l.id
    AND happened IN ('withdrawn', 'expired', 'result-told') AND paid.id IS NULL
    ORDER BY version LIMIT 1) ended ON true
CROSS JOIN LATERAL (
    SELECT coalesce(sum((line ->> 'amount')::bigint)
            FILTER (WHERE line ->> 'kind' = 'state_fee'), 0)::bigint AS state_fee,
        coalesce(sum((line ->> 'amount')::bigint)
            FILTER (WHERE line ->> 'kind' = 'service_charge'), 0)::bigint
            AS service_charge, max(t.at) AS at
    FROM told t, jsonb_array_elements(t.data -> 'lines') line
    WHERE t.id = l.id AND t.happened = 'fee-refunded') back
LEFT JOIN LATERAL (SELECT data ->> 'outcome' AS outcome FROM told WHERE id = l.id
    AND happened = 'agency-responded' ORDER BY version DESC LIMIT 1) answer ON true
LEFT JOIN LATERAL (
    SELECT coalesce(data #>> '{terms,payment_due_at}', data ->> 'payment_due_at')
        ::timestamptz AS at
    FROM told WHERE id = l.id AND version < coalesce(paid.version, 2147483647)
        AND position < coalesce(ended.position, 9223372036854775807)
        AND (happened IN ('accepted', 'agency-responded')
            OR happened = 'stamped' AND data ? 'payment_due_at')
    ORDER BY version DESC LIMIT 1) due ON true
WHERE l.accepted_at IS NOT NULL AND f.state_fee + f.service_charge > 0;
CREATE UNIQUE INDEX ON fees (id);
CREATE TEMP TABLE moved AS
SELECT 'expected' AS movement, NULL AS channel, expected_at AS at, state_fee,
    service_charge, id, governorate, centre, agency, service, unit FROM fees
UNION ALL
SELECT 'paid', channel, paid_at, state_fee, service_charge, id, governorate, centre,
    agency, service, unit FROM fees WHERE paid_at IS NOT NULL
UNION ALL
SELECT 'cancelled', NULL, cancelled_at, state_fee, service_charge, id, governorate,
    centre, agency, service, unit FROM fees WHERE cancelled_at IS NOT NULL
UNION ALL
SELECT 'refunded', t.data ->> 'channel', t.at,
    (SELECT coalesce(sum((line ->> 'amount')::bigint), 0)
        FROM jsonb_array_elements(t.data -> 'lines') line
        WHERE line ->> 'kind' = 'state_fee')::bigint,
    (SELECT coalesce(sum((line ->> 'amount')::bigint), 0)
        FROM jsonb_array_elements(t.data -> 'lines') line
        WHERE line ->> 'kind' = 'service_charge')::bigint,
    f.id, f.governorate, f.centre, f.agency, f.service, f.unit
FROM told t JOIN fees f USING (id) WHERE t.happened = 'fee-refunded';
ALTER TABLE moved ADD COLUMN day date;
UPDATE moved SET day = (at AT TIME ZONE 'Asia/Damascus')::date;
ANALYZE fees;
ANALYZE moved;
"""
# Each item of the post: where it was sent, and how its journey ended.
ITEMS = """
CREATE TEMP TABLE items AS
SELECT m.id, l.governorate, l.centre, m.data ->> 'item' AS item,
    m.data ->> 'to' AS destination, coalesce(e.happened, 'on_the_way') AS state,
    m.at AS mailed_at, m.day, e.at AS ended_at, e.data ->> 'reason' AS reason,
    e.data ->> 'capacity' AS capacity
FROM told m JOIN life l USING (id)
LEFT JOIN LATERAL (SELECT * FROM told WHERE id = m.id AND version > m.version
    AND happened IN ('delivered', 'collected', 'returned')
    AND data ->> 'item' = m.data ->> 'item' ORDER BY version DESC LIMIT 1) e ON true
WHERE m.happened = 'mailed';
ANALYZE items;
"""
