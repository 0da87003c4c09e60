"""Files of the catalogue: what they want, and what that would change in the ledger.

A file in TOML or CSV says how things shall be. Compared with how they are it gives a
plan, thing by thing: new, changed (field by field), as it is, or refused and why. A
file never undoes a closing, a departure or a withdrawal: each has an act of its own.
The plan is made before anything is done, by the rules of the domain; the server has
the last word.
"""

from __future__ import annotations

import csv
import hashlib
import io
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from domain.errors import InvalidValueError, SijilError
from domain.ids import derived_id
from domain.money import FeeKind, FeeLine, Unit
from domain.persons import ascii_digits
from domain.services import Document, FeeDue, Offer
from ledger.bodies import canonical, plain
from office.catalogue_commands import (
    IssueStamp,
    OpenCentre,
    PublishAgency,
    PublishCalendar,
)

LARGEST_FILE_BYTES = 5_000_000
"""A catalogue of every ministry is smaller; a larger file is another file."""
MOST_THINGS = 10_000
"""Things of one file: each becomes an act, and somebody has to read the difference."""
LONGEST_HOLIDAY_DAYS = 60
"""Days one line of holidays may span."""
_IDS_FROM = datetime(2026, 1, 1, tzinfo=UTC)
"""The time in the ids of a file's acts: the same file has the same ids at any time."""


class Kind(StrEnum):
    """The kinds a file may hold, in the order in which one rests on the other."""

    AGENCIES = "agencies"
    SERVICES = "services"
    CALENDARS = "calendars"
    CENTRES = "centres"
    CLERKS = "clerks"
    STAMPS = "stamps"


KIND_OF_CSV = {**{str(kind): kind for kind in Kind}, "holidays": Kind.CALENDARS}
"""What a CSV holds by its name; ``holidays.csv`` holds days of calendars."""


class CatalogueFileError(Exception):
    """The file cannot be read at all; the message is a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClerkWanted:
    """A clerk as a file wants it; without ``agencies`` they stay as they are."""

    code: str
    centre: str
    agencies: tuple[str, ...] | None = None


Said = PublishAgency | Offer | PublishCalendar | OpenCentre | ClerkWanted | IssueStamp
_TYPES: dict[Kind, type[Any]] = {
    Kind.AGENCIES: PublishAgency,
    Kind.SERVICES: Offer,
    Kind.CALENDARS: PublishCalendar,
    Kind.CENTRES: OpenCentre,
    Kind.CLERKS: ClerkWanted,
    Kind.STAMPS: IssueStamp,
}
_CODES = {Kind.CALENDARS: "year", Kind.STAMPS: "serial"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One thing a file wants. ``said`` is None where ``fault`` says what is wrong.

    ``kept`` names the fields a CSV has no column for: what holds already stays.
    """

    kind: Kind
    code: str
    place: str
    said: Said | None
    fault: str | None = None
    kept: frozenset[str] = frozenset()


# Reading --------------------------------------------------------------------------


def read_file(path: Path, kind: Kind | None = None) -> tuple[Wanted, ...]:
    """What a file wants, in the order of acting.

    ``kind`` is what a CSV holds whose name does not say it. Raises
    CatalogueFileError when nothing can be read; a wrong line is a fault of its own.
    """
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise CatalogueFileError(f"{path.name} is larger than a catalogue can be")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CatalogueFileError(f"{path.name} is not UTF-8") from error
    except OSError as error:
        raise CatalogueFileError(f"{path.name}: {error.strerror}") from error
    if path.suffix.lower() == ".toml":
        found = list(_from_toml(text, path.name))
    elif path.suffix.lower() == ".csv":
        found = list(_from_csv(text, path, kind))
    else:
        raise CatalogueFileError(f"{path.name} is neither TOML nor CSV, by its name")
    if len(found) > MOST_THINGS:
        raise CatalogueFileError(f"{path.name} wants more than {MOST_THINGS} things")
    if not found:
        raise CatalogueFileError(f"{path.name} wants nothing")
    order = list(Kind)
    return _without_doubles(sorted(found, key=lambda each: order.index(each.kind)))


def _without_doubles(found: Iterable[Wanted]) -> tuple[Wanted, ...]:
    """A thing that is wanted twice is wanted once; the other is a fault."""
    seen: dict[tuple[Kind, str], str] = {}
    kept = []
    for each in found:
        first = seen.setdefault((each.kind, each.code), each.place)
        if first != each.place:
            kept.append(replace(each, said=None, fault=f"wanted at {first} already"))
        else:
            kept.append(each)
    return tuple(kept)


def _from_toml(text: str, name: str) -> Iterator[Wanted]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueFileError(f"{name} is not TOML: {error}") from error
    for key, items in document.items():
        if key not in list(Kind) or not isinstance(items, list):
            known = ", ".join(f"[[{kind}]]" for kind in Kind)
            raise CatalogueFileError(f"{name} has {key!r}; there are {known}")
        for number, item in enumerate(items, start=1):
            place = f"[[{key}]] {number}"
            if not isinstance(item, dict):
                raise CatalogueFileError(f"{name}: {place} is no table")
            yield _wanted(Kind(key), item, place)


