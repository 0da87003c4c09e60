"""Keeping the mark: how far this home has seen the ledger, and if it still is so."""

from __future__ import annotations

from threading import Event

import structlog
from eventsourcing.persistence import PersistenceError

from ledger.backup.resuming import suspend
from ledger.mark import Mark, has_returned, write_mark
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings
from office.errors import OperatorError
from office.house import House

MARK_EVERY_S = 2.0
"""How old a mark may be: what was lost since then is not noticed by it."""
EARLIER = (
    "the ledger is an earlier one than this home has seen, as one from a backup is; "
    "it takes no acts until it is resumed (sijil ledger suspend, then resume)"
)

_log = structlog.get_logger()


def keep_mark(house: House, stop: Event) -> None:
    """Write down how far the ledger is, every while, until ``stop`` is set.

    Where it has become an earlier one it is suspended, if the owner's password is
    known here; else the log and /readyz say so.
    """
    kept: Mark | None = None
    while not stop.is_set():
        try:
            kept = _kept(house, kept)
        except (PersistenceError, OSError) as error:
            # A home that cannot be written to is no reason to stop anything.
            _log.warning("mark.not_kept", error=type(error).__name__)
        stop.wait(MARK_EVERY_S)


def _kept(house: House, kept: Mark | None) -> Mark | None:
    head = house.ledger.reader.head()
    if head.is_suspended:
        return kept
    mark = Mark.of(head)
    if mark == kept:
        return kept
    if has_returned(house.ledger.reader, house.settings.home):
        suspend_or_say(house.settings)
        return kept
    write_mark(house.settings.home, mark)
    return mark


def suspend_or_say(settings: LedgerSettings) -> bool:
    """Suspend a ledger that has returned; whether that could be done from here."""
    if settings.owner_password is None:
        _log.error("ledger.is_an_earlier_one")
        return False
    suspend(settings)
    _log.error("ledger.suspended_as_an_earlier_one")
    return True


def must_not_have_returned(settings: LedgerSettings) -> None:
    """Suspend a ledger that is an earlier one than this home has seen.

    Raises OperatorError where the owner's password is not known here. A database that
    does not answer is asked again by whoever keeps the mark.
    """
    store = PostgresDatastore(settings.dsn(Role.APP), schema=LEDGER_SCHEMA, pool_size=1)
    reader = LedgerReader(store)
    try:
        is_earlier = not reader.head().is_suspended and has_returned(
            reader, settings.home
        )
    except PersistenceError as error:
        _log.warning("mark.not_compared", error=type(error).__name__)
        return
    finally:
        store.close()
    if is_earlier and not suspend_or_say(settings):
        raise OperatorError(EARLIER)
