-- Where the requests of each governorate stand: the stages add up to what was submitted.
SELECT
    governorate,
    count(*) AS submitted,
    count(*) FILTER (stage = 'waiting') AS waiting,
    count(*) FILTER (stage = 'not_accepted') AS not_accepted,
    count(*) FILTER (stage = 'in_progress') AS in_progress,
    count(*) FILTER (stage = 'completed_issued') AS completed_issued,
    count(*) FILTER (stage = 'completed_refused') AS completed_refused,
    count(*) FILTER (stage = 'withdrawn') AS withdrawn,
    count(*) FILTER (stage = 'expired') AS expired
FROM requests
GROUP BY governorate
ORDER BY governorate
