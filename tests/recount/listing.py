"""The answers that list or show one thing: how many there are, and their numbers."""

from __future__ import annotations

from tests.recount.counting import conditions, governorates
from tests.recount.moment import Asked, Moment, Row

_WORK = """
SELECT id::text AS request_id, tracking_number, service, agency, centre, stage, clerk,
    token, next_act, waiting_for, since, until,
    '"' || etag_version || '"' AS etag,
    until IS NOT NULL AND until < %(now)s AS is_overdue
FROM work WHERE {}
"""
_PLACED = ("centre", "governorate", "service", "agency")


def queue(moment: Moment, asked: Asked) -> list[Row]:
    """What is to be done, by whoever has to move; a clerk sees the own queue."""
    narrowed, params = conditions(
        asked, "clerk", "service", "agency", "stage", "next_act"
    )
    params["waiting_for"] = asked.params.get("waiting_for", "clerk")
    narrowed += " AND waiting_for = %(waiting_for)s"
    if asked.asker.role == "clerk":
        narrowed += " AND clerk = %(clerk)s"
        params["clerk"] = asked.asker.code
    if asked.params.get("unassigned"):
        narrowed += " AND clerk IS NULL"
    if asked.params.get("overdue"):
        narrowed += " AND until < %(now)s"
    return moment.rows(_WORK.format(narrowed), **params, now=asked.now)


def live_queue(moment: Moment, asked: Asked) -> list[Row]:
    """The same as it is told live: what is overdue, only the limit tells."""
    rows = queue(moment, asked)
    return [{k: v for k, v in row.items() if k != "is_overdue"} for row in rows]


def live_inbox(moment: Moment, asked: Asked) -> list[Row]:
    """The inbox as it is told live."""
    rows = inbox(moment, asked)
    return [{k: v for k, v in row.items() if k != "is_overdue"} for row in rows]


def unassigned(moment: Moment, asked: Asked) -> list[Row]:
    """Open work in nobody's hands, whoever it waits for."""
    narrowed, params = conditions(asked, "centre")
    narrowed += " AND clerk IS NULL AND waiting_for IN ('clerk', 'agency', 'citizen')"
    return moment.rows(_WORK.format(narrowed), **params, now=asked.now)


def returned_post(moment: Moment, asked: Asked) -> list[Row]:
    """Items that came back and were not dealt with."""
    narrowed, params = conditions(asked, "centre")
    narrowed += " AND next_act = 'deal_with_return'"
    return moment.rows(_WORK.format(narrowed), **params, now=asked.now)


def inbox(moment: Moment, asked: Asked) -> list[Row]:
    """What was forwarded, of one state."""
    narrowed, params = conditions(asked, *_PLACED)
    if asked.params.get("overdue"):
        narrowed += " AND answer_due_at < %(now)s AND state = 'unanswered'"
    rows = moment.rows(
        f"""SELECT id::text AS request_id, tracking_number, service, agency,
            governorate, centre, forwarded_at, answer_due_at, state, since, outcome,
            state = 'unanswered' AND answer_due_at < %(now)s AS is_overdue
        FROM (SELECT *, true AS is_forwarded FROM inbox) inbox
        WHERE {narrowed} AND state = %(state)s""",
        **params,
        state=asked.params.get("state", "unanswered"),
        now=asked.now,
    )
    for row in rows:
        if row["state"] == "answered":
            # The limit that held, when it was answered, is no limit any more.
            del row["answer_due_at"]
    return rows


def requests(moment: Moment, asked: Asked) -> list[Row]:
    """The requests in scope."""
    narrowed, params = conditions(asked, *_PLACED, "stage", "clerk", "route", "channel")
    if asked.params.get("overdue"):
        narrowed += " AND due_at < %(now)s AND stage IN ('waiting', 'in_progress')"
    for name, sign in (("since", ">="), ("until", "<")):
        if name in asked.params:
            narrowed += f" AND submitted_at {sign} %({name})s"
            params[name] = asked.params[name]
    return moment.rows(
        f"""SELECT id::text, tracking_number, service, agency, centre, governorate,
            stage, next_act, outcome, submitted_at, due_at,
            '"' || etag_version || '"' AS etag
        FROM work WHERE {narrowed}""",
        **params,
        now=asked.now,
    )