def _wanted(
    kind: Kind,
    item: Mapping[str, Any],
    place: str,
    *,
    kept: frozenset[str] = frozenset(),
) -> Wanted:
    """One thing, its facts read by the types of the rules."""
    code = str(item.get(_CODES.get(kind, "code"), "?"))
    made = Wanted(kind=kind, code=code, place=place, said=None, kept=kept)
    try:
        facts = dict(item)
        if kind is Kind.CALENDARS:
            facts["holidays"] = list(_days_of(facts.get("holidays", ())))
        _must_know(_TYPES[kind], facts)
        said = _reader(kind).validate_python(facts)
    except ValidationError as error:
        return replace(made, fault=_faults(error))
    except (SijilError, TypeError, ValueError) as error:
        return replace(made, fault=str(error))
    return replace(made, said=_in_order(said))


def _faults(error: ValidationError) -> str:
    """What is missing, and what else is wrong where."""
    found = error.errors(include_url=False, include_input=False)
    missing = [_at(each) for each in found if each["type"] == "missing"]
    wrong = [f"{_at(e)}: {e['msg']}" for e in found if e["type"] != "missing"]
    return "; ".join([f"missing: {', '.join(missing)}"] * bool(missing) + wrong)


def _at(fault: Mapping[str, Any]) -> str:
    return ".".join(map(str, fault["loc"]))


def _reader(kind: Kind) -> TypeAdapter[Any]:
    return TypeAdapter(_TYPES[kind])


def _must_know(kind: type[Any], facts: Mapping[str, Any]) -> None:
    unknown = set(facts) - {each.name for each in fields(kind)}
    if unknown:
        raise ValueError(f"there is no field {', '.join(sorted(unknown))}")


def _in_order(said: Any) -> Said:
    """Days in order, as the interface keeps them, so that order is no difference."""
    if not isinstance(said, PublishCalendar):
        return said  # type: ignore[no-any-return]
    return replace(
        said,
        holidays=tuple(sorted(said.holidays, key=lambda each: each.day)),
        hours=tuple(sorted(said.hours, key=lambda each: each.first)),
    )


def _days_of(spans: Any) -> Iterator[dict[str, Any]]:
    """Each day of holidays that are said by ``day``, or by ``start`` and ``days``.

    A day of two holidays is the first one's.
    """
    seen: set[date] = set()
    for span in spans:
        facts = dict(span)
        start = facts.pop("day", None) or facts.pop("start", None)
        if isinstance(start, str):
            start = date.fromisoformat(ascii_digits(start))
        if not isinstance(start, date):
            raise TypeError("a holiday has a day, or a start and days")
        length = int(facts.pop("days", 1))
        if not 1 <= length <= LONGEST_HOLIDAY_DAYS:
            raise ValueError(f"a holiday has 1 to {LONGEST_HOLIDAY_DAYS} days")
        for number in range(length):
            day = start + timedelta(days=number)
            if day not in seen:
                seen.add(day)
                yield {**facts, "day": day}


# CSV ------------------------------------------------------------------------------


def _from_csv(text: str, path: Path, kind: Kind | None) -> Iterator[Wanted]:
    kind = kind or KIND_OF_CSV.get(path.stem)
    if kind is None:
        raise CatalogueFileError(
            f"{path.name} does not say what it holds: name it "
            f"{', '.join(f'{name}.csv' for name in KIND_OF_CSV)}, or give --kind"
        )
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise CatalogueFileError(f"{path.name} is not CSV: {error}") from error
    if kind is Kind.CALENDARS:
        yield from _calendars_of(rows, path.name)
        return
    for line, row in enumerate(rows, start=2):
        place = f"line {line}"
        if None in row or None in row.values():
            code = str(row.get(_CODES.get(kind, "code")) or "?")
            yield Wanted(
                kind=kind,
                code=code,
                place=place,
                said=None,
                fault="it has more or fewer columns than the first line",
            )
            continue
        yield _of_row(kind, row, place)


def _of_row(kind: Kind, row: dict[str, str], place: str) -> Wanted:
    filled = {name: text for name, text in row.items() if text != ""}
    if kind is Kind.SERVICES:
        try:
            said = offer_of(filled, documents_by_name())
        except SijilError as error:
            fault = str(error)
        except KeyError as error:
            fault = f"{error.args[0]} is missing or unknown"
        except ValueError as error:
            fault = str(error)
        else:
            return Wanted(kind=kind, code=said.code, place=place, said=said)
        code = row.get("code") or "?"
        return Wanted(kind=kind, code=code, place=place, said=None, fault=fault)
    facts: dict[str, Any] = dict(filled)
    if kind is Kind.CLERKS and "agencies" in row:
        facts["agencies"] = split(row["agencies"])
    return _wanted(kind, facts, place)


