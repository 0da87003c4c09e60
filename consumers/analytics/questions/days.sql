-- What moved on each day of the office: how many requests entered which stage.
SELECT
    effective_day AS day,
    count(*) FILTER (stage_entered = 'waiting') AS submitted,
    count(*) FILTER (stage_entered = 'not_accepted') AS not_accepted,
    count(*) FILTER (stage_entered = 'in_progress') AS in_progress,
    count(*) FILTER (stage_entered = 'completed_issued') AS completed_issued,
    count(*) FILTER (stage_entered = 'completed_refused') AS completed_refused,
    count(*) FILTER (stage_entered = 'withdrawn') AS withdrawn,
    count(*) FILTER (stage_entered = 'expired') AS expired
FROM moves
GROUP BY effective_day
ORDER BY effective_day
