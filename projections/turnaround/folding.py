"""Turnaround: how long requests took at centre, agency and post, in working time.

The clock runs from acceptance to completion and stands still while the citizen is asked
for something. What it counts is the agency's from the forwarding, or from the citizen's
answer where the agency is to answer anew, to the agency's answer; all else is the
centre's. The post has a paper from each mailing until it is received or comes back.
Minutes are counted over the calendars that the acceptance names.

A request has a row while something is still to be measured; what was measured is
appended. What can be asked stands beside this file.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg2.extensions

from domain.requests import Answer
from domain.stages import Stage
from domain.working_minutes import minute_of
from ledger.copying import NOTHING, copied_text
from projections.copying import append_rows, array_of, copy_lines
from projections.facts import Fact
from projections.lasting import LEVEL, LEVEL_S
from projections.memory import Memory, Remembering
from projections.office_days import day_of
from projections.requests import PREFIX, SUBMITTED
from projections.succession import SucceedingRows
from projections.turnaround.calendars import Calendars, facts_of
from projections.turnaround.lives import PLACE, WAITING, Life, begun, loaded

IN_POST = "in_post"
"""Completed, and the paper has not been received yet: no stage of the contract."""

# Plain texts: a member of an enumeration costs ten times as much to compare.
_ISSUED = Stage.COMPLETED_ISSUED.value
_REFUSED = Stage.COMPLETED_REFUSED.value
_ANSWERED_ISSUED = Answer.ISSUED.value
_INFORMATION_NEEDED = Answer.INFORMATION_NEEDED.value
_NOT_MEASURED = "\t".join([NOTHING] * 5)

_CALENDAR = "sijil.calendar.published.v1"
_HAPPENED = {
    f"{PREFIX}{name}.v1": name
    for name in (
        "submitted",
        "accepted",
        "not-accepted",
        "forwarded",
        "agency-responded",
        "information-requested",
        "information-supplied",
        "mailed",
        "delivered",
        "collected",
        "returned",
        "handed-over",
        "result-told",
        "withdrawn",
        "expired",
    )
}

_OPEN = SucceedingRows(
    name="turnaround_open",
    key={"request_id": "uuid"},
    columns=(
        "request_id",
        "governorate",
        "centre",
        "agency",
        "service",
        "stage",
        "accepted_at",
        "calendars",
        "stops",
        "state",
        "valid_from",
    ),
)
_ENDED = (
    "position",
    *PLACE,
    "stage",
    "day",
    "accepted_at",
    "ended_at",
    "calendars",
    "stops",
    "centre_minutes",
    "agency_minutes",
    "is_in_time",
    "answer_minutes",
    "is_answer_in_time",
)
_RECEIVED = ("position", *PLACE, "day", "received_at", "post_minutes")
_DDL = f"""
CREATE TABLE turnaround_calendars (
    position bigint PRIMARY KEY,
    year integer NOT NULL,
    version integer NOT NULL,
    facts text NOT NULL
);
CREATE TABLE turnaround_open (
    request_id uuid NOT NULL,
    governorate text NOT NULL,
    centre text NOT NULL,
    agency text NOT NULL,
    service text NOT NULL,
    stage text NOT NULL,
    accepted_at timestamptz,
    calendars text,
    -- From and to of each stop of the clock, in minutes since 1970.
    stops text,
    -- What the next event is measured from, for the fold alone.
    state text,
    valid_from bigint NOT NULL,
    valid_to bigint,
    PRIMARY KEY (request_id, valid_from)
);
CREATE INDEX turnaround_open_now ON turnaround_open (accepted_at)
    WHERE valid_to IS NULL AND stage = 'in_progress';
CREATE INDEX turnaround_open_then ON turnaround_open (({LEVEL}), valid_to, valid_from)
    WHERE valid_to IS NOT NULL AND stage = 'in_progress';
