-- What was refused, by whom and why: by an agency (read directly, or in its reply), at
-- the counter before anything was taken in, or by the rules, which an act had broken.
SELECT 'agency, ' || route AS refused_by, agency AS which, reason, count(*) AS refusals
FROM answers
WHERE outcome = 'refused'
GROUP BY ALL
UNION ALL
SELECT 'counter', r.agency, e.reason, count(*)
FROM events AS e JOIN requests AS r ON r.request_id = e.aggregate_id
WHERE e.type = 'sijil.request.not-accepted.v1'
GROUP BY ALL
UNION ALL
SELECT 'rules', centre, reason, count(*)
FROM events
WHERE type = 'sijil.attempt.refused.v1'
GROUP BY ALL
ORDER BY refused_by, refusals DESC, which, reason
