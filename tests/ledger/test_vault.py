"""The vault: sealed, found by keyed digests only, erased for good."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest
from eventsourcing.persistence import PersistenceError
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValueError
from domain.persons import PersonDetails, PersonField, normalised
from domain.requests import PartyRole
from ledger.names import Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.vault import (
    CorrectionReusedError,
    Vault,
    VaultError,
    VaultKeys,
    blind,
    open_seal,
    salted_digest,
    seal,
)
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


@pytest.fixture
def scene(database: Database) -> Iterator[Scene]:
    return Scene(database)


class TestOpening:
    def test_what_was_told_reads_back(self, scene: Scene) -> None:
        party = scene.open()
        assert scene.vault.details(party) == DETAILS

    def test_one_person_has_many_parties(self, scene: Scene) -> None:
        first, second = scene.open(), scene.open()
        other = scene.open(PersonDetails(full_name="س", national_number="02000000000"))
        assert scene.person_of(first) == scene.person_of(second)
        assert scene.person_of(first) != scene.person_of(other)
        found = scene.vault.find_parties("national_number", "01000099887")
        assert found == [first, second]
        assert scene.vault.find_parties("phone", "+963933123498") == [first, second]
        assert scene.vault.find_parties("phone", "01000099887") == []

    def test_later_values_rewrite_nothing_told_before(self, scene: Scene) -> None:
        before = scene.open()
        moved = PersonDetails(full_name="علامة أخرى", national_number="01000099887")
        after = scene.open(moved)
        assert scene.vault.details(before) == DETAILS
        assert scene.vault.details(after) == moved

    def test_opening_a_party_again_changes_nothing(self, scene: Scene) -> None:
        party = scene.open()
        scene.open(
            PersonDetails(full_name="س", national_number="02000000000"), party_id=party
        )
        assert scene.vault.details(party) == DETAILS

    def test_two_first_requests_at_once_make_one_person(self, scene: Scene) -> None:
        parties: list[UUID] = []
        start = threading.Barrier(6)

        def open_one() -> None:
            start.wait()
            parties.append(scene.open())

        threads = [threading.Thread(target=open_one) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({scene.person_of(party) for party in parties}) == 1

    def test_a_login_sees_what_it_opened_itself(self, scene: Scene) -> None:
        scene.open()
        mine = scene.open(subject="subject-1")
        assert scene.vault.parties_opened_by("subject-1") == [mine]
        assert scene.vault.parties_opened_by("subject-2") == []

    def test_notes_about_a_party_are_sealed(self, scene: Scene) -> None:
        party = scene.open()
        scene.vault.seal_note(party, "receiver", "استلمها أخوه")
        scene.vault.seal_note(party, "receiver", "second thoughts")
        assert scene.vault.note(party, "receiver") == "استلمها أخوه"
        assert scene.vault.note(party, "other") is None
        assert scene.vault.details(party) == DETAILS
        with pytest.raises(VaultError):
            scene.vault.seal_note(uuid4(), "x", "y")

    def test_a_salt_is_made_once(self, scene: Scene) -> None:
        salt = scene.vault.salt_for("document-1")
        assert scene.vault.salt_for("document-1") == salt != scene.vault.salt_for("d2")
        assert len(salt) == 16
        assert salted_digest(salt, b"paper") != salted_digest(b"x" * 16, b"paper")

    def test_who_asked_again_is_known_to_the_vault_alone(self, scene: Scene) -> None:
        new, refused = uuid4(), uuid4()
        scene.vault.link_asked_again(request_id=new, refused_request_id=refused)
        assert scene.vault.refused_before(new) == refused
        assert scene.vault.refused_before(refused) is None


class TestCorrections:
    def correct(self, scene: Scene, party: UUID, field: str, value: str) -> UUID:
        correction_id = uuid4()
        scene.vault.keep_correction(
            party_id=party,
            field=PersonField(field),
            value=value,
            correction_id=correction_id,
        )
        return correction_id

    def test_only_what_the_ledger_names_counts_in_its_order(self, scene: Scene) -> None:
        party = scene.open()
        first = self.correct(scene, party, "phone", "0944000001")
        second = self.correct(scene, party, "phone", "٠٩٤٤٠٠٠٠٠٢")
        self.correct(scene, party, "full_name", "لم يحدث")
        details = scene.vault.details_of
        assert scene.vault.details(party) == DETAILS
        assert details([party])[party] == DETAILS
        told = details([party], corrections=[first, second])[party]
        assert told == replace(DETAILS, phone="+963944000002")
        told = details([party], corrections=[second, first])[party]
        assert told == replace(DETAILS, phone="+963944000001")

    @pytest.mark.parametrize("field", list(PersonField))
    def test_every_field_can_be_corrected(
        self, scene: Scene, field: PersonField
    ) -> None:
        party = scene.open(PersonDetails(full_name="س", national_number="0" * 11))
        value = {
            "national_number": "٠٢٠٠٠٠٠٠٠٠١",
            "phone": "0944000001",
            "email": "a@Example.org",
        }.get(field, "علامة")
        correction = self.correct(scene, party, field, value)
        told = scene.vault.details_of([party], corrections=[correction])[party]
        assert getattr(told, field) == normalised(field, value)
        assert scene.vault.corrections_of([party])[correction].field is field

    def test_a_corrected_number_finds_the_same_person(self, scene: Scene) -> None:
        party = scene.open()
        correction = self.correct(scene, party, "national_number", "03000000001")
        find = scene.vault.find_parties
        assert find("national_number", "03000000001") == []
        scene.vault.count_corrections([correction])
        assert find("national_number", "03000000001") == [party]
        assert find("national_number", "01000099887") == [party]
        later = scene.open(PersonDetails(full_name="س", national_number="03000000001"))
        assert scene.person_of(later) == scene.person_of(party)

    def test_what_did_not_happen_makes_nobody_somebody_else(self, scene: Scene) -> None:
        party = scene.open()
        self.correct(scene, party, "national_number", "03000000001")
        later = scene.open(PersonDetails(full_name="س", national_number="03000000001"))
        assert scene.person_of(later) != scene.person_of(party)

    def test_names_are_those_told_and_those_corrected(self, scene: Scene) -> None:
        party, other = scene.open(), scene.open()
        correction = self.correct(scene, party, "full_name", "اسم مصحح")
        self.correct(scene, party, "phone", "0944000001")
        names = scene.vault.names_of([party, other, uuid4()])
        assert names == {party: [DETAILS.full_name], other: [DETAILS.full_name]}
        scene.vault.count_corrections([correction])
        assert scene.vault.names_of([party])[party] == [DETAILS.full_name, "اسم مصحح"]

    def test_the_same_correction_again_changes_nothing(self, scene: Scene) -> None:
        party = scene.open()
        correction = self.correct(scene, party, "phone", "0944000001")
        again = {"party_id": party, "field": PersonField.PHONE, "value": "0944000001"}
        scene.vault.keep_correction(**again, correction_id=correction)
        for other in (
            {"value": "0944000002"},
            {"field": PersonField.OTHER_IDENTIFIER},
            {"party_id": scene.open()},
        ):
            with pytest.raises(CorrectionReusedError):
                scene.vault.keep_correction(
                    **{**again, **other}, correction_id=correction
                )
        told = scene.vault.details_of([party], corrections=[correction])[party]
        assert told.phone == "+963944000001"
        scene.vault.count_corrections([correction])
        assert scene.vault.find_parties("phone", "+963944000002") == []

    def test_what_no_event_names_is_swept_with_its_digest(self, scene: Scene) -> None:
        request_id = uuid4()
        party = scene.open(request_id=request_id)
        kept = self.correct(scene, party, "phone", "0944000001")
        dropped = self.correct(scene, party, "phone", "0944000002")
        scene.vault.count_corrections([kept])
        vault = scene.vault
        assert vault.unnamed_corrections() == {}
        unnamed = vault.unnamed_corrections(older_than=timedelta(0))
        assert unnamed == {dropped: request_id}
        assert vault.sweep_corrections([kept, dropped]) == 1
        assert vault.corrections_of([party]).keys() == {kept}
        assert scene.sql("SELECT count(*) FROM corrected_index") == [(1,)]

    def test_wrong_shapes_and_absent_parties_are_refused(self, scene: Scene) -> None:
        with pytest.raises(InvalidValueError):
            self.correct(scene, scene.open(), "national_number", "1")
        with pytest.raises(VaultError):
            self.correct(scene, uuid4(), "phone", "0944000001")

    def test_a_correction_opens_in_its_own_place_only(self, scene: Scene) -> None:
        party = scene.open()
        one = self.correct(scene, party, "full_name", "علامة أولى")
        other = self.correct(scene, party, "full_name", "علامة ثانية")
        scene.sql(
            "UPDATE corrections c SET sealed = (SELECT o.sealed FROM corrections o"
            " WHERE o.id <> c.id)"
        )
        for each in (one, other):
            with pytest.raises(VaultError):
                scene.vault.details_of([party], corrections=[each])

    def test_erasing_takes_corrections_along(self, scene: Scene) -> None:
        party = scene.open()
        correction = self.correct(scene, party, "phone", "0944000001")
        scene.vault.count_corrections([correction])
        scene.vault.erase_person(scene.person_of(party), uuid4())
        assert scene.vault.corrections_of([party]) == {}
        assert scene.vault.find_parties("phone", "+963944000001") == []
        assert scene.sql("SELECT count(*) FROM corrections") == [(0,)]


class TestSecrecy:
    def test_no_table_holds_a_value(self, scene: Scene) -> None:
        party = scene.open()
        scene.vault.seal_note(party, "receiver", "علامة سرية")
        assert scene.vault.notes_of([party]) == {party: {"receiver": "علامة سرية"}}
        scene.vault.keep_correction(
            party_id=party,
            field=PersonField.PHONE,
            value="0944555666",
            correction_id=uuid4(),
        )
        rows = []
        for (table,) in scene.sql(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'vault'"
        ):
            for (row,) in scene.sql(f"SELECT t::text FROM {table} t"):
                rows.append(row)
        dump = "\n".join(rows)
        assert dump.count("\\\\x") > 5
        for value in ("علامة", "01000099887", "933123498", "شارع", "944555666"):
            assert value not in dump
            assert value.encode().hex() not in dump

    @pytest.mark.parametrize(
        "change",
        [
            (
                "UPDATE sealed_values SET sealed = set_byte(sealed, 20, 255 -"
                " get_byte(sealed, 20)) WHERE field = 'full_name'"
            ),
            (
                "UPDATE sealed_values SET sealed = (SELECT sealed FROM sealed_values"
                " WHERE field = 'address') WHERE field = 'full_name'"
            ),
            (
                "UPDATE persons SET wrapped_key = set_byte(wrapped_key, 20, 255 -"
                " get_byte(wrapped_key, 20))"
            ),
            "UPDATE sealed_values SET sealed = ''",
        ],
    )
    def test_an_altered_row_does_not_open(self, scene: Scene, change: str) -> None:
        party = scene.open()
        scene.sql(change)
        with pytest.raises(VaultError) as caught:
            scene.vault.details(party)
        assert "علامة" not in str(caught.value)

    def test_rows_of_two_persons_cannot_be_swapped(self, scene: Scene) -> None:
        one = scene.open()
        other = scene.open(PersonDetails(full_name="س", national_number="02000000000"))
        scene.sql(
            "UPDATE sealed_values v SET sealed = (SELECT o.sealed FROM sealed_values o"
            " WHERE o.party_id <> v.party_id AND o.field = v.field)"
            " WHERE field = 'full_name'"
        )
        for party in (one, other):
            with pytest.raises(VaultError):
                scene.vault.details(party)

    def test_another_master_key_opens_nothing(self, scene: Scene) -> None:
        party = scene.open()
        with pytest.raises(VaultError):
            scene.with_keys(VaultKeys(master=b"x" * 32, index=KEYS.index)).details(
                party
            )

    def test_another_index_key_finds_nothing(self, scene: Scene) -> None:
        scene.open()
        other = scene.with_keys(VaultKeys(master=KEYS.master, index=b"x" * 32))
        assert other.find_parties("national_number", "01000099887") == []

    def test_the_masters_key_can_change(self, scene: Scene) -> None:
        party = scene.open()
        new = scene.with_keys(
            VaultKeys(master=b"n" * 32, index=KEYS.index, master_name="m2")
        )
        assert new.rewrap(KEYS) == 1
        assert new.details(party) == DETAILS
        with pytest.raises(VaultError):
            scene.vault.details(party)

    def test_keys_are_not_in_their_repr(self) -> None:
        assert repr(KEYS) == "VaultKeys(master_name='m1')"

    @pytest.mark.parametrize("role", [Role.APP, Role.RUNNER, Role.READER])
    def test_other_roles_cannot_reach_the_vault(
        self, database: Database, role: Role
    ) -> None:
        dsn = {**database.dsn(role), "dbname": database.settings.vault_database_name}
        with (
            pytest.raises(PersistenceError),
            PostgresDatastore(dsn).transaction(),
        ):
            pass

    def test_the_vaults_role_cannot_reach_the_ledger(self, database: Database) -> None:
        dsn = {**database.dsn(Role.VAULT), "dbname": database.name}
        with (
            pytest.raises(PersistenceError),
            PostgresDatastore(dsn).transaction(),
        ):
            pass


class TestErasure:
    def test_erasing_a_person_leaves_names_without_values(self, scene: Scene) -> None:
        first, second = scene.open(), scene.open(subject="subject-1")
        other = scene.open(PersonDetails(full_name="س", national_number="02000000000"))
        person = scene.person_of(first)
        assert scene.vault.erase_person(person, uuid4())
        assert not scene.vault.erase_person(person, uuid4())
        assert scene.vault.details_of([first, second, other]).keys() == {other}
        assert scene.vault.find_parties("national_number", "01000099887") == []
        assert scene.vault.parties_opened_by("subject-1") == []
        ((wrapped, left),) = scene.sql(
            "SELECT wrapped_key, (SELECT count(*) FROM sealed_values v JOIN parties t"
            " ON t.id = v.party_id WHERE t.person_id = p.id) FROM persons p"
            " WHERE id = %s::uuid",
            str(person),
        )
        assert (wrapped, left) == (None, 0)

    def test_who_comes_back_is_a_new_person(self, scene: Scene) -> None:
        before = scene.open()
        scene.vault.erase_person(scene.person_of(before), uuid4())
        after = scene.open()
        assert scene.person_of(after) != scene.person_of(before)

    def test_only_old_parties_are_looked_at_for_sweeping(self, scene: Scene) -> None:
        request_id = uuid4()
        party = scene.open(request_id=request_id)
        assert scene.vault.unnamed() == {}
        assert scene.vault.unnamed(older_than=timedelta(0)) == {party: request_id}
        assert scene.vault.sweep([party]) == 1
        assert scene.vault.details(party) is None

    def test_what_an_event_names_is_not_looked_at_again(self, scene: Scene) -> None:
        party = scene.open()
        scene.vault.mark_named([party])
        assert scene.vault.unnamed(older_than=timedelta(0)) == {}
        assert scene.vault.sweep([party]) == 0
        assert scene.vault.details(party) == DETAILS


class TestSeals:
    @given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.text())
    def test_a_seal_opens_to_what_was_sealed(
        self, key: bytes, plain: bytes, about: str
    ) -> None:
        about = about.encode("utf-8", "ignore").decode()
        assert open_seal(key, seal(key, plain, about), about) == plain

    @given(st.binary(min_size=1, max_size=50), st.integers(0), st.integers(1, 255))
    def test_one_changed_bit_and_it_stays_shut(
        self, plain: bytes, place: int, flip: int
    ) -> None:
        sealed = bytearray(seal(b"k" * 32, plain, "here"))
        sealed[place % len(sealed)] ^= flip
        with pytest.raises(VaultError):
            open_seal(b"k" * 32, bytes(sealed), "here")

    @given(st.text(), st.text())
    def test_it_opens_in_its_own_place_only(self, here: str, there: str) -> None:
        here, there = (t.encode("utf-8", "ignore").decode() for t in (here, there))
        if here != there:
            with pytest.raises(VaultError):
                open_seal(b"k" * 32, seal(b"k" * 32, b"x", here), there)

    def test_kinds_do_not_meet_in_the_index(self) -> None:
        assert blind(b"k", "phone", "1") != blind(b"k", "national_number", "1")
        assert blind(b"k", "a", "b") != blind(b"x", "a", "b")
