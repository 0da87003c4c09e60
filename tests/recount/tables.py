"""The ledger's bodies laid out for counting, as known at a position, by a time.

Temporary tables of one connection: what was told, each request's life, working hours
and who had a request for how long. ``docs/reference/contract.md`` is all they rest on.
"""

from __future__ import annotations

BODIES = """
DROP TABLE IF EXISTS bodies;
CREATE TEMP TABLE bodies AS
SELECT e.position, e.aggregate_id AS id, e.version, e.topic, e.recorded_at, b.body,
    b.body -> 'data' AS data, (b.body ->> 'effective_at')::timestamptz AS at
FROM sijil.events e, LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb AS body) b;
CREATE INDEX ON bodies (topic, position);
CREATE INDEX ON bodies (position);
CREATE INDEX ON bodies (id, version);
ANALYZE bodies;
"""
# The events of requests that were known at the position and had happened by the time.
TOLD = """
DROP TABLE IF EXISTS told, life, days, spans, taken, done, stands, work, inbox, fees,
    moved, items CASCADE;
CREATE TEMP TABLE told AS
SELECT id, version, position, split_part(topic, '.', 3) AS happened, data, at,
    (at AT TIME ZONE 'Asia/Damascus')::date AS day
FROM bodies
WHERE topic LIKE 'sijil.request.%%' AND position <= %(position)s
    AND at < %(before)s;
CREATE UNIQUE INDEX ON told (id, version);
CREATE INDEX ON told (happened);
ANALYZE told;
"""
# One row a request: its place, the stage of the newest event that sets one.
LIFE = """
CREATE TEMP TABLE life AS
SELECT s.id, s.data ->> 'governorate' AS governorate, s.data ->> 'centre' AS centre,
    coalesce(a.data #>> '{terms,agency}', s.data ->> 'agency') AS agency,
    s.data ->> 'agency' AS first_agency,
    s.data ->> 'service' AS service, a.at AS accepted_at, a.version AS accepted_version,
    a.position AS accepted_position,
    a.data #>> '{terms,route}' AS route, a.data -> 'terms' AS terms,
    CASE n.happened
        WHEN 'submitted' THEN 'waiting' WHEN 'accepted' THEN 'in_progress'
        WHEN 'not-accepted' THEN 'not_accepted'
        WHEN 'mailed' THEN 'completed_issued'
        WHEN 'handed-over' THEN 'completed_issued'
        WHEN 'result-told' THEN 'completed_' || (n.data ->> 'outcome')
        ELSE n.happened
    END AS stage,
    c.at AS ended_at, c.day AS ended_day, c.version AS ended_version,
    c.happened AS ended_by, c.position AS ended_position,
    s.at AS submitted_at, s.data AS submitted
FROM told s
LEFT JOIN told a ON a.id = s.id AND a.happened = 'accepted'
CROSS JOIN LATERAL (
    SELECT * FROM told WHERE id = s.id AND happened IN ('submitted', 'accepted',
        'not-accepted', 'mailed', 'handed-over', 'result-told', 'withdrawn', 'expired')
    ORDER BY version DESC LIMIT 1
) n
LEFT JOIN LATERAL (
    SELECT * FROM told WHERE id = s.id AND a.id IS NOT NULL AND happened IN
        ('mailed', 'handed-over', 'result-told', 'withdrawn', 'expired')
    ORDER BY version LIMIT 1
) c ON true
WHERE s.happened = 'submitted';
CREATE UNIQUE INDEX ON life (id);
ANALYZE life;
"""
# Office hours of each day in every version of its year's calendar; 0: unpublished.
DAYS = """
CREATE TEMP TABLE days AS
WITH calendar AS (
    SELECT (data ->> 'year')::int AS year, version, data FROM bodies
    WHERE topic = 'sijil.calendar.published.v1' AND position <= %(position)s
    UNION ALL
    SELECT year, 0, '{"weekend": [4, 5], "opens": "08:00", "closes": "15:00",
        "holidays": [], "hours": []}'::jsonb
    FROM generate_series(
        (SELECT coalesce(min(extract(year FROM at)), 2026)::int - 1 FROM told),
        greatest((SELECT max(extract(year FROM at)) FROM told),
            extract(year FROM clock_timestamp()))::int + 1) year
)
SELECT c.year, c.version,
    (d::date + coalesce(h.opens, c.data ->> 'opens')::time)
        AT TIME ZONE 'Asia/Damascus' AS opens,
    (d::date + coalesce(h.closes, c.data ->> 'closes')::time)
        AT TIME ZONE 'Asia/Damascus' AS closes
FROM calendar c
CROSS JOIN LATERAL generate_series(make_date(c.year, 1, 1)::timestamp,
    make_date(c.year, 12, 31)::timestamp, interval '1 day') d
LEFT JOIN LATERAL (
    SELECT hours ->> 'opens' AS opens, hours ->> 'closes' AS closes
    FROM jsonb_array_elements(c.data -> 'hours') WITH ORDINALITY listed (hours, number)
    WHERE d::date BETWEEN (hours ->> 'first')::date AND (hours ->> 'last')::date
    ORDER BY number DESC LIMIT 1
) h ON true
WHERE NOT c.data -> 'weekend' @> to_jsonb(extract(isodow FROM d)::int - 1)
    AND NOT EXISTS (SELECT FROM jsonb_array_elements(c.data -> 'holidays') off
        WHERE (off ->> 'day')::date = d::date);
CREATE INDEX ON days (year, version, opens);
ANALYZE days;
"""
MINUTES = """(
    SELECT coalesce(sum(greatest(0, extract(epoch FROM
        least(date_trunc('minute', {until}), d.closes)
        - greatest(date_trunc('minute', {since}), d.opens)) / 60)), 0)::bigint
    FROM generate_series(
        extract(year FROM {since} AT TIME ZONE 'Asia/Damascus')::int,
        extract(year FROM {until} AT TIME ZONE 'Asia/Damascus')::int) y (year)
    CROSS JOIN LATERAL (SELECT coalesce(
        (SELECT (c ->> 'version')::int
            FROM jsonb_array_elements(l.terms -> 'calendars') c
            WHERE (c ->> 'year')::int = y.year),
        CASE WHEN l.terms -> 'unpublished_years' @> to_jsonb(y.year) THEN 0 END,
        (SELECT max(version) FROM days WHERE days.year = y.year)) AS version) v
    JOIN days d ON d.year = y.year AND d.version = v.version
        AND d.opens < {until} AND d.closes > {since}
)"""
"""Working minutes of a span of ``l``, over the calendars that its acceptance names."""
# Who had an accepted request from one event to the next; without an end: still has.
SPANS = f"""
CREATE TEMP TABLE spans AS
SELECT s.*, CASE WHEN s.until IS NOT NULL
    THEN {MINUTES.format(since="s.since", until="s.until")} END AS minutes
FROM (
    SELECT t.id, t.version, t.at AS since,
        coalesce(lead(t.at) OVER (PARTITION BY t.id ORDER BY t.version),
            l.ended_at) AS until,
        CASE
            WHEN t.happened = 'information-requested' THEN 'citizen'
            WHEN l.route = 'reply' AND t.happened = 'forwarded' THEN 'agency'
            WHEN l.route = 'reply' AND t.happened = 'information-supplied'
                AND last.happened = 'forwarded' THEN 'agency'
            WHEN l.route = 'reply' AND t.happened = 'information-supplied'
                AND last.data ->> 'outcome' = 'information_needed' THEN 'agency'
            ELSE 'centre'
        END AS holder
    FROM told t JOIN life l USING (id)
    LEFT JOIN LATERAL (
        SELECT * FROM told WHERE id = t.id AND version < t.version
            AND happened IN ('forwarded', 'agency-responded')
        ORDER BY version DESC LIMIT 1
    ) last ON true
    WHERE t.happened IN ('accepted', 'forwarded',
            'agency-responded', 'information-requested', 'information-supplied')
        AND t.version < coalesce(l.ended_version, 2147483647)
        AND t.version >= l.accepted_version
    UNION ALL
    SELECT m.id, m.version, m.at, e.at, 'post'
    FROM told m CROSS JOIN LATERAL (
        SELECT * FROM told WHERE id = m.id AND version > m.version
            AND happened IN ('delivered', 'collected', 'returned')
        ORDER BY version LIMIT 1
    ) e
    WHERE m.happened = 'mailed' AND NOT EXISTS (SELECT FROM told WHERE id = m.id
        AND happened = 'mailed' AND version > m.version AND version < e.version)
) s JOIN life l USING (id);
CREATE INDEX ON spans (id);
CREATE TEMP TABLE taken AS
SELECT id, holder, sum(minutes)::bigint AS minutes FROM spans
WHERE minutes IS NOT NULL GROUP BY id, holder;
CREATE UNIQUE INDEX ON taken (id, holder);
ANALYZE spans;
ANALYZE taken;
"""
# What was completed, and how long it took. The first answer's limit is the one that
# held when it came: the newest of the forwarding and of what the citizen supplied.
DONE = """
CREATE TEMP TABLE done AS
SELECT l.id, l.governorate, l.centre, l.agency, l.service, l.ended_day AS day,
    to_char(l.ended_day, 'YYYY-MM') AS month,
    coalesce(c.minutes, 0) + coalesce(a.minutes, 0) AS whole,
    coalesce(c.minutes, 0) AS centre_m,
    CASE WHEN l.route = 'reply' THEN coalesce(a.minutes, 0) END AS agency_m,
    CASE WHEN EXISTS (SELECT FROM told WHERE id = l.id AND happened IN
        ('delivered', 'collected')) THEN p.minutes END AS post_m,
    l.ended_at <= due.at AS in_time,
    CASE WHEN f.id IS NOT NULL THEN coalesce((SELECT sum(minutes) FROM spans
        WHERE id = l.id AND holder = 'agency' AND version < f.version), 0)
    END::bigint AS answer_m,
    f.at <= f.due_at OR (f.id IS NOT NULL AND f.due_at IS NULL) AS answer_in_time
FROM life l
LEFT JOIN taken c ON c.id = l.id AND c.holder = 'centre'
LEFT JOIN taken a ON a.id = l.id AND a.holder = 'agency'
LEFT JOIN taken p ON p.id = l.id AND p.holder = 'post'
LEFT JOIN LATERAL (
    SELECT t.id, t.version, t.at, (SELECT (data ->> 'answer_due_at')::timestamptz
        FROM told WHERE id = t.id AND version < t.version AND data ? 'answer_due_at'
            AND happened IN ('forwarded', 'information-supplied')
        ORDER BY version DESC LIMIT 1) AS due_at
    FROM told t WHERE t.id = l.id AND t.happened = 'agency-responded'
        AND l.route = 'reply' ORDER BY t.version LIMIT 1
) f ON true
CROSS JOIN LATERAL (
    SELECT coalesce(
        (SELECT (data ->> 'due_at')::timestamptz FROM told WHERE id = l.id
            AND happened = 'information-supplied' AND data ? 'due_at'
            AND version < l.ended_version ORDER BY version DESC LIMIT 1),
        (l.terms ->> 'due_at')::timestamptz) AS at) due
WHERE l.ended_by IN ('mailed', 'handed-over', 'result-told');
ANALYZE done;
"""
# How old what is open is told to be, its stops left out.
AGES = f"""
DROP TABLE IF EXISTS ages;
CREATE TEMP TABLE ages AS
SELECT l.governorate, l.centre, l.agency, l.service,
    (SELECT coalesce(sum(minutes), 0) FROM taken
        WHERE id = l.id AND holder IN ('centre', 'agency'))
    + coalesce((SELECT {MINUTES.format(since="s.since", until="%(now)s")}
        FROM spans s WHERE s.id = l.id AND s.until IS NULL AND s.since < %(now)s
            AND s.holder IN ('centre', 'agency')), 0) AS age
FROM life l WHERE l.stage = 'in_progress';
"""
