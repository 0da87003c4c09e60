-- How long requests stood in a stage: ELAPSED hours, nights and Fridays with them. Times
-- in the working time of the calendars are the ledger's own view (/v1/turnaround).
WITH stays AS (
    SELECT
        governorate,
        stage_entered AS stage,
        effective_at AS entered_at,
        lead(effective_at) OVER (
            PARTITION BY request_id ORDER BY position
        ) AS left_at
    FROM moves
)
SELECT
    governorate,
    stage,
    count(*) FILTER (left_at IS NULL) AS still_there,
    count(left_at) AS left_it,
    round(median(date_diff('second', entered_at, left_at)) / 3600, 2)
        AS elapsed_hours_median,
    round(quantile_cont(date_diff('second', entered_at, left_at), 0.9) / 3600, 2)
        AS elapsed_hours_p90
FROM stays
WHERE stage IN ('waiting', 'in_progress')
GROUP BY governorate, stage
ORDER BY governorate, stage DESC