def payments(moment: Moment, asked: Asked) -> list[Row]:
    """The fee of each request. A bank is not told what for."""
    narrowed, params = conditions(
        asked, "centre", "service", "state", "channel", "unit"
    )
    for name, sign in (("since", ">="), ("until", "<")):
        if name in asked.params:
            narrowed += f" AND expected_at {sign} %({name})s"
            params[name] = asked.params[name]
    rows = moment.rows(
        f"""SELECT id::text AS request_id, tracking_number, service, agency, centre,
            governorate, unit, state_fee, service_charge,
            state_fee + service_charge AS amount, state, expected_at, due_at,
            state = 'expected' AND coalesce(due_at < %(now)s, false) AS is_overdue,
            paid_at, channel, refunded_state_fee, refunded_service_charge,
            refunded_at, cancelled_at
        FROM (SELECT *, state = 'expected' AND NOT (fee_due = 'hand_over'
            AND outcome IS NOT DISTINCT FROM 'refused') AS is_fee_outstanding
            FROM fees) fees WHERE {narrowed}""",
        **params,
        now=asked.now,
    )
    if asked.asker.role == "bank":
        for row in rows:
            row["service"] = row["agency"] = None
    return rows


def postal_items(moment: Moment, asked: Asked) -> list[Row]:
    """What was mailed, with its age in seconds."""
    narrowed, params = conditions(
        asked, "centre", "governorate", "item", "destination", "state", "reason", "day"
    )
    return moment.rows(
        f"""SELECT id::text AS request_id, item, centre, governorate, destination,
            state, mailed_at, ended_at, capacity, reason,
            greatest(0, trunc(extract(epoch FROM coalesce(ended_at, %(now)s)
                - mailed_at)))::bigint AS age_s
        FROM (SELECT *, true AS is_mailed FROM items) items WHERE {narrowed}""",
        **params,
        now=asked.now,
    )


def stampings(moment: Moment, asked: Asked) -> list[Row]:
    """Every stamping, and what speaks against it."""
    narrowed, params = conditions(asked, "centre", "serial", "officer")
    if asked.params.get("doubtful"):
        narrowed += " AND doubts <> '{}'"
    return moment.rows(
        f"""SELECT position, id::text AS request_id, centre, governorate, service,
            serial, officer, digest AS stamped_digest, stamped_at, doubts
        FROM stamped WHERE {narrowed}""",
        **params,
    )


def stamp_register(moment: Moment, asked: Asked) -> list[Row]:
    """Every stamp, with its last use."""
    narrowed, params = conditions(asked, "centre", "serial")
    if "withdrawn" in asked.params:
        narrowed += " AND (withdrawn_on IS NOT NULL) = %(withdrawn)s"
        params["withdrawn"] = asked.params["withdrawn"]
    return moment.rows(
        f"""SELECT serial, centre, issued_at, withdrawn_on::text,
            (SELECT max(stamped_at) FROM stamped WHERE serial = r.serial)
                AS last_stamped_at,
            EXISTS (SELECT FROM stamped WHERE serial = r.serial
                AND (stamped_at AT TIME ZONE 'Asia/Damascus')::date >= r.withdrawn_on)
                AS is_used_after_withdrawal
        FROM register r WHERE {narrowed}""",
        **params,
    )


