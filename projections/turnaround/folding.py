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
from typing import Any

import orjson
import psycopg2.extensions

from domain.requests import Answer
from domain.services import Route
from domain.stages import Stage
from domain.working_minutes import minute_of
from projections.copying import append_rows
from projections.facts import Fact
from projections.office_days import day_of
from projections.requests import PREFIX
from projections.turnaround.calendars import Calendars, facts_of, named_in
from projections.versioned import Change, VersionedTable

IN_POST = "in_post"
"""Completed, and the paper has not been received yet: no stage of the contract."""

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

_OPEN = VersionedTable(
    name="turnaround_open",
    key=("request_id",),
    values=(
        "governorate",
        "centre",
        "agency",
        "service",
        "stage",
        "accepted_at",
        "calendars",
        "stops",
        "state",
    ),
    casts={"request_id": "uuid"},
)
_PLACE = ("governorate", "centre", "agency", "service")
_ENDED = (
    "position",
    *_PLACE,
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
_RECEIVED = ("position", *_PLACE, "day", "received_at", "post_minutes")
_DDL = """
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
CREATE UNIQUE INDEX turnaround_open_current ON turnaround_open (request_id)
    WHERE valid_to IS NULL;
CREATE INDEX turnaround_open_now ON turnaround_open (accepted_at)
    WHERE valid_to IS NULL AND stage = 'in_progress';
CREATE INDEX turnaround_open_then ON turnaround_open (valid_to)
    WHERE stage = 'in_progress';
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
CREATE INDEX turnaround_ended_by_time ON turnaround_ended (ended_at);
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
_CALENDARS = "SELECT year, version, facts FROM turnaround_calendars ORDER BY position"


class _Life:
    """One request while something of it is still to be measured."""

    __slots__ = (
        "accepted_at",
        "agency",
        "agency_minutes",
        "agency_next",
        "answer_due_at",
        "answer_minutes",
        "asked",
        "calendars",
        "centre",
        "centre_minutes",
        "completed_day",
        "due_at",
        "governorate",
        "is_agencys",
        "is_answer_in_time",
        "is_reply",
        "mailed",
        "post_minutes",
        "service",
        "since",
        "stage",
        "stops",
    )

    governorate: str
    centre: str
    agency: str
    service: str
    stage: str
    accepted_at: str | None
    calendars: str | None
    stops: list[list[int | None]] | None

    is_reply: bool
    due_at: str
    answer_due_at: str | None
    is_agencys: bool
    """Whether the time that runs is the agency's, else the centre's."""
    agency_next: bool
    """Whether the agency has to answer once the citizen has."""
    since: int
    """The minute from which on time has not been counted yet."""
    centre_minutes: int
    agency_minutes: int
    asked: int | None
    answer_minutes: int | None
    is_answer_in_time: bool | None
    completed_day: str | None
    mailed: int | None
    post_minutes: int

    def accept(self, fact: Fact) -> None:
        terms = fact.data["terms"]
        self.agency = terms["agency"]
        self.stage = Stage.IN_PROGRESS.value
        self.accepted_at = fact.effective_text
        self.calendars = named_in(terms)
        self.is_reply = terms["route"] == Route.REPLY
        self.due_at = terms["due_at"]
        self.since = minute_of(fact.effective_text)
        self.answer_due_at = self.asked = self.answer_minutes = None
        self.is_answer_in_time = self.completed_day = self.mailed = None
        self.is_agencys = self.agency_next = False
        self.centre_minutes = self.agency_minutes = self.post_minutes = 0

    def row(self) -> dict[str, Any]:
        is_begun = self.accepted_at is not None
        return {
            "governorate": self.governorate,
            "centre": self.centre,
            "agency": self.agency,
            "service": self.service,
            "stage": self.stage,
            "accepted_at": self.accepted_at,
            "calendars": self.calendars,
            "stops": _text(self.stops) if self.stops else None,
            "state": _text([getattr(self, name) for name in _STATE])
            if is_begun
            else None,
        }


_STATE = (
    "is_reply",
    "due_at",
    "answer_due_at",
    "is_agencys",
    "agency_next",
    "since",
    "centre_minutes",
    "agency_minutes",
    "asked",
    "answer_minutes",
    "is_answer_in_time",
    "completed_day",
    "mailed",
    "post_minutes",
    "accepted_at",
)


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _loaded(row: dict[str, Any]) -> _Life:
    life = _Life()
    for name in (*_PLACE, "stage", "calendars"):
        setattr(life, name, row[name])
    stops = row["stops"]
    life.stops = None if stops is None else orjson.loads(stops)
    life.accepted_at = None
    if row["state"] is not None:
        for name, value in zip(_STATE, orjson.loads(row["state"]), strict=True):
            setattr(life, name, value)
    return life


def _begun(fact: Fact) -> _Life:
    life = _Life()
    data = fact.data
    for name in _PLACE:
        setattr(life, name, data[name])
    life.stage = Stage.WAITING.value
    life.accepted_at = life.calendars = life.stops = None
    return life


class Turnaround:
    """The view: what is being measured, and what has been."""

    name = "turnaround"
    version = 1
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
        batch = _Batch(Calendars(cursor.fetchall()))
        begun = {f.key for f in ours if _HAPPENED.get(f.topic) == "submitted"}
        known = {f.key for f in ours if f.topic != _CALENDAR} - begun
        loaded = _OPEN.load(cursor, [(key,) for key in known])
        batch.lives = {str(key): _loaded(row) for (key,), row in loaded.items()}
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
        _OPEN.write(cursor, batch.changes)
        append_rows(cursor, "turnaround_ended", _ENDED, batch.ended)
        append_rows(cursor, "turnaround_received", _RECEIVED, batch.received)


class _Batch:
    """The facts of a batch, taken in order; what they leave to be written."""

    def __init__(self, calendars: Calendars) -> None:
        self.calendars = calendars
        self.lives: dict[str, _Life] = {}
        self.calendar_rows: list[tuple[int, int, int, str]] = []
        self.changes: list[Change] = []
        self.ended: list[tuple[Any, ...]] = []
        self.received: list[tuple[Any, ...]] = []

    def published(self, fact: Fact) -> None:
        """Take a calendar in."""
        year = fact.data["year"]
        facts = facts_of(fact.data)
        self.calendars.add(year, fact.version, facts)
        self.calendar_rows.append((fact.position, year, fact.version, facts))

    def take(self, fact: Fact, happened: str) -> None:
        """Take one event of a request in."""
        key = fact.key
        if happened == "submitted":
            life = self.lives[key] = _begun(fact)
            self._keep(fact, life)
            return
        found = self.lives.get(key)
        if found is None:
            return
        if found.stage == Stage.WAITING:
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

    def _in_progress(self, fact: Fact, life: _Life, happened: str) -> None:  # noqa: C901 -- one case an event
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
                life.agency_next = fact.data["outcome"] == Answer.INFORMATION_NEEDED
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
                self._completed(fact, life, Stage.COMPLETED_ISSUED)
                life.stage = IN_POST
                life.mailed = minute_of(fact.effective_text)
                life.completed_day = day_of(fact.effective_text)
            case "handed-over":
                self._completed(fact, life, Stage.COMPLETED_ISSUED)
                self._drop(fact)
                return
            case "result-told":
                is_issued = fact.data["outcome"] == Answer.ISSUED
                self._completed(
                    fact,
                    life,
                    Stage.COMPLETED_ISSUED if is_issued else Stage.COMPLETED_REFUSED,
                )
                self._drop(fact)
                return
            case "withdrawn" | "expired":
                self._end(fact, life, happened, (None,) * 5)
                self._drop(fact)
                return
            case _:
                return
        self._keep(fact, life)

    def _in_post(self, fact: Fact, life: _Life, happened: str) -> None:
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
                    (
                        fact.position,
                        life.governorate,
                        life.centre,
                        life.agency,
                        life.service,
                        life.completed_day,
                        fact.effective_text,
                        life.post_minutes,
                    )
                )
                self._drop(fact)
            case "handed-over":
                # Received at the counter in the end: the post never finished.
                self._drop(fact)
            case _:
                pass

    def _count(self, fact: Fact, life: _Life) -> None:
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

    def _posted(self, fact: Fact, life: _Life) -> None:
        if life.mailed is not None:
            life.post_minutes += self.calendars.over(life.calendars or "").between(
                life.mailed, minute_of(fact.effective_text)
            )

    def _completed(self, fact: Fact, life: _Life, stage: Stage) -> None:
        self._count(fact, life)
        measured = (
            life.centre_minutes,
            life.agency_minutes if life.is_reply else None,
            fact.effective_text <= life.due_at,
            life.answer_minutes,
            life.is_answer_in_time,
        )
        self._end(fact, life, stage.value, measured)

    def _end(
        self, fact: Fact, life: _Life, stage: str, measured: tuple[Any, ...]
    ) -> None:
        self.ended.append(
            (
                fact.position,
                life.governorate,
                life.centre,
                life.agency,
                life.service,
                stage,
                day_of(fact.effective_text),
                life.accepted_at,
                fact.effective_text,
                life.calendars,
                _text(life.stops) if life.stops else None,
                *measured,
            )
        )

    def _keep(self, fact: Fact, life: _Life) -> None:
        self.changes.append(
            Change(position=fact.position, key=(fact.key,), row=life.row())
        )

    def _drop(self, fact: Fact) -> None:
        del self.lives[fact.key]
        self.changes.append(Change(position=fact.position, key=(fact.key,), row=None))
