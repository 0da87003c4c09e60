"""Views that have all that is stored: else what is not there may be on its way."""

from __future__ import annotations

from ledger.reader import LedgerReader
from office.errors import NotFreshEnoughError
from projections.progress import ProgressQueries

FRESH_TIMEOUT_S = 5.0
"""How long a view is waited for: a healthy runner needs milliseconds."""


class Freshness:
    """Waits for views, each time for ``timeout_s`` at most."""

    def __init__(
        self,
        reader: LedgerReader,
        progress: ProgressQueries,
        *,
        timeout_s: float = FRESH_TIMEOUT_S,
    ) -> None:
        self._reader = reader
        self._progress = progress
        self.timeout_s = timeout_s

    def must_have_all(self, view: str) -> None:
        """Return once a view has all that is stored now. Raises NotFreshEnoughError."""
        head = self._reader.head().position
        if not self._progress.wait_for([view], head, timeout_s=self.timeout_s):
            raise NotFreshEnoughError(position=head)
