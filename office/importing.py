"""Import: the dated steps of another system, through the same rules as everyone.

It invents nothing. An activity without an honest equivalent is unmapped, a step that
the rules forbid is refused, each with line and reason, and the report adds up. Ids
follow from source, case and line, so a second run changes nothing.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from domain.access import Principal
from domain.acts import MINISTRY, Act, Actor, ActorKind, Provenance
from domain.agencies import Agency
from domain.calendars import Calendar
from domain.centres import Centre
from domain.clerks import Clerk
from domain.errors import InvalidValueError, SijilError
from domain.ids import code_id, derived_id
from domain.naming import checked_reference
from domain.requests import AssignedBecause, Channel
from domain.services import EVERYWHERE, Offer, Service
from ledger.persistence.append import Command, CommandRepeatedError
from ledger.persistence.append import CommandReusedError as IdReusedError
from office import commands
from office.acts import Done, Envelope, translated
from office.errors import (
    ClockSkewError,
    CommandReusedError,
    ConcurrencyError,
    LedgerUnavailableError,
)
from office.house import House
from office.mapping import Activity, ActName, Mapping

LONGEST_TEXT = 400
"""Characters of one value of a row: beyond it the row is refused, not cut."""
LARGEST_EXAMPLES = 1_000
"""Rows the report lists one by one; the counts are of all."""

_COMMANDS: dict[ActName, tuple[type[Any], str]] = {
    ActName.SUBMITTED: (commands.SubmitRequest, "submit"),
    ActName.ACCEPTED: (commands.AcceptRequest, "accept"),
    ActName.NOT_ACCEPTED: (commands.DeclineRequest, "decline"),
    ActName.FEE_PAID: (commands.PayFee, "pay"),
    ActName.FORWARDED: (commands.ForwardRequest, "forward"),
    ActName.AGENCY_RESPONDED: (commands.RecordResponse, "respond"),
    ActName.STAMPED: (commands.StampDocument, "stamp"),
    ActName.MAILED: (commands.MailDocument, "mail"),
    ActName.DELIVERED: (commands.ConfirmDelivery, "deliver"),
    ActName.HANDED_OVER: (commands.HandOver, "hand_over"),
    ActName.RESULT_TOLD: (commands.TellResult, "tell_result"),
    ActName.INFORMED: (commands.InformCitizen, "inform"),
}
_WITHOUT_TOKEN = frozenset({ActName.SUBMITTED, ActName.DELIVERED, ActName.INFORMED})


class RowFate(StrEnum):
    """What became of one row: exactly one of these."""

    WRITTEN = "written"
    REPEATED = "repeated"
    CHANGED = "changed"
    UNMAPPED = "unmapped"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowNote:
    """A row that was not simply written: its line, and a reason code."""

    line: int
    fate: RowFate
    activity: str
    reason: str


@dataclass(slots=True, kw_only=True)
class ImportReport:
    """What an import did. The fates add up to the rows read."""

    source: str
    rows_read: int = 0
    fates: Counter[RowFate] = field(default_factory=Counter)
    by_activity: dict[str, Counter[RowFate]] = field(default_factory=dict)
    by_reason: Counter[tuple[RowFate, str]] = field(default_factory=Counter)
    notes: list[RowNote] = field(default_factory=list)

    def add(self, line: int, activity: str, fate: RowFate, reason: str = "") -> None:
        """Count one row."""
        self.rows_read += 1
        self.fates[fate] += 1
        self.by_activity.setdefault(activity, Counter())[fate] += 1
        if reason:
            self.by_reason[fate, reason] += 1
        is_news = fate in {RowFate.REFUSED, RowFate.CHANGED}
        if is_news and len(self.notes) < LARGEST_EXAMPLES:
            self.notes.append(
                RowNote(line=line, fate=fate, activity=activity, reason=reason)
            )

    @property
    def adds_up(self) -> bool:
        """Whether every row has exactly one fate."""
        return (
            self.rows_read
            == sum(self.fates.values())
            == sum(sum(fates.values()) for fates in self.by_activity.values())
        )

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "source": self.source,
            "rows_read": self.rows_read,
            **{str(fate): self.fates[fate] for fate in RowFate},
            "adds_up": self.adds_up,
            "by_activity": {
                activity: {str(fate): n for fate, n in fates.items()}
                for activity, fates in sorted(self.by_activity.items())
            },
            "by_reason": [
                {"fate": str(fate), "reason": reason, "rows": rows}
                for (fate, reason), rows in sorted(self.by_reason.items())
            ],
            "rows": [
                {
                    "line": note.line,
                    "fate": str(note.fate),
                    "activity": note.activity,
                    "reason": note.reason,
                }
                for note in self.notes
            ],
        }


class SourceError(ValueError):
    """The file cannot be read as this source at all."""


class _RowError(Exception):
    """A row that cannot be taken; ``reason`` is a code, never a value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    line: int
    case: str
    activity: str
    at: datetime
    values: dict[str, str]


