"""Persons' records in the vault: which are one person's, and what an export showed.

Ids only: no key and no value passes through here. A record is merged by pointing it
at the one that stands for it, so that nothing has to be sealed anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain.requests import PartyRole
from ledger.names import Lock
from ledger.persistence.datastore import PostgresDatastore
from ledger.sweeping import SWEEP_BATCH

# Whose the parties are: the record that stands for each, unless it was erased.
_RECORDS = """
SELECT t.id::text, p.id::text FROM parties t
JOIN persons f ON f.id = t.person_id
JOIN persons p ON p.id = coalesce(f.merged_into, f.id)
WHERE t.id = ANY(%s::uuid[]) AND p.wrapped_key IS NOT NULL
ORDER BY p.created_at, p.id
"""
_PROPOSE = """
INSERT INTO merges (id, first_party, second_party)
VALUES (%s::uuid, %s::uuid, %s::uuid) ON CONFLICT (id) DO NOTHING
"""
_PROPOSED = """
SELECT first_party::text, second_party::text FROM merges
WHERE id = %s::uuid AND NOT in_effect FOR UPDATE
"""
# Whatever was merged into the one that goes is the surviving one's too.
_MERGE = """
UPDATE persons SET merged_into = %(survivor)s::uuid
WHERE id = %(merged)s::uuid OR merged_into = %(merged)s::uuid
"""
_IN_EFFECT = "UPDATE merges SET in_effect = true WHERE id = %s::uuid"
_WAITING = """
SELECT id::text, created_at < clock_timestamp() - %s FROM merges
WHERE NOT in_effect ORDER BY created_at LIMIT %s
"""
_DROP = "DELETE FROM merges WHERE id = ANY(%s::uuid[]) AND NOT in_effect"
_OF_PERSON = """
SELECT t.id::text, t.request_id::text, t.role, t.created_at FROM persons p
JOIN parties t ON t.person_id = p.id
WHERE p.id = %(record)s::uuid OR p.merged_into = %(record)s::uuid
ORDER BY t.id = %(party)s::uuid DESC, t.created_at DESC, t.id DESC LIMIT %(limit)s
"""
_MERGES_OF = """
SELECT id::text FROM merges
WHERE in_effect AND (first_party = ANY(%(parties)s::uuid[])
    OR second_party = ANY(%(parties)s::uuid[]))
ORDER BY created_at, id
"""
_ROLES = "SELECT id::text, role FROM parties WHERE id = ANY(%s::uuid[])"
_EXPORTED = """
INSERT INTO exports (look_id, party_id)
SELECT %s::uuid, id FROM parties WHERE id = ANY(%s::uuid[])
ON CONFLICT DO NOTHING
"""
_EXPORTS_OF = """
SELECT DISTINCT look_id::text FROM exports WHERE party_id = ANY(%s::uuid[])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownParty:
    """A party as the vault knows it; whether an event names it is the ledger's."""

    id: UUID
    request_id: UUID
    role: PartyRole
    opened_at: datetime


class PersonRecords:
    """Which parties are one person. MUST be written before ``person.merged`` is."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._datastore = datastore

    # Merging --------------------------------------------------------------------

    def are_one(self, first: UUID, second: UUID) -> bool | None:
        """Whether two parties are of one record; None when one has none any more."""
        with self._datastore.transaction(commit=False) as cursor:
            cursor.execute(_RECORDS, ([str(first), str(second)],))
            found = dict(cursor.fetchall())
        if not {str(first), str(second)} <= found.keys():
            return None
        return len(set(found.values())) == 1

    def propose_merge(self, merge_id: UUID, *, first: UUID, second: UUID) -> None:
        """Keep what a merge will mean. It has no effect yet. Again changes nothing."""
        with self._datastore.transaction() as cursor:
            cursor.execute(_PROPOSE, (str(merge_id), str(first), str(second)))

    def put_in_effect(self, merge_id: UUID) -> None:
        """Make two records one, whose event is in the ledger. Again changes nothing.

        The older one stands for both. What they were merged with before comes along,
        so merges may be told in any order and in a ring.
        """
        with self._datastore.transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (Lock.MERGE.value,))
            cursor.execute(_PROPOSED, (str(merge_id),))
            parties = cursor.fetchone()
            if parties is None:
                return
            cursor.execute(_RECORDS, (list(parties),))
            records = list(dict.fromkeys(row[1] for row in cursor.fetchall()))
            for merged in records[1:]:
                cursor.execute(_MERGE, {"survivor": records[0], "merged": merged})
            cursor.execute(_IN_EFFECT, (str(merge_id),))

    def waiting_merges(
        self, *, older_than: timedelta, limit: int = SWEEP_BATCH
    ) -> dict[UUID, bool]:
        """Merges not in effect, the oldest first, and whether each is that old."""
        with self._datastore.transaction(commit=False) as cursor:
            cursor.execute(_WAITING, (older_than, limit))
            return {UUID(each): is_old for each, is_old in cursor.fetchall()}

    def drop_merges(self, merges: Iterable[UUID]) -> int:
        """Forget merges that no event came to tell; how many."""
        with self._datastore.transaction() as cursor:
            cursor.execute(_DROP, ([str(each) for each in merges],))
            return cursor.rowcount

    # One person -----------------------------------------------------------------

    def parties_of_person(self, party_id: UUID, *, limit: int) -> list[KnownParty]:
        """Every party of the person of this one, which comes first; then the newest."""
        with self._datastore.transaction(commit=False) as cursor:
            cursor.execute(_RECORDS, ([str(party_id)],))
            row = cursor.fetchone()
            if row is None:
                return []
            cursor.execute(
                _OF_PERSON,
                {"record": row[1], "party": str(party_id), "limit": limit},
            )
            return [
                KnownParty(
                    id=UUID(party),
                    request_id=UUID(request),
                    role=PartyRole(role),
                    opened_at=opened_at,
                )
                for party, request, role, opened_at in cursor.fetchall()
            ]

    def merges_of(self, parties: Iterable[UUID]) -> list[UUID]:
        """The merges in effect that were told by one of these parties."""
        with self._datastore.transaction(commit=False) as cursor:
            cursor.execute(_MERGES_OF, {"parties": [str(party) for party in parties]})
            return [UUID(each) for (each,) in cursor.fetchall()]

    def roles_of(self, parties: Iterable[UUID]) -> dict[UUID, PartyRole]:
        """In which role each of the parties stands in its request."""
        with self._datastore.transaction(commit=False) as cursor:
            cursor.execute(_ROLES, ([str(party) for party in parties],))
            return {UUID(party): PartyRole(role) for party, role in cursor.fetchall()}

    # Exports --------------------------------------------------------------------

    def exported(self, look_id: UUID, parties: Iterable[UUID]) -> None:
        """Keep that a look which the ledger has showed these parties too."""
        with self._datastore.transaction() as cursor:
            cursor.execute(_EXPORTED, (str(look_id), [str(party) for party in parties]))

    def exports_of(self, parties: Iterable[UUID]) -> list[UUID]:
        """The looks that showed one of these parties beside their own."""
        with self._datastore.transaction(commit=False) as cursor:
            cursor.execute(_EXPORTS_OF, ([str(party) for party in parties],))
            return [UUID(look) for (look,) in cursor.fetchall()]
