"""Many requests' parties in one transaction: durable together, or not at all."""

from __future__ import annotations

from contextlib import closing
from uuid import UUID, uuid4

import psycopg2
import pytest
from eventsourcing.persistence import OperationalError

from domain.persons import PersonDetails
from domain.requests import PartyRole
from ledger.names import Role
from ledger.sealing import VaultKeys
from ledger.vault_batch import VaultBatch
from tests.conftest import Database

KEYS = VaultKeys(master=b"m" * 32, index=b"i" * 32)
DETAILS = PersonDetails(full_name="علامة فارقة", national_number="01000099887")


def opened(batch: VaultBatch) -> UUID:
    return batch.open_party(
        party_id=uuid4(),
        request_id=uuid4(),
        role=PartyRole.APPLICANT,
        details=DETAILS,
    )


def kept(database: Database) -> set[str]:
    dsn = database.superuser_dsn(is_vault=True)
    with closing(psycopg2.connect(**dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id::text FROM vault.parties")
        return {told for (told,) in cursor.fetchall()}


def end_sessions(database: Database) -> None:
    dsn = database.superuser_dsn(is_vault=True)
    with closing(psycopg2.connect(**dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_parties_are_there_after_the_commit_and_not_before(database: Database) -> None:
    batch = VaultBatch(database.datastore(Role.VAULT), KEYS)
    first, second = opened(batch), opened(batch)
    assert kept(database) == set()
    batch.commit()
    assert kept(database) == {str(first), str(second)}
    opened(batch)
    batch.abandon()
    assert kept(database) == {str(first), str(second)}


def test_a_lost_connection_is_told_in_the_stores_words_and_the_next_batch_works(
    database: Database,
) -> None:
    batch = VaultBatch(database.datastore(Role.VAULT), KEYS)
    opened(batch)
    end_sessions(database)
    with pytest.raises(OperationalError):
        opened(batch)
    batch.abandon()
    then = opened(batch)
    batch.commit()
    assert kept(database) == {str(then)}
