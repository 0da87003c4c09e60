"""The answers that count and add up, told as the interface tells them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from tests.recount.moment import Asked, Moment, Row

REFERENCE = Path(__file__).parents[2] / "domain" / "catalogue" / "governorates.csv"
_STAGES = (
    "waiting",
    "not_accepted",
    "in_progress",
    "completed_issued",
    "completed_refused",
    "withdrawn",
    "expired",
)
_COMPLETED = """count(*) FILTER (WHERE stage IN ('completed_issued',
    'completed_refused')) AS completed"""
_MEASURES = ", ".join(
    [f"count(*) FILTER (WHERE stage = '{each}') AS {each}" for each in _STAGES]
    + [_COMPLETED]
)
# The first entry into each stage, on its day. A request counts with the agency that it
# was submitted to until it is accepted for another.
_ENTERED = """
SELECT DISTINCT ON (t.id, s.stage) t.id, t.day::text AS day, l.governorate, l.centre,
    CASE WHEN s.stage = 'submitted' THEN l.first_agency ELSE l.agency END AS agency,
    l.service, s.stage
FROM told t JOIN life l USING (id), LATERAL (
    SELECT CASE t.happened
        WHEN 'submitted' THEN 'submitted' WHEN 'accepted' THEN 'in_progress'
        WHEN 'not-accepted' THEN 'not_accepted'
        WHEN 'mailed' THEN 'completed_issued'
        WHEN 'handed-over' THEN 'completed_issued'
        WHEN 'result-told' THEN 'completed_' || (t.data ->> 'outcome')
        WHEN 'withdrawn' THEN 'withdrawn' WHEN 'expired' THEN 'expired'
    END AS stage) s
WHERE s.stage IS NOT NULL ORDER BY t.id, s.stage, t.version
"""
_MOVEMENTS = ("expected", "paid", "cancelled", "refunded")
_SUMS = ", ".join(
    f"""count(*) FILTER (WHERE movement = '{each}') AS "{each}.count",
    coalesce(sum(state_fee) FILTER (WHERE movement = '{each}'), 0)::bigint
        AS "{each}.state_fee",
    coalesce(sum(service_charge) FILTER (WHERE movement = '{each}'), 0)::bigint
        AS "{each}.service_charge",
    coalesce(sum(state_fee + service_charge) FILTER (WHERE movement = '{each}'), 0)
        ::bigint AS "{each}.amount\""""
    for each in _MOVEMENTS
)
_PARTS = {
    "whole": "whole",
    "centre": "centre_m",
    "agency": "agency_m",
    "post": "post_m",
    "first_answer": "answer_m",
}
_RANKS = ", ".join(
    f"""count({column}) AS "{name}.n",
    percentile_disc(0.5) WITHIN GROUP (ORDER BY {column}) AS "{name}.median",
    percentile_disc(0.9) WITHIN GROUP (ORDER BY {column}) AS "{name}.p90\""""
    for name, column in _PARTS.items()
)


@lru_cache(maxsize=1)
def governorates() -> tuple[Row, ...]:
    """The reference data: codes and estimates of the population."""
    with REFERENCE.open(encoding="utf-8") as file:
        return tuple(
            {"code": row["iso_code"], "population": int(row["population_estimate"])}
            for row in csv.DictReader(file)
        )


def _grouped(names: Sequence[str]) -> tuple[str, str]:
    """The columns of a group and the clause that makes it."""
    columns = "".join(f'{name}::text AS "group.{name}", ' for name in names)
    return columns, f"GROUP BY {', '.join(names)}" if names else ""


def counts(moment: Moment, asked: Asked) -> list[Row]:
    """What stands where; each governorate, also one in which nothing was counted."""
    names = asked.by("governorate")
    columns, clause = _grouped(names)
    seen, params = asked.asker.sees(places_only=True)
    rows = moment.rows(
        f"SELECT {columns} count(*) AS submitted, {_MEASURES} FROM life WHERE {seen}"
        f" {clause} HAVING count(*) > 0",
        **params,
    )
    is_live = asked.operation == "follow_counts"
    if names == ["governorate"] and asked.asker.centre is None and not is_live:
        centres = {
            row["governorate"]
            for row in moment.rows(
                "SELECT DISTINCT data ->> 'governorate' AS governorate FROM bodies"
                " WHERE topic = 'sijil.centre.opened.v1' AND position <= %(position)s"
            )
        }
        counted = {row["group.governorate"] for row in rows}
        rows += [
            {
                "group.governorate": code,
                **dict.fromkeys(
                    (*_STAGES, "submitted", "completed"), 0 if code in centres else None
                ),
            }
            for code in (each["code"] for each in governorates())
            if centres and code not in counted
        ]
    return rows


