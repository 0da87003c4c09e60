"""People: found among the rows in scope, made one, and told all that is held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from domain.access import Permission, Principal
from domain.acts import Act
from domain.errors import AlreadyMergedError, InvalidValueError, NotFoundError
from domain.ids import derived_id, time_in
from domain.persons import (
    FOUND_BY,
    PersonDetails,
    PersonField,
    is_named,
    name_words,
    normalised,
)
from domain.reads import Purpose
from domain.records import MergedBecause, PersonRecord
from domain.requests import Party, PartyRole, ServiceRequest
from ledger.corrections import KeptCorrection
from ledger.reader import LedgerReader
from ledger.records import KnownParty, PersonRecords
from ledger.vault import Vault
from office.acts import Acts, Done, Envelope, On, translated
from office.held import Held, HeldParty, HeldRequest, corrected_in, held_event
from office.looking import Looking
from projections.looks import LookRow, LooksQueries
from projections.pages import LARGEST_PAGE, Page
from projections.sorting import PositionSort
from projections.tracked_requests import TrackedRequest
from projections.tracking import TrackingQueries, cursor_after

ROWS_A_NAME_SEARCH = 2_000
"""Requests whose names are decrypted for one question: half a year of a centre's work,
and little enough for an answer while the citizen waits. The next one goes on there."""
HITS_A_SEARCH = 50
"""More than a screen shows: who finds more asks with another word."""
PARTIES_AN_EXPORT = 1_000
"""A representative may stand in many requests; a paper for one person is finite."""
LOOKS_A_REQUEST = 10 * LARGEST_PAGE
"""Looks an export tells of one request: more than an office takes in a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyOf:
    """A party as people name it: a request and the role in it."""

    request_id: UUID
    role: PartyRole


