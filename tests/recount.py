"""Every published number counted a second time, in plain SQL over the stored bodies.

It imports nothing of the product: neither its rules nor its views. What is asked of it
is a connection to the ledger's database that may make temporary tables, a position and
a time. ``docs/reference/contract.md`` is all it rests on.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import psycopg2.extensions

_NEVER = datetime.max.replace(tzinfo=UTC)
Numbers = dict[str, Counter[Any] | dict[Any, Any]]

# The events of requests that were known at the position and had happened by the time.
_TOLD = """
DROP TABLE IF EXISTS told, life, days, spans, taken;
CREATE TEMP TABLE told AS
SELECT e.aggregate_id AS id, e.version, e.position,
    split_part(e.topic, '.', 3) AS happened, b.body -> 'data' AS data,
    (b.body ->> 'effective_at')::timestamptz AS at,
    ((b.body ->> 'effective_at')::timestamptz AT TIME ZONE 'Asia/Damascus')::date AS day
FROM sijil.events e, LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb AS body) b
WHERE e.topic LIKE 'sijil.request.%%' AND e.position <= %(position)s
    AND (b.body ->> 'effective_at')::timestamptz < %(before)s;
CREATE INDEX ON told (id, version);
ANALYZE told;
"""
# One row a request: its place, the stage of the newest event that sets one.
_LIFE = """
CREATE TEMP TABLE life AS
SELECT s.id, s.data ->> 'governorate' AS governorate, s.data ->> 'centre' AS centre,
    coalesce(a.data #>> '{terms,agency}', s.data ->> 'agency') AS agency,
    s.data ->> 'agency' AS first_agency,
    s.data ->> 'service' AS service, a.at AS accepted_at,
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
    c.happened AS ended_by, c.position AS ended_position
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
CREATE INDEX ON life (id);
ANALYZE life;
"""
_STOCKS = """
SELECT governorate, centre, agency, service, stage, count(*) FROM life
GROUP BY 1, 2, 3, 4, 5
"""
# The first entry into each stage, on its day.
_FLOWS = """
SELECT day, centre, stage, count(*) FROM (
    SELECT DISTINCT ON (t.id, s.stage) t.day, l.centre, s.stage
    FROM told t JOIN life l USING (id), LATERAL (
        SELECT CASE t.happened
            WHEN 'submitted' THEN 'submitted' WHEN 'accepted' THEN 'in_progress'
            WHEN 'not-accepted' THEN 'not_accepted'
            WHEN 'mailed' THEN 'completed_issued'
            WHEN 'handed-over' THEN 'completed_issued'
            WHEN 'result-told' THEN 'completed_' || (t.data ->> 'outcome')
            WHEN 'withdrawn' THEN 'withdrawn' WHEN 'expired' THEN 'expired'
        END AS stage) s
    WHERE s.stage IS NOT NULL ORDER BY t.id, s.stage, t.version
) entered GROUP BY 1, 2, 3
"""
# Office hours of each day in every version of its year's calendar; 0: unpublished.
_DAYS = """
CREATE TEMP TABLE days AS
WITH calendar AS (
    SELECT (b.body #>> '{data,year}')::int AS year, e.version, b.body -> 'data' AS data
    FROM sijil.events e, LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb AS body) b
    WHERE e.topic = 'sijil.calendar.published.v1' AND e.position <= %(position)s
    UNION ALL
    SELECT year, 0, '{"weekend": [4, 5], "opens": "08:00", "closes": "15:00",
        "holidays": [], "hours": []}'::jsonb
    FROM generate_series(
        (SELECT coalesce(min(extract(year FROM at)), 2026)::int - 1 FROM told),
        (SELECT coalesce(max(extract(year FROM at)), 2026)::int + 1 FROM told)) year
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
# Who had an accepted request from one event to the next.
_SPANS = """
CREATE TEMP TABLE spans AS
SELECT t.id, t.at AS since,
    coalesce(lead(t.at) OVER (PARTITION BY t.id ORDER BY t.version),
        l.ended_at, %(now)s) AS until,
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
WHERE l.accepted_at IS NOT NULL AND t.happened IN ('accepted', 'forwarded',
        'agency-responded', 'information-requested', 'information-supplied')
    AND t.version < coalesce(l.ended_version, 2147483647)
    AND t.at >= l.accepted_at
    AND t.version >= (SELECT version FROM told WHERE id = t.id
        AND happened = 'accepted')
UNION ALL
SELECT m.id, m.at, e.at, 'post'
FROM told m CROSS JOIN LATERAL (
    SELECT * FROM told WHERE id = m.id AND version > m.version
        AND happened IN ('delivered', 'collected', 'returned')
    ORDER BY version LIMIT 1
) e
WHERE m.happened = 'mailed' AND NOT EXISTS (SELECT FROM told WHERE id = m.id
    AND happened = 'mailed' AND version > m.version AND version < e.version);
CREATE TEMP TABLE taken AS
SELECT s.id, s.holder, sum(coalesce(w.minutes, 0))::bigint AS minutes
FROM spans s JOIN life l USING (id)
LEFT JOIN LATERAL (
    SELECT sum(greatest(0, extract(epoch FROM
        least(date_trunc('minute', s.until), d.closes)
        - greatest(date_trunc('minute', s.since), d.opens)) / 60)) AS minutes
    FROM generate_series(
        extract(year FROM s.since AT TIME ZONE 'Asia/Damascus')::int,
        extract(year FROM s.until AT TIME ZONE 'Asia/Damascus')::int) y (year)
    CROSS JOIN LATERAL (SELECT coalesce(
        (SELECT (c ->> 'version')::int
            FROM jsonb_array_elements(l.terms -> 'calendars') c
            WHERE (c ->> 'year')::int = y.year),
        CASE WHEN l.terms -> 'unpublished_years' @> to_jsonb(y.year) THEN 0 END,
        (SELECT max(version) FROM days WHERE days.year = y.year)) AS version) v
    JOIN days d ON d.year = y.year AND d.version = v.version
        AND d.opens < s.until AND d.closes > s.since
) w ON true
GROUP BY s.id, s.holder;
CREATE INDEX ON taken (id);
ANALYZE taken;
"""
_RANKS = """percentile_disc(0.5) WITHIN GROUP (ORDER BY {0}),
    percentile_disc(0.9) WITHIN GROUP (ORDER BY {0})"""
_WHOLE = "coalesce(centre_m, 0) + coalesce(agency_m, 0)"
_TIMES = f"""
WITH done AS (
    SELECT l.id, l.centre, c.minutes AS centre_m,
        CASE WHEN l.route = 'reply' THEN coalesce(a.minutes, 0) END AS agency_m,
        CASE WHEN r.id IS NOT NULL THEN p.minutes END AS post_m,
        l.ended_at <= due.at AS in_time
    FROM life l
    LEFT JOIN taken c ON c.id = l.id AND c.holder = 'centre'
    LEFT JOIN taken a ON a.id = l.id AND a.holder = 'agency'
    LEFT JOIN taken p ON p.id = l.id AND p.holder = 'post'
    LEFT JOIN told r ON r.id = l.id AND r.happened IN ('delivered', 'collected')
    CROSS JOIN LATERAL (
        SELECT coalesce(
            (SELECT (data ->> 'due_at')::timestamptz FROM told WHERE id = l.id
                AND happened = 'information-supplied' AND data ? 'due_at'
                AND version < l.ended_version ORDER BY version DESC LIMIT 1),
            (l.terms ->> 'due_at')::timestamptz) AS at) due
    WHERE l.ended_by IN ('mailed', 'handed-over', 'result-told')
)
SELECT centre, count(*), {_RANKS.format(_WHOLE)},
    {_RANKS.format("coalesce(centre_m, 0)")},
    count(agency_m), {_RANKS.format("agency_m")},
    count(post_m), {_RANKS.format("post_m")}, count(*) FILTER (WHERE in_time)
FROM done GROUP BY centre
"""
_OPEN = """
SELECT l.centre, count(*), max(w.minutes)
FROM life l CROSS JOIN LATERAL (
    SELECT coalesce(sum(minutes), 0) AS minutes FROM taken
    WHERE id = l.id AND holder IN ('centre', 'agency')) w
WHERE l.stage = 'in_progress' GROUP BY l.centre
"""
# What is a clerk's to do: not what waits for the agency or for the citizen.
_QUEUE = """
SELECT clerk, waiting_for, count(*) FROM (
    SELECT CASE h.happened WHEN 'released' THEN h.data ->> 'holder'
            ELSE h.data ->> 'clerk' END AS clerk,
        CASE
            WHEN last.happened = 'returned' THEN 'clerk'
            WHEN l.stage NOT IN ('waiting', 'in_progress') THEN NULL
            WHEN asked.happened = 'information-requested' THEN 'citizen'
            WHEN l.route = 'reply' AND answer.happened = 'forwarded' THEN 'agency'
            WHEN l.route = 'reply' AND asked.happened = 'information-supplied'
                AND asked.version > answer.version
                AND answer.data ->> 'outcome' = 'information_needed' THEN 'agency'
            ELSE 'clerk'
        END AS waiting_for
    FROM life l
    LEFT JOIN LATERAL (SELECT * FROM told WHERE id = l.id AND happened IN
        ('assigned', 'claimed', 'released') ORDER BY version DESC LIMIT 1) h ON true
    LEFT JOIN LATERAL (SELECT * FROM told WHERE id = l.id AND happened IN
        ('information-requested', 'information-supplied')
        ORDER BY version DESC LIMIT 1) asked ON true
    LEFT JOIN LATERAL (SELECT * FROM told WHERE id = l.id AND happened IN
        ('forwarded', 'agency-responded') ORDER BY version DESC LIMIT 1) answer ON true
    LEFT JOIN LATERAL (SELECT * FROM told WHERE id = l.id AND happened IN
        ('mailed', 'returned', 'delivered', 'collected', 'handed-over')
        ORDER BY version DESC LIMIT 1) last ON true
) items WHERE waiting_for IS NOT NULL GROUP BY 1, 2
"""
_PAYMENTS = """
SELECT CASE t.happened WHEN 'fee-paid' THEN 'paid' ELSE 'refunded' END,
    l.centre, t.data ->> 'unit', count(*), sum((t.data ->> 'amount')::bigint)
FROM told t JOIN life l USING (id)
WHERE t.happened IN ('fee-paid', 'fee-refunded') GROUP BY 1, 2, 3
UNION ALL
SELECT 'expected', centre, fees.unit, count(*), sum(fees.amount) FROM life,
    LATERAL (SELECT sum((line ->> 'amount')::bigint) AS amount,
            min(line ->> 'unit') AS unit
        FROM jsonb_array_elements(terms -> 'fee_lines') line) fees
WHERE terms IS NOT NULL AND fees.amount > 0 GROUP BY 1, 2, 3
"""
_POST = """
SELECT l.centre, m.day, coalesce(e.happened, 'on_the_way'), count(*)
FROM told m JOIN life l USING (id)
LEFT JOIN told e ON e.id = m.id AND e.happened IN ('delivered', 'collected', 'returned')
    AND e.data ->> 'item' = m.data ->> 'item'
WHERE m.happened = 'mailed' GROUP BY 1, 2, 3
"""
_STAMPINGS = """
SELECT l.centre, t.data ->> 'serial', count(*)
FROM told t JOIN life l USING (id) WHERE t.happened = 'stamped' GROUP BY 1, 2
"""


def recount(
    connection: psycopg2.extensions.connection,
    *,
    position: int,
    now: datetime,
    before: datetime | None = None,
) -> Numbers:
    """All numbers as known at ``position``, of what had happened ``before`` a time.

    ``now`` is how old what is open is told to be.
    """
    asked = {"position": position, "before": before or _NEVER, "now": now}
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
        cursor.execute(_TOLD, asked)
        cursor.execute(_LIFE)
        cursor.execute(_DAYS, asked)
        cursor.execute(_SPANS, asked)
        numbers: Numbers = {}
        for name, statement in (
            ("stocks", _STOCKS),
            ("flows", _FLOWS),
            ("queue", _QUEUE),
            ("post", _POST),
            ("stampings", _STAMPINGS),
        ):
            cursor.execute(statement)
            numbers[name] = Counter(
                {tuple(row[:-1]): int(row[-1]) for row in cursor.fetchall()}
            )
        cursor.execute(_PAYMENTS)
        numbers["payments"] = {
            row[:3]: (row[3], int(row[4])) for row in cursor.fetchall()
        }
        for name, statement in (("times", _TIMES), ("open", _OPEN)):
            cursor.execute(statement)
            numbers[name] = {
                row[0]: tuple(None if each is None else int(each) for each in row[1:])
                for row in cursor.fetchall()
            }
    connection.rollback()
    return numbers