LETTERS = """
SELECT d.id::text, d.data ->> 'group' AS "group", d.data ->> 'topic' AS topic,
    (d.data ->> 'partition')::int AS "partition",
    (d.data ->> 'offset')::bigint AS "offset", d.data ->> 'cause' AS cause,
    d.data ->> 'code' AS code, (d.data ->> 'attempts')::int AS attempts,
    d.data ->> 'sender' AS sender, d.data ->> 'replay_of' AS replay_of,
    (d.data ->> 'kept_partition')::int AS kept_partition,
    (d.data ->> 'kept_offset')::bigint AS kept_offset,
    d.at AS sent_at, d.recorded_at AS set_aside_at,
    CASE WHEN s.at IS NOT NULL THEN 'settled' WHEN r.at IS NOT NULL THEN 'replayed'
        ELSE 'open' END AS state,
    (SELECT count(*) FROM bodies WHERE id = d.id AND position <= %(position)s
        AND topic = 'sijil.message.replayed.v1') AS replays,
    r.at AS replayed_at, (r.data ->> 'partition')::int AS replayed_partition,
    (r.data ->> 'offset')::bigint AS replayed_offset, s.at AS settled_at,
    s.data ->> 'reason' AS settled_because
FROM bodies d
LEFT JOIN LATERAL (
    SELECT * FROM bodies WHERE id = d.id AND position <= %(position)s
        AND topic = 'sijil.message.replayed.v1' ORDER BY version DESC LIMIT 1
) r ON true
LEFT JOIN bodies s ON s.id = d.id AND s.position <= %(position)s
    AND s.topic = 'sijil.message.settled.v1'
WHERE d.topic = 'sijil.message.dead-lettered.v1' AND d.position <= %(position)s
"""


def dead_letters(moment: Moment, asked: Asked) -> list[Row]:
    """Messages that could not be used, with their age in seconds; or one of them."""
    narrowed, params = "true", {}
    for name in ("state", "cause", "group", "sender"):
        if name in asked.params:
            narrowed += f' AND "{name}" = %({name})s'
            params[name] = asked.params[name]
    if asked.thing is not None:
        narrowed += " AND id = %(thing)s"
        params["thing"] = asked.thing
    return moment.rows(
        f"""SELECT *, greatest(0, trunc(extract(epoch FROM
            coalesce(settled_at, replayed_at, %(now)s) - set_aside_at)))::bigint
            AS age_s FROM ({LETTERS}) letters WHERE {narrowed}""",
        **params,
        now=asked.now,
    )


def paper(moment: Moment, asked: Asked) -> list[Row]:
    """The stamps on one paper of any centre."""
    return moment.rows(
        """SELECT digest AS stamped_digest, count(*) AS stamps FROM stamped
        WHERE digest = %(digest)s GROUP BY 1""",
        digest=asked.thing,
    )


def approvals(moment: Moment, asked: Asked) -> list[Row]:
    """Acts that stand on a supervisor's word, each by its first event."""
    narrowed, params = conditions(asked, "centre", "approved_by", "actor")
    return moment.rows(
        f"""SELECT position, centre, approved_by, topic, aggregate_id, command_id,
            actor_kind, actor AS actor_id, effective_at, recorded_at
        FROM (SELECT DISTINCT ON (body ->> 'command_id') position,
                body #>> '{{actor,place}}' AS centre, body ->> 'approved_by'
                    AS approved_by, topic, id::text AS aggregate_id,
                body ->> 'command_id' AS command_id, body #>> '{{actor,kind}}'
                    AS actor_kind, body #>> '{{actor,id}}' AS actor,
                at AS effective_at, recorded_at
            FROM bodies WHERE body ? 'approved_by' AND position <= %(position)s
            ORDER BY body ->> 'command_id', position) approved
        WHERE {narrowed}""",
        **params,
    )


def refused_attempts(moment: Moment, asked: Asked) -> list[Row]:
    """What was tried and refused by a rule."""
    narrowed, params = conditions(asked, "centre", "attempted", "code", "actor")
    return moment.rows(
        f"""SELECT position, centre, attempted, target, target_version, code,
            reason, actor_kind, actor AS actor_id, effective_at, recorded_at
        FROM (SELECT position, data ->> 'centre' AS centre, data ->> 'attempted'
                AS attempted, data ->> 'target' AS target,
                (data ->> 'target_version')::int AS target_version,
                data ->> 'code' AS code, data ->> 'reason' AS reason,
                body #>> '{{actor,kind}}' AS actor_kind,
                body #>> '{{actor,id}}' AS actor, at AS effective_at, recorded_at
            FROM bodies WHERE topic = 'sijil.attempt.refused.v1'
                AND position <= %(position)s) attempts
        WHERE {narrowed}""",
        **params,
    )


