"""Persons' records: merged in any order, at once and in rings, and still one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from itertools import count, permutations
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.persons import PersonDetails
from domain.requests import PartyRole
from ledger.names import Role
from ledger.outbox import Outbox
from ledger.records import PersonRecords
from tests.conftest import Database
from tests.ledger.vault_scene import Scene as VaultScene

RUNS = count(1)
"""Each example has numbers of its own in the one database."""


class Scene(VaultScene):
    """A vault, and the records in it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.records = PersonRecords(database.datastore(Role.VAULT))

    def person(self, number: int) -> UUID:
        return self.open(
            PersonDetails(full_name="علامة", national_number=f"{number:011d}")
        )

    def propose(self, first: UUID, second: UUID) -> UUID:
        merge_id = uuid4()
        self.records.propose_merge(merge_id, first=first, second=second)
        return merge_id

    def merge(self, first: UUID, second: UUID) -> None:
        self.records.put_in_effect(self.propose(first, second))

    def found(self, number: int) -> set[UUID]:
        return set(self.vault.find_parties("national_number", f"{number:011d}"))

    def of_person(self, party: UUID) -> set[UUID]:
        known = self.records.parties_of_person(party, limit=100)
        return {each.id for each in known}

    def chains(self) -> int:
        """Records merged into one that is itself merged: there must be none."""
        ((count,),) = self.sql(
            "SELECT count(*) FROM persons p JOIN persons q ON q.id = p.merged_into"
            " WHERE q.merged_into IS NOT NULL"
        )
        return int(count)


@pytest.fixture
def scene(database: Database) -> Iterator[Scene]:
    return Scene(database)


def test_a_merge_has_no_effect_until_it_is_put_in_effect(scene: Scene) -> None:
    one, other = scene.person(1), scene.person(2)
    merge_id = scene.propose(one, other)
    assert scene.found(1) == {one}
    assert scene.records.are_one(one, other) is False
    scene.records.put_in_effect(merge_id)
    scene.records.put_in_effect(merge_id)
    assert scene.found(1) == scene.found(2) == {one, other}
    assert scene.records.are_one(one, other) is True
    assert scene.of_person(one) == scene.of_person(other) == {one, other}
    assert scene.records.merges_of([other]) == [merge_id]


def test_values_still_open_and_stay_apart(scene: Scene) -> None:
    one, other = scene.person(1), scene.person(2)
    scene.merge(one, other)
    told = scene.vault.details_of([one, other])
    assert told[one].national_number == "00000000001"
    assert told[other].national_number == "00000000002"


@pytest.mark.parametrize("number", [1, 2])
def test_who_comes_later_comes_to_the_surviving_record(
    scene: Scene, number: int
) -> None:
    one, other = scene.person(1), scene.person(2)
    scene.merge(other, one)
    later = scene.person(number)
    assert scene.person_of(later) == scene.person_of(one)
    assert scene.found(1) == scene.found(2) == {one, other, later}


def test_chains_and_rings_in_any_order_are_one_person(scene: Scene) -> None:
    for turn, order in enumerate(permutations(range(3))):
        a, b, c = (scene.person(10 * turn + each) for each in range(3))
        pairs = [(a, b), (b, c), (c, a)]
        for which in order:
            scene.merge(*pairs[which])
        assert scene.of_person(a) == scene.of_person(b) == {a, b, c}
    assert scene.chains() == 0


def test_what_was_merged_before_comes_along(scene: Scene) -> None:
    a, b, c, d = (scene.person(each) for each in range(4))
    scene.merge(a, b)
    scene.merge(c, d)
    scene.merge(d, b)
    assert scene.of_person(c) == {a, b, c, d}
    assert scene.chains() == 0


def test_a_record_merged_with_itself_stays_what_it_is(scene: Scene) -> None:
    one, again = scene.person(1), scene.person(1)
    scene.merge(one, again)
    scene.merge(one, one)
    assert scene.of_person(one) == {one, again}
    assert scene.chains() == 0


