"""What the administrator sends: strict and bounded, as in ``bodies.py``."""

from dataclasses import fields
from typing import Annotated

from pydantic import AfterValidator, Field

from api.times import Day
from api.v1.bodies import LONGEST_LIST, Body, Code, Codes, Strict, Text, one_of
from domain.agencies import AgencyClosedBecause, AgencyScope
from domain.calendars import (
    DEFAULT_CLOSES,
    DEFAULT_OPENS,
    DEFAULT_WEEKEND,
    FIRST_YEAR,
    LAST_YEAR,
    Holiday,
    OfficeHours,
)
from domain.centres import CentreClosedBecause
from domain.clerks import AwayBecause
from domain.errors import InvalidValueError
from domain.money import LARGEST_INTEGER, FeeKind, FeeLine, Unit
from domain.naming import LONGEST_NAME, checked_code
from domain.services import (
    DEFAULT_ACCEPTANCE_DAYS,
    DEFAULT_FIRST_ANSWER_DAYS,
    DEFAULT_PAYMENT_DAYS,
    LONGEST_DAYS,
    MOST_LINES,
    Applicants,
    Document,
    FeeDue,
    Offer,
    SuspendedBecause,
)
from domain.stamps import LIVE, StampWithdrawnBecause

MOST_HOLIDAYS = 120
"""Days off of one year: four months would be a mistake, and an event has a bound."""
MOST_HOURS = 50
"""Spans of special hours in one year: about one a week."""
LONGEST_CERTAINTY = 200
"""A word on how sure a date is."""


Name = Annotated[Text, Field(min_length=1, max_length=LONGEST_NAME)]
Days = Annotated[int, Field(ge=0, le=LONGEST_DAYS)]
Clock = Annotated[str, Field(pattern=r"^[0-2][0-9]:[0-5][0-9]$")]
_From = Annotated[
    Day | None,
    Field(description="The first day; the day of the act by default."),
]
_To = Annotated[
    Day | None, Field(description="The last day; until it is ended by default.")
]


def _code(text: str) -> str:
    try:
        return checked_code(text)
    except InvalidValueError as error:
        raise ValueError(error.reason) from error


KnownCode = Annotated[Code, AfterValidator(_code)]
"""A code that names a thing: what cannot be one is not even repeated as unknown."""
KnownCodes = Annotated[list[KnownCode], Field(max_length=LONGEST_LIST)]


class DocumentPart(Strict):
    """A document that the service wants to see."""

    code: Code = Field(examples=["id-card"])
    name_ar: Name = Field(examples=["صورة البطاقة الشخصية"])
    name_en: Name = Field(examples=["Copy of the identity card"])
    is_required: bool = Field(default=True, examples=[True])


class FeePart(Strict):
    """One line of the fee: hundredths of a pound of ``unit``."""

    kind: Annotated[FeeKind, one_of(FeeKind)] = Field(examples=["state_fee"])
    amount: Annotated[int, Field(ge=0, le=LARGEST_INTEGER)] = Field(examples=[3000])
    unit: Annotated[Unit, one_of(Unit)] = Field(examples=["SYP.new"])