def flows(moment: Moment, asked: Asked) -> list[Row]:
    """What entered each stage on the days asked about."""
    columns, clause = _grouped(asked.by("day"))
    seen, params = asked.asker.sees(places_only=True)
    return moment.rows(
        f"SELECT {columns} count(*) FILTER (WHERE stage = 'submitted') AS submitted,"
        f" {_MEASURES}, NULL AS waiting FROM ({_ENTERED}) entered WHERE {seen}"
        f" AND day::date BETWEEN %(first)s AND %(last)s {clause} HAVING count(*) > 0",
        **params,
        first=asked.params["first"],
        last=asked.params["last"],
    )


def turnaround(moment: Moment, asked: Asked) -> list[Row]:
    """How long it took at centre, agency and post, and how old what is open is."""
    names = asked.by("governorate")
    columns, clause = _grouped(names)
    seen, params = asked.asker.sees(places_only=True)
    rows = moment.rows(
        f"""SELECT {columns} count(*) AS completed, {_RANKS},
            count(*) AS "inside_limit.n",
            count(*) FILTER (WHERE in_time) AS "inside_limit.inside",
            count(answer_m) AS "first_answer_inside_limit.n",
            count(*) FILTER (WHERE answer_in_time)
                AS "first_answer_inside_limit.inside"
        FROM done WHERE {seen} AND day BETWEEN %(first)s AND %(last)s {clause}
        HAVING count(*) > 0""",
        **params,
        first=asked.params["first"],
        last=asked.params["last"],
    )
    keyed = {tuple(row[f"group.{n}"] for n in names): row for row in rows}
    has_ages = not {"day", "month"} & set(names)
    ages = {}
    if has_ages:
        moment.grow_to(asked.now)
        found = moment.rows(
            f"SELECT {columns} count(*) AS open, max(age)::bigint AS oldest_open"
            f" FROM ages WHERE {seen} {clause} HAVING count(*) > 0",
            **params,
        )
        ages = {tuple(row[f"group.{n}"] for n in names): row for row in found}
    nothing = {
        "completed": 0,
        **{f"{each}.n": 0 for each in _PARTS},
        **{f"{each}.{rank}": None for each in _PARTS for rank in ("median", "p90")},
        **{f"{limit}.{n}": 0 for limit in _LIMITS for n in ("n", "inside")},
    }
    told = []
    for key in keyed.keys() | ages.keys():
        row = {
            **nothing,
            "open": 0 if has_ages else None,
            "oldest_open": None,
            **keyed.get(key, {}),
            **ages.get(key, {}),
        }
        for limit in _LIMITS:
            n, inside = row[f"{limit}.n"], row[f"{limit}.inside"]
            row[f"{limit}.share"] = round(inside / n, 4) if n else None
        told.append(row)
    return told


_LIMITS = ("inside_limit", "first_answer_inside_limit")


def payment_sums(moment: Moment, asked: Asked) -> list[Row]:
    """What was expected, paid, cancelled and paid back, by unit."""
    names = asked.by()
    columns, _ = _grouped(names)
    seen, params = asked.asker.sees(places_only=True)
    return moment.rows(
        f"SELECT {columns} unit, {_SUMS} FROM moved WHERE {seen}"
        f" AND day BETWEEN %(first)s AND %(last)s"
        f" GROUP BY {', '.join([*names, 'unit'])}",
        **params,
        first=asked.params["first"],
        last=asked.params["last"],
    )


def mailing_days(moment: Moment, asked: Asked) -> list[Row]:
    """What each centre mailed on each day, by where it is."""
    narrowed, params = conditions(asked, "centre", "governorate")
    return moment.rows(
        f"""SELECT day::text, centre, count(*) AS mailed,
            count(*) FILTER (WHERE state = 'on_the_way') AS on_the_way,
            count(*) FILTER (WHERE state = 'delivered') AS delivered,
            count(*) FILTER (WHERE state = 'collected') AS collected,
            count(*) FILTER (WHERE state = 'returned') AS returned
        FROM (SELECT *, true AS is_mailed FROM items) items WHERE {narrowed}
            AND day BETWEEN %(first)s AND %(last)s GROUP BY day, centre""",
        **params,
        first=asked.params["first"],
        last=asked.params["last"],
    )


