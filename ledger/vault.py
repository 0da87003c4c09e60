"""The vault: persons' values, sealed, in a database of their own.

Events name *parties*: a random id per request and role. Only the vault knows whose,
and only with two keys that are in neither database. The vault is written before the
event that names a party; what no event came to name is swept.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg2.extensions
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.persons import FOUND_BY, PersonDetails, PersonField, normalised
from domain.requests import PartyRole
from ledger.persistence.datastore import PostgresDatastore

KEY_BYTES = 32
NONCE_BYTES = 12
"""96 random bits: a person has far fewer than 2**32 values under one key."""
SALT_BYTES = 16
SWEEP_AFTER = timedelta(days=1)
"""A party younger than this may still be named by an act under way."""
SWEEP_BATCH = 1_000
"""Parties looked at together: one short transaction."""

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
_CORRECT = """
INSERT INTO corrections (id, party_id, field, sealed)
VALUES (%s::uuid, %s::uuid, %s, %s) ON CONFLICT (id) DO NOTHING
"""
_INDEX_CORRECTED = """
INSERT INTO corrected_index (kind, digest, correction_id) VALUES (%s, %s, %s::uuid)
ON CONFLICT DO NOTHING
"""
_CORRECTIONS = """
SELECT id::text, party_id::text, field, sealed FROM corrections
WHERE party_id = ANY(%s::uuid[])
"""
_CORRECTED_NAMES = """
SELECT id::text, party_id::text, field, sealed FROM corrections
WHERE party_id = ANY(%s::uuid[]) AND field = 'full_name' AND is_named
"""
_SEALED_NAMES = """
SELECT party_id::text, field, sealed FROM sealed_values
WHERE party_id = ANY(%s::uuid[]) AND field = 'full_name'
"""
_UNNAMED_CORRECTIONS = """
SELECT c.id::text, t.request_id::text FROM corrections c
JOIN parties t ON t.id = c.party_id
WHERE NOT c.is_named AND c.created_at < clock_timestamp() - %s
ORDER BY c.created_at LIMIT %s
"""
_NAME_CORRECTIONS = """
UPDATE corrections SET is_named = true WHERE id = ANY(%s::uuid[])
"""
_SWEEP_CORRECTIONS = """
DELETE FROM corrections WHERE id = ANY(%s::uuid[]) AND NOT is_named
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
_KEYS_TO_REWRAP = """
SELECT id::text, wrapped_key FROM persons
WHERE wrapped_key IS NOT NULL AND master_key_name = %s FOR UPDATE
"""
_REWRAP = """
UPDATE persons SET wrapped_key = %s, master_key_name = %s WHERE id = %s::uuid
"""
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


class VaultError(RuntimeError):
    """A seal does not open, or a party is not there. Carries no value."""


class CorrectionReusedError(VaultError):
    """Another value is kept under this correction's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultKeys:
    """The keys that are in no database. ``master_name`` says which master it is."""

    master: bytes
    index: bytes
    master_name: str = "m1"

    def __repr__(self) -> str:
        return f"VaultKeys(master_name={self.master_name!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCorrection:
    """A value of a party as it was corrected. Its repr shows no value."""

    party_id: UUID
    field: PersonField
    value: str = dataclass_field(repr=False)


def seal(key: bytes, plain: bytes, about: str) -> bytes:
    """``plain`` under ``key``: nonce and AES-256-GCM text, bound to ``about``."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, about.encode())


def open_seal(key: bytes, sealed: bytes, about: str) -> bytes:
    """What was sealed. Raises VaultError for another key, place or altered bytes."""
    try:
        return AESGCM(key).decrypt(
            sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode()
        )
    except (InvalidTag, ValueError) as error:
        raise VaultError("a seal does not open") from error


def blind(key: bytes, kind: str, value: str) -> bytes:
    """The keyed digest that a normalised value is found by."""
    return hmac.digest(key, f"{kind}\0{value}".encode(), hashlib.sha256)


