"""What is held on a person, told to that person, and what was corrected of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.errors import NotFoundError, RoleForbiddenError
from domain.persons import PersonField
from domain.requests import CorrectedField, PartyRole
from domain.services import Relationship
from office import people
from office.errors import CommandReusedError, LedgerUnavailableError
from office.people import PartyOf
from office.sweeping import sweep_corrections
from tests.office.persons import (
    ADMINISTRATOR,
    CITIZEN,
    FOREIGN_SUPERVISOR,
    OTHER,
    applicant,
    correct,
    looks,
    merge,
)
from tests.office.scene import (
    AGENCY,
    AUDITOR,
    CENTRE,
    CLERK,
    FOREIGN_CLERK,
    PERSON,
    POST,
    SUPERVISOR,
    Scene,
)


class TestExport:
    def test_it_holds_everything_over_all_centres(self, scene: Scene) -> None:
        one = scene.submit()
        foreign = scene.submit(
            FOREIGN_CLERK, applicant=replace(PERSON, full_name="اسم آخر")
        )
        merged = scene.submit(applicant=OTHER)
        merge(scene, one, merged)
        (party,) = scene.get(foreign).parties
        scene.house.vault.seal_note(party.id, "receiver", "استلمها أخوه")
        held = scene.house.people.export(applicant(one), SUPERVISOR)
        assert held.is_complete
        assert [each.request.id for each in held.requests] == [one, merged, foreign]
        assert len(held.merged_at) == 1
        by_id = {each.request.id: each for each in held.requests}
        told = {each: by_id[each].parties[0].told for each in by_id}
        assert told[one] == PERSON
        assert told[merged] == OTHER
        assert by_id[foreign].parties[0].notes == {"receiver": "استلمها أخوه"}
        alike = {
            each: held.is_identified_alike(by_id[each].parties[0]) for each in by_id
        }
        assert alike == {one: True, foreign: True, merged: False}
        topics = [event.topic for event in by_id[one].events]
        assert topics == ["sijil.request.submitted.v1", "sijil.request.accepted.v1"]

    def test_others_in_the_same_request_are_not_in_it(self, scene: Scene) -> None:
        request_id = scene.submit(
            concerned=OTHER, relationship=Relationship.FIRST_DEGREE
        )
        (held,) = scene.house.people.export(applicant(request_id), SUPERVISOR).requests
        assert [party.role for party in held.parties] == [PartyRole.APPLICANT]

    def test_its_look_names_one_party_and_every_request_shows_it(
        self, scene: Scene
    ) -> None:
        one = scene.submit()
        foreign = scene.submit(FOREIGN_CLERK)
        # Both in one hour: a look has its id from the hour.
        scene.now = scene.now.replace(minute=0, second=0) + timedelta(hours=1)
        scene.house.people.export(applicant(one), SUPERVISOR)
        scene.house.people.export(applicant(one), SUPERVISOR)
        (entry,) = looks(scene)
        assert json.loads(entry.body)["data"]["request"] == str(one)
        scene.level()
        for request_id, asker in ((one, CLERK), (foreign, FOREIGN_CLERK)):
            (look,) = scene.house.people.looks(request_id, asker).items
            assert (look.purpose, look.actor_place) == ("export", CENTRE)

    def test_every_look_is_told_and_where_there_are_too_many_it_is_said(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request_id = scene.submit()
        for number in range(3):
            clerk = replace(CLERK, id=f"clk-DI-{number + 1}")
            scene.requests.parties(request_id, clerk)
        scene.level()
        monkeypatch.setattr("office.people.LARGEST_PAGE", 2)
        held = scene.house.people.export(applicant(request_id), SUPERVISOR)
        assert len(held.requests[0].looks) == 3
        assert held.is_complete
        monkeypatch.setattr("office.people.LOOKS_A_REQUEST", 2)
        held = scene.house.people.export(applicant(request_id), SUPERVISOR)
        assert len(held.requests[0].looks) == 2
        assert not held.is_complete

    def test_corrections_are_told_with_their_reasons(self, scene: Scene) -> None:
        request_id = scene.submit()
        correct(scene, request_id, CorrectedField.PHONE, "0944000009")
        correct(scene, request_id, CorrectedField.PHONE, "0944000008")
        held = scene.house.people.export(applicant(request_id), SUPERVISOR)
        (party,) = held.requests[0].parties
        assert party.told == PERSON
        assert [(each.correction.value, each.reason) for each in party.corrections] == [
            ("+963944000009", "typing_error"),
            ("+963944000008", "typing_error"),
        ]

    def test_who_stands_under_another_number_now_is_marked(self, scene: Scene) -> None:
        mistyped, owner = scene.submit(), scene.submit()
        number = CorrectedField.NATIONAL_NUMBER
        correct(scene, mistyped, number, "02000000001")
        held = scene.house.people.export(applicant(owner), SUPERVISOR)
        alike = {
            each.request.id: held.is_identified_alike(each.parties[0])
            for each in held.requests
        }
        assert alike == {owner: True, mistyped: False}

    def test_corrections_count_when_an_event_names_them(self, scene: Scene) -> None:
        request_id = scene.submit()
        (party,) = scene.get(request_id).parties
        scene.house.vault.corrections.keep(
            party_id=party.id,
            field=PersonField.PHONE,
            value="0944000009",
            correction_id=uuid4(),
        )
        (held,) = scene.house.people.export(applicant(request_id), SUPERVISOR).requests
        assert held.parties[0].corrections == ()

    def test_it_is_for_supervisors_with_a_request_of_theirs(self, scene: Scene) -> None:
        request_id = scene.submit()
        for principal in (CLERK, CITIZEN, AGENCY, POST, AUDITOR, ADMINISTRATOR):
            with pytest.raises(RoleForbiddenError):
                scene.house.people.export(applicant(request_id), principal)
        with pytest.raises(NotFoundError):
            scene.house.people.export(applicant(request_id), FOREIGN_SUPERVISOR)
        with pytest.raises(NotFoundError):
            scene.house.people.export(
                PartyOf(request_id=request_id, role=PartyRole.CONCERNED), SUPERVISOR
            )
        assert looks(scene) == []

    def test_it_is_bounded_and_says_so(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(people, "PARTIES_AN_EXPORT", 2)
        requests = [scene.submit() for _ in range(3)]
        held = scene.house.people.export(applicant(requests[0]), SUPERVISOR)
        assert not held.is_complete
        assert len(held.requests) == 2

    def test_an_unnamed_party_is_not_told(self, scene: Scene) -> None:
        one = scene.submit()
        scene.house.vault.open_party(
            party_id=uuid4(),
            request_id=uuid4(),
            role=PartyRole.APPLICANT,
            details=PERSON,
        )
        held = scene.house.people.export(applicant(one), SUPERVISOR)
        assert [each.request.id for each in held.requests] == [one]


def test_a_correction_cut_off_before_it_counts_is_made_good(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id, house = scene.submit(), scene.house
    number = CorrectedField.NATIONAL_NUMBER

    def die(_: Any) -> None:
        raise LedgerUnavailableError

    with monkeypatch.context() as cut:
        cut.setattr(house.vault.corrections, "let_count", die)
        with pytest.raises(LedgerUnavailableError):
            correct(scene, request_id, number, "02000000001")
    find = house.vault.find_parties
    assert find("national_number", "02000000001") == []
    now = timedelta(0)
    assert sweep_corrections(house.ledger, house.vault, older_than=now) == 0
    assert len(find("national_number", "02000000001")) == 1


def test_another_value_cannot_take_over_a_correction_that_was_cut_off(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id, key = scene.submit(), uuid4()

    def die(*_: Any, **__: Any) -> None:
        raise LedgerUnavailableError

    with monkeypatch.context() as cut:
        cut.setattr(scene.house.acts, "store", die)
        with pytest.raises(LedgerUnavailableError):
            correct(
                scene, request_id, CorrectedField.PHONE, "0944000001", command_id=key
            )
    with pytest.raises(CommandReusedError):
        correct(scene, request_id, CorrectedField.PHONE, "0944000002", command_id=key)
    correct(scene, request_id, CorrectedField.PHONE, "0944000001", command_id=key)
    (told,) = scene.requests.parties(request_id, CLERK).values()
    assert told is not None
    assert told.phone == "+963944000001"


def test_corrections_that_never_happened_are_swept(scene: Scene) -> None:
    request_id = scene.submit()
    (party,) = scene.get(request_id).parties
    house, used = scene.house, uuid4()
    merge(scene, request_id, scene.submit(applicant=OTHER), command_id=used)
    for correction_id in (uuid4(), used):
        # The second one's id is a command's that corrected nothing.
        house.vault.corrections.keep(
            party_id=party.id,
            field=PersonField.PHONE,
            value="0944000009",
            correction_id=correction_id,
        )
    day, now = timedelta(days=1), timedelta(0)
    assert sweep_corrections(house.ledger, house.vault, older_than=day) == 0
    assert sweep_corrections(house.ledger, house.vault, older_than=now) == 2
