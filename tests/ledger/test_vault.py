"""The vault: sealed, found by keyed digests only, erased for good."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import PersistenceError

from domain.persons import PersonDetails, PersonField
from ledger.names import Role
from ledger.persistence.datastore import PostgresDatastore
from ledger.sealing import VaultError, VaultKeys, salted_digest
from tests.conftest import Database
from tests.ledger.vault_scene import DETAILS, KEYS, Scene


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


class TestSecrecy:
    def test_no_table_holds_a_value(self, scene: Scene) -> None:
        party = scene.open()
        scene.vault.seal_note(party, "receiver", "علامة سرية")
        assert scene.vault.notes_of([party]) == {party: {"receiver": "علامة سرية"}}
        scene.vault.corrections.keep(
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

    def test_another_index_key_finds_nothing(self, scene: Scene) -> None:
        scene.open()
        other = scene.with_keys(VaultKeys(master=KEYS.master, index=b"x" * 32))
        assert other.find_parties("national_number", "01000099887") == []

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