def test_many_merges_at_once_end_as_one_person(scene: Scene) -> None:
    parties = [scene.person(each) for each in range(6)]
    merges = [
        scene.propose(one, other)
        for one, other in zip(parties, parties[1:] + parties[:1], strict=True)
    ]
    start = threading.Barrier(len(merges))
    failed: list[Exception] = []

    def run(merge_id: UUID) -> None:
        records = PersonRecords(scene.database.datastore(Role.VAULT))
        start.wait()
        try:
            records.put_in_effect(merge_id)
        except Exception as error:  # noqa: BLE001 -- told below
            failed.append(error)

    threads = [threading.Thread(target=run, args=(each,)) for each in merges]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert scene.of_person(parties[3]) == set(parties)
    assert scene.chains() == 0


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    acts=st.lists(
        st.one_of(st.integers(0, 4), st.tuples(st.integers(0, 4), st.integers(0, 4))),
        max_size=12,
    )
)
def test_whatever_is_told_and_merged_it_is_as_in_the_model(
    scene: Scene, acts: list[int | tuple[int, int]]
) -> None:
    """A number is told again, or two are merged; the model is a list of sets."""
    base = 100 * next(RUNS)
    told = {number: {scene.person(base + number)} for number in range(5)}
    groups = [{number} for number in range(5)]
    for act in acts:
        if isinstance(act, int):
            told[act].add(scene.person(base + act))
            continue
        first, second = (next(g for g in groups if each in g) for each in act)
        scene.merge(*(next(iter(told[each])) for each in act))
        if first is not second:
            groups.remove(second)
            first |= second
    for group in groups:
        parties = set().union(*(told[number] for number in group))
        for number in group:
            assert scene.found(base + number) == parties
            assert scene.of_person(next(iter(told[number]))) == parties
    assert scene.chains() == 0


def test_merging_waits_for_nobody_who_sends_messages(scene: Scene) -> None:
    # Whoever sends has the turn for as long as its process lives.
    first, second = scene.person(901), scene.person(902)
    merging = threading.Thread(target=scene.merge, args=(first, second))
    with Outbox(scene.database.datastore(Role.VAULT)).turn() as turn:
        assert turn.take()
        merging.start()
        merging.join(timeout=10)
        is_waiting = merging.is_alive()
    merging.join()
    assert not is_waiting
    assert scene.found(901) == {first, second}


def test_what_no_event_tells_of_is_dropped_and_what_counts_is_not(scene: Scene) -> None:
    one, other = scene.person(1), scene.person(2)
    scene.merge(one, other)
    dropped = scene.propose(one, scene.person(3))
    waiting = scene.records.waiting_merges
    assert waiting(older_than=timedelta(days=1)) == {dropped: False}
    assert waiting(older_than=timedelta(0)) == {dropped: True}
    assert scene.records.drop_merges([dropped]) == 1
    assert waiting(older_than=timedelta(0)) == {}
    assert scene.of_person(one) == {one, other}


def test_erasing_a_person_erases_all_their_records(scene: Scene) -> None:
    one, other, third = (scene.person(each) for each in range(3))
    scene.merge(one, other)
    assert scene.vault.erase_person(scene.person_of(other), uuid4())
    assert scene.vault.details_of([one, other, third]).keys() == {third}
    assert scene.found(0) == scene.found(1) == set()
    assert scene.records.are_one(one, third) is None
    scene.merge(one, third)
    assert scene.of_person(third) == {third}
    assert scene.of_person(one) == set()
    later = scene.person(1)
    assert scene.person_of(later) not in {scene.person_of(one), scene.person_of(other)}


def test_roles_and_exports_are_kept_by_party(scene: Scene) -> None:
    one = scene.open(role=PartyRole.CONCERNED)
    other, look = scene.person(2), uuid4()
    assert scene.records.roles_of([one, uuid4()]) == {one: PartyRole.CONCERNED}
    scene.records.exported(look, [one, uuid4()])
    scene.records.exported(look, [one])
    assert scene.records.exports_of([one]) == [look]
    assert scene.records.exports_of([other]) == []
