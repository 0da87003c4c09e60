-- What the questions rest on, beside `events`: the rows of the files, up to one position.

-- One row a request, as it stands. Its agency is the one it was accepted for.
CREATE VIEW requests AS
SELECT
    aggregate_id AS request_id,
    any_value(governorate) FILTER (type = 'sijil.request.submitted.v1') AS governorate,
    any_value(centre) FILTER (type = 'sijil.request.submitted.v1') AS centre,
    arg_max(agency, position) FILTER (stage IS NOT NULL AND agency IS NOT NULL) AS agency,
    any_value(service) FILTER (type = 'sijil.request.submitted.v1') AS service,
    arg_max(stage, position) FILTER (stage IS NOT NULL) AS stage,
    any_value(effective_at) FILTER (type = 'sijil.request.submitted.v1') AS submitted_at,
    any_value(effective_at) FILTER (type = 'sijil.request.accepted.v1') AS accepted_at
FROM events
WHERE type LIKE 'sijil.request.%'
GROUP BY aggregate_id
HAVING count(*) FILTER (type = 'sijil.request.submitted.v1') > 0;

-- One row each time a request entered another stage; `stage_left` is NULL at the first.
CREATE VIEW moves AS
SELECT
    e.position,
    e.aggregate_id AS request_id,
    e.effective_at,
    e.effective_day,
    e.effective_hour,
    r.governorate,
    r.centre,
    last_value(e.agency IGNORE NULLS) OVER (
        PARTITION BY e.aggregate_id ORDER BY e.position
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS agency,
    r.service,
    lag(e.stage) OVER (
        PARTITION BY e.aggregate_id ORDER BY e.position
    ) AS stage_left,
    e.stage AS stage_entered
FROM events AS e JOIN requests AS r ON r.request_id = e.aggregate_id
WHERE e.stage IS NOT NULL
QUALIFY stage_left IS DISTINCT FROM stage_entered;

-- One row an answer of an agency, also of one read directly; `number` counts those of a
-- request. `forwarded_at` is NULL where nothing was forwarded.
CREATE VIEW answers AS
SELECT
    a.position,
    a.aggregate_id AS request_id,
    r.governorate,
    r.service,
    r.agency,
    a.route,
    row_number() OVER (PARTITION BY a.aggregate_id ORDER BY a.position) AS number,
    f.forwarded_at,
    a.effective_at AS answered_at,
    a.outcome,
    a.reason
FROM (SELECT * FROM events WHERE type = 'sijil.request.agency-responded.v1') AS a
JOIN requests AS r ON r.request_id = a.aggregate_id
LEFT JOIN (
    SELECT aggregate_id, min(effective_at) AS forwarded_at
    FROM events WHERE type = 'sijil.request.forwarded.v1'
    GROUP BY aggregate_id
) AS f ON f.aggregate_id = a.aggregate_id;