def unmatched_payments(moment: Moment, asked: Asked) -> list[Row]:
    """What banks reported and no fee was waiting for, and what became of it."""
    narrowed, params = conditions(asked, "centre", "reason", "unit", "state")
    if asked.thing is not None:
        narrowed += " AND payment_id = %(thing)s"
        params["thing"] = asked.thing
    return moment.rows(
        f"""SELECT * FROM (SELECT p.position, p.id::text AS payment_id,
                p.body #>> '{{actor,id}}' AS bank,
                p.data ->> 'bank_reference' AS bank_reference,
                (p.data ->> 'amount')::bigint AS amount, p.data ->> 'unit' AS unit,
                p.data ->> 'reason' AS reason,
                p.data ->> 'tracking_number' AS tracking_number,
                p.data ->> 'request' AS request_id, p.data ->> 'centre' AS centre,
                p.at AS paid_at,
                CASE WHEN s.id IS NULL THEN 'open' ELSE 'settled' END AS state,
                s.at AS settled_at, s.data ->> 'reason' AS settled_because,
                s.data ->> 'request' AS fee_request_id
            FROM bodies p
            LEFT JOIN bodies s ON s.id = p.id AND s.position <= %(position)s
                AND s.topic = 'sijil.payment.settled.v1'
            WHERE p.topic = 'sijil.payment.unmatched.v1'
                AND p.position <= %(position)s) payments
        WHERE {narrowed}""",
        **params,
    )


_SUBJECT = """
SELECT id::text FROM said WHERE kind = %(kind)s AND code = %(thing)s
UNION ALL SELECT id::text FROM roster WHERE %(kind)s = 'clerk' AND code = %(thing)s
UNION ALL SELECT %(thing)s WHERE %(kind)s = 'request'
"""


def trail(moment: Moment, asked: Asked) -> list[Row]:
    """The events of a thing or of all; of a request, what was tried on it too."""
    narrowed = "true"
    params: Row = {"kind": asked.operation.split("_")[1], "thing": asked.thing}
    if asked.thing is not None:
        narrowed = f"(id::text IN ({_SUBJECT}) OR data ->> 'target' = %(thing)s"
        narrowed += " AND topic = 'sijil.attempt.refused.v1'"
        narrowed += " OR data ->> 'request' = %(thing)s"
        narrowed += " AND topic IN ('sijil.payment.unmatched.v1',"
        narrowed += " 'sijil.payment.settled.v1', 'sijil.read.looked.v1'))"
    for name, column in (
        ("topic", "topic"),
        ("actor", "body #>> '{actor,id}'"),
        ("actor_kind", "body #>> '{actor,kind}'"),
    ):
        if name in asked.params:
            narrowed += f" AND {column} = %({name})s"
            params[name] = asked.params[name]
    for name, column, sign in (
        ("recorded_since", "recorded_at", ">="),
        ("recorded_until", "recorded_at", "<"),
        ("effective_since", "at", ">="),
        ("effective_until", "at", "<"),
    ):
        if name in asked.params:
            narrowed += f" AND {column} {sign} %({name})s"
            params[name] = asked.params[name]
    return moment.rows(
        f"""SELECT position, version, topic, id::text AS aggregate_id, recorded_at,
            at AS effective_at FROM bodies
        WHERE position <= %(position)s AND {narrowed}""",
        **params,
    )


def entries(moment: Moment, asked: Asked) -> list[Row]:
    """Raw entries; one of them by its position."""
    one = "" if asked.thing is None else "AND position = %(thing)s"
    return moment.rows(
        f"""SELECT position, version, topic, id::text AS aggregate_id, recorded_at
        FROM bodies WHERE position <= %(position)s {one}""",
        thing=asked.thing,
    )