def _calendars_of(rows: Sequence[dict[str, str]], name: str) -> Iterator[Wanted]:
    """The years of a table of holidays; weekends and hours have no column there."""
    try:
        days = list(_days_of(rows))
    except (TypeError, ValueError) as error:
        raise CatalogueFileError(f"{name}: {error}") from error
    kept = frozenset({"hours", "weekend", "opens", "closes"})
    for year in sorted({each["day"].year for each in days}):
        holidays = [each for each in days if each["day"].year == year]
        facts = {"year": year, "holidays": holidays}
        yield _wanted(Kind.CALENDARS, facts, f"year {year}", kept=kept)


def split(text: str) -> tuple[str, ...]:
    """The parts of a cell that holds several, separated by ``;``."""
    return tuple(part.strip() for part in text.split(";") if part.strip())


def documents_by_name() -> dict[str, Document]:
    """The documents of the reference data, by Arabic name and by code."""
    found = {}
    table = files("domain") / "catalogue" / "documents.csv"
    with table.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            document = Document(
                code=row["code"],
                name_ar=row["name_ar"],
                name_en=row["name_en"],
                is_required=row["required"] == "yes",
            )
            found[document.name_ar] = found[document.code] = document
    return found


_OPTIONAL_DAYS = {
    "first_answer_working_days": "first_answer_days",
    "payment_working_days": "payment_days",
    "acceptance_working_days": "acceptance_days",
}
"""Columns of allowances that take the stated default when they are empty."""
_COLUMNS = {
    *("code", "agency_code", "name_ar", "name_en", "direct_access_in"),
    *("turnaround_working_days", "applicants", "receipt", "spouse_counts"),
    *("documents", "fee_syp", "fee_due", "paper", "live_stamp", "post", "basis"),
    *("fee_is_placeholder", "turnaround_is_placeholder", *_OPTIONAL_DAYS),
}


def offer_of(row: Mapping[str, str], documents: Mapping[str, Document]) -> Offer:
    """The offer of a row of ``services.csv``; ``fee_syp`` is in new pounds.

    Raises KeyError for a column that is missing, a document nobody knows or a yes that
    is neither yes nor no, ValueError for a word that is none, InvalidValueError.
    """
    if unknown := set(row) - _COLUMNS:
        raise ValueError(f"there is no column {', '.join(sorted(unknown))}")
    said = {"yes": True, "no": False}
    optional: dict[str, Any] = {
        name: int(row[column])
        for column, name in _OPTIONAL_DAYS.items()
        if column in row
    }
    if "receipt" in row:
        optional["receipt"] = split(row["receipt"])
    if "fee_due" in row:
        optional["fee_due"] = FeeDue(row["fee_due"])
    return Offer(
        code=row["code"],
        agency=row["agency_code"],
        name_ar=row["name_ar"],
        name_en=row["name_en"],
        direct_in=split(row.get("direct_access_in", "")),
        completion_days=int(row["turnaround_working_days"]),
        applicants=split(row["applicants"]),
        documents=tuple(documents[name] for name in split(row.get("documents", ""))),
        fee_lines=_fee(row.get("fee_syp", "0")),
        paper=said[row["paper"]],
        live_stamp=said[row["live_stamp"]],
        post=said[row["post"]],
        basis=row["basis"],
        fee_is_placeholder=said[row.get("fee_is_placeholder", "no")],
        turnaround_is_placeholder=said[row.get("turnaround_is_placeholder", "no")],
        spouse_counts=said[row.get("spouse_counts", "no")],
        **optional,
    )


def _fee(pounds: str) -> tuple[FeeLine, ...]:
    """The state fee of a number of new pounds; no line when there is none."""
    hundredths = int(pounds) * 100
    if hundredths == 0:
        return ()
    return (FeeLine(kind=FeeKind.STATE_FEE, amount=hundredths, unit=Unit.NEW),)


# Acting ---------------------------------------------------------------------------


def facts_of(said: Said) -> dict[str, Any]:
    """The facts as the interface takes and tells them."""
    facts = said.facts() if isinstance(said, Offer) else said
    made: Any = plain(facts)
    return dict(made)


def command_id(path: str, code: str, version: int, body: Mapping[str, Any]) -> UUID:
    """The id of one act of a file: by what it says, of what, at which version.

    The same file run twice sends the same ids, and an act that was stored before is
    answered as it was.
    """
    digest = hashlib.sha256(canonical(body)).hexdigest()
    return derived_id(f"catalogue/{path}/{code}/{version}/{digest}", _IDS_FROM)


def must_be_whole(said: Said | None) -> Said:
    """``said`` itself. Raises InvalidValueError for a thing with a fault."""
    if said is None:
        raise InvalidValueError(field="file", reason="fault")
    return said