class ServicePublication(Body):
    """A service, whole: it replaces what was said. Days are working days."""

    code: Code = Field(examples=["CIV-01"])
    agency: KnownCode = Field(examples=["CIV"])
    name_ar: Name = Field(examples=["إخراج قيد مدني فردي"])
    name_en: Name = Field(examples=["Individual civil extract"])
    direct_in: Codes = Field(
        description="Governorates with direct access; `*` is everywhere.",
        examples=[["*"]],
    )
    first_answer_days: Days = Field(default=DEFAULT_FIRST_ANSWER_DAYS, examples=[3])
    completion_days: Days = Field(examples=[1])
    applicants: list[Annotated[Applicants, one_of(Applicants)]] = Field(
        examples=[["self", "first_degree"]]
    )
    spouse_counts: bool = Field(
        default=False,
        description="Whether a spouse counts as first-degree kin.",
        examples=[False],
    )
    receipt: list[Annotated[Applicants, one_of(Applicants)]] | None = Field(
        default=None,
        description="Who may receive the paper; as the applicants by default.",
        examples=[["self"]],
    )
    documents: Annotated[list[DocumentPart], Field(max_length=MOST_LINES)] = Field(
        examples=[
            [
                {
                    "code": "id-card",
                    "name_ar": "صورة البطاقة الشخصية",
                    "name_en": "Copy of the identity card",
                    "is_required": True,
                }
            ]
        ]
    )
    fee_lines: Annotated[list[FeePart], Field(max_length=MOST_LINES)] = Field(
        examples=[[{"kind": "state_fee", "amount": 3000, "unit": "SYP.new"}]]
    )
    fee_due: Annotated[FeeDue, one_of(FeeDue)] = Field(
        default=FeeDue.ACCEPTANCE, examples=["acceptance"]
    )
    payment_days: Days = Field(default=DEFAULT_PAYMENT_DAYS, examples=[7])
    acceptance_days: Days | None = Field(
        default=None,
        description="Until a request nobody accepted expires; "
        f"{DEFAULT_ACCEPTANCE_DAYS} by default.",
        examples=[30],
    )
    paper: bool = Field(examples=[True])
    live_stamp: bool = Field(examples=[True])
    post: bool = Field(examples=[True])
    basis: Name = Field(
        description="What the figures rest on: known, or plausible.", examples=["known"]
    )
    fee_is_placeholder: bool = Field(default=False, examples=[True])
    turnaround_is_placeholder: bool = Field(default=False, examples=[True])

    def offer(self) -> Offer:
        """The offer. Raises InvalidValueError for what cannot be offered."""
        said = self.model_dump(include={each.name for each in fields(Offer)})
        return Offer(
            **{
                **said,
                "direct_in": tuple(self.direct_in),
                "applicants": tuple(map(str, self.applicants)),
                "receipt": (
                    None if self.receipt is None else tuple(map(str, self.receipt))
                ),
                "documents": tuple(Document(**each) for each in said["documents"]),
                "fee_lines": tuple(FeeLine(**each) for each in said["fee_lines"]),
            }
        )


class Suspension(Body):
    """Offering a service no more for a while."""

    reason: Annotated[SuspendedBecause, one_of(SuspendedBecause)] = Field(
        examples=["system_down"]
    )
    first: _From = Field(default=None, examples=["2026-12-01"])
    last: _To = Field(default=None, examples=["2026-12-06"])


class Beginning(Body):
    """The day from which something holds again, or holds no more."""

    on: _From = Field(default=None, examples=["2026-12-07"])


class AgencyPublication(Body):
    """An agency, whole; publishing it opens a closed one."""

    code: Code = Field(examples=["CIV"])
    name_ar: Name = Field(examples=["مديرية الشؤون المدنية"])
    name_en: Name = Field(examples=["Civil Affairs Directorate"])
    scope: Annotated[AgencyScope, one_of(AgencyScope)] = Field(
        description="Whether it exists once, or once per governorate.",
        examples=["governorate"],
    )


class AgencyClosing(Body):
    """Closing an agency."""

    reason: Annotated[AgencyClosedBecause, one_of(AgencyClosedBecause)] = Field(
        examples=["merged"]
    )
    on: _From = Field(default=None, examples=["2026-12-31"])


class CentreOpening(Body):
    """A centre, whole; opening it ends its closing."""

    code: Code = Field(examples=["SY-DI-02"])
    governorate: Code = Field(examples=["SY-DI"])
    name_ar: Name = Field(examples=["مركز خدمة المواطن في المزة"])
    name_en: Name = Field(examples=["Citizen service centre, Mezzeh"])
    opens_on: _From = Field(default=None, examples=["2026-12-01"])