class Importer:
    """Imports one source into the ledger of one house.

    Memory grows by one id a case; rows are streamed.
    """

    def __init__(self, house: House, mapping: Mapping) -> None:
        self._house = house
        self._mapping = mapping
        self._requests: dict[str, UUID] = {}
        self._clerks: set[str] = set()
        self._remark = ""
        self._principal = Principal(
            role=ActorKind.IMPORT, id=mapping.source, centre=mapping.centre.code
        )

    def run(
        self,
        path: Path,
        *,
        progress: Callable[[int], None] = lambda _: None,
    ) -> ImportReport:
        """Import a file; the report. Safe to kill and to run again.

        ``progress`` is called with the rows read so far. Raises SourceError when the
        file has not the mapping's columns.
        """
        report = ImportReport(source=self._mapping.source)
        is_known = self._is_same_source()
        if is_known:
            self._declare()
        for line, values in _rows_of(path, self._mapping.needed_columns()):
            activity = _activity_of(values, self._mapping)
            if is_known:
                fate, reason = self._take(line, values)
            else:
                fate, reason = RowFate.CHANGED, "source-identity-changed"
            report.add(line, activity, fate, reason)
            progress(report.rows_read)
        return report

    # The place ------------------------------------------------------------------

    def _is_same_source(self) -> bool:
        """Whether the ids of this source's rows still rest on the same things.

        Remembered as a command without events: a mapping that reads the times or the
        cases otherwise would make other ids, and write everything twice.
        """
        command = Command(
            id=code_id("import", self._mapping.source),
            actor=f"{ActorKind.IMPORT}:{self._mapping.source}",
            digest=self._mapping.identity,
        )
        try:
            with translated():
                self._house.ledger.append(command=command)
        except CommandRepeatedError:
            return True
        except IdReusedError:
            return False
        return True

    def _declare(self) -> None:
        """Publish what the mapping declares and is not there yet."""
        mapping, desk = self._mapping, self._house.catalogue
        desk.publish_once(
            Agency,
            Agency.id_of(mapping.agency.code),
            lambda: Agency.publish(
                self._declared("agency", mapping.agency.code),
                code=mapping.agency.code,
                name_ar=mapping.agency.name_ar,
                name_en=mapping.agency.name_en,
                scope=mapping.agency.scope,
            ),
        )
        desk.publish_once(
            Service, Service.id_of(mapping.service.code), self._declared_service
        )
        for calendar in mapping.calendars:
            desk.publish_once(
                Calendar,
                Calendar.id_of(calendar.year),
                lambda calendar=calendar: Calendar.publish(  # type: ignore[misc]
                    self._declared("calendar", str(calendar.year)),
                    year=calendar.year,
                    holidays=(),
                    weekend=calendar.weekend,
                    opens=calendar.opens,
                    closes=calendar.closes,
                ),
            )
        desk.publish_once(
            Centre,
            Centre.id_of(mapping.centre.code),
            lambda: Centre.open(
                self._declared("centre", mapping.centre.code),
                code=mapping.centre.code,
                governorate=mapping.governorate.code,
                name_ar=mapping.centre.name_ar,
                name_en=mapping.centre.name_en,
            ),
        )

    def _declared_service(self) -> Service:
        declared = self._mapping.service
        return Service.publish(
            self._declared("service", declared.code),
            Offer(
                code=declared.code,
                agency=self._mapping.agency.code,
                name_ar=declared.name_ar,
                name_en=declared.name_en,
                direct_in=(EVERYWHERE,) if declared.is_direct else (),
                completion_days=declared.completion_days,
                first_answer_days=declared.first_answer_days,
                applicants=declared.applicants,
                documents=(),
                fee_lines=(),
                paper=declared.paper,
                live_stamp=declared.live_stamp,
                post=declared.post,
                basis=declared.basis,
                fee_is_placeholder=False,
                turnaround_is_placeholder=True,
            ),
        )

    def _declared(self, kind: str, code: str) -> Act:
        """The act of declaring something, when the centre opened."""
        at = datetime.combine(self._mapping.centre.opened_on, time(), UTC)
        source = self._mapping.source
        command_id = derived_id(f"import/{source}/{kind}/{code}", at)
        return Act(
            command_id=command_id,
            actor=Actor(kind=ActorKind.IMPORT, id=source, place=MINISTRY),
            correlation_id=command_id,
            effective_at=at,
            provenance=Provenance(source=source, case=code, line=0, activity=kind),
        )

    # A row ----------------------------------------------------------------------

    def _take(self, line: int, values: dict[str, str]) -> tuple[RowFate, str]:
        """What becomes of a row, and why; what was taken may have a remark."""
        self._remark = ""
        try:
            row = self._row(line, values)
            activity = self._mapping.activities.get(row.activity)
            if activity is None:
                return self._not_mapped(row)
            done = self._do(row, activity)
        except _RowError as error:
            return RowFate.REFUSED, error.reason
        except CommandReusedError:
            return RowFate.CHANGED, "mapped-otherwise-before"
        except (LedgerUnavailableError, ClockSkewError, ConcurrencyError):
            # The store's trouble is not the row's: stop, and run again later.
            raise
        except SijilError as error:
            facts = error.facts()
            return RowFate.REFUSED, ": ".join(
                filter(None, (error.code, facts.get("reason")))
            )
        return (RowFate.REPEATED if done.is_repeat else RowFate.WRITTEN), self._remark

    def _row(self, line: int, values: dict[str, str]) -> _Row:
        if None in values or any(not isinstance(v, str) for v in values.values()):
            raise _RowError("wrong-number-of-columns")
        if any("\0" in value or len(value) > LONGEST_TEXT for value in values.values()):
            raise _RowError("value-too-long-or-nul")
        columns = self._mapping.columns
        case, activity = values[columns.case].strip(), values[columns.activity].strip()
        if not case or not activity:
            raise _RowError("case-or-activity-missing")
        if not _is_code(case):
            # It stands in every event of the case: a person's number never may.
            raise _RowError("case-not-a-code")
        try:
            at = self._mapping.time_of(values[columns.time].strip())
        except (ValueError, OverflowError) as error:
            raise _RowError("time-unreadable") from error
        return _Row(line=line, case=case, activity=activity, at=at, values=values)

    def _not_mapped(self, row: _Row) -> tuple[RowFate, str]:
        """Unmapped; or changed, when an earlier mapping made an act of it."""
        with translated():
            known = self._house.ledger.process_recorder.find_command(self._id_of(row))
        if known is not None:
            return RowFate.CHANGED, "was-mapped-before"
        reason = self._mapping.unmapped.get(row.activity, "not in the mapping")
        return RowFate.UNMAPPED, reason

    def _id_of(self, row: _Row, also: str = "") -> UUID:
        name = f"import/{self._mapping.source}/{row.case}/{row.line}{also}"
        return derived_id(name, row.at)

    def _do(self, row: _Row, activity: Activity) -> Done:
        facts = {
            **activity.facts,
            **{name: row.values[c].strip() for name, c in activity.columns.items()},
        }
        if activity.act is ActName.SUBMITTED:
            return self._submit(row, facts)
        request_id = self._requests.get(row.case)
        if request_id is None:
            raise _RowError("case-not-submitted")
        facts["request_id"] = request_id
        if activity.act not in _WITHOUT_TOKEN:
            facts.setdefault("token", None)
        if activity.act is ActName.ACCEPTED:
            facts.setdefault("documents", ())
        kind, method = _COMMANDS[activity.act]
        act: Callable[[Any, Envelope], Done] = getattr(self._house.requests, method)
        return act(_command(kind, facts), self._envelope(row, activity.act))

    def _submit(self, row: _Row, facts: dict[str, Any]) -> Done:
        if row.case in self._requests:
            raise _RowError("case-submitted-before")
        defaults = {
            "service": self._mapping.service.code,
            "centre": self._mapping.centre.code,
            **({} if "channel" in facts else {"channel": self._channel(row)}),
            "applicant": None,
            "concerned": None,
            "documents": (),
        }
        command = _command(commands.SubmitRequest, {**defaults, **facts})
        done = self._house.requests.submit(
            command, self._envelope(row, ActName.SUBMITTED)
        )
        self._requests[row.case] = done.aggregate_id
        self._assign(row, done.aggregate_id)
        return done

    def _channel(self, row: _Row) -> Channel:
        """The channel by the mapping's column: none is assumed."""
        channels = self._mapping.channels
        value = "" if channels is None else row.values[channels.column].strip()
        channel = None if channels is None else channels.values.get(value)
        if channel is None:
            raise _RowError("channel-not-mapped")
        return channel

    def _assign(self, row: _Row, request_id: UUID) -> None:
        """Give the case to whom the source holds responsible, if it says.

        The source does not date it: like all bookkeeping it takes its cause's time.
        """
        clerks = self._mapping.clerks
        if clerks is None or not row.values[clerks.responsible].strip():
            return
        code = f"{clerks.prefix}{row.values[clerks.responsible].strip()}"
        if not _is_code(code):
            # The case is taken over all the same, in nobody's hands.
            self._remark = "responsible-not-a-code"
            return
        if code not in self._clerks:
            self._house.catalogue.publish_once(
                Clerk,
                Clerk.id_of(code),
                lambda: Clerk.appoint(
                    self._declared("clerk", code),
                    code=code,
                    centre=self._mapping.centre.code,
                ),
            )
            self._clerks.add(code)
        envelope = self._envelope(row, ActName.SUBMITTED)
        self._house.requests.assign(
            commands.AssignRequest(request_id=request_id, clerk=code),
            replace(
                envelope,
                command_id=self._id_of(row, "/assignment"),
                route="import/assignment",
                causation_id=f"{request_id}/1",
            ),
            because=AssignedBecause.RESPONSIBLE,
        )

    def _envelope(self, row: _Row, act: ActName) -> Envelope:
        clerk = self._mapping.columns.clerk
        named = row.values[clerk].strip() if clerk else ""
        return Envelope(
            principal=self._principal,
            command_id=self._id_of(row),
            route=f"import/{act}",
            effective_at=row.at,
            provenance=Provenance(
                source=self._mapping.source,
                case=row.case,
                line=row.line,
                activity=row.activity,
                # A source may name its staff; events have codes only.
                clerk=named if named and _is_code(named) else None,
            ),
        )


