-- What each agency was sent and answered, and how long its first answers took: ELAPSED
-- hours, nights and Fridays with them.
WITH sent AS (
    SELECT r.agency, count(DISTINCT e.aggregate_id) AS forwarded
    FROM events AS e JOIN requests AS r ON r.request_id = e.aggregate_id
    WHERE e.type = 'sijil.request.forwarded.v1'
    GROUP BY r.agency
), answered AS (
    SELECT
        agency,
        count(*) FILTER (number = 1 AND route = 'reply') AS replied,
        count(*) FILTER (number = 1 AND route = 'direct') AS read_directly,
        count(*) FILTER (outcome = 'issued') AS issued,
        count(*) FILTER (outcome = 'refused') AS refused,
        count(*) FILTER (outcome = 'information_needed') AS information_needed,
        round(median(date_diff('second', forwarded_at, answered_at))
            FILTER (number = 1) / 3600, 2) AS elapsed_hours_median,
        round(quantile_cont(date_diff('second', forwarded_at, answered_at), 0.9)
            FILTER (number = 1) / 3600, 2) AS elapsed_hours_p90
    FROM answers
    GROUP BY agency
)
SELECT
    agency,
    coalesce(forwarded, 0) AS forwarded,
    coalesce(forwarded, 0) - coalesce(replied, 0) AS unanswered,
    coalesce(read_directly, 0) AS read_directly,
    coalesce(issued, 0) AS issued,
    coalesce(refused, 0) AS refused,
    coalesce(information_needed, 0) AS information_needed,
    elapsed_hours_median,
    elapsed_hours_p90
FROM sent FULL JOIN answered USING (agency)
ORDER BY agency
