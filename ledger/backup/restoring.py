"""Bringing a backup back: into an empty ledger, by its owner, whole or not at all."""

from __future__ import annotations

import re
from binascii import hexlify
from collections.abc import Callable, Iterator
from io import RawIOBase
from pathlib import Path

import psycopg2
import psycopg2.extensions
from psycopg2 import sql
from psycopg2.extras import execute_values

from ledger.backup.form import (
    BUNDLE_ENTRIES,
    BackupError,
    Closing,
    DamagedBackupError,
    Opening,
)
from ledger.backup.reading import Backup
from ledger.bundles import bundled, recorded_text
from ledger.copying import CHUNK_BYTES, NOTHING, copied_text
from ledger.entries import leaf_hash_of
from ledger.names import LEDGER_SCHEMA, Role
from ledger.persistence.datastore import translated
from ledger.roles import connected
from ledger.settings import LedgerSettings
from ledger.tree import Tree

ENTRIES_A_READ = 20 * BUNDLE_ENTRIES
"""Entries read back at once: some 3 MB."""
_LOCK_TIMEOUT_MS = 10_000
"""How long an append under way may keep a restore waiting."""

_SESSION = f"SET search_path = {{}}, pg_temp; SET lock_timeout = {_LOCK_TIMEOUT_MS}"
# Whoever has the head is alone until the commit: nobody appends meanwhile.
_LOCK = "SELECT FROM ledger_head FOR UPDATE"
# A statement of its own: one that waits for the lock sees the other tables as they were
# before it waited, without what the append that it waited for has put into them.
_IS_EMPTY = """
SELECT position = 0 AND NOT EXISTS (SELECT FROM events)
    AND NOT EXISTS (SELECT FROM commands) AND NOT EXISTS (SELECT FROM tracking)
FROM ledger_head
"""
_ENTRIES = """
COPY events (position, recorded_at, aggregate_id, version, topic, body) FROM STDIN
"""
_COMMANDS = """
COPY commands (id, actor, digest, first_position, last_position, recorded_at) FROM STDIN
"""
_TRACKING = "INSERT INTO tracking (name, position) VALUES %s"
_HEAD = """
UPDATE ledger_head SET ledger_id = %(ledger_id)s::uuid, incarnation = %(incarnation)s,
    position = %(position)s, is_suspended = true,
    recorded_at = coalesce(%(recorded_at)s::timestamptz, '-infinity')
"""
_LINE = re.compile(r"COPY \w+, line ([0-9]+)")


class LedgerNotEmptyError(BackupError):
    """There is something in the ledger, or in its commands or tracking."""

    def __init__(self) -> None:
        super().__init__(
            "the ledger is not empty, and a backup is brought back into an empty one "
            "only; name another database with SIJIL_DATABASE_NAME, or another home"
        )


def restore(
    settings: LedgerSettings,
    path: Path,
    *,
    role: Role = Role.OWNER,
    loaded: Callable[[int], None] = lambda _: None,
    compared: Callable[[int], None] = lambda _: None,
) -> tuple[Opening, Closing]:
    """Bring a backup back as a ledger that refuses appends until it is resumed.

    Position, recorded time and bytes stay what they were. What the database then has is
    read back, and MUST come to the root that the backup closes with; else, and after
    any other error or end, the ledger is as empty as before. ``loaded`` and
    ``compared`` hear each position reached. Raises BackupError, and PersistenceError
    for the database's own troubles, also where ``role`` is not the owner.
    """
    with Backup(path) as backup, connected(settings.dsn(role)) as connection:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL(_SESSION).format(sql.Identifier(LEDGER_SCHEMA)))
        connection.autocommit = False
        with connection, connection.cursor() as cursor:
            cursor.execute(_LOCK)
            cursor.execute(_IS_EMPTY)
            if cursor.fetchone() != (True,):
                raise LedgerNotEmptyError
            _copy(cursor, _ENTRIES, _entry_lines(backup, loaded))
            _copy(cursor, _COMMANDS, _command_lines(backup))
            marks = backup.tracking()
            closing = backup.close_well()
            if marks:
                execute_values(cursor, _TRACKING, marks)
            _must_come_to(cursor, closing, compared)
            opening = backup.opening
            cursor.execute(
                _HEAD,
                {
                    "ledger_id": str(opening.ledger_id),
                    "incarnation": opening.incarnation,
                    "position": opening.position,
                    "recorded_at": opening.recorded_at,
                },
            )
        connection.autocommit = True
        with connection.cursor() as cursor:
            # Until the server has looked at the tables, it plans as for empty ones.
            cursor.execute("ANALYZE events, commands")
        return opening, closing


class _Source(RawIOBase):
    """Chunks as the file that the driver reads. Keeps the reader's own error."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self.error: BaseException | None = None

    def read(self, _: int = -1, /) -> bytes:
        """The next chunk, as long as it is; nothing after the last."""
        try:
            return next(self._chunks, b"")
        except BaseException as error:
            # The driver would lose it, an interruption by the operator too.
            self.error = error
            raise


def _copy(
    cursor: psycopg2.extensions.cursor, statement: str, chunks: Iterator[bytes]
) -> None:
    source = _Source(chunks)
    try:
        cursor.copy_expert(statement, source, CHUNK_BYTES)
    except (psycopg2.DataError, psycopg2.IntegrityError) as error:
        # Its digests may fit, if somebody made them anew: no ledger can say this.
        found = _LINE.search(error.diag.context or "")
        position = int(found[1]) if found and "COPY events" in found[0] else None
        raise DamagedBackupError(
            f"the database refuses it, because {translated(error)}", position=position
        ) from error
    except psycopg2.Error as error:
        if source.error is not None:
            raise source.error from error
        raise


def _entry_lines(backup: Backup, loaded: Callable[[int], None]) -> Iterator[bytes]:
    position = 0
    for some in backup.entries():
        yield b"".join(
            [
                b"%b\t%b\t%b\t%b\t%b\t\\\\x%b\n"
                % (
                    at,
                    recorded_at,
                    thing,
                    version,
                    topic.replace(b"\\", b"\\\\"),
                    hexlify(body),
                )
                for _, at, recorded_at, thing, version, topic, body in some
            ]
        )
        position += len(some)
        loaded(position)


def _command_lines(backup: Backup) -> Iterator[bytes]:
    for some in backup.commands():
        yield "".join(
            [
                f"{copied_text(each.id)}\t{copied_text(each.actor)}"
                f"\t\\\\x{each.digest.hex()}"
                f"\t{_number(each.first_position)}\t{_number(each.last_position)}"
                f"\t{copied_text(each.recorded_at or '-infinity')}\n"
                for each in some
            ]
        ).encode()


def _number(value: int | None) -> str:
    return NOTHING if value is None else str(value)


def _must_come_to(
    cursor: psycopg2.extensions.cursor,
    closing: Closing,
    compared: Callable[[int], None],
) -> None:
    """Read back what the database has, and hold its leaves against the backup's."""
    tree = Tree()
    while rows := bundled(
        cursor, after=tree.size, until=closing.entries, limit=ENTRIES_A_READ
    ):
        tree.add_all(
            [
                leaf_hash_of(position, recorded_text(at), thing, version, topic, body)
                for position, at, thing, version, topic, body in rows
            ]
        )
        compared(tree.size)
    if tree.root().hex() != closing.root:
        raise DamagedBackupError(
            "what the database made of it hashes to other leaves; nothing was kept"
        )
