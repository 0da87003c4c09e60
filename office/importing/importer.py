"""Import: the dated steps of another system, through the same rules as everyone.

It invents nothing. An activity without an honest equivalent is unmapped, a step that
the rules forbid is refused, each with line and reason, and the report adds up. Ids
follow from source, case and line, so a second run changes nothing, and a run that was
killed goes on. Memory is bounded, however long the file is and however many its cases.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from domain.access import Principal
from domain.acts import ActorKind, Provenance
from domain.calendars import office_day
from domain.errors import InvalidValueError, NotFoundError, SijilError
from domain.ids import code_id, derived_id
from domain.naming import checked_reference
from domain.requests import AssignedBecause
from ledger.persistence.append import Command, CommandRepeatedError
from ledger.persistence.append import CommandReusedError as IdReusedError
from office import commands
from office.acts import Envelope, translated
from office.bulk import BulkDesk, Item, Settled
from office.errors import CommandReusedError
from office.house import House
from office.importing.acts import (
    BECAUSE,
    ActName,
    FactsError,
    command_of,
    facts_of_row,
)
from office.importing.cases import MOST_CASES, Case, Cases
from office.importing.mapping import Activity, Choice, Mapping
from office.importing.places import Places
from office.importing.report import UNKNOWN_ACTIVITY, ImportReport, RowFate
from office.importing.rows import Row
from office.importing.sources import Source, SourceError, SourceRow, open_source

ROWS_A_BATCH = 1_000
"""Rows decided and stored together."""

Progress = Callable[[ImportReport, float | None], None]


class _RowError(Exception):
    """A row that cannot be taken; ``reason`` is a code, never a value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Importer:
    """Imports one source into the ledger of one house."""

    def __init__(
        self, house: House, mapping: Mapping, *, rows_a_batch: int = ROWS_A_BATCH
    ) -> None:
        self._house = house
        self._mapping = mapping
        self._places = Places(house, mapping)
        self._rows_a_batch = rows_a_batch
        self._actor = f"{ActorKind.IMPORT}:{mapping.source}"
        self._cases = Cases(mapping.source, self._actor)
        self._clerks: OrderedDict[str, None] = OrderedDict()
        self._principals: dict[str, Principal] = {}
        centres, services = mapping.centre_codes, mapping.service_codes
        self._centre = centres[0] if len(centres) == 1 else ""
        self._service = services[0] if len(services) == 1 else ""
        self.report = ImportReport(source=mapping.source)

    def run(
        self,
        source: Path | Source,
        *,
        progress: Progress = lambda *_: None,
    ) -> ImportReport:
        """Import a source; the report. Safe to kill and to run again.

        ``progress`` is given the report so far, and how much of the file was read.
        Raises SourceError when the file has not the mapping's columns or breaks off,
        and the store's troubles; ``report`` has then what was done before.
        """
        if isinstance(source, Path):
            source = open_source(
                source, self._mapping.file, self._mapping.needed_columns()
            )
        self.report = ImportReport(source=self._mapping.source)
        try:
            with source:
                if self._is_same_source():
                    self._places.publish()
                    self._take_all(source, progress)
                else:
                    self._refuse_all(source, progress)
        except SourceError:
            self.report.stopped = "source"
            raise
        except KeyboardInterrupt:
            self.report.stopped = "interrupted"
            raise
        except SijilError as error:
            self.report.stopped = error.code
            raise
        return self.report

    # The source -----------------------------------------------------------------

    def _is_same_source(self) -> bool:
        """Whether the ids of this source's rows still rest on the same things.

        Remembered as a command without events: a mapping that reads the times or the
        cases otherwise would make other ids, and write everything twice.
        """
        command = Command(
            id=code_id("import", self._mapping.source),
            actor=self._actor,
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

    def _refuse_all(self, source: Source, progress: Progress) -> None:
        for read in source:
            self.report.add(
                read.line,
                self._name_of(read.values or {}),
                RowFate.CHANGED,
                "source-identity-changed",
            )
            if self.report.rows_read % self._rows_a_batch == 0:
                progress(self.report, source.fraction)

    def _take_all(self, source: Source, progress: Progress) -> None:
        """Batch after batch: one is read while the one before is being stored."""
        desk = BulkDesk(self._house)
        under_way: list[Row] = []
        try:
            for batch in self._batches(source):
                self._cases.look_up(desk.window, batch)
                first = 0
                while first < len(batch):
                    last = self._make_items(batch, first)
                    if last > first:
                        chunk = batch[first:last]
                        settled = desk.push([i for row in chunk for i in row.items])
                        self._settle(under_way, settled)
                        under_way = chunk
                    if last < len(batch):
                        # A case that begins twice: first see what became of it.
                        self._settle(under_way, desk.finish())
                        under_way = []
                    first = last
                progress(self.report, source.fraction)
            self._settle(under_way, desk.finish())
            progress(self.report, source.fraction)
        finally:
            desk.close()

    def _batches(self, source: Source) -> Iterator[list[Row]]:
        batch: list[Row] = []
        for read in source:
            batch.append(self._row(read))
            if len(batch) == self._rows_a_batch:
                yield batch
                batch = []
        if batch:
            yield batch

    # A row ----------------------------------------------------------------------

    def _name_of(self, values: dict[str, str]) -> str:
        name = values.get(self._mapping.columns.activity, "").strip()
        is_named = name in self._mapping.activities or name in self._mapping.unmapped
        return name if is_named else UNKNOWN_ACTIVITY

    def _row(self, read: SourceRow) -> Row:
        """A row as it was read; refused when it cannot be."""
        row = Row(line=read.line, name=self._name_of(read.values or {}))
        if read.fault is not None or read.values is None:
            row.refuse(read.fault or "not-readable")
            return row
        columns, values = self._mapping.columns, read.values
        row.case, row.values = values[columns.case].strip(), values
        if not row.case or not values[columns.activity].strip():
            row.refuse("case-or-activity-missing")
        elif not is_code(row.case):
            # It stands in every event of the case: a person's number never may.
            row.refuse("case-not-a-code")
        else:
            try:
                row.at = self._mapping.time_of(values[columns.time].strip())
            except (ValueError, OverflowError):
                row.refuse("time-unreadable")
            else:
                row.command_id = self._id_of(row.case, row.line, row.at)
                row.activity = self._mapping.activities.get(row.name)
        return row

    def _id_of(self, case: str, line: int, at: datetime, also: str = "") -> UUID:
        return derived_id(f"import/{self._mapping.source}/{case}/{line}{also}", at)

    # Items ----------------------------------------------------------------------

    def _make_items(self, batch: list[Row], first: int) -> int:
        """Give rows their items, or their fate; the number of the first row left.

        It stops before a second submission of a case whose first is under way.
        """
        for number in range(first, len(batch)):
            row = batch[number]
            if row.fate is not None:
                continue
            if row.activity is None:
                self._leave_unmapped(row)
                continue
            found = self._cases.get(row.case)
            if found is not None and found.is_pending and row.is_submission:
                return number
            try:
                self._make_item(row, row.activity, found)
            except _RowError as error:
                row.refuse(error.reason)
            except FactsError as error:
                row.refuse(f"facts-do-not-fit: {', '.join(error.names)}")
        return len(batch)

    def _leave_unmapped(self, row: Row) -> None:
        """Unmapped; or changed, when an earlier mapping made an act of it."""
        if row.is_known:
            row.fate, row.reason = RowFate.CHANGED, "was-mapped-before"
            return
        row.fate = RowFate.UNMAPPED
        row.reason = self._mapping.unmapped.get(row.name, "not in the mapping")

    def _make_item(self, row: Row, activity: Activity, case: Case | None) -> None:
        centre = self._chosen(row, self._mapping.chosen.centre, self._centre, "centre")
        told = facts_of_row(activity.act, activity.columns, activity.values, row.values)
        facts = {**activity.facts, **told}
        if activity.act is ActName.SUBMITTED:
            self._submit(row, facts, case, centre)
            return
        if case is None or row.line < case.line:
            raise _RowError("case-not-submitted")
        if not row.is_known and row.line < (case.last_line or 0):
            # Decided now it would stand behind steps that came after it.
            raise _RowError("later-steps-taken-before")
        facts["request_id"] = case.request_id
        if activity.act in {ActName.ASSIGNED, ActName.CLAIMED}:
            facts["clerk"] = self._clerk(activity, facts, centre)
        row.items.append(
            Item(
                command=command_of(activity.act, facts),
                envelope=self._envelope(row, activity.act, centre),
                because=BECAUSE.get(activity.act),
            )
        )

    def _submit(
        self, row: Row, facts: dict[str, Any], case: Case | None, centre: str
    ) -> None:
        if case is not None and case.line != row.line:
            raise _RowError("case-submitted-before")
        centre = str(facts.pop("centre", centre))
        if not centre:
            raise _RowError("centre-not-mapped")
        opened_on = self._mapping.opened_on.get(centre)
        if (
            not row.is_known
            and opened_on is not None
            and row.at is not None
            and office_day(row.at) < opened_on
        ):
            raise _RowError("before-the-centre-opened")
        service = self._chosen(
            row, self._mapping.chosen.service, self._service, "service"
        )
        defaults: dict[str, Any] = {"service": service, "centre": centre}
        if "channel" not in facts:
            defaults["channel"] = self._channel(row)
        envelope = self._envelope(row, ActName.SUBMITTED, centre)
        request_id = row.request_id
        row.items.append(
            Item(
                command=command_of(ActName.SUBMITTED, {**defaults, **facts}),
                envelope=envelope,
                also=(self._cases.remembered(row.case, request_id, row.line),),
            )
        )
        if case is None:
            self._cases.keep(row.case, Case(request_id, row.line, 0, is_pending=True))
        self._assign(row, request_id, centre, envelope)

    def _assign(
        self, row: Row, request_id: UUID, centre: str, envelope: Envelope
    ) -> None:
        """Give the case to whom the source holds responsible, if it says.

        The source does not date it: like all bookkeeping it takes its cause's time.
        """
        clerks = self._mapping.clerks
        if clerks is None or clerks.responsible is None or row.at is None:
            return
        named = row.values[clerks.responsible].strip()
        if not named:
            return
        code = self._appointed(named, centre)
        if code is None:
            # The case is taken over all the same, in nobody's hands.
            row.reason = "responsible-not-a-code"
            return
        row.items.append(
            Item(
                command=commands.AssignRequest(request_id=request_id, clerk=code),
                envelope=Envelope(
                    principal=envelope.principal,
                    command_id=self._id_of(row.case, row.line, row.at, "/assignment"),
                    route="import/assignment",
                    effective_at=envelope.effective_at,
                    causation_id=f"{request_id}/1",
                    provenance=envelope.provenance,
                ),
                because=AssignedBecause.RESPONSIBLE,
            )
        )

    def _clerk(self, activity: Activity, facts: dict[str, Any], centre: str) -> str:
        """The clerk of a fact: a code of the mapping, or a value with its prefix."""
        named = facts.get("clerk")
        if not named:
            raise FactsError(["clerk"])
        if "clerk" not in activity.columns or "clerk" in activity.values:
            return str(named)
        code = self._appointed(str(named), centre)
        if code is None:
            raise _RowError("clerk-not-a-code")
        return code

    def _appointed(self, named: str, centre: str) -> str | None:
        """The code of a clerk whom a row names, who is there now; None for no code."""
        clerks = self._mapping.clerks
        if clerks is None:
            return None
        code = f"{clerks.prefix.replace('{centre}', centre)}{named}"
        if not is_code(code):
            return None
        if code not in self._clerks:
            with translated():
                self._places.appoint(code, centre)
            self._clerks[code] = None
            while len(self._clerks) > MOST_CASES:
                self._clerks.popitem(last=False)
        return code

    def _chosen(self, row: Row, choice: Choice | None, only: str, what: str) -> str:
        """The centre or service of a row. A submission MUST say; none is assumed."""
        if choice is None:
            return only
        value = row.values[choice.column].strip()
        if value in choice.values:
            return choice.values[value]
        if value or row.is_submission:
            raise _RowError(f"{what}-not-mapped")
        return only

    def _channel(self, row: Row) -> str:
        """The channel by the mapping's column: none is assumed."""
        channels = self._mapping.channels
        value = "" if channels is None else row.values[channels.column].strip()
        channel = None if channels is None else channels.values.get(value)
        if channel is None:
            raise _RowError("channel-not-mapped")
        return channel

    def _envelope(self, row: Row, act: ActName, centre: str) -> Envelope:
        if row.command_id is None:
            raise TypeError(row.line)
        column = self._mapping.columns.clerk
        named = row.values[column].strip() if column else ""
        if centre not in self._principals:
            self._principals[centre] = Principal(
                role=ActorKind.IMPORT, id=self._mapping.source, centre=centre or None
            )
        return Envelope(
            principal=self._principals[centre],
            command_id=row.command_id,
            route=f"import/{act}",
            effective_at=row.at,
            provenance=Provenance(
                source=self._mapping.source,
                case=row.case,
                line=row.line,
                activity=row.name,
                # A source may name its staff; events have codes only.
                clerk=named if named and is_code(named) else None,
            ),
        )

    # Fates ----------------------------------------------------------------------

    def _settle(self, rows: list[Row], settled: list[Settled]) -> None:
        """Count rows whose items are settled now."""
        outcomes = iter(settled)
        for row in rows:
            mine = [next(outcomes) for _ in row.items]
            if mine:
                self._take_in(row, mine)
            if row.fate is None:
                raise TypeError(row.line)
            self.report.add(row.line, row.name, row.fate, row.reason)

    def _take_in(self, row: Row, mine: list[Settled]) -> None:
        first = mine[0]
        case = self._cases.get(row.case)
        if row.is_submission and case is not None and case.line == row.line:
            case.is_pending = False
            if first.error is not None and not isinstance(
                first.error, CommandReusedError
            ):
                self._cases.drop(row.case)
        if first.done is not None:
            is_repeat = first.done.is_repeat
            row.fate = RowFate.REPEATED if is_repeat else RowFate.WRITTEN
            for other in mine[1:]:
                if isinstance(other.error, CommandReusedError):
                    row.fate, row.reason = RowFate.CHANGED, "mapped-otherwise-before"
                elif other.error is not None:
                    row.reason = f"responsible-not-assigned: {other.error.code}"
        elif isinstance(first.error, CommandReusedError):
            row.fate, row.reason = RowFate.CHANGED, "mapped-otherwise-before"
        elif isinstance(first.error, NotFoundError) and not row.is_submission:
            row.refuse("case-not-submitted")
        elif first.error is not None:
            facts = first.error.facts()
            row.refuse(": ".join(filter(None, (first.error.code, facts.get("reason")))))


def is_code(text: str) -> bool:
    """Whether a source's text is a code: nobody's number, and no letters alone.

    Letters alone may be a name, and whatever is written stands in events for ever.
    """
    try:
        checked_reference(text, field="source")
    except InvalidValueError:
        return False
    return True
