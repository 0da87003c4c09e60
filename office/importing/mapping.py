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

from pydantic import Field, ValidationError, model_validator

from domain.requests import Channel
from ledger.bodies import canonical
from office.importing.acts import ActName, must_be_facts
from office.importing.declared import (
    Code,
    DeclaredAgency,
    DeclaredCalendar,
    DeclaredCentre,
    DeclaredClerk,
    DeclaredService,
    DeclaredStamp,
    Name,
    Part,
    Place,
    by_code,
)


class MappingError(ValueError):
    """The mapping cannot be used; the message names its keys, no values."""


class FileShape(Part):
    """How the file is written: its encoding, and what stands between two columns."""

    encoding: Name = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","


class Columns(Part):
    """Which columns say what. ``clerk`` is who did the step, kept as provenance."""

    case: Name
    activity: Name
    time: Name
    clerk: Name | None = None


class Times(Part):
    """How times are written: ISO 8601, or a ``strptime`` format; and their zone.

    ``zone`` is for times without an offset of their own.
    """

    format: Name = "iso"
    zone: Name | None = None


class Choice(Part):
    """A column whose values say which centre or service a row is of."""

    column: Name
    values: dict[str, Code]


class Chosen(Part):
    """What is chosen by a column, where several are declared."""

    centre: Choice | None = None
    service: Choice | None = None


class Channels(Part):
    """The column of the channel and what its values mean here."""

    column: Name
    values: dict[str, Channel]


class Clerks(Part):
    """A prefix for the clerks' codes, and the column of who is responsible for a case.

    ``{centre}`` in the prefix is the row's centre: there a code is one of that centre.
    """

    responsible: Name | None = None
    prefix: Code


class Activity(Part):
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


class Mapping(Part):
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
        if len(self.centre_codes) != 1 and self.chosen.centre is None:
            raise ValueError("not one centre, and no column that chooses")
        if len(self.service_codes) != 1 and self.chosen.service is None:
            raise ValueError("not one service, and no column that chooses")
        by_code(self.all_centres)
        by_code(self.all_agencies)
        by_code(self.all_services)
        by_code(self.calendars)
        by_code(self.staff)
        serials = [stamp.serial for stamp in self.stamps]
        if len(set(serials)) != len(serials):
            raise ValueError("a serial is one stamp, issued once")
        for centre in self.all_centres:
            if centre.governorate is None and self.governorate is None:
                raise ValueError("a centre is in no governorate")
        for service in self.all_services:
            if service.agency is None and len(by_code(self.all_agencies)) != 1:
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

    @property
    def centre_codes(self) -> tuple[str, ...]:
        """The codes of the declared centres."""
        return tuple(by_code(self.all_centres))

    @property
    def service_codes(self) -> tuple[str, ...]:
        """The codes of the declared services."""
        return tuple(by_code(self.all_services))

    @cached_property
    def opened_on(self) -> dict[str, date]:
        """On which day each declared centre opened first."""
        centres = by_code(self.all_centres)
        return {code: first.opened_on for code, (first, *_) in centres.items()}

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