@dataclass(frozen=True, slots=True, kw_only=True)
class MergePersons:
    """Say that two parties are one person, and how there came to be two records."""

    first: PartyOf
    second: PartyOf
    reason: MergedBecause


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A request in which somebody was found, and in which roles. No value."""

    request: TrackedRequest
    roles: tuple[PartyRole, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """What was found, the newest first. ``next`` goes on where a bound was reached."""

    items: tuple[Hit, ...]
    next: str | None

    @property
    def is_complete(self) -> bool:
        """Whether every row in scope was looked at."""
        return self.next is None


class People:
    """What can be done about persons. Raises the errors of domain and office."""

    def __init__(
        self,
        acts: Acts,
        vault: Vault,
        records: PersonRecords,
        *,
        reader: LedgerReader,
        tracking: TrackingQueries,
        looks: LooksQueries,
    ) -> None:
        self._acts = acts
        self._ledger = acts.ledger
        self._vault = vault
        self._records = records
        self._reader = reader
        self._tracking = tracking
        self._looks = looks
        self._looking = Looking(acts)

    # Finding --------------------------------------------------------------------

    def find(
        self,
        name: PersonField,
        value: str,
        principal: Principal,
        *,
        after: str | None = None,
    ) -> Hits:
        """Requests in scope of whoever has this number or phone. It shows no value."""
        principal.must_be_allowed(Permission.READ_PERSON)
        if name not in FOUND_BY:
            raise InvalidValueError(field=name, reason="not-indexed")
        value = normalised(name, value)
        with translated():
            parties = self._vault.find_parties(name, value)
            page = self._tracking.page(
                replace(principal.scope, parties=frozenset(map(str, parties))),
                after=after,
                limit=HITS_A_SEARCH,
            )
            return Hits(items=self._hits(page.items, parties), next=page.next)

    def find_by_name(
        self, name: str, principal: Principal, *, after: str | None = None
    ) -> Hits:
        """Requests in scope with a party whose name has every word, or begins so.

        Names are decrypted in memory, those of the newest rows, up to a bound.
        """
        principal.must_be_allowed(Permission.READ_PERSON)
        words = name_words(name)
        if not words:
            raise InvalidValueError(field="name", reason="no-letters")
        with translated():
            rows, unread = self._rows(principal, after)
            names = self._vault.names_of(
                UUID(party) for row in rows for party in row.state.parties
            )
            named = {
                party
                for party, known in names.items()
                if any(is_named(each, words) for each in known)
            }
            found = [row for row in rows if named & set(map(UUID, row.state.parties))]
            if len(found) > HITS_A_SEARCH:
                found = found[:HITS_A_SEARCH]
                unread = cursor_after(found[-1])
            return Hits(items=self._hits(found, named), next=unread)

    def _rows(
        self, principal: Principal, after: str | None
    ) -> tuple[list[TrackedRequest], str | None]:
        """The newest rows in scope up to the bound, and where those after it begin."""
        rows: list[TrackedRequest] = []
        while len(rows) < ROWS_A_NAME_SEARCH:
            page: Page[TrackedRequest] = self._tracking.page(
                principal.scope, after=after, limit=LARGEST_PAGE
            )
            rows += page.items
            after = page.next
            if after is None:
                break
        return rows, after

    def _hits(
        self, rows: Sequence[TrackedRequest], parties: Iterable[UUID]
    ) -> tuple[Hit, ...]:
        wanted = set(parties)
        found = {
            row.request_id: wanted & set(map(UUID, row.state.parties)) for row in rows
        }
        roles = self._records.roles_of(
            party for each in found.values() for party in each
        )
        return tuple(
            Hit(
                request=row,
                roles=tuple(
                    sorted(roles[p] for p in found[row.request_id] if p in roles)
                ),
            )
            for row in rows
        )

    # Merging --------------------------------------------------------------------

    def merge(self, command: MergePersons, envelope: Envelope) -> Done:
        """Make the records of two parties one: the vault first, then the event.

        It takes effect once the event is there; a repeat, or sweeping, completes what
        was cut off between the two. The event leads to neither party.
        """
        principal = envelope.principal
        principal.must_be_allowed(Permission.MERGE_PERSONS)
        if command.first == command.second:
            raise InvalidValueError(field="second", reason="same-party")
        stored = self._acts.command(envelope, command)
        # The keyed digest makes it this very input's id: another input under the
        # same command cannot take over what this one meant.
        merge_id = derived_id(
            f"merge/{envelope.command_id}/{stored.digest.hex()}",
            time_in(envelope.command_id),
        )

        def load() -> None:
            self._party(command.first, principal)
            self._party(command.second, principal)

        def decide(_: PersonRecord | None, act: Act) -> PersonRecord:
            first = self._party(command.first, principal).id
            second = self._party(command.second, principal).id
            are_one = self._records.are_one(first, second)
            if are_one is None:
                raise NotFoundError(thing="party")
            if are_one:
                raise AlreadyMergedError
            self._records.propose_merge(merge_id, first=first, second=second)
            return PersonRecord.merge(act, merge_id=merge_id, reason=command.reason)

        done = self._acts.on(
            envelope,
            stored,
            On(
                thing_id=merge_id,
                load=load,
                actor=lambda _: principal.actor,
                centre=lambda _: principal.centre or "",
            ),
            decide,
        )
        with translated():
            self._records.put_in_effect(done.aggregate_id)
        return done

    def _party(self, of: PartyOf, principal: Principal) -> Party:
        return _in_role(self._load(of.request_id, principal), of.role)

    def _load(self, request_id: UUID, principal: Principal) -> ServiceRequest:
        request = self._ledger.find(ServiceRequest, request_id)
        if request is None:
            raise NotFoundError(thing="request")
        principal.must_see(request.whereabouts)
        return request

    # Telling a person what is held ----------------------------------------------

    def export(self, of: PartyOf, principal: Principal) -> Held:
        """All that is held on the person of a party, over all centres.

        The party of a request in scope is the way in; that look is recorded first.
        Which other parties it showed is kept in the vault: events that named them
        side by side would link the requests of one person.
        """
        principal.must_be_allowed(Permission.EXPORT_PERSON)
        with translated():
            request = self._load(of.request_id, principal)
            party = _in_role(request, of.role)
            looks = self._looking.record(
                request, [party], principal=principal, purpose=Purpose.EXPORT
            )
            known = self._records.parties_of_person(
                party.id, limit=PARTIES_AN_EXPORT + 1
            )
            if not known:
                raise NotFoundError(thing="party")
            shown = self._named(known[:PARTIES_AN_EXPORT])
            parties = [each.id for _, mine in shown for each in mine]
            for look_id in looks:
                self._records.exported(look_id, set(parties) - {party.id})
            told = self._vault.details_of(parties)
            corrections = self._vault.corrections.of(parties)
            notes = self._vault.notes_of(parties)
            requests = tuple(
                self._held(each, mine, told=told, corrections=corrections, notes=notes)
                for each, mine in shown
            )
            return Held(
                made_at=self._acts.clock(),
                is_complete=len(known) <= PARTIES_AN_EXPORT
                and all(held.is_every_look for held in requests),
                merged_at=self._merged_at(parties),
                asked_by=frozenset(
                    identifier
                    for held in requests
                    if held.request.id == of.request_id
                    for mine in held.parties
                    if mine.role == of.role
                    for identifier in mine.identifiers
                ),
                requests=requests,
            )

    def _named(
        self, known: Sequence[KnownParty]
    ) -> list[tuple[ServiceRequest, list[Party]]]:
        """The requests whose events name one of the parties, with those parties."""
        ids = {party.id for party in known}
        shown = []
        for request_id in dict.fromkeys(party.request_id for party in known):
            request = self._ledger.find(ServiceRequest, request_id)
            if request is not None:
                mine = [party for party in request.parties if party.id in ids]
                if mine:
                    shown.append((request, mine))
        return shown

    def _merged_at(self, parties: Sequence[UUID]) -> tuple[datetime, ...]:
        merges = (
            self._ledger.find(PersonRecord, each)
            for each in self._records.merges_of(parties)
        )
        return tuple(sorted(each.modified_on for each in merges if each is not None))

    def _held(
        self,
        request: ServiceRequest,
        parties: Sequence[Party],
        *,
        told: dict[UUID, PersonDetails],
        corrections: dict[UUID, KeptCorrection],
        notes: dict[UUID, dict[str, str]],
    ) -> HeldRequest:
        entries = self._reader.aggregate(request.id)
        corrected = list(corrected_in(entries, corrections))
        ids = [party.id for party in parties]
        looks, is_every_look = self._looks_at(ids)
        return HeldRequest(
            request=request,
            parties=tuple(
                HeldParty(
                    role=party.role,
                    told=told.get(party.id),
                    corrections=tuple(
                        each
                        for each in corrected
                        if each.correction.party_id == party.id
                    ),
                    notes=notes.get(party.id, {}),
                )
                for party in parties
            ),
            asks_again_of=self._vault.refused_before(request.id),
            events=tuple(held_event(entry) for entry in entries),
            looks=looks,
            is_every_look=is_every_look,
        )

    def _looks_at(self, parties: Sequence[UUID]) -> tuple[tuple[LookRow, ...], bool]:
        """The newest looks at the parties up to a bound, and whether that is all."""
        exports = self._records.exports_of(parties)
        rows: list[LookRow] = []
        after = None
        while len(rows) < LOOKS_A_REQUEST:
            page: Page[LookRow] = self._looks.page(
                parties, looks=exports, after=after, limit=LARGEST_PAGE
            )
            rows += page.items
            after = page.next
            if after is None:
                break
        return tuple(rows), after is None

    # Who looked -----------------------------------------------------------------

    def looks(
        self,
        request_id: UUID,
        principal: Principal,
        *,
        sort: PositionSort = PositionSort.NEWEST,
        after: str | None = None,
        limit: int = LARGEST_PAGE,
        as_of: int | None = None,
    ) -> Page[LookRow]:
        """Who saw the values of a request's parties; a citizen's own parties only."""
        principal.must_be_allowed(Permission.READ_LOOKS)
        with translated():
            request = self._load(request_id, principal)
            mine = principal.scope.parties
            parties = [
                party.id
                for party in request.parties
                if mine is None or str(party.id) in mine
            ]
            return self._looks.page(
                parties,
                looks=self._records.exports_of(parties),
                sort=sort,
                after=after,
                limit=limit,
                as_of=as_of,
            )


def _in_role(request: ServiceRequest, role: PartyRole) -> Party:
    for party in request.parties:
        if party.role == role:
            return party
    raise NotFoundError(thing="party")
