"""What is told of services, agencies, centres, calendars, stamps and clerks."""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import BaseModel, Field

from domain.governorates import Governorate
from domain.periods import Period
from projections.catalogue import Published, Rest
from projections.roster import RosterRow


class RestAnswer(BaseModel):
    """Days on which a thing is not there; without ``last`` until somebody ends it."""

    first: date = Field(examples=["2026-12-01"])
    last: date | None = Field(examples=["2026-12-06"])
    reason: str = Field(examples=["system_down"])

    @classmethod
    def of(cls, rest: Rest) -> RestAnswer:
        """The answer of a rest."""
        return cls(first=rest.first, last=rest.last, reason=rest.reason)


class PublishedAnswer(BaseModel):
    """A published thing: its code, its version, its facts, and when it rests.

    It rests while it is suspended, closed, withdrawn or not open yet.
    """

    code: str = Field(examples=["CIV-01"])
    version: int = Field(examples=[1])
    facts: dict[str, Any] = Field(examples=[{"agency": "CIV"}])
    is_active: bool = Field(
        description="Whether it is offered, open or valid today, in Damascus.",
        examples=[True],
    )
    rests: list[RestAnswer] = Field(
        examples=[
            [{"first": "2026-12-01", "last": "2026-12-06", "reason": "system_down"}]
        ]
    )

    @classmethod
    def of(cls, published: Published, today: date) -> PublishedAnswer:
        """The answer of a thing."""
        return cls(
            code=published.code,
            version=published.version,
            facts=published.facts,
            is_active=published.is_active_on(today),
            rests=[RestAnswer.of(rest) for rest in published.rests],
        )


class PublishedList(BaseModel):
    """A page of published things, by code."""

    items: list[PublishedAnswer]
    next: str | None = Field(examples=[None])


class AbsenceAnswer(BaseModel):
    """Days on which a clerk is away; without ``last`` until the clerk is back."""

    first: date = Field(examples=["2026-12-01"])
    last: date | None = Field(examples=["2026-12-06"])

    @classmethod
    def of(cls, absence: Period) -> AbsenceAnswer:
        """The answer of an absence."""
        return cls(first=absence.first, last=absence.last)


class ClerkAnswer(BaseModel):
    """A clerk by code: where, for which agencies, and when not."""

    code: str = Field(examples=["clk-DI-1"])
    centre: str = Field(examples=["SY-DI-01"])
    agencies: list[str] = Field(examples=[["CIV"]])
    version: int = Field(examples=[4])
    is_available: bool = Field(
        description="Whether work may be given to the clerk today, in Damascus.",
        examples=[True],
    )
    absences: list[AbsenceAnswer] = Field(
        examples=[[{"first": "2026-12-01", "last": "2026-12-06"}]]
    )
    left_on: date | None = Field(
        description="The first day on which the clerk works here no more.",
        examples=[None],
    )

    @classmethod
    def of(cls, clerk: RosterRow, today: date) -> ClerkAnswer:
        """The answer of a clerk."""
        return cls(
            code=clerk.code,
            centre=clerk.centre,
            agencies=list(clerk.agencies),
            version=clerk.version,
            is_available=clerk.is_available_on(today),
            absences=[AbsenceAnswer.of(absence) for absence in clerk.absences],
            left_on=clerk.left_on,
        )


class ClerkList(BaseModel):
    """A page of clerks, by code."""

    items: list[ClerkAnswer]
    next: str | None = Field(examples=[None])


class GovernorateAnswer(BaseModel):
    """A governorate; the population is an estimate."""

    code: str = Field(examples=["SY-DI"])
    name_ar: str = Field(examples=["دمشق"])
    name_en: str = Field(examples=["Damascus"])
    population: int = Field(examples=[1852000])

    @classmethod
    def of(cls, governorate: Governorate) -> GovernorateAnswer:
        """The answer of a governorate."""
        return cls(
            code=governorate.code,
            name_ar=governorate.name_ar,
            name_en=governorate.name_en,
            population=governorate.population,
        )


class GovernorateList(BaseModel):
    """The governorates."""

    items: list[GovernorateAnswer]