def inbox_totals(moment: Moment, asked: Asked) -> list[Row]:
    """What each agency has to answer in each governorate."""
    narrowed, params = conditions(asked, "agency", "governorate")
    return moment.rows(
        f"""SELECT agency, governorate,
            count(*) FILTER (WHERE state = 'unanswered') AS unanswered,
            count(*) FILTER (WHERE state = 'unanswered' AND answer_due_at < %(now)s)
                AS overdue,
            count(*) FILTER (WHERE state = 'waiting') AS waiting,
            min(forwarded_at) FILTER (WHERE state = 'unanswered')
                AS oldest_forwarded_at
        FROM (SELECT *, true AS is_forwarded FROM inbox) inbox
        WHERE {narrowed} AND state <> 'answered' GROUP BY agency, governorate""",
        **params,
        now=asked.now,
    )


def dead_letter_totals(moment: Moment, _: Asked) -> list[Row]:
    """How many messages of each group and cause could not be used."""
    return moment.rows(
        """SELECT d.data ->> 'group' AS "group", d.data ->> 'cause' AS cause,
            count(*) FILTER (WHERE s.id IS NULL AND r.id IS NULL) AS open,
            count(*) FILTER (WHERE s.id IS NULL AND r.id IS NOT NULL) AS replayed,
            count(s.id) AS settled,
            min(d.recorded_at) FILTER (WHERE s.id IS NULL AND r.id IS NULL)
                AS oldest_open_at
        FROM bodies d
        LEFT JOIN bodies s ON s.id = d.id AND s.position <= %(position)s
            AND s.topic = 'sijil.message.settled.v1'
        LEFT JOIN (
            SELECT DISTINCT id FROM bodies WHERE position <= %(position)s
                AND topic = 'sijil.message.replayed.v1'
        ) r ON r.id = d.id
        WHERE d.topic = 'sijil.message.dead-lettered.v1'
            AND d.position <= %(position)s
        GROUP BY 1, 2"""
    )


def clerk_load(moment: Moment, asked: Asked) -> list[Row]:
    """What each clerk has; who is away or has nothing too."""
    narrowed, params = conditions(asked, "centre")
    return moment.rows(
        f"""SELECT coalesce(r.centre, w.centre) AS centre,
            coalesce(r.code, w.clerk) AS clerk, r.code IS NOT NULL AS is_here,
            coalesce(r.agencies, '{{}}') AS agencies,
            coalesce(r.left_on <= d.day, false) AS has_left,
            coalesce(d.day <@ ANY(r.absences), false) AS is_away,
            coalesce(to_move, 0) AS to_move, coalesce(overdue, 0) AS overdue,
            coalesce(for_agency, 0) AS waiting_for_agency,
            coalesce(for_citizen, 0) AS waiting_for_citizen, w.oldest
        FROM (SELECT * FROM roster WHERE {narrowed}) r
        FULL JOIN (
            SELECT centre, clerk,
                count(*) FILTER (WHERE waiting_for = 'clerk') AS to_move,
                count(*) FILTER (WHERE waiting_for = 'clerk' AND until < %(now)s)
                    AS overdue,
                count(*) FILTER (WHERE waiting_for = 'agency') AS for_agency,
                count(*) FILTER (WHERE waiting_for = 'citizen') AS for_citizen,
                min(since) FILTER (WHERE waiting_for = 'clerk') AS oldest
            FROM work WHERE {narrowed} AND clerk IS NOT NULL
                AND waiting_for IN ('clerk', 'agency', 'citizen')
            GROUP BY centre, clerk
        ) w ON w.centre = r.centre AND w.clerk = r.code
        CROSS JOIN (SELECT (%(now)s AT TIME ZONE 'Asia/Damascus')::date AS day) d""",
        **params,
        now=asked.now,
    )


def live_load(moment: Moment, asked: Asked) -> list[Row]:
    """What each clerk with any work has, as it is told live."""
    names = ("to_move", "waiting_for_agency", "waiting_for_citizen")
    return [
        {name: row[name] for name in ("centre", "clerk", *names)}
        for row in clerk_load(moment, asked)
        if any(row[name] for name in names)
    ]


def conditions(asked: Asked, *names: str) -> tuple[str, Row]:
    """What the asker sees, narrowed by those of the named filters that were given."""
    seen, params = asked.asker.sees()
    given = {name: asked.params[name] for name in names if name in asked.params}
    parts = [seen, *(f"{name} = %({name})s" for name in given)]
    return " AND ".join(parts), {**params, **given}
