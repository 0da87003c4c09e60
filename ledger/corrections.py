"""Corrections: values of parties as they were corrected, beside those that were told.

A correction's id is its command's. It counts once the event is in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import timedelta
from uuid import UUID

import psycopg2.extensions

from domain.persons import FOUND_BY, PersonField, normalised
from ledger.persistence.datastore import PostgresDatastore
from ledger.person_keys import PersonKeys
from ledger.sealing import VaultError, VaultKeys, blind, bound_to, open_seal, seal
from ledger.sweeping import SWEEP_AFTER, SWEEP_BATCH

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


class CorrectionReusedError(VaultError):
    """Another value is kept under this correction's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCorrection:
    """A value of a party as it was corrected. Its repr shows no value."""

    party_id: UUID
    field: PersonField
    value: str = dataclass_field(repr=False)


class Corrections:
    """The vault's corrections. MUST be kept before an event tells of them."""

    def __init__(self, datastore: PostgresDatastore, keys: VaultKeys) -> None:
        self._datastore = datastore
        self._index_key = keys.index
        self._person_keys = PersonKeys(keys)

    # Writing --------------------------------------------------------------------

    def keep(
        self, *, party_id: UUID, field: PersonField, value: str, correction_id: UUID
    ) -> None:
        """Keep a corrected value of a party beside what was told, which stays.

        ``correction_id`` is the command's id, and so that of the event to come. It
        counts once ``let_count`` is told that the event is there; until then nobody
        is found by it, and sweeping removes it. A second call with the same id and
        value changes nothing. Raises InvalidValueError for the wrong shape,
        VaultError when the party is not there, and CorrectionReusedError for another
        value: the event to come must not mean what an earlier try meant.
        """
        value = normalised(field, value)
        with self._datastore.transaction() as cursor:
            person_id, key = self._person_keys.of_party(cursor, party_id)
            about = bound_to(person_id, party_id, f"correction/{correction_id}/{field}")
            sealed = seal(key, value.encode(), about)
            cursor.execute(
                _CORRECT, (str(correction_id), str(party_id), str(field), sealed)
            )
            if not cursor.rowcount:
                kept = self.opened(cursor, [str(party_id)])
                if kept.get(correction_id) != KeptCorrection(
                    party_id=party_id, field=field, value=value
                ):
                    raise CorrectionReusedError("the correction's id was used before")
            elif field in FOUND_BY:
                digest = blind(self._index_key, field, value)
                cursor.execute(
                    _INDEX_CORRECTED, (str(field), digest, str(correction_id))
                )

    def let_count(self, corrections: Iterable[UUID]) -> None:
        """Let corrections count whose events are in the ledger."""
        with self._datastore.transaction() as cursor:
            cursor.execute(_NAME_CORRECTIONS, ([str(each) for each in corrections],))

    def unnamed(
        self, *, older_than: timedelta = SWEEP_AFTER, limit: int = SWEEP_BATCH
    ) -> dict[UUID, UUID]:
        """Corrections not known to be named, the oldest first, with their requests."""
        with self._datastore.transaction(commit=False) as cursor:
            cursor.execute(_UNNAMED_CORRECTIONS, (older_than, limit))
            return {UUID(each): UUID(request) for each, request in cursor.fetchall()}

    def sweep(self, corrections: Iterable[UUID]) -> int:
        """Remove corrections that no event came to name; how many."""
        with self._datastore.transaction() as cursor:
            cursor.execute(_SWEEP_CORRECTIONS, ([str(each) for each in corrections],))
            return cursor.rowcount

    # Reading --------------------------------------------------------------------

    def of(self, parties: Iterable[UUID]) -> dict[UUID, KeptCorrection]:
        """Every correction kept of the parties by its id, named by an event or not."""
        wanted = [str(party) for party in parties]
        with self._datastore.transaction(commit=False) as cursor:
            return self.opened(cursor, wanted)

    def opened(
        self, cursor: psycopg2.extensions.cursor, parties: Sequence[str]
    ) -> dict[UUID, KeptCorrection]:
        """The same, in the transaction of whoever asks."""
        return self._opened(cursor, _CORRECTIONS, parties)

    def opened_names(
        self, cursor: psycopg2.extensions.cursor, parties: Sequence[str]
    ) -> dict[UUID, KeptCorrection]:
        """The corrections of the parties' names that count, in the same way."""
        return self._opened(cursor, _CORRECTED_NAMES, parties)

    def _opened(
        self, cursor: psycopg2.extensions.cursor, query: str, parties: Sequence[str]
    ) -> dict[UUID, KeptCorrection]:
        keys = self._person_keys.of_parties(cursor, parties)
        cursor.execute(query, (list(parties),))
        found = {}
        for correction_id, party, name, sealed in cursor.fetchall():
            if party in keys:
                person, key = keys[party]
                place = f"correction/{correction_id}/{name}"
                about = bound_to(person, UUID(party), place)
                found[UUID(correction_id)] = KeptCorrection(
                    party_id=UUID(party),
                    field=PersonField(name),
                    value=open_seal(key, bytes(sealed), about).decode(),
                )
        return found