def salted_digest(salt: bytes, document: bytes) -> str:
    """The digest of a document in an event: SHA-256 over salt and bytes, as hex."""
    return hashlib.sha256(salt + document).hexdigest()


class Vault:
    """Persons' values. MUST be written before an event names the party."""

    def __init__(self, datastore: PostgresDatastore, keys: VaultKeys) -> None:
        self.datastore = datastore
        self.keys = keys

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
                sealed = seal(key, value.encode(), _about(person_id, party_id, name))
                cursor.execute(_SEAL, (str(party_id), name, sealed))
            for kind, digest in self._digests(details):
                cursor.execute(_INDEX, (kind, digest, person_id))
        return party_id

    def seal_note(self, party_id: UUID, field: str, text: str) -> None:
        """Keep free text about a party. The first text of a field stays."""
        with self.datastore.transaction() as cursor:
            person_id, key = self._key_of(cursor, party_id)
            about = _about(person_id, party_id, f"note/{field}")
            sealed = seal(key, text.encode(), about)
            cursor.execute(_SEAL, (str(party_id), f"note/{field}", sealed))

    def keep_correction(
        self, *, party_id: UUID, field: PersonField, value: str, correction_id: UUID
    ) -> None:
        """Keep a corrected value of a party beside what was told, which stays.

        ``correction_id`` is the command's id, and so that of the event to come. It
        counts once ``count_corrections`` is told that the event is there; until then
        nobody is found by it, and sweeping removes it. A second call with the same id
        and value changes nothing. Raises InvalidValueError for the wrong shape,
        VaultError when the party is not there, and CorrectionReusedError for another
        value: the event to come must not mean what an earlier try meant.
        """
        value = normalised(field, value)
        with self.datastore.transaction() as cursor:
            person_id, key = self._key_of(cursor, party_id)
            about = _about(person_id, party_id, f"correction/{correction_id}/{field}")
            sealed = seal(key, value.encode(), about)
            cursor.execute(
                _CORRECT, (str(correction_id), str(party_id), str(field), sealed)
            )
            if not cursor.rowcount:
                kept = self._corrected(cursor, _CORRECTIONS, [str(party_id)])
                if kept.get(correction_id) != KeptCorrection(
                    party_id=party_id, field=field, value=value
                ):
                    raise CorrectionReusedError("the correction's id was used before")
            elif field in FOUND_BY:
                digest = blind(self.keys.index, field, value)
                cursor.execute(
                    _INDEX_CORRECTED, (str(field), digest, str(correction_id))
                )

    def count_corrections(self, corrections: Iterable[UUID]) -> None:
        """Let corrections count whose events are in the ledger."""
        with self.datastore.transaction() as cursor:
            cursor.execute(_NAME_CORRECTIONS, ([str(each) for each in corrections],))

    def unnamed_corrections(
        self, *, older_than: timedelta = SWEEP_AFTER, limit: int = SWEEP_BATCH
    ) -> dict[UUID, UUID]:
        """Corrections not known to be named, the oldest first, with their requests."""
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(_UNNAMED_CORRECTIONS, (older_than, limit))
            return {UUID(each): UUID(request) for each, request in cursor.fetchall()}

    def sweep_corrections(self, corrections: Iterable[UUID]) -> int:
        """Remove corrections that no event came to name; how many."""
        with self.datastore.transaction() as cursor:
            cursor.execute(_SWEEP_CORRECTIONS, ([str(each) for each in corrections],))
            return cursor.rowcount

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
            cursor.execute(_KEYS_TO_REWRAP, (former.master_name,))
            rows = cursor.fetchall()
            for person_id, wrapped in rows:
                key = open_seal(former.master, bytes(wrapped), f"person/{person_id}")
                cursor.execute(
                    _REWRAP,
                    (
                        seal(self.keys.master, key, f"person/{person_id}"),
                        self.keys.master_name,
                        person_id,
                    ),
                )
        return len(rows)

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
            kept = self._corrected(cursor, _CORRECTIONS, wanted) if named else {}
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
            corrected = self._corrected(cursor, _CORRECTED_NAMES, wanted)
        for correction in corrected.values():
            names.setdefault(correction.party_id, []).append(correction.value)
        return names

    def corrections_of(self, parties: Iterable[UUID]) -> dict[UUID, KeptCorrection]:
        """Every correction kept of the parties by its id, named by an event or not."""
        wanted = [str(party) for party in parties]
        with self.datastore.transaction(commit=False) as cursor:
            return self._corrected(cursor, _CORRECTIONS, wanted)

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
            person_id, key = self._key_of(cursor, party_id)
            cursor.execute(_SEALED, ([str(party_id)],))
            for _, found, sealed in cursor.fetchall():
                if found == name:
                    about = _about(person_id, party_id, name)
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

    # Keys -----------------------------------------------------------------------

    def _keys_of(
        self, cursor: psycopg2.extensions.cursor, parties: Sequence[str]
    ) -> dict[str, tuple[str, bytes]]:
        """Whose each party is, and the open key; not for those who were erased."""
        cursor.execute(_WRAPPED_KEYS, (list(parties),))
        return {
            party: (person, self._unwrap(person, wrapped))
            for party, person, wrapped in cursor.fetchall()
            if wrapped is not None
        }

    def _opened(
        self, cursor: psycopg2.extensions.cursor, query: str, parties: Sequence[str]
    ) -> Iterator[tuple[str, str, str]]:
        """Party, field and value of what ``query`` finds sealed for the parties."""
        keys = self._keys_of(cursor, parties)
        cursor.execute(query, (list(parties),))
        for party, name, sealed in cursor.fetchall():
            if party in keys:
                person, key = keys[party]
                about = _about(person, UUID(party), name)
                yield party, name, open_seal(key, bytes(sealed), about).decode()

    def _corrected(
        self, cursor: psycopg2.extensions.cursor, query: str, parties: Sequence[str]
    ) -> dict[UUID, KeptCorrection]:
        keys = self._keys_of(cursor, parties)
        cursor.execute(query, (list(parties),))
        found = {}
        for correction_id, party, name, sealed in cursor.fetchall():
            if party in keys:
                person, key = keys[party]
                place = f"correction/{correction_id}/{name}"
                about = _about(person, UUID(party), place)
                found[UUID(correction_id)] = KeptCorrection(
                    party_id=UUID(party),
                    field=PersonField(name),
                    value=open_seal(key, bytes(sealed), about).decode(),
                )
        return found

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
            cursor.execute(_WRAPPED_KEY, (row[0],))
            wrapped = cursor.fetchone()
            if wrapped is not None and wrapped[0] is not None:
                return row[0], self._unwrap(row[0], wrapped[0])
        person_id, key = str(uuid4()), secrets.token_bytes(KEY_BYTES)
        wrapped_key = seal(self.keys.master, key, f"person/{person_id}")
        cursor.execute(_NEW_PERSON, (person_id, wrapped_key, self.keys.master_name))
        return person_id, key

    def _key_of(
        self, cursor: psycopg2.extensions.cursor, party_id: UUID
    ) -> tuple[str, bytes]:
        cursor.execute(_WRAPPED_KEYS, ([str(party_id)],))
        row = cursor.fetchone()
        if row is None or row[2] is None:
            raise VaultError("the party is not there, or was erased")
        return row[1], self._unwrap(row[1], row[2])

    def _unwrap(self, person_id: str, wrapped: bytes) -> bytes:
        return open_seal(self.keys.master, bytes(wrapped), f"person/{person_id}")


def _told(details: PersonDetails) -> Mapping[str, str]:
    values = {f.name: getattr(details, f.name) for f in fields(details)}
    return {name: value for name, value in values.items() if value is not None}


def _about(person_id: str, party_id: UUID, field: str) -> str:
    """What a seal is bound to, so that no row can stand in for another."""
    return f"{person_id}/{party_id}/{field}"
