"""Where each request stands on the desk after each of its events, and what is next.

Running looks over the events of a request: the newest of each kind so far. From these
follow, as the contract and the decisions have it, whose turn it is and until when.
"""

from __future__ import annotations

_KINDS = {
    "accepted": ("accepted",),
    "asked": ("information-requested",),
    "supplied": ("information-supplied",),
    "answer": ("agency-responded",),
    "forwarded": ("forwarded",),
    "paid": ("fee-paid",),
    "stamped": ("stamped",),
    "returned": ("returned",),
    "gone": ("mailed", "handed-over"),
    "mailed": ("mailed",),
    "received": ("delivered", "collected", "handed-over"),
    "corrected": ("corrected",),
    "final": (
        "not-accepted",
        "mailed",
        "handed-over",
        "result-told",
        "withdrawn",
        "expired",
    ),
}
_NEWEST = ",\n    ".join(
    f"max(t.version) FILTER (WHERE t.happened IN ({kinds})) OVER w AS v_{name}"
    for name, each in _KINDS.items()
    for kinds in [", ".join(f"'{kind}'" for kind in each)]
)
# Assigning, claiming, telling and warning decide nothing about what is next.
STANDS = f"""
CREATE TEMP TABLE stands AS
WITH newest AS (
    SELECT t.id, t.version, t.at, t.happened,
    {_NEWEST},
    max(t.version) FILTER (WHERE t.data ->> 'field' = 'delivery') OVER w
        AS v_delivery,
    max(t.version) FILTER (WHERE t.data ? 'due_at'
        AND t.happened = 'information-supplied') OVER w AS v_due,
    max(t.version) FILTER (WHERE t.data ? 'answer_due_at'
        AND t.happened IN ('forwarded', 'information-supplied')) OVER w AS v_answer_due,
    max(t.version) FILTER (WHERE t.happened IN ('accepted', 'agency-responded')
        OR t.happened = 'stamped' AND t.data ? 'payment_due_at') OVER w AS v_pay_due
    FROM told t
    WHERE t.happened NOT IN ('assigned', 'claimed', 'released', 'informed', 'warned')
    WINDOW w AS (PARTITION BY t.id ORDER BY t.version)
), known AS (
    SELECT n.*, l.terms, l.submitted,
        n.v_final IS NOT NULL AS is_ended,
        n.v_returned > coalesce(n.v_gone, 0) AS is_returned,
        n.v_asked > coalesce(n.v_supplied, 0) AS is_asked,
        n.v_accepted IS NOT NULL AS is_accepted,
        n.v_paid IS NULL AND n.v_final IS NULL AND n.v_accepted IS NOT NULL
            AND (SELECT sum((line ->> 'amount')::bigint)
                FROM jsonb_array_elements(l.terms -> 'fee_lines') line) > 0
            AS is_unpaid,
        CASE WHEN NOT (answer.data ->> 'outcome' = 'information_needed'
                AND coalesce(n.v_supplied, 0) > n.v_answer)
            THEN answer.data ->> 'outcome' END AS outcome,
        answer.data ->> 'outcome' = 'information_needed'
            AND n.v_answer > greatest(coalesce(n.v_asked, 0), coalesce(n.v_supplied, 0))
            AS is_more_needed,
        (l.terms ->> 'live_stamp')::boolean
            AND coalesce(n.v_stamped, 0) < coalesce(n.v_answer, n.v_accepted)
            AS needs_stamp,
        (l.terms ->> 'paper')::boolean AS has_paper,
        (l.terms ->> 'post')::boolean AND l.terms ->> 'fee_due' = 'acceptance'
            AND coalesce(d.data ->> 'delivery', l.submitted ->> 'delivery') <> 'counter'
            AS is_posted,
        coalesce(due.data ->> 'due_at', l.terms ->> 'due_at')::timestamptz AS due_at,
        (answer_due.data ->> 'answer_due_at')::timestamptz AS answer_due_at,
        CASE WHEN n.v_paid IS NULL THEN coalesce(
            pay_due.data #>> '{{terms,payment_due_at}}',
            pay_due.data ->> 'payment_due_at')::timestamptz END AS payment_due_at
    FROM newest n JOIN life l USING (id)
    LEFT JOIN told answer ON answer.id = n.id AND answer.version = n.v_answer
    LEFT JOIN told d ON d.id = n.id AND d.version = n.v_delivery
    LEFT JOIN told due ON due.id = n.id AND due.version = n.v_due
    LEFT JOIN told answer_due
        ON answer_due.id = n.id AND answer_due.version = n.v_answer_due
    LEFT JOIN told pay_due ON pay_due.id = n.id AND pay_due.version = n.v_pay_due
), next AS (
    SELECT *, CASE
        WHEN is_returned THEN 'deal_with_return'
        WHEN is_ended THEN 'nothing'
        WHEN is_asked THEN 'record_information'
        WHEN NOT is_accepted THEN 'accept'
        WHEN is_unpaid AND terms ->> 'fee_due' = 'acceptance' THEN 'take_fee'
        WHEN is_more_needed THEN 'request_information'
        WHEN outcome IS NULL OR outcome = 'information_needed' THEN CASE
            WHEN terms ->> 'route' = 'reply' AND v_forwarded IS NULL THEN 'forward'
            ELSE 'record_reply' END
        WHEN outcome = 'refused' THEN 'tell_result'
        WHEN has_paper AND needs_stamp THEN 'stamp'
        WHEN is_unpaid THEN 'take_fee'
        WHEN NOT has_paper THEN 'tell_result'
        WHEN is_posted THEN 'mail'
        ELSE 'hand_over'
    END AS next_act FROM known
)
SELECT *, next_act IS DISTINCT FROM lag(next_act) OVER w AS is_changed
FROM next WINDOW w AS (PARTITION BY id ORDER BY version);
CREATE INDEX ON stands (id, version);
ANALYZE stands;
"""
# One row a request as it stands last. An end takes it out of the hands that claimed it.
WORK = """
CREATE TEMP TABLE work AS
SELECT l.id, l.governorate, l.centre, l.agency, l.service, l.stage, l.submitted_at,
    l.submitted ->> 'tracking_number' AS tracking_number,
    l.submitted ->> 'channel' AS channel, l.route, s.version AS etag_version,
    s.outcome, s.next_act, s.due_at, s.is_unpaid AS is_fee_outstanding,
    s.v_forwarded IS NOT NULL AS is_forwarded, s.v_mailed IS NOT NULL AS is_mailed,
    CASE WHEN s.is_ended AND h.happened = 'claimed' AND h.version < s.v_final
        THEN a.clerk ELSE coalesce(h.data ->> 'holder', CASE WHEN
            h.happened <> 'released' THEN h.data ->> 'clerk' END) END AS clerk,
    coalesce((h.data ->> 'token')::int, 0) AS token,
    CASE WHEN s.next_act = 'record_information' THEN 'citizen'
        WHEN s.next_act = 'nothing' THEN CASE
            WHEN s.v_mailed IS NOT NULL AND s.v_received IS NULL THEN 'post' END
        WHEN s.next_act = 'record_reply' AND l.route = 'reply' THEN 'agency'
        ELSE 'clerk' END AS waiting_for,
    (SELECT at FROM stands WHERE id = l.id AND is_changed
        ORDER BY version DESC LIMIT 1) AS since,
    CASE WHEN s.next_act = 'accept' THEN (l.submitted ->> 'expires_at')::timestamptz
        WHEN s.next_act IN ('record_information', 'deal_with_return', 'nothing')
            THEN NULL
        WHEN s.next_act = 'take_fee' THEN coalesce(s.payment_due_at, s.due_at)
        WHEN s.next_act = 'record_reply' AND s.v_forwarded IS NOT NULL
            THEN s.answer_due_at
        ELSE s.due_at END AS until
FROM life l
CROSS JOIN LATERAL (
    SELECT * FROM stands WHERE id = l.id ORDER BY version DESC LIMIT 1) s
LEFT JOIN LATERAL (SELECT * FROM told WHERE id = l.id AND happened IN
    ('assigned', 'claimed', 'released') ORDER BY version DESC LIMIT 1) h ON true
LEFT JOIN LATERAL (SELECT CASE happened WHEN 'released' THEN data ->> 'holder'
        ELSE data ->> 'clerk' END AS clerk
    FROM told WHERE id = l.id AND happened IN ('assigned', 'released')
    ORDER BY version DESC LIMIT 1) a ON true;
CREATE UNIQUE INDEX ON work (id);
ANALYZE work;
"""
# What was forwarded. A result settles it, until another answer takes its place; what
# the citizen supplied wakes what waited; who gives up before a result takes it out.
INBOX = """
CREATE TEMP TABLE inbox AS
SELECT f.id, f.data ->> 'agency' AS agency, l.governorate, l.centre, l.service,
    l.submitted ->> 'tracking_number' AS tracking_number, f.at AS forwarded_at,
    n.state, woken.answer_due_at,
    CASE n.state WHEN 'unanswered' THEN woken.at WHEN 'answered' THEN answer.at
        ELSE (SELECT t.at FROM told t WHERE t.id = f.id
            AND t.version > greatest(woken.version, result.version)
            AND t.happened IN ('agency-responded', 'information-requested')
            AND (result.version IS NULL OR result.version < woken.version
                OR t.happened = 'agency-responded')
            ORDER BY t.version LIMIT 1) END AS since,
    CASE WHEN n.state <> 'unanswered' AND answer.version > woken.version
        THEN answer.data ->> 'outcome' END AS outcome
FROM told f JOIN life l USING (id)
LEFT JOIN LATERAL (SELECT * FROM told t WHERE t.id = f.id AND t.version > f.version
    AND t.happened = 'agency-responded' ORDER BY t.version DESC LIMIT 1) answer ON true
LEFT JOIN LATERAL (SELECT max(t.version) AS version FROM told t WHERE t.id = f.id
    AND t.version > f.version AND t.happened = 'agency-responded'
    AND t.data ->> 'outcome' IN ('issued', 'refused')) result ON true
CROSS JOIN LATERAL (
    SELECT t.version, t.at, (SELECT (d.data ->> 'answer_due_at')::timestamptz
        FROM told d WHERE d.id = t.id AND d.version <= t.version
            AND d.happened IN ('forwarded', 'information-supplied')
            AND d.data ? 'answer_due_at'
        ORDER BY d.version DESC LIMIT 1) AS answer_due_at
    FROM told t WHERE t.id = f.id AND t.version >= f.version
        AND t.happened IN ('forwarded', 'information-supplied')
        -- Settled, it stays so, whatever the citizen brings.
        AND coalesce((SELECT a.data ->> 'outcome' FROM told a WHERE a.id = t.id
            AND a.version < t.version AND a.happened = 'agency-responded'
            ORDER BY a.version DESC LIMIT 1), 'none') NOT IN ('issued', 'refused')
    ORDER BY t.version DESC LIMIT 1
) woken
CROSS JOIN LATERAL (SELECT CASE
    WHEN answer.data ->> 'outcome' IN ('issued', 'refused') THEN 'answered'
    WHEN EXISTS (SELECT FROM told t WHERE t.id = f.id AND t.version > woken.version
        AND t.happened IN ('agency-responded', 'information-requested')) THEN 'waiting'
    ELSE 'unanswered' END AS state) n
WHERE f.happened = 'forwarded'
    AND (n.state = 'answered' OR l.stage NOT IN ('withdrawn', 'expired'));
CREATE UNIQUE INDEX ON inbox (id);
ANALYZE inbox;
"""