-- Accepted and ended: completed with what was measured, or given up without.
CREATE TABLE turnaround_ended (
    position bigint PRIMARY KEY,
    governorate text NOT NULL,
    centre text NOT NULL,
    agency text NOT NULL,
    service text NOT NULL,
    stage text NOT NULL,
    day date NOT NULL,
    accepted_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    calendars text NOT NULL,
    stops text,
    centre_minutes integer,
    agency_minutes integer,
    is_in_time boolean,
    answer_minutes integer,
    is_answer_in_time boolean
);
CREATE INDEX turnaround_ended_by_day ON turnaround_ended (day);
CREATE INDEX turnaround_ended_then ON turnaround_ended (
    ({LEVEL_S}), ended_at, accepted_at, position
);
-- Received by post; the day is that of the completion.
CREATE TABLE turnaround_received (
    position bigint PRIMARY KEY,
    governorate text NOT NULL,
    centre text NOT NULL,
    agency text NOT NULL,
    service text NOT NULL,
    day date NOT NULL,
    received_at timestamptz NOT NULL,
    post_minutes integer NOT NULL
);
CREATE INDEX turnaround_received_by_day ON turnaround_received (day);
"""
_LOAD = """
SELECT k.request_id::text, t.valid_from,
    t.governorate, t.centre, t.agency, t.service, t.stage, t.calendars, t.stops, t.state