def _is_code(text: str) -> bool:
    """Whether a source's text is a code: nobody's number, and no letters alone.

    Letters alone may be a name, and whatever is written stands in events for ever.
    """
    try:
        checked_reference(text, field="source")
    except InvalidValueError:
        return False
    return True


def _command(kind: type[Any], facts: dict[str, Any]) -> Any:
    try:
        return TypeAdapter(kind).validate_python(facts)
    except ValidationError as error:
        names = sorted(
            {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
        )
        raise _RowError(f"facts-do-not-fit: {', '.join(names)}") from error


def _activity_of(values: dict[str, str], mapping: Mapping) -> str:
    """The activity's name for the report, also of a row that cannot be read."""
    activity = values.get(mapping.columns.activity)
    is_readable = isinstance(activity, str) and len(activity) <= LONGEST_TEXT
    return activity.strip() if is_readable and activity else "(none)"


def _rows_of(path: Path, needed: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row with the line it ends on; bytes that are no UTF-8 show as such."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        missing = set(needed) - set(reader.fieldnames or ())
        if missing:
            raise SourceError(f"the file has no column {', '.join(sorted(missing))}")
        while True:
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise SourceError(
                    f"line {reader.line_num} is not CSV: {error}"
                ) from error
            yield reader.line_num, values
