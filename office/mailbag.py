"""Reports in a row: decided in memory, stored together, whole or not at all.

Each is decided as it would be alone, by the same use cases and rules, on what those
before it in the mailbag leave. None is stored without the others, so a stream is marked
once, behind the last. What is not plain (a rule refuses it, a view is behind, its
version was lost to others) leaves nothing here and is for the ordinary way, where each
is done alone. Measured: benchmarks/inward.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

from ledger.persistence.append import ActToAppend
from ledger.window import LedgerWindow
from office.acts import translated
from office.errors import ConcurrencyError
from office.house import House

MOST_KEPT = 2_000
"""Things that stay in memory: mostly, what is reported of was last touched days ago."""


class MailbagDesk:
    """Does mailbags of reports, one after the other. One thread's own.

    ``begin`` one, try each report, ``store`` it. Whatever these raise, nothing of the
    mailbag is stored, but for a connection that was lost: then the commands' ids tell.
    """

    def __init__(self, house: House) -> None:
        self._ledger = house.ledger
        self._window = LedgerWindow(house.ledger, most_kept=MOST_KEPT)
        self._is_spoilt = False
        acts = house.acts_on(self._window, keeps_refusals=False)
        # Others' reports would wait with one that waits for its view.
        self.reports = house.reports_of(
            acts, house.requests_of(acts), fresh_timeout_s=0.0
        )

    def begin(self, asked: Sequence[tuple[UUID, UUID | None]]) -> None:
        """Take in what the reports will ask for.

        ``asked`` has each one's command and the request that it is on, where it says.
        """
        self._is_spoilt = False
        if self._window.waiting:
            # Of a mailbag that was given up.
            self._window.forget()
        with translated():
            self._window.catch_up()
            self._window.look_ahead(
                [command for command, _ in asked],
                [(command, thing) for command, thing in asked if thing is not None],
            )

    @contextmanager
    def trying(self) -> Iterator[None]:
        """One report: where it fails, the mailbag is as it was before."""
        before = self._window.waiting
        try:
            yield
        except BaseException:
            self._window.drop_decided()
            self._is_spoilt |= self._window.waiting != before
            raise

    def store(self, marks: Mapping[str, int | None]) -> None:
        """Store all that was done since ``begin``, durable when this returns.

        ``marks`` is where the streams stand that the reports come from. Raises the
        errors of the store, and NotWholeError where an act or a mark is lost to others.
        """
        if self._is_spoilt:
            self._window.forget()
            raise ConcurrencyError
        acts = _marked_once(self._window.take())
        try:
            with translated():
                appended = self._ledger.process_recorder.append_whole(acts, marks=marks)
                self._window.settle(acts, appended)
        except BaseException:
            self._window.forget()
            raise


def _marked_once(acts: Sequence[ActToAppend]) -> list[ActToAppend]:
    """The acts, of which only the last of each stream marks it."""
    marked: set[str] = set()
    once = []
    for act in reversed(acts):
        if act.tracking is None:
            once.append(act)
            continue
        name = act.tracking.application_name
        once.append(replace(act, tracking=None) if name in marked else act)
        marked.add(name)
    return once[::-1]
