-- What was done in each hour of the office's clock, over all days that had any work.
SELECT
    hour(effective_hour) AS hour,
    count(DISTINCT effective_day) AS days,
    count(*) FILTER (stage_entered = 'waiting') AS submitted,
    count(*) FILTER (stage_entered = 'in_progress') AS accepted,
    count(*) FILTER (stage_entered IN ('completed_issued', 'completed_refused'))
        AS completed,
    round(completed / days, 2) AS completed_per_day
FROM moves
GROUP BY hour
ORDER BY hour
