"""A mapping from the dated steps of another system to the acts of this office.

A TOML file, checked whole before the first row is read. It declares the places the
history belongs to, names the columns, and says for each activity which act it honestly
is, or why it is none. Reference: docs/reference/import-mapping.md.
"""

from __future__ import annotations

import codecs
import hashlib
import tomllib
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from domain.agencies import AgencyScope
from domain.clerks import AwayBecause
from domain.money import FeeKind, Unit
from domain.requests import Channel
from domain.services import EVERYWHERE, FeeDue
from ledger.bodies import canonical
from office.importing.acts import ActName, must_be_facts

Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Days = Annotated[int, Field(ge=0, le=365)]


class MappingError(ValueError):
    """The mapping cannot be used; the message names its keys, no values."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class FileShape(_Part):
    """How the file is written: its encoding, and what stands between two columns."""

    encoding: Name = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","


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
    """A declared governorate, or what else has a code and two names."""

    code: Code
    name_ar: Name
    name_en: Name


class DeclaredCentre(Place):
    """A centre, open since a day before its first step.

    ``governorate`` is the declared one where it is not said.
    """

    opened_on: date
    governorate: Code | None = None


class DeclaredAgency(Place):
    """An agency whose services were asked for."""

    scope: AgencyScope = AgencyScope.NATIONAL


class DeclaredFee(_Part):
    """One line of a fee: ``amount`` in hundredths of a pound of ``unit``."""

    kind: FeeKind
    amount: Annotated[int, Field(ge=0)]
    unit: Unit


class DeclaredDocument(Place):
    """A document that a service wants to see."""

    is_required: bool = True


class DeclaredService(Place):
    """A service the cases asked for, with rules that claim no more than is known.

    ``agency`` is the declared one where it is not said.
    """

    agency: Code | None = None
    completion_days: Days
    first_answer_days: Days = 3
    payment_days: Annotated[int, Field(ge=1, le=365)] = 7
    acceptance_days: Annotated[int, Field(ge=1, le=365)] | None = None
    is_direct: bool | tuple[Code, ...]
    paper: bool
    live_stamp: bool
    post: bool
    applicants: tuple[Name, ...] = ("anyone",)
    receipt: tuple[Name, ...] | None = None
    spouse_counts: bool = False
    documents: tuple[DeclaredDocument, ...] = ()
    fee_lines: tuple[DeclaredFee, ...] = ()
    fee_due: FeeDue = FeeDue.ACCEPTANCE
    basis: Name

    @property
    def direct_in(self) -> tuple[str, ...]:
        """Where the agency's answer is read directly."""
        if isinstance(self.is_direct, tuple):
            return self.is_direct
        return (EVERYWHERE,) if self.is_direct else ()


class DeclaredHoliday(_Part):
    """A day off of a calendar."""

    day: date
    name_ar: Name
    name_en: Name


class DeclaredCalendar(_Part):
    """Weekend days (Monday is 0), days off and hours of one year."""

    year: Annotated[int, Field(ge=1970, le=2100)]
    weekend: tuple[Annotated[int, Field(ge=0, le=6)], ...]
    opens: Name = "08:00"
    closes: Name = "17:00"
    holidays: tuple[DeclaredHoliday, ...] = ()


class DeclaredStamp(_Part):
    """A live stamp that a centre had."""

    serial: Name
    centre: Code


class Absence(_Part):
    """Days on which a clerk was away."""

    first: date
    last: date
    reason: AwayBecause = AwayBecause.OTHER


class DeclaredClerk(_Part):
    """A clerk of whom the source says more than the code in a row."""

    code: Code
    centre: Code
    agencies: tuple[Code, ...] = ()
    away: tuple[Absence, ...] = ()
    left_on: date | None = None


class Choice(_Part):
    """A column whose values say which centre or service a row is of."""

    column: Name
    values: dict[str, Code]


class Chosen(_Part):
    """What is chosen by a column, where several are declared."""

    centre: Choice | None = None
    service: Choice | None = None


class Channels(_Part):
    """The column of the channel and what its values mean here."""

    column: Name
    values: dict[str, Channel]


class Clerks(_Part):
    """A prefix for the clerks' codes, and the column of who is responsible for a case.

    ``{centre}`` in the prefix is the row's centre: there a code is one of that centre.
    """

    responsible: Name | None = None
    prefix: Code