def published(moment: Moment, asked: Asked) -> list[Row]:
    """Things of one kind as they were said last, or one of them."""
    kinds = {"agencies": "agency", "services": "service", "centres": "centre"}
    noun = asked.operation.partition("_")[2]
    kind = kinds.get(noun, noun.removesuffix("s"))
    narrowed, params = "kind = %(kind)s", {"kind": kind}
    if asked.thing is not None:
        narrowed += " AND code = %(code)s"
        params["code"] = asked.thing
    for name in ("agency", "governorate", "centre"):
        if name in asked.params:
            narrowed += f" AND data ->> '{name}' = %({name})s"
            params[name] = asked.params[name]
    if kind == "stamp" and asked.asker.centre is not None:
        narrowed += " AND data ->> 'centre' = %(own)s"
        params["own"] = asked.asker.centre
    return moment.rows(
        f"SELECT code, version, data AS facts FROM said WHERE {narrowed}", **params
    )


def clerks(moment: Moment, asked: Asked) -> list[Row]:
    """The clerks, or one of them."""
    narrowed, params = conditions(asked, "centre", "code")
    if asked.thing is not None:
        narrowed += " AND code = %(thing)s"
        params["thing"] = asked.thing
    if "agency" in asked.params:
        narrowed += " AND %(agency)s = ANY(agencies)"
        params["agency"] = asked.params["agency"]
    return moment.rows(
        f"""SELECT code, centre, version, agencies, left_on::text FROM roster
        WHERE {narrowed}""",
        **params,
    )


def one_request(moment: Moment, asked: Asked) -> list[Row]:
    """One request, with what is to be paid."""
    return moment.rows(
        """SELECT w.id::text, w.stage, w.next_act, w.clerk, w.token,
            (SELECT max(version) FROM told WHERE id = w.id) AS version,
            (SELECT CASE WHEN outcome IS NOT NULL THEN v_answer END FROM stands
                WHERE id = w.id ORDER BY version DESC LIMIT 1) AS answer_version,
            CASE WHEN w.is_fee_outstanding THEN f.state_fee + f.service_charge END
                AS "fee_due.amount"
        FROM work w LEFT JOIN fees f USING (id) WHERE w.id = %(id)s::uuid""",
        id=asked.thing,
    )


def looks(moment: Moment, asked: Asked) -> list[Row]:
    """Who saw the values of a request's parties."""
    return moment.rows(
        """SELECT at AS looked_at, body #>> '{actor,kind}' AS role,
            body #>> '{actor,place}' AS office, data ->> 'purpose' AS purpose,
            body #>> '{actor,id}' AS by
        FROM bodies WHERE topic = 'sijil.read.looked.v1'
            AND position <= %(position)s AND data ->> 'request' = %(request)s""",
        request=asked.thing,
    )


def terms_of_request(moment: Moment, asked: Asked) -> list[Row]:
    """The terms that a request was accepted under."""
    return moment.rows(
        """SELECT service, terms ->> 'agency' AS agency, terms -> 'fee_lines'
                AS fee_lines, (terms ->> 'service_version')::int AS service_version,
            (terms ->> 'payment_days')::int AS payment_days,
            (terms ->> 'first_answer_days')::int AS first_answer_days,
            (terms ->> 'completion_days')::int AS completion_days
        FROM life WHERE id = %(id)s::uuid AND terms IS NOT NULL""",
        id=asked.thing,
    )


def terms_of_service(moment: Moment, asked: Asked) -> list[Row]:
    """The terms of a service as it is published."""
    return moment.rows(
        """SELECT code AS service, data ->> 'agency' AS agency, data -> 'fee_lines'
                AS fee_lines, (SELECT max(version) FROM bodies b WHERE b.id = said.id
                    AND b.topic = 'sijil.service.published.v1'
                    AND b.position <= %(position)s) AS service_version,
            (data ->> 'payment_days')::int AS payment_days,
            (data ->> 'first_answer_days')::int AS first_answer_days,
            (data ->> 'completion_days')::int AS completion_days
        FROM said WHERE kind = 'service' AND code = %(code)s""",
        code=asked.thing,
    )


def estimates(_: Moment, __: Asked) -> list[Row]:
    """The governorates with their estimates."""
    return [dict(each) for each in governorates()]