FROM unnest(%s::uuid[]) AS k (request_id)
CROSS JOIN LATERAL (
    SELECT * FROM turnaround_open t WHERE t.request_id = k.request_id
    ORDER BY t.valid_from DESC LIMIT 1
) AS t
WHERE t.valid_to IS NULL
"""
_CALENDARS = "SELECT year, version, facts FROM turnaround_calendars ORDER BY position"


class Turnaround(Remembering[Life]):
    """The view: what is being measured, and what has been."""

    name = "turnaround"
    version = 3
    tables = (
        "turnaround_calendars",
        "turnaround_open",
        "turnaround_ended",
        "turnaround_received",
    )
    ddl = _DDL

    def fold(self, cursor: psycopg2.extensions.cursor, facts: Sequence[Fact]) -> None:
        """Take a batch in."""
        ours = [f for f in facts if f.topic in _HAPPENED or f.topic == _CALENDAR]
        if not ours:
            return
        cursor.execute(_CALENDARS)
        calendars = Calendars(cursor.fetchall())
        memory = self.memory()
        _load(cursor, ours, memory)
        batch = _Batch(calendars, memory.young)
        for fact in ours:
            if fact.topic == _CALENDAR:
                batch.published(fact)
            else:
                batch.take(fact, _HAPPENED[fact.topic])
        append_rows(
            cursor,
            "turnaround_calendars",
            ("position", "year", "version", "facts"),
            batch.calendar_rows,
        )
        batch.open.write(cursor)
        copy_lines(cursor, "turnaround_ended", _ENDED, batch.ended)
        copy_lines(cursor, "turnaround_received", _RECEIVED, batch.received)


def _load(
    cursor: psycopg2.extensions.cursor, facts: Sequence[Fact], memory: Memory[Life]
) -> None:
    """Remember the requests of the facts as they stand."""
    missing = memory.unknown({f.key for f in facts if f.topic != _CALENDAR})
    missing -= {f.key for f in facts if f.topic == SUBMITTED}
    if missing:
        cursor.execute(_LOAD, (array_of(missing),))
        for key, *row in cursor.fetchall():
            memory.young[key] = loaded(row)


class _Batch:
    """The facts of a batch, taken in order; what they leave to be written."""

    def __init__(self, calendars: Calendars, lives: dict[str, Life]) -> None:
        self.calendars = calendars
        self.lives = lives
        self.calendar_rows: list[tuple[int, int, int, str]] = []
        self.open = _OPEN.begin()
        self.ended: list[str] = []
        self.received: list[str] = []

    def published(self, fact: Fact) -> None:
        """Take a calendar in."""
        year = fact.data["year"]
        facts = facts_of(fact.data)
        self.calendars.add(year, fact.version, facts)
        self.calendar_rows.append((fact.position, year, fact.version, facts))

    def take(self, fact: Fact, happened: str) -> None:
        """Take one event of a request in."""
        key = fact.key
        found = self.lives.get(key)
        if happened == "submitted":
            life = self.lives[key] = begun(fact)
            if found is not None:
                life.row_since = found.row_since
            self._keep(fact, life)
            return
        if found is None:
            return
        if found.stage == WAITING:
            if happened == "accepted":
                found.accept(fact)
                self._keep(fact, found)
            elif happened in {"not-accepted", "withdrawn", "expired"}:
                self._drop(fact)
            return
        if found.stage == IN_POST:
            self._in_post(fact, found, happened)
        else:
            self._in_progress(fact, found, happened)

    def _in_progress(self, fact: Fact, life: Life, happened: str) -> None:  # noqa: C901 -- one case an event
        match happened:
            case "forwarded":
                self._count(fact, life)
                life.is_agencys = True
                life.answer_due_at = fact.data["answer_due_at"]
            case "agency-responded":
                if not life.is_reply:
                    return
                self._count(fact, life)
                life.is_agencys = False
                life.agency_next = fact.data["outcome"] == _INFORMATION_NEEDED
                if life.answer_minutes is None:
                    life.answer_minutes = life.agency_minutes
                    due = life.answer_due_at
                    life.is_answer_in_time = due is None or fact.effective_text <= due
            case "information-requested":
                self._count(fact, life)
                life.agency_next = life.is_agencys or life.agency_next
                life.is_agencys = False
                life.asked = minute_of(fact.effective_text)
                life.stops = [*(life.stops or ()), [life.asked, None]]
            case "information-supplied":
                life.since = minute_of(fact.effective_text)
                if life.asked is not None and life.stops:
                    life.stops[-1] = [life.asked, life.since]
                life.asked = None
                life.is_agencys = life.agency_next
                life.agency_next = False
                data = fact.data
                life.due_at = data.get("due_at", life.due_at)
                life.answer_due_at = data.get("answer_due_at", life.answer_due_at)
            case "mailed":
                self._completed(fact, life, _ISSUED)
                life.stage = IN_POST
                life.mailed = minute_of(fact.effective_text)
                life.completed_day = day_of(fact.effective_text)
            case "handed-over":
                self._completed(fact, life, _ISSUED)
                self._drop(fact)
                return
            case "result-told":
                is_issued = fact.data["outcome"] == _ANSWERED_ISSUED
                self._completed(
                    fact,
                    life,
                    _ISSUED if is_issued else _REFUSED,
                )
                self._drop(fact)
                return
            case "withdrawn" | "expired":
                self._end(fact, life, happened, _NOT_MEASURED)
                self._drop(fact)
                return
            case _:
                return
        self._keep(fact, life)

    def _in_post(self, fact: Fact, life: Life, happened: str) -> None:
        match happened:
            case "mailed":
                life.mailed = minute_of(fact.effective_text)
                self._keep(fact, life)
            case "returned":
                self._posted(fact, life)
                life.mailed = None
                self._keep(fact, life)
            case "delivered" | "collected":
                self._posted(fact, life)
                self.received.append(
                    f"{fact.position}\t{life.place}\t{life.completed_day}"
                    f"\t{fact.effective_text}\t{life.post_minutes}"
                )
                self._drop(fact)
            case "handed-over":
                # Received at the counter in the end: the post never finished.
                self._drop(fact)
            case _:
                pass

    def _count(self, fact: Fact, life: Life) -> None:
        """Give the time since the last count to whom it belongs."""
        if life.asked is not None:
            return
        at = minute_of(fact.effective_text)
        minutes = self.calendars.over(life.calendars or "").between(life.since, at)
        if life.is_agencys:
            life.agency_minutes += minutes
        else:
            life.centre_minutes += minutes
        life.since = at

    def _posted(self, fact: Fact, life: Life) -> None:
        if life.mailed is not None:
            life.post_minutes += self.calendars.over(life.calendars or "").between(
                life.mailed, minute_of(fact.effective_text)
            )

    def _completed(self, fact: Fact, life: Life, stage: str) -> None:
        self._count(fact, life)
        due, is_answer_in_time = life.due_at, life.is_answer_in_time
        measured = (
            f"{life.centre_minutes}"
            f"\t{life.agency_minutes if life.is_reply else NOTHING}"
            f"\t{fact.effective_text <= due}"
            f"\t{_or_nothing(life.answer_minutes)}\t{_or_nothing(is_answer_in_time)}"
        )
        self._end(fact, life, stage, measured)

    def _end(self, fact: Fact, life: Life, stage: str, measured: str) -> None:
        at = fact.effective_text
        self.ended.append(
            f"{fact.position}\t{life.place}\t{stage}\t{day_of(fact.effective_text)}"
            f"\t{copied_text(life.accepted_at or '')}\t{at}"
            f"\t{copied_text(life.calendars or '')}"
            f"\t{life.stops_text}\t{measured}"
        )

    def _keep(self, fact: Fact, life: Life) -> None:
        key, position = fact.key, fact.position
        self.open.put(key, life.row_since, position, life.line(key, position))
        life.row_since = position

    def _drop(self, fact: Fact) -> None:
        life = self.lives.pop(fact.key)
        self.open.put(fact.key, life.row_since, fact.position, None)


def _or_nothing(value: object) -> object:
    return NOTHING if value is None else value
