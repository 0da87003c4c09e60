"""A mapping from the dated steps of another system to the acts of this office.

A TOML file, checked whole before the first row is read. It declares the place the
history belongs to, names the columns, and says for each activity which act it honestly
is, or why it is none. Reference: docs/reference/import-mapping.md.
"""

from __future__ import annotations

import hashlib
import tomllib
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from domain.agencies import AgencyScope
from domain.requests import Channel
from ledger.bodies import canonical, plain

Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class MappingError(ValueError):
    """The mapping cannot be used; the message names its keys, no values."""


class ActName(StrEnum):
    """The acts an activity may be mapped to: the events of the main path."""

    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not-accepted"
    FEE_PAID = "fee-paid"
    FORWARDED = "forwarded"
    AGENCY_RESPONDED = "agency-responded"
    STAMPED = "stamped"
    MAILED = "mailed"
    DELIVERED = "delivered"
    HANDED_OVER = "handed-over"
    RESULT_TOLD = "result-told"
    INFORMED = "informed"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Columns(_Part):
    """Which columns say what. ``clerk`` is who did the step, kept as provenance."""

    case: Name
    activity: Name
    time: Name
    clerk: Name | None = None


class Times(_Part):
    """How times are written: ISO 8601, or a ``strptime`` format; and their zone.

    ``zone`` is for times without an offset of their own.
    """

    format: Name = "iso"
    zone: Name | None = None


class Place(_Part):
    """A declared governorate or centre."""

    code: Code
    name_ar: Name
    name_en: Name


class DeclaredCentre(Place):
    """The centre the history belongs to, open since a day before its first step."""

    opened_on: date


class DeclaredAgency(Place):
    """The agency whose service it was."""

    scope: AgencyScope = AgencyScope.NATIONAL


class DeclaredService(Place):
    """The service the cases asked for, with rules that claim no more than is known."""

    completion_days: Annotated[int, Field(ge=0, le=400)]
    first_answer_days: Annotated[int, Field(ge=0, le=400)] = 3
    is_direct: bool
    paper: bool
    live_stamp: bool
    post: bool
    applicants: tuple[Name, ...] = ("anyone",)
    basis: Name


class DeclaredCalendar(_Part):
    """Weekend days (Monday is 0) and hours of one year."""

    year: Annotated[int, Field(ge=1970, le=2100)]
    weekend: tuple[Annotated[int, Field(ge=0, le=6)], ...]
    opens: Name = "08:00"
    closes: Name = "17:00"


class Channels(_Part):
    """The column of the channel and what its values mean here."""

    column: Name
    values: dict[str, Channel]


class Clerks(_Part):
    """The column of who is responsible for a case, and a prefix for their codes."""

    responsible: Name
    prefix: Code


class Activity(_Part):
    """What an activity honestly is: an act, its fixed facts, facts from columns."""

    act: ActName
    facts: dict[str, Any] = Field(default_factory=dict)
    columns: dict[str, Name] = Field(default_factory=dict)


class Mapping(_Part):
    """A whole mapping."""

    source: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
    columns: Columns
    times: Times = Times()
    governorate: Place
    centre: DeclaredCentre
    agency: DeclaredAgency
    service: DeclaredService
    channels: Channels | None = None
    clerks: Clerks | None = None
    calendars: tuple[DeclaredCalendar, ...] = ()
    activities: dict[str, Activity]
    unmapped: dict[str, Name] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not any(a.act is ActName.SUBMITTED for a in self.activities.values()):
            raise ValueError("no activity is mapped to submitted")
        both = self.activities.keys() & self.unmapped.keys()
        if both:
            raise ValueError("an activity is both mapped and unmapped")
        if self.times.zone is not None:
            try:
                ZoneInfo(self.times.zone)
            except (KeyError, ValueError) as error:
                raise ValueError("the zone is not known") from error
        return self

    @property
    def identity(self) -> bytes:
        """A digest of what the ids of the source's rows rest on.

        While it stays the same, a row read again has the same id.
        """
        rests_on = {
            "source": self.source,
            "case": self.columns.case,
            "time": self.columns.time,
            "format": self.times.format,
            "zone": self.times.zone or "",
        }
        return hashlib.sha256(canonical(plain_object(rests_on))).digest()

    def needed_columns(self) -> set[str]:
        """Every column that must be in the file."""
        needed = {self.columns.case, self.columns.activity, self.columns.time}
        needed |= {self.columns.clerk} if self.columns.clerk else set()
        needed |= {self.channels.column} if self.channels else set()
        needed |= {self.clerks.responsible} if self.clerks else set()
        for activity in self.activities.values():
            needed |= set(activity.columns.values())
        return needed

    def time_of(self, text: str) -> datetime:
        """A time of the source in UTC. Raises ValueError for what is none."""
        if self.times.format == "iso":
            found = datetime.fromisoformat(text)
        else:
            found = datetime.strptime(text, self.times.format)  # noqa: DTZ007 -- next
        if found.tzinfo is None:
            if self.times.zone is None:
                raise ValueError("no offset")
            found = found.replace(tzinfo=ZoneInfo(self.times.zone))
        return found.astimezone(UTC)


def plain_object(value: dict[str, str]) -> dict[str, Any]:
    """The value as plain JSON values."""
    found = plain(value)
    return found if isinstance(found, dict) else {}


def read_mapping(path: Path) -> Mapping:
    """The mapping in a file. Raises MappingError naming what is wrong."""
    try:
        with path.open("rb") as file:
            return Mapping.model_validate(tomllib.load(file))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'mapping'}: "
            f"{fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        )
        raise MappingError(faults) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingError(f"not a TOML file: {error}") from error
