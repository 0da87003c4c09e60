"""Where the cases of a source are: which request each is, and how far it has come.

A bounded number stay in memory; of the others the ledger knows, because a command
without events remembers each beside its submission.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.ids import code_id
from ledger.persistence.append import Command
from ledger.window import LedgerWindow
from office.acts import translated
from office.importing.rows import Row

MOST_CASES = 50_000
"""Cases and clerks whose whereabouts stay in memory; of the others the ledger knows."""


@dataclass(slots=True)
class Case:
    """Where a case is: its request, and the line of its submission.

    ``last_line`` is the last line of the source in the ledger when the case was looked
    up; None while nobody has looked, 0 for a case that this run began.
    """

    request_id: UUID
    line: int
    last_line: int | None
    is_pending: bool = False


class Cases:
    """The cases of one source, those that were touched of late in memory."""

    def __init__(self, source: str, actor: str) -> None:
        self._source = source
        self._actor = actor
        self._kept: OrderedDict[str, Case] = OrderedDict()

    def __len__(self) -> int:
        """How many are in memory."""
        return len(self._kept)

    def get(self, case: str) -> Case | None:
        """Where a case is, as far as it was looked up; None: it has not begun."""
        return self._kept.get(case)

    def keep(self, case: str, found: Case) -> None:
        """Remember where a case is, and forget the one touched longest ago."""
        self._kept[case] = found
        while len(self._kept) > MOST_CASES:
            self._kept.popitem(last=False)

    def drop(self, case: str) -> None:
        """Forget a case that did not begin after all."""
        del self._kept[case]

    def remembered(self, case: str, request_id: UUID, line: int) -> Command:
        """What is remembered of a case beside its submission: request and line.

        No secret is in it, so the digest is what it says: that is how it is read.
        """
        return Command(
            id=self._id_of(case),
            actor=self._actor,
            digest=request_id.bytes + line.to_bytes(8, "big"),
        )

    def _id_of(self, case: str) -> UUID:
        """The id of the command without events that remembers where a case is."""
        return code_id("import-case", f"{self._source}/{case}")

    def look_up(self, window: LedgerWindow, batch: Sequence[Row]) -> None:
        """Which acts of a batch are in the ledger, and where its cases are.

        Two statements a batch: the commands, and the last lines of cases that are
        continued.
        """
        cases = {row.case for row in batch if row.at}
        for case in cases & self._kept.keys():
            self._kept.move_to_end(case)
        cases -= self._kept.keys()
        ids = {self._id_of(case): case for case in cases}
        rows = [row for row in batch if row.command_id is not None]
        with translated():
            known = window.find_commands(
                [*ids, *(row.command_id for row in rows if row.command_id)]
            )
        for case_id, case in ids.items():
            if case_id in known:
                digest = known[case_id].digest
                line = int.from_bytes(digest[16:], "big")
                self.keep(case, Case(UUID(bytes=digest[:16]), line, None))
        continued: dict[UUID, Case] = {}
        for row in rows:
            row.is_known = row.command_id in known
            if row.is_known and row.is_submission and row.case not in self._kept:
                # A former version remembered no cases.
                self.keep(row.case, Case(row.request_id, row.line, None))
            found = self._kept.get(row.case)
            is_new = row.activity is not None and not row.is_known
            if is_new and found is not None and found.last_line is None:
                continued[found.request_id] = found
        if continued:
            with translated():
                lines = window.last_lines(continued, self._source)
            for request_id, case_ in continued.items():
                case_.last_line = lines.get(request_id, 0)