class Activity(_Part):
    """What an activity honestly is: an act, its fixed facts, facts from columns.

    ``values`` translates a column's values for a fact; a value it has not refuses the
    row.
    """

    act: ActName
    facts: dict[str, Any] = Field(default_factory=dict)
    columns: dict[str, Name] = Field(default_factory=dict)
    values: dict[str, dict[str, str]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _are_facts(self) -> Self:
        must_be_facts(self.act, self.facts, self.columns, self.values)
        return self


class Mapping(_Part):
    """A whole mapping. ``centre`` and the like are the only one, ``centres`` several.

    Where none is declared the ledger has to have it.
    """

    source: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
    file: FileShape = FileShape()
    columns: Columns
    times: Times = Times()
    governorate: Place | None = None
    centre: DeclaredCentre | None = None
    centres: tuple[DeclaredCentre, ...] = ()
    agency: DeclaredAgency | None = None
    agencies: tuple[DeclaredAgency, ...] = ()
    service: DeclaredService | None = None
    services: tuple[DeclaredService, ...] = ()
    chosen: Chosen = Chosen()
    channels: Channels | None = None
    clerks: Clerks | None = None
    staff: tuple[DeclaredClerk, ...] = ()
    stamps: tuple[DeclaredStamp, ...] = ()
    calendars: tuple[DeclaredCalendar, ...] = ()
    activities: dict[str, Activity]
    unmapped: dict[str, Name] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not any(a.act is ActName.SUBMITTED for a in self.activities.values()):
            raise ValueError("no activity is mapped to submitted")
        if self.activities.keys() & self.unmapped.keys():
            raise ValueError("an activity is both mapped and unmapped")
        self._must_know_places()
        if self.times.zone is not None:
            try:
                ZoneInfo(self.times.zone)
            except (KeyError, ValueError) as error:
                raise ValueError("the zone is not known") from error
        try:
            codecs.lookup(self.file.encoding)
        except LookupError as error:
            raise ValueError("the encoding is not known") from error
        needs_clerks = {ActName.ASSIGNED, ActName.CLAIMED}
        if self.clerks is None and any(
            a.act in needs_clerks for a in self.activities.values()
        ):
            raise ValueError("clerks are named in rows, and [clerks] has no prefix")
        return self

    def _must_know_places(self) -> None:
        if len(self.all_centres) != 1 and self.chosen.centre is None:
            raise ValueError("not one centre, and no column that chooses")
        if len(self.all_services) != 1 and self.chosen.service is None:
            raise ValueError("not one service, and no column that chooses")
        for centre in self.all_centres:
            if centre.governorate is None and self.governorate is None:
                raise ValueError("a centre is in no governorate")
        for service in self.all_services:
            if service.agency is None and len(self.all_agencies) != 1:
                raise ValueError("a service is of no agency")

    @property
    def all_centres(self) -> tuple[DeclaredCentre, ...]:
        """Every centre that is declared."""
        return (*((self.centre,) if self.centre else ()), *self.centres)

    @property
    def all_agencies(self) -> tuple[DeclaredAgency, ...]:
        """Every agency that is declared."""
        return (*((self.agency,) if self.agency else ()), *self.agencies)

    @property
    def all_services(self) -> tuple[DeclaredService, ...]:
        """Every service that is declared."""
        return (*((self.service,) if self.service else ()), *self.services)

    @cached_property
    def opened_on(self) -> dict[str, date]:
        """Since when each declared centre has been open."""
        return {centre.code: centre.opened_on for centre in self.all_centres}

    @property
    def since(self) -> date:
        """When what is declared takes effect: with the first centre.

        Where no centre is declared, before anything that computers have told.
        """
        return min(self.opened_on.values(), default=date(1970, 1, 1))

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
        return hashlib.sha256(canonical(rests_on)).digest()

    def needed_columns(self) -> set[str]:
        """Every column that must be in the file."""
        needed = {self.columns.case, self.columns.activity, self.columns.time}
        needed |= {self.columns.clerk} if self.columns.clerk else set()
        needed |= {self.channels.column} if self.channels else set()
        if self.clerks and self.clerks.responsible:
            needed.add(self.clerks.responsible)
        for choice in (self.chosen.centre, self.chosen.service):
            needed |= {choice.column} if choice else set()
        for activity in self.activities.values():
            needed |= set(activity.columns.values())
        return needed

    @cached_property
    def _zone(self) -> ZoneInfo | None:
        return None if self.times.zone is None else ZoneInfo(self.times.zone)

    def time_of(self, text: str) -> datetime:
        """A time of the source in UTC. Raises ValueError for what is none."""
        if self.times.format == "iso":
            found = datetime.fromisoformat(text)
        else:
            found = datetime.strptime(text, self.times.format)  # noqa: DTZ007 -- next
        if found.tzinfo is None:
            if self._zone is None:
                raise ValueError("no offset")
            found = found.replace(tzinfo=self._zone)
        return found.astimezone(UTC)


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
