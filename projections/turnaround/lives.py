"""One request while something of it is still to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import orjson

from domain.services import Route
from domain.stages import Stage
from domain.working_minutes import minute_of
from ledger.copying import NOTHING, copied_text
from projections.facts import Fact
from projections.turnaround.calendars import named_in

# Plain texts: a member of an enumeration costs ten times as much to compare.
WAITING = Stage.WAITING.value
IN_PROGRESS = Stage.IN_PROGRESS.value
_REPLY = Route.REPLY.value
PLACE = ("governorate", "centre", "agency", "service")


class Life:
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
        "place",
        "post_minutes",
        "row_since",
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
    place: str
    """Governorate to service as COPY takes them."""
    row_since: int | None
    """Where the current row of it begins."""

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
        """The clock begins, under the terms of the acceptance."""
        terms = fact.data["terms"]
        self.agency = terms["agency"]
        self.settle()
        self.stage = IN_PROGRESS
        self.accepted_at = fact.effective_text
        self.calendars = named_in(terms)
        self.is_reply = terms["route"] == _REPLY
        self.due_at = terms["due_at"]
        self.since = minute_of(fact.effective_text)
        self.answer_due_at = self.asked = self.answer_minutes = None
        self.is_answer_in_time = self.completed_day = self.mailed = None
        self.is_agencys = self.agency_next = False
        self.centre_minutes = self.agency_minutes = self.post_minutes = 0

    def settle(self) -> None:
        """Keep where it is from as a row has it."""
        self.place = "\t".join(
            [
                copied_text(self.governorate),
                copied_text(self.centre),
                copied_text(self.agency),
                copied_text(self.service),
            ]
        )

    @property
    def stops_text(self) -> str:
        """The stops of its clock as a row has them."""
        return copied_text(_json(self.stops)) if self.stops else NOTHING

    def line(self, key: str, position: int) -> str:
        """Its row from a position on."""
        stops = self.stops_text
        if self.accepted_at is None:
            begun = f"{NOTHING}\t{NOTHING}\t{stops}\t{NOTHING}"
        else:
            accepted_at = copied_text(self.accepted_at)
            calendars = copied_text(self.calendars or "")
            state = copied_text(_json(_state(self)))
            begun = f"{accepted_at}\t{calendars}\t{stops}\t{state}"
        return f"{key}\t{self.place}\t{self.stage}\t{begun}\t{position}"


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


_state = attrgetter(*_STATE)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def loaded(row: Sequence[Any]) -> Life:
    """The life of a row: where it begins, the place, stage, calendars, stops, state."""
    life = Life()
    life.row_since, *place, life.stage, life.calendars, stops, state = row
    for name, value in zip(PLACE, place, strict=True):
        setattr(life, name, value)
    life.settle()
    life.stops = None if stops is None else orjson.loads(stops)
    life.accepted_at = None
    if state is not None:
        for name, value in zip(_STATE, orjson.loads(state), strict=True):
            setattr(life, name, value)
    return life


def begun(fact: Fact) -> Life:
    """The life of what was just submitted."""
    life = Life()
    data = fact.data
    life.governorate = data["governorate"]
    life.centre = data["centre"]
    life.agency = data["agency"]
    life.service = data["service"]
    life.settle()
    life.stage = WAITING
    life.accepted_at = life.calendars = life.stops = life.row_since = None
    return life
