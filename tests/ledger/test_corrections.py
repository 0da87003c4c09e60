"""Corrections: beside what was told, and counting only once an event names them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.errors import InvalidValueError
from domain.persons import PersonDetails, PersonField, normalised
from ledger.corrections import CorrectionReusedError
from ledger.sealing import VaultError
from tests.conftest import Database
from tests.ledger.vault_scene import DETAILS, Scene


@pytest.fixture
def scene(database: Database) -> Iterator[Scene]:
    return Scene(database)


def correct(scene: Scene, party: UUID, field: str, value: str) -> UUID:
    correction_id = uuid4()
    scene.vault.corrections.keep(
        party_id=party,
        field=PersonField(field),
        value=value,
        correction_id=correction_id,
    )
    return correction_id


def test_only_what_the_ledger_names_counts_in_its_order(scene: Scene) -> None:
    party = scene.open()
    first = correct(scene, party, "phone", "0944000001")
    second = correct(scene, party, "phone", "٠٩٤٤٠٠٠٠٠٢")
    correct(scene, party, "full_name", "لم يحدث")
    details = scene.vault.details_of
    assert scene.vault.details(party) == DETAILS
    assert details([party])[party] == DETAILS
    told = details([party], corrections=[first, second])[party]
    assert told == replace(DETAILS, phone="+963944000002")
    told = details([party], corrections=[second, first])[party]
    assert told == replace(DETAILS, phone="+963944000001")


@pytest.mark.parametrize("field", list(PersonField))
def test_every_field_can_be_corrected(scene: Scene, field: PersonField) -> None:
    party = scene.open(PersonDetails(full_name="س", national_number="0" * 11))
    value = {
        "national_number": "٠٢٠٠٠٠٠٠٠٠١",
        "phone": "0944000001",
        "email": "a@Example.org",
    }.get(field, "علامة")
    correction = correct(scene, party, field, value)
    told = scene.vault.details_of([party], corrections=[correction])[party]
    assert getattr(told, field) == normalised(field, value)
    assert scene.vault.corrections.of([party])[correction].field is field


def test_a_corrected_number_finds_the_same_person(scene: Scene) -> None:
    party = scene.open()
    correction = correct(scene, party, "national_number", "03000000001")
    find = scene.vault.find_parties
    assert find("national_number", "03000000001") == []
    scene.vault.corrections.let_count([correction])
    assert find("national_number", "03000000001") == [party]
    assert find("national_number", "01000099887") == [party]
    later = scene.open(PersonDetails(full_name="س", national_number="03000000001"))
    assert scene.person_of(later) == scene.person_of(party)


def test_what_did_not_happen_makes_nobody_somebody_else(scene: Scene) -> None:
    party = scene.open()
    correct(scene, party, "national_number", "03000000001")
    later = scene.open(PersonDetails(full_name="س", national_number="03000000001"))
    assert scene.person_of(later) != scene.person_of(party)


def test_names_are_those_told_and_those_corrected(scene: Scene) -> None:
    party, other = scene.open(), scene.open()
    correction = correct(scene, party, "full_name", "اسم مصحح")
    correct(scene, party, "phone", "0944000001")
    names = scene.vault.names_of([party, other, uuid4()])
    assert names == {party: [DETAILS.full_name], other: [DETAILS.full_name]}
    scene.vault.corrections.let_count([correction])
    assert scene.vault.names_of([party])[party] == [DETAILS.full_name, "اسم مصحح"]


def test_the_same_correction_again_changes_nothing(scene: Scene) -> None:
    party = scene.open()
    correction = correct(scene, party, "phone", "0944000001")
    again = {"party_id": party, "field": PersonField.PHONE, "value": "0944000001"}
    scene.vault.corrections.keep(**again, correction_id=correction)
    for other in (
        {"value": "0944000002"},
        {"field": PersonField.OTHER_IDENTIFIER},
        {"party_id": scene.open()},
    ):
        with pytest.raises(CorrectionReusedError):
            scene.vault.corrections.keep(**{**again, **other}, correction_id=correction)
    told = scene.vault.details_of([party], corrections=[correction])[party]
    assert told.phone == "+963944000001"
    scene.vault.corrections.let_count([correction])
    assert scene.vault.find_parties("phone", "+963944000002") == []


def test_what_no_event_names_is_swept_with_its_digest(scene: Scene) -> None:
    request_id = uuid4()
    party = scene.open(request_id=request_id)
    kept = correct(scene, party, "phone", "0944000001")
    dropped = correct(scene, party, "phone", "0944000002")
    scene.vault.corrections.let_count([kept])
    vault = scene.vault
    assert vault.corrections.unnamed() == {}
    unnamed = vault.corrections.unnamed(older_than=timedelta(0))
    assert unnamed == {dropped: request_id}
    assert vault.corrections.sweep([kept, dropped]) == 1
    assert vault.corrections.of([party]).keys() == {kept}
    assert scene.sql("SELECT count(*) FROM corrected_index") == [(1,)]


def test_wrong_shapes_and_absent_parties_are_refused(scene: Scene) -> None:
    with pytest.raises(InvalidValueError):
        correct(scene, scene.open(), "national_number", "1")
    with pytest.raises(VaultError):
        correct(scene, uuid4(), "phone", "0944000001")


def test_a_correction_opens_in_its_own_place_only(scene: Scene) -> None:
    party = scene.open()
    one = correct(scene, party, "full_name", "علامة أولى")
    other = correct(scene, party, "full_name", "علامة ثانية")
    scene.sql(
        "UPDATE corrections c SET sealed = (SELECT o.sealed FROM corrections o"
        " WHERE o.id <> c.id)"
    )
    for each in (one, other):
        with pytest.raises(VaultError):
            scene.vault.details_of([party], corrections=[each])


def test_erasing_takes_corrections_along(scene: Scene) -> None:
    party = scene.open()
    correction = correct(scene, party, "phone", "0944000001")
    scene.vault.corrections.let_count([correction])
    scene.vault.erase_person(scene.person_of(party), uuid4())
    assert scene.vault.corrections.of([party]) == {}
    assert scene.vault.find_parties("phone", "+963944000001") == []
    assert scene.sql("SELECT count(*) FROM corrections") == [(0,)]
