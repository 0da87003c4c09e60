"""Every published number of a moment at once, by centre: a recount of the queries."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import psycopg2.extensions

from tests.recount.tables import BODIES, DAYS, DONE, LIFE, MINUTES, SPANS, TOLD

NEVER = datetime.max.replace(tzinfo=UTC)
Numbers = dict[str, Counter[Any] | dict[Any, Any]]

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
_RANKS = """percentile_disc(0.5) WITHIN GROUP (ORDER BY {0}),
    percentile_disc(0.9) WITHIN GROUP (ORDER BY {0})"""
_TIMES = f"""
SELECT centre, count(*), {_RANKS.format("whole")}, {_RANKS.format("centre_m")},
    count(agency_m), {_RANKS.format("agency_m")},
    count(post_m), {_RANKS.format("post_m")}, count(*) FILTER (WHERE in_time)
FROM done GROUP BY centre
"""
_OPEN = f"""
SELECT l.centre, count(*), max(
    (SELECT coalesce(sum(minutes), 0) FROM taken
        WHERE id = l.id AND holder IN ('centre', 'agency'))
    + coalesce((SELECT {MINUTES.format(since="s.since", until="%(now)s")}
        FROM spans s WHERE s.id = l.id AND s.until IS NULL AND s.since < %(now)s
            AND s.holder IN ('centre', 'agency')), 0))
FROM life l WHERE l.stage = 'in_progress' GROUP BY l.centre
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
    asked = {"position": position, "before": before or NEVER, "now": now}
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
        cursor.execute(BODIES)
        for made in (TOLD, LIFE, DAYS, SPANS, DONE):
            cursor.execute(made, asked)
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
            cursor.execute(statement, asked)
            numbers[name] = {
                row[0]: tuple(None if each is None else int(each) for each in row[1:])
                for row in cursor.fetchall()
            }
    connection.rollback()
    return numbers
