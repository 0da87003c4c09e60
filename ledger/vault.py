"""The vault: persons' values, sealed, in a database of their own.

Events name *parties*: a random id per request and role. Only the vault knows whose,
and only with two keys that are in neither database. The vault is written before the
event that names a party; what no event came to name is swept.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from datetime import timedelta
from uuid import UUID

import psycopg2.extensions

from domain.persons import FOUND_BY, PersonDetails
from domain.requests import PartyRole
from ledger.corrections import Corrections
from ledger.persistence.datastore import PostgresDatastore
from ledger.person_keys import PersonKeys
from ledger.sealing import VaultKeys, blind, bound_to, open_seal, seal
from ledger.sweeping import SWEEP_AFTER, SWEEP_BATCH

SALT_BYTES = 16

# Whoever was told under a digest, or is known by it since a correction that counts.
_FOUND = """
    SELECT person_id FROM blind_index WHERE kind = %(kind)s AND digest = %(digest)s
    UNION
    SELECT t.person_id FROM corrected_index i
    JOIN corrections c ON c.id = i.correction_id AND c.is_named
    JOIN parties t ON t.id = c.party_id
    WHERE i.kind = %(kind)s AND i.digest = %(digest)s
"""
# A record that was merged is stood for by the one it went into.
_PERSON_BY_INDEX = f"""
SELECT p.id::text FROM ({_FOUND}) found
JOIN persons f ON f.id = found.person_id
JOIN persons p ON p.id = coalesce(f.merged_into, f.id)
WHERE p.wrapped_key IS NOT NULL ORDER BY p.created_at, p.id LIMIT 1
"""
_PARTY = "SELECT FROM parties WHERE id = %s::uuid"
_NEW_PARTY = """
INSERT INTO parties (id, person_id, request_id, role, opened_by)
VALUES (%s::uuid, %s::uuid, %s::uuid, %s, %s)
"""
_SEAL = """
INSERT INTO sealed_values (party_id, field, sealed) VALUES (%s::uuid, %s, %s)
ON CONFLICT (party_id, field) DO NOTHING
"""
_SEALED = """
SELECT party_id::text, field, sealed FROM sealed_values
WHERE party_id = ANY(%s::uuid[])
"""
_INDEX = """
INSERT INTO blind_index (kind, digest, person_id) VALUES (%s, %s, %s::uuid)
ON CONFLICT DO NOTHING
"""
_PARTIES_BY_LOGIN = """
SELECT id::text FROM parties WHERE opened_by = %s ORDER BY created_at, id
"""
_PARTIES_BY_INDEX = f"""
WITH records AS (
    SELECT DISTINCT coalesce(f.merged_into, f.id) AS id
    FROM ({_FOUND}) found JOIN persons f ON f.id = found.person_id
)
SELECT t.id::text FROM records r
JOIN persons p ON p.id = r.id OR p.merged_into = r.id
JOIN parties t ON t.person_id = p.id
ORDER BY t.created_at, t.id
"""
_SEALED_NAMES = """
SELECT party_id::text, field, sealed FROM sealed_values
WHERE party_id = ANY(%s::uuid[]) AND field = 'full_name'
"""
_ERASE = """
WITH person AS (
    SELECT p.id FROM persons asked JOIN persons p
        ON p.id = coalesce(asked.merged_into, asked.id)
        OR p.merged_into = coalesce(asked.merged_into, asked.id)
    WHERE asked.id = %s::uuid AND p.wrapped_key IS NOT NULL FOR UPDATE OF p
), values_gone AS (
    DELETE FROM sealed_values WHERE party_id IN (
        SELECT t.id FROM parties t JOIN person ON person.id = t.person_id
    )
), corrections_gone AS (
    DELETE FROM corrections WHERE party_id IN (
        SELECT t.id FROM parties t JOIN person ON person.id = t.person_id
    )
), logins_gone AS (
    UPDATE parties SET opened_by = NULL WHERE person_id IN (SELECT id FROM person)
), index_gone AS (
    DELETE FROM blind_index WHERE person_id IN (SELECT id FROM person)
)
UPDATE persons SET wrapped_key = NULL, erasure_id = %s::uuid
WHERE id IN (SELECT id FROM person)
RETURNING id
"""
_SWEEP = "DELETE FROM parties WHERE id = ANY(%s::uuid[]) AND NOT is_named"
_UNNAMED = """
SELECT id::text, request_id::text FROM parties
WHERE NOT is_named AND created_at < clock_timestamp() - %s
ORDER BY created_at LIMIT %s
"""
_NAME = "UPDATE parties SET is_named = true WHERE id = ANY(%s::uuid[])"
_SALT = """
WITH made AS (
    INSERT INTO salts (document, salt) VALUES (%s, %s) ON CONFLICT DO NOTHING
    RETURNING salt
)
SELECT salt FROM made UNION ALL SELECT salt FROM salts WHERE document = %s LIMIT 1
"""
_ASK_AGAIN = """
INSERT INTO asked_again VALUES (%s::uuid, %s::uuid) ON CONFLICT DO NOTHING
"""
_REFUSED_BEFORE = """
SELECT refused_request_id::text FROM asked_again WHERE request_id = %s::uuid
"""


class Vault:
    """Persons' values. MUST be written before an event names the party."""

    def __init__(self, datastore: PostgresDatastore, keys: VaultKeys) -> None:
        self.datastore = datastore
        self.keys = keys
        self.corrections = Corrections(datastore, keys)
        self._person_keys = PersonKeys(keys)

    # Writing --------------------------------------------------------------------

    def _writing(self) -> AbstractContextManager[psycopg2.extensions.cursor]:
        """The transaction in which a request's parties are opened."""
        return self.datastore.transaction()

    def open_party(
        self,
        *,
        party_id: UUID,
        request_id: UUID,
        role: PartyRole,
        details: PersonDetails,
        subject: str | None = None,
    ) -> UUID:
        """Keep what a person told a request, under a party's id; the id.

        The person is found by national number, else by the other identifier, else
        made. Values belong to the party: what is told later rewrites nothing told
        before. ``subject`` is the login of a citizen who opens it. A second call with
        the same id changes nothing.
        """
        with self._writing() as cursor:
            # Two first requests of one person must not make two persons.
            identity = self._identity(details)
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s)",
                (int.from_bytes(identity[1][:8], "big", signed=True),),
            )
            cursor.execute(_PARTY, (str(party_id),))
            if cursor.fetchone() is not None:
                return party_id
            person_id, key = self._person(cursor, identity)
            login = None if subject is None else self._login(subject)
            cursor.execute(
                _NEW_PARTY, (str(party_id), person_id, str(request_id), role, login)
            )
            for name, value in _told(details).items():
                sealed = seal(key, value.encode(), bound_to(person_id, party_id, name))
                cursor.execute(_SEAL, (str(party_id), name, sealed))
            for kind, digest in self._digests(details):
                cursor.execute(_INDEX, (kind, digest, person_id))
        return party_id

    def seal_note(self, party_id: UUID, field: str, text: str) -> None:
        """Keep free text about a party. The first text of a field stays."""
        with self.datastore.transaction() as cursor:
            person_id, key = self._person_keys.of_party(cursor, party_id)
            about = bound_to(person_id, party_id, f"note/{field}")
            sealed = seal(key, text.encode(), about)
            cursor.execute(_SEAL, (str(party_id), f"note/{field}", sealed))

    def erase_person(self, person_id: UUID, erasure_id: UUID) -> bool:
        """Destroy a person's keys, values and index; whether there was any to destroy.

        A person is every record that was merged with this one. The parties stay as
        empty names, so that no event points to nothing.
        """
        with self.datastore.transaction() as cursor:
            cursor.execute(_ERASE, (str(person_id), str(erasure_id)))
            return cursor.fetchone() is not None

    def rewrap(self, former: VaultKeys) -> int:
        """Wrap every person's key anew under the present master key; how many."""
        with self.datastore.transaction() as cursor:
            return self._person_keys.rewrap(cursor, former)

    def unnamed(
        self, *, older_than: timedelta = SWEEP_AFTER, limit: int = SWEEP_BATCH
    ) -> dict[UUID, UUID]:
        """Parties not known to be named, the oldest first, with their requests."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(_UNNAMED, (older_than, limit))
            return {UUID(party): UUID(request) for party, request in cursor.fetchall()}

    def mark_named(self, parties: Iterable[UUID]) -> None:
        """Remember that events name these parties: nobody looks at them again."""
        with self.datastore.transaction() as cursor:
            cursor.execute(_NAME, ([str(party) for party in parties],))

    def sweep(self, parties: Iterable[UUID]) -> int:
        """Remove parties that no event came to name; how many."""
        with self.datastore.transaction() as cursor:
            cursor.execute(_SWEEP, ([str(party) for party in parties],))
            return cursor.rowcount

    def link_asked_again(self, *, request_id: UUID, refused_request_id: UUID) -> None:
        """Remember that a request asks again for what an earlier one was refused."""
        with self._writing() as cursor:
            cursor.execute(_ASK_AGAIN, (str(request_id), str(refused_request_id)))

    def salt_for(self, document: str) -> bytes:
        """The 128-bit salt of a document, made at the first call."""
        with self.datastore.transaction() as cursor:
            cursor.execute(_SALT, (document, secrets.token_bytes(SALT_BYTES), document))
            row = cursor.fetchone()
        if row is None:
            # Another session made it between our two looks; it is there now.
            return self.salt_for(document)
        return bytes(row[0])

    # Reading --------------------------------------------------------------------

    def details(self, party_id: UUID) -> PersonDetails | None:
        """What was told for a party; None when it was erased or never opened."""
        return self.details_of([party_id]).get(party_id)

    def details_of(
        self, parties: Iterable[UUID], *, corrections: Iterable[UUID] = ()
    ) -> dict[UUID, PersonDetails]:
        """What is known of each of the parties that still has values.

        ``corrections`` are the ids that the ledger names, in its order: of two
        corrections of one field the later one stands. Without them: as it was told.
        """
        wanted = [str(party) for party in parties]
        told: dict[str, dict[str, str]] = {}
        with self.datastore.transaction(commit=False) as cursor:
            for party, name, value in self._opened(cursor, _SEALED, wanted):
                if not name.startswith("note/"):
                    told.setdefault(party, {})[name] = value
            named = list(corrections)
            kept = self.corrections.opened(cursor, wanted) if named else {}
        for each in named:
            if each in kept:
                correction = kept[each]
                told[str(correction.party_id)][str(correction.field)] = correction.value
        return {UUID(party): PersonDetails(**values) for party, values in told.items()}

    def names_of(self, parties: Iterable[UUID]) -> dict[UUID, list[str]]:
        """The names of each party: the one told, and those corrected since.

        Both, because a search is made with the name on either paper.
        """
        wanted = [str(party) for party in parties]
        names: dict[UUID, list[str]] = {}
        with self.datastore.transaction(commit=False) as cursor:
            for party, _, value in self._opened(cursor, _SEALED_NAMES, wanted):
                names.setdefault(UUID(party), []).append(value)
            corrected = self.corrections.opened_names(cursor, wanted)
        for correction in corrected.values():
            names.setdefault(correction.party_id, []).append(correction.value)
        return names

    def notes_of(self, parties: Iterable[UUID]) -> dict[UUID, dict[str, str]]:
        """The free texts about each of the parties, by their fields."""
        wanted = [str(party) for party in parties]
        notes: dict[UUID, dict[str, str]] = {}
        with self.datastore.transaction(commit=False) as cursor:
            for party, name, value in self._opened(cursor, _SEALED, wanted):
                if name.startswith("note/"):
                    field = name.removeprefix("note/")
                    notes.setdefault(UUID(party), {})[field] = value
        return notes

    def note(self, party_id: UUID, field: str) -> str | None:
        """Free text about a party, or None."""
        name = f"note/{field}"
        with self.datastore.transaction(commit=False) as cursor:
            person_id, key = self._person_keys.of_party(cursor, party_id)
            cursor.execute(_SEALED, ([str(party_id)],))
            for _, found, sealed in cursor.fetchall():
                if found == name:
                    about = bound_to(person_id, party_id, name)
                    return open_seal(key, bytes(sealed), about).decode()
        return None

    def find_parties(self, kind: str, value: str) -> list[UUID]:
        """The parties of whoever has this number or phone, oldest first."""
        with self.datastore.transaction(commit=False) as cursor:
            digest = blind(self.keys.index, kind, value)
            cursor.execute(_PARTIES_BY_INDEX, {"kind": kind, "digest": digest})
            return [UUID(party) for (party,) in cursor.fetchall()]

    def parties_opened_by(self, subject: str) -> list[UUID]:
        """The parties that this login opened itself, oldest first.

        Not all parties of the person: a citizen's word for a number proves nothing.
        """
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(_PARTIES_BY_LOGIN, (self._login(subject),))
            return [UUID(party) for (party,) in cursor.fetchall()]

    def refused_before(self, request_id: UUID) -> UUID | None:
        """The refused request that this one asks again for, or None."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(_REFUSED_BEFORE, (str(request_id),))
            row = cursor.fetchone()
        return None if row is None else UUID(row[0])

    def close(self) -> None:
        """Close the connections to the vault."""
        self.datastore.close()

    # Persons --------------------------------------------------------------------

    def _opened(
        self, cursor: psycopg2.extensions.cursor, query: str, parties: Sequence[str]
    ) -> Iterator[tuple[str, str, str]]:
        """Party, field and value of what ``query`` finds sealed for the parties."""
        keys = self._person_keys.of_parties(cursor, parties)
        cursor.execute(query, (list(parties),))
        for party, name, sealed in cursor.fetchall():
            if party in keys:
                person, key = keys[party]
                about = bound_to(person, UUID(party), name)
                yield party, name, open_seal(key, bytes(sealed), about).decode()

    def _login(self, subject: str) -> bytes:
        return blind(self.keys.index, "subject", subject)

    def _identity(self, details: PersonDetails) -> tuple[str, bytes]:
        if details.national_number is not None:
            kind, value = "national_number", details.national_number
        else:
            kind, value = "other_identifier", str(details.other_identifier)
        return kind, blind(self.keys.index, kind, value)

    def _digests(self, details: PersonDetails) -> Iterable[tuple[str, bytes]]:
        for kind in FOUND_BY:
            value = getattr(details, kind)
            if value is not None:
                yield str(kind), blind(self.keys.index, kind, value)

    def _person(
        self, cursor: psycopg2.extensions.cursor, identity: tuple[str, bytes]
    ) -> tuple[str, bytes]:
        kind, digest = identity
        cursor.execute(_PERSON_BY_INDEX, {"kind": kind, "digest": digest})
        row = cursor.fetchone()
        if row is not None:
            key = self._person_keys.of_person(cursor, row[0])
            if key is not None:
                return row[0], key
        return self._person_keys.new_person(cursor)


def _told(details: PersonDetails) -> Mapping[str, str]:
    values = {f.name: getattr(details, f.name) for f in fields(details)}
    return {name: value for name, value in values.items() if value is not None}