class CentreClosing(Body):
    """Closing a centre."""

    reason: Annotated[CentreClosedBecause, one_of(CentreClosedBecause)] = Field(
        examples=["works"]
    )
    on: _From = Field(default=None, examples=["2026-12-20"])


class Appointment(Body):
    """Appointing a clerk: by a code, never a name."""

    code: Code = Field(examples=["clk-DI-4"])
    centre: KnownCode = Field(examples=["SY-DI-01"])


class Responsibility(Body):
    """The agencies that a clerk gets, or gives up."""

    agencies: Annotated[KnownCodes, Field(min_length=1)] = Field(
        examples=[["CIV", "CRM"]]
    )


class Absence(Body):
    """The days on which a clerk is away."""

    reason: Annotated[AwayBecause, one_of(AwayBecause)] = Field(examples=["leave"])
    first: _From = Field(default=None, examples=["2026-12-01"])
    last: _To = Field(default=None, examples=["2026-12-06"])


class StampIssue(Body):
    """Giving a stamp to a centre."""

    serial: Code = Field(examples=["ختم-DI-000006"])
    centre: KnownCode = Field(examples=["SY-DI-01"])
    kind: Code = Field(default=LIVE, examples=["live"])


class StampWithdrawal(Body):
    """Taking a stamp out of use."""

    reason: Annotated[StampWithdrawnBecause, one_of(StampWithdrawnBecause)] = Field(
        examples=["lost"]
    )
    on: _From = Field(default=None, examples=["2026-12-01"])


class HolidayPart(Strict):
    """One day off."""

    day: Day = Field(examples=["2027-01-01"])
    name_ar: Name = Field(examples=["رأس السنة الميلادية"])
    name_en: Name = Field(examples=["New Year"])
    certainty: Annotated[Text, Field(max_length=LONGEST_CERTAINTY)] = Field(
        description="Whether the date may still move.", examples=["fixed"]
    )


class HoursPart(Strict):
    """Other hours from the first to the last day, such as in Ramadan."""

    first: Day = Field(examples=["2027-02-08"])
    last: Day = Field(examples=["2027-03-09"])
    opens: Clock = Field(examples=["09:00"])
    closes: Clock = Field(examples=["14:00"])


class CalendarPublication(Body):
    """A year's calendar, whole. Days of the week count from Monday, which is 0."""

    year: Annotated[int, Field(ge=FIRST_YEAR, le=LAST_YEAR)] = Field(examples=[2027])
    weekend: Annotated[list[Annotated[int, Field(ge=0, le=6)]], Field(max_length=6)] = (
        Field(default=list(DEFAULT_WEEKEND), examples=[[4, 5]])
    )
    opens: Clock = Field(default=DEFAULT_OPENS, examples=["08:00"])
    closes: Clock = Field(default=DEFAULT_CLOSES, examples=["15:00"])
    holidays: Annotated[list[HolidayPart], Field(max_length=MOST_HOLIDAYS)] = Field(
        examples=[
            [
                {
                    "day": "2027-01-01",
                    "name_ar": "رأس السنة الميلادية",
                    "name_en": "New Year",
                    "certainty": "fixed",
                }
            ]
        ]
    )
    hours: Annotated[list[HoursPart], Field(max_length=MOST_HOURS)] = Field(
        default_factory=list,
        examples=[
            [
                {
                    "first": "2027-02-08",
                    "last": "2027-03-09",
                    "opens": "09:00",
                    "closes": "14:00",
                }
            ]
        ],
    )

    def days_off(self) -> tuple[Holiday, ...]:
        """The holidays in order."""
        days = sorted(self.holidays, key=lambda holiday: holiday.day)
        return tuple(Holiday(**day.model_dump()) for day in days)

    def other_hours(self) -> tuple[OfficeHours, ...]:
        """The special hours in order."""
        spans = sorted(self.hours, key=lambda span: span.first)
        return tuple(OfficeHours(**span.model_dump()) for span in spans)
