"""Persons' own keys: one each, wrapped by the master key, gone when erased."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from uuid import UUID, uuid4

import psycopg2.extensions

from ledger.sealing import KEY_BYTES, VaultError, VaultKeys

_NEW_PERSON = """
INSERT INTO persons (id, wrapped_key, master_key_name) VALUES (%s::uuid, %s, %s)
"""
_WRAPPED_KEYS = """
SELECT t.id::text, p.id::text, p.wrapped_key
FROM parties t JOIN persons p ON p.id = t.person_id WHERE t.id = ANY(%s::uuid[])
"""
_WRAPPED_KEY = """
SELECT wrapped_key FROM persons WHERE id = %s::uuid FOR UPDATE
"""
_KEYS_TO_REWRAP = """
SELECT id::text, wrapped_key FROM persons
WHERE wrapped_key IS NOT NULL AND master_key_name = %s FOR UPDATE
"""
_REWRAP = """
UPDATE persons SET wrapped_key = %s, master_key_name = %s WHERE id = %s::uuid
"""


class PersonKeys:
    """Makes and opens persons' keys, in the transaction of whoever asks."""

    def __init__(self, keys: VaultKeys) -> None:
        self._keys = keys

    def new_person(self, cursor: psycopg2.extensions.cursor) -> tuple[str, bytes]:
        """The id of a new person, and the open key."""
        person_id, key = str(uuid4()), secrets.token_bytes(KEY_BYTES)
        wrapped_key = self._keys.wrap(person_id, key)
        cursor.execute(_NEW_PERSON, (person_id, wrapped_key, self._keys.master_name))
        return person_id, key

    def of_person(
        self, cursor: psycopg2.extensions.cursor, person_id: str
    ) -> bytes | None:
        """The open key, its row locked; None for who is not there or was erased."""
        cursor.execute(_WRAPPED_KEY, (person_id,))
        row = cursor.fetchone()
        if row is None or row[0] is None:
            return None
        return self._keys.unwrap(person_id, bytes(row[0]))

    def of_party(
        self, cursor: psycopg2.extensions.cursor, party_id: UUID
    ) -> tuple[str, bytes]:
        """Whose a party is, and the open key. Raises VaultError when there is none."""
        cursor.execute(_WRAPPED_KEYS, ([str(party_id)],))
        row = cursor.fetchone()
        if row is None or row[2] is None:
            raise VaultError("the party is not there, or was erased")
        return row[1], self._keys.unwrap(row[1], bytes(row[2]))

    def of_parties(
        self, cursor: psycopg2.extensions.cursor, parties: Sequence[str]
    ) -> dict[str, tuple[str, bytes]]:
        """Whose each party is, and the open key; not for those who were erased."""
        cursor.execute(_WRAPPED_KEYS, (list(parties),))
        return {
            party: (person, self._keys.unwrap(person, bytes(wrapped)))
            for party, person, wrapped in cursor.fetchall()
            if wrapped is not None
        }

    def rewrap(self, cursor: psycopg2.extensions.cursor, former: VaultKeys) -> int:
        """Wrap every person's key anew under the present master key; how many."""
        cursor.execute(_KEYS_TO_REWRAP, (former.master_name,))
        rows = cursor.fetchall()
        for person_id, wrapped in rows:
            key = former.unwrap(person_id, bytes(wrapped))
            cursor.execute(
                _REWRAP,
                (self._keys.wrap(person_id, key), self._keys.master_name, person_id),
            )
        return len(rows)
