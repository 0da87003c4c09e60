"""Suspending a ledger and resuming it: what its operator does, as its owner."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import psycopg2.extensions

from domain.acts import MINISTRY, Act, Actor, ActorKind
from domain.ids import derived_id
from domain.resumptions import ResumedBecause, ReturnedLedger
from ledger.backup.form import BackupError
from ledger.bodies import BodyMapper, canonical
from ledger.decoding import decoder_of
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.append import ActToAppend, Command, must_be_appended
from ledger.persistence.columns import ANSWER, answers, arguments, columns
from ledger.persistence.datastore import PostgresDatastore
from ledger.reader import LedgerReader
from ledger.settings import LedgerSettings

OPERATOR = Actor(kind=ActorKind.SYSTEM, id="operator", place=MINISTRY)
"""Who resumes: whoever has the owner's password, which no login of the office is."""
FIRST_INCARNATION = 1
"""Before any resumption; no entry says where it began."""

_HEAD = """
SELECT ledger_id::text, is_suspended FROM ledger_head FOR UPDATE
"""
_AFTER = "UPDATE ledger_head SET incarnation = greatest(incarnation, %s)"
_RESUMPTIONS = """
SELECT version, topic, convert_from(body, 'UTF8') FROM events
WHERE aggregate_id = %s::uuid ORDER BY version
"""


class NotSuspendedError(BackupError):
    """The ledger takes appends; to resume it would only mislead who follows it."""

    def __init__(self) -> None:
        super().__init__(
            "the ledger is not suspended: it takes appends, and there is nothing to "
            "resume"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """The new incarnation, and the entry that it begins with."""

    ledger_id: UUID
    incarnation: int
    position: int


def suspend(settings: LedgerSettings) -> None:
    """Let the ledger refuse appends until it is resumed. Reading goes on."""
    with _owners(settings) as store, store.autocommit() as cursor:
        cursor.execute("SELECT suspend()")


def resume(
    settings: LedgerSettings,
    reason: ResumedBecause,
    *,
    after: int = 0,
    now: datetime | None = None,
) -> Resumption:
    """Let a suspended ledger take appends again, as an incarnation of its own.

    Its first entry says so, stored in the same transaction. The number is above
    ``after``: an incarnation that is known to have been, and that the backup does not
    know. Raises NotSuspendedError, and SettingMissingError without the commands' key.
    """
    key = settings.key("command_key")
    with _owners(settings) as store, store.transaction() as cursor:
        cursor.execute(_HEAD)
        ledger_text, is_suspended = cursor.fetchone() or (None, False)
        if not is_suspended:
            raise NotSuspendedError
        ledger_id = UUID(ledger_text)
        cursor.execute(_AFTER, (after,))
        cursor.execute("SELECT resume_as_new_incarnation()")
        (incarnation,) = cursor.fetchone() or (0,)
        act = _act(ledger_id, incarnation, now or datetime.now(UTC))
        ledger = _resumed(cursor, ledger_id, act, incarnation, reason)
        stored = ActToAppend(
            events=[*map(BodyMapper().to_stored_event, ledger.collect_events())],
            command=Command(
                id=act.command_id,
                actor=f"{OPERATOR.kind}:{OPERATOR.id}",
                digest=_digest(key, ledger_id, incarnation, reason),
            ),
        )
        cursor.execute(ANSWER + arguments([columns(stored)]))
        (appended,) = map(must_be_appended, answers(cursor.fetchall()))
    return Resumption(
        ledger_id=ledger_id,
        incarnation=incarnation,
        position=appended.last_position or 0,
    )


def is_common(
    reader: LedgerReader, *, ledger_id: UUID, incarnation: int, position: int
) -> bool:
    """Whether a follower that came so far has followed what this ledger still is.

    It has when each resumption since its incarnation stands above its position: what
    was lost with the backup it never saw. Of an incarnation that this ledger does not
    know nobody can say where it began, and so what its follower has seen.
    """
    head = reader.head()
    if ledger_id != head.ledger_id or incarnation > head.incarnation:
        return False
    begins = {
        decoder_of(entry.topic)(
            entry.aggregate_id, entry.version, entry.body
        ).incarnation: entry.position  # type: ignore[attr-defined]
        for entry in reader.aggregate(ReturnedLedger.id_of(ledger_id))
    }
    is_ours = incarnation == FIRST_INCARNATION or incarnation in begins
    return (
        is_ours
        and position <= head.position
        and all(
            position < begins.get(number, 0)
            for number in range(incarnation + 1, head.incarnation + 1)
        )
    )


def _resumed(
    cursor: psycopg2.extensions.cursor,
    ledger_id: UUID,
    act: Act,
    incarnation: int,
    reason: ResumedBecause,
) -> ReturnedLedger:
    thing = ReturnedLedger.id_of(ledger_id)
    cursor.execute(_RESUMPTIONS, (str(thing),))
    ledger: ReturnedLedger | None = None
    for version, topic, body in cursor.fetchall():
        ledger = decoder_of(topic)(thing, version, body).mutate(ledger)  # type: ignore[attr-defined]
    if ledger is None:
        return ReturnedLedger.resume(
            act, ledger_id=ledger_id, incarnation=incarnation, reason=reason
        )
    ledger.resume_again(act, incarnation=incarnation, reason=reason)
    return ledger


def _act(ledger_id: UUID, incarnation: int, now: datetime) -> Act:
    return Act(
        command_id=derived_id(f"resume/{ledger_id}/{incarnation}", now),
        actor=OPERATOR,
        correlation_id=ReturnedLedger.id_of(ledger_id),
        effective_at=now,
    )


def _digest(
    key: bytes, ledger_id: UUID, incarnation: int, reason: ResumedBecause
) -> bytes:
    asked = {
        "route": "ledger/resume",
        "input": {
            "ledger_id": str(ledger_id),
            "incarnation": incarnation,
            "reason": str(reason),
        },
    }
    return hmac.digest(key, canonical(asked), hashlib.sha256)


@contextmanager
def _owners(settings: LedgerSettings) -> Iterator[PostgresDatastore]:
    """The ledger as its owner has it."""
    store = PostgresDatastore(
        settings.dsn(Role.OWNER), schema=LEDGER_SCHEMA, pool_size=1
    )
    try:
        yield store
    finally:
        store.close()
