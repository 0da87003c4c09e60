"""What was published, who works where, and which papers were stamped with what."""

from __future__ import annotations

# The newest word on each thing, and the number of everything said of it.
SAID = """
DROP TABLE IF EXISTS said;
CREATE TEMP TABLE said AS
SELECT t.kind, t.id, t.data, (SELECT max(version) FROM bodies
    WHERE id = t.id AND position <= %(position)s) AS version,
    CASE t.kind WHEN 'stamp' THEN t.data ->> 'serial'
        WHEN 'calendar' THEN t.data ->> 'year' ELSE t.data ->> 'code' END AS code
FROM (
    SELECT DISTINCT ON (id) split_part(topic, '.', 2) AS kind, id, data FROM bodies
    WHERE topic IN ('sijil.service.published.v1', 'sijil.agency.published.v1',
            'sijil.centre.opened.v1', 'sijil.calendar.published.v1',
            'sijil.stamp.issued.v1') AND position <= %(position)s
    ORDER BY id, version DESC
) t;
ANALYZE said;
"""
# A new beginning, at another centre or after leaving, has no agencies.
ROSTER = """
DROP TABLE IF EXISTS roster;
CREATE TEMP TABLE roster AS
WITH told AS (
    SELECT id, version, split_part(topic, '.', 3) AS happened, data,
        (at AT TIME ZONE 'Asia/Damascus')::date AS day
    FROM bodies WHERE topic LIKE 'sijil.clerk.%%' AND position <= %(position)s
), begun AS (
    SELECT *, lag(data ->> 'centre') OVER w IS DISTINCT FROM data ->> 'centre'
        OR EXISTS (SELECT FROM told l WHERE l.id = a.id AND l.happened = 'left'
            AND l.version < a.version AND (l.data ->> 'on')::date <= a.day
            AND NOT EXISTS (SELECT FROM told x WHERE x.id = a.id
                AND x.happened = 'appointed' AND x.version > l.version
                AND x.version < a.version)) AS is_new,
        max(version) OVER (PARTITION BY id) AS newest
    FROM told a WHERE happened = 'appointed'
    WINDOW w AS (PARTITION BY id ORDER BY version)
)
SELECT b.id, b.data ->> 'code' AS code, b.data ->> 'centre' AS centre,
    (SELECT max(version) FROM told WHERE id = b.id) AS version,
    ARRAY(SELECT m.data ->> 'agency' FROM told m
        WHERE m.id = b.id AND m.happened = 'made-responsible'
            AND m.version > (SELECT max(version) FROM begun n
                WHERE n.id = b.id AND n.is_new)
            AND NOT EXISTS (SELECT FROM told r WHERE r.id = m.id
                AND r.happened = 'relieved' AND r.version > m.version
                AND r.data ->> 'agency' = m.data ->> 'agency')
        ORDER BY m.version) AS agencies,
    (SELECT (l.data ->> 'on')::date FROM told l WHERE l.id = b.id
        AND l.happened = 'left' AND l.version > b.version
        ORDER BY l.version DESC LIMIT 1) AS left_on,
    ARRAY(SELECT daterange((a.data ->> 'first')::date, coalesce(
            (SELECT min((k.data ->> 'on')::date) FROM told k WHERE k.id = a.id
                AND k.happened = 'back' AND k.version > a.version
                AND (k.data ->> 'on')::date >= (a.data ->> 'first')::date
                AND (k.data ->> 'on')::date
                    <= coalesce((a.data ->> 'last')::date, 'infinity')),
            (a.data ->> 'last')::date + 1), '[)')
        FROM told a WHERE a.id = b.id AND a.happened = 'away') AS absences
FROM begun b WHERE b.version = b.newest;
"""
# Every stamping, with what speaks against it by the register as it is known.
STAMPED = """
DROP TABLE IF EXISTS register, stamped;
CREATE TEMP TABLE register AS
SELECT i.id, i.data ->> 'serial' AS serial, i.data ->> 'centre' AS centre,
    i.at AS issued_at, (w.data ->> 'on')::date AS withdrawn_on
FROM bodies i LEFT JOIN bodies w ON w.id = i.id
    AND w.topic = 'sijil.stamp.withdrawn.v1' AND w.position <= %(position)s
WHERE i.topic = 'sijil.stamp.issued.v1' AND i.position <= %(position)s;
CREATE TEMP TABLE stamped AS
SELECT t.position, t.id, l.centre, l.governorate, l.service,
    t.data ->> 'serial' AS serial, t.data ->> 'officer' AS officer,
    t.data ->> 'stamped_digest' AS digest, t.at AS stamped_at,
    array_remove(ARRAY[
        CASE WHEN r.id IS NULL THEN 'unknown_stamp' END,
        CASE WHEN r.centre <> l.centre THEN 'other_centre' END,
        CASE WHEN t.at < r.issued_at THEN 'before_issue' END,
        CASE WHEN t.day >= r.withdrawn_on THEN 'after_withdrawal' END,
        CASE WHEN EXISTS (SELECT FROM told a WHERE a.id = t.id
            AND a.version > t.version AND a.happened = 'agency-responded'
            AND a.data ? 'supersedes') THEN 'superseded' END
    ], NULL) AS doubts
FROM told t JOIN life l USING (id)
LEFT JOIN register r ON r.serial = t.data ->> 'serial'
WHERE t.happened = 'stamped';
ANALYZE stamped;
"""
