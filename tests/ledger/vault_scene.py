"""A vault with known keys on a database of its own, and who reads its tables."""

from __future__ import annotations

from contextlib import closing
from typing import Any
from uuid import UUID, uuid4

import psycopg2

from domain.persons import PersonDetails
from domain.requests import PartyRole
from ledger.names import Role
from ledger.sealing import VaultKeys
from ledger.vault import Vault
from tests.conftest import Database

KEYS = VaultKeys(master=b"m" * 32, index=b"i" * 32)
DETAILS = PersonDetails(
    full_name="علامة فارقة",
    national_number="01000099887",
    phone="0933123498",
    address="شارع العلامة",
)


class Scene:
    """A vault on a database of its own, and a superuser who reads its tables."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.vault = self.with_keys(KEYS)

    def with_keys(self, keys: VaultKeys) -> Vault:
        return Vault(self.database.datastore(Role.VAULT), keys)

    def open(self, details: PersonDetails = DETAILS, **more: Any) -> UUID:
        return self.vault.open_party(
            **{
                "party_id": uuid4(),
                "request_id": uuid4(),
                "role": PartyRole.APPLICANT,
                "details": details,
                **more,
            }
        )

    def sql(self, statement: str, *params: Any) -> list[Any]:
        with (
            closing(
                psycopg2.connect(**self.database.superuser_dsn(is_vault=True))
            ) as c,
            c,
            c.cursor() as cursor,
        ):
            cursor.execute("SET search_path = vault;" + statement, params or None)
            return cursor.fetchall() if cursor.description else []

    def person_of(self, party: UUID) -> UUID:
        ((person,),) = self.sql(
            "SELECT person_id::text FROM parties WHERE id = %s::uuid", str(party)
        )
        return UUID(person)
