"""People: found in the own scope only, and whoever looks at one is recorded."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.access import Principal
from domain.errors import InvalidValueError, NotFoundError, RoleForbiddenError
from domain.persons import PersonField
from domain.requests import Channel, CorrectedField, PartyRole
from domain.services import Relationship
from office import people
from office.errors import LedgerUnavailableError
from tests.marks import stands_in
from tests.office.persons import (
    ADMINISTRATOR,
    CITIZEN,
    FOREIGN_SUPERVISOR,
    IDENTIFIER,
    OTHER,
    applicant,
    by_name,
    by_number,
    correct,
    found,
    looks,
    merge,
)
from tests.office.scene import (
    AGENCY,
    AUDITOR,
    BANK,
    CENTRE,
    CLERK,
    FOREIGN_CLERK,
    MARKED_NAME,
    MARKED_NUMBER,
    MARKED_PHONE,
    PERSON,
    POST,
    SUPERVISOR,
    Scene,
)


class TestFinding:
    def test_by_number_and_phone_however_typed(self, scene: Scene) -> None:
        mine = scene.submit()
        scene.submit(applicant=OTHER)
        scene.level()
        people = scene.house.people
        for name, value in (
            (PersonField.NATIONAL_NUMBER, "٠١٠٠٠٠٩٩٨٨٧"),
            (PersonField.PHONE, "٠٩٣٣ ١٢٣ ٤٩٨"),
        ):
            hits = people.find(name, value, CLERK)
            assert found(hits) == {mine}
            assert hits.is_complete
            assert hits.items[0].roles == (PartyRole.APPLICANT,)

    def test_somebody_without_a_national_number(self, scene: Scene) -> None:
        other = scene.submit(applicant=OTHER)
        scene.level()
        typed = " PASS-٧٧٨١-QX "
        hits = scene.house.people.find(PersonField.OTHER_IDENTIFIER, typed, CLERK)
        assert found(hits) == {other}

    def test_two_persons_with_one_phone_are_both_found(self, scene: Scene) -> None:
        shared = replace(OTHER, phone=MARKED_PHONE)
        both = {scene.submit(), scene.submit(applicant=shared)}
        scene.level()
        hits = scene.house.people.find(PersonField.PHONE, MARKED_PHONE, CLERK)
        assert found(hits) == both

    def test_the_person_concerned_is_found_as_such(self, scene: Scene) -> None:
        request_id = scene.submit(
            applicant=OTHER, concerned=PERSON, relationship=Relationship.FIRST_DEGREE
        )
        scene.level()
        people = scene.house.people
        (hit,) = people.find(PersonField.PHONE, MARKED_PHONE, CLERK).items
        assert (hit.request.request_id, hit.roles) == (
            request_id,
            (PartyRole.CONCERNED,),
        )

    def test_by_name_as_arabic_is_typed(self, scene: Scene) -> None:
        mine, other = scene.submit(), scene.submit(applicant=OTHER)
        scene.level()
        assert by_name(scene, "ليلي") == {other}
        assert by_name(scene, "مومنه عبدالله") == {other}
        assert by_name(scene, "عَلَامَة الاخت") == {mine}
        assert by_name(scene, "الاختبار سعيد") == set()
        assert by_name(scene, "م" * 200) == set()

    def test_by_what_was_told_and_what_was_corrected(self, scene: Scene) -> None:
        request_id = scene.submit()
        correct(scene, request_id, CorrectedField.FULL_NAME, "سمير الحلبي")
        correct(scene, request_id, CorrectedField.NATIONAL_NUMBER, "02000000001")
        scene.level()
        find = scene.house.people.find
        assert by_name(scene, "سمير") == by_name(scene, "علامة") == {request_id}
        for number in ("02000000001", MARKED_NUMBER):
            hits = find(PersonField.NATIONAL_NUMBER, number, CLERK)
            assert found(hits) == {request_id}

    def test_only_in_the_own_centre(self, scene: Scene) -> None:
        scene.submit()
        scene.level()
        for principal in (FOREIGN_CLERK, FOREIGN_SUPERVISOR):
            assert by_number(scene, principal) == set()
            assert by_name(scene, MARKED_NAME, principal) == set()

    @pytest.mark.parametrize(
        "principal", [CITIZEN, AGENCY, POST, BANK, AUDITOR, ADMINISTRATOR]
    )
    def test_only_by_staff(self, scene: Scene, principal: Principal) -> None:
        with pytest.raises(RoleForbiddenError):
            by_number(scene, principal)
        with pytest.raises(RoleForbiddenError):
            by_name(scene, MARKED_NAME, principal)

    @pytest.mark.parametrize("name", ["ًٌٍ", "\ud800", " ", "ـ", "\u200f"])
    def test_a_name_without_letters_is_no_question(
        self, scene: Scene, name: str
    ) -> None:
        with pytest.raises(InvalidValueError) as refused:
            by_name(scene, name)
        assert refused.value.reason == "no-letters"

    def test_a_name_of_marks_alone_is_nobody_s_match(self, scene: Scene) -> None:
        scene.submit(applicant=replace(OTHER, full_name="ًٌٍ"))
        scene.level()
        assert by_name(scene, "ا") == set()

    def test_it_is_bounded_says_so_and_goes_on(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(people, "ROWS_A_NAME_SEARCH", 2)
        monkeypatch.setattr(people, "LARGEST_PAGE", 2)
        oldest = scene.submit(applicant=OTHER)
        newer = [scene.submit() for _ in range(3)]
        scene.level()
        first = scene.house.people.find_by_name("ليلى", CLERK)
        assert (found(first), first.is_complete) == (set(), False)
        then = scene.house.people.find_by_name("ليلى", CLERK, after=first.next)
        assert (found(then), then.is_complete) == ({oldest}, True)
        monkeypatch.setattr(people, "HITS_A_SEARCH", 1)
        hits = scene.house.people.find_by_name("علامة", CLERK)
        seen = found(hits)
        while hits.next is not None:
            hits = scene.house.people.find_by_name("علامة", CLERK, after=hits.next)
            assert len(hits.items) <= 1
            seen |= found(hits)
        assert seen == set(newer)

    def test_a_search_writes_nothing(self, scene: Scene) -> None:
        scene.submit()
        scene.level()
        before = scene.entries()
        by_number(scene)
        by_name(scene, MARKED_NAME)
        assert scene.entries() == before


class TestLooking:
    def test_a_look_is_recorded_before_values_are_shown(self, scene: Scene) -> None:
        request_id = scene.submit(
            concerned=OTHER, relationship=Relationship.FIRST_DEGREE
        )
        scene.requests.parties(request_id, CLERK)
        bodies = [json.loads(entry.body) for entry in looks(scene)]
        parties = {str(party.id) for party in scene.get(request_id).parties}
        assert {body["data"]["party"] for body in bodies} == parties
        for body in bodies:
            assert body["data"].keys() == {"party", "request", "purpose"}
            assert body["data"]["purpose"] == "counter"
            assert body["correlation_id"] == str(request_id)
            assert body["actor"]["id"] == CLERK.id

    def test_looking_again_within_the_hour_writes_nothing(self, scene: Scene) -> None:
        request_id = scene.submit()
        scene.now = scene.now.replace(minute=0, second=0) + timedelta(hours=1)
        scene.requests.parties(request_id, CLERK)
        scene.now += timedelta(minutes=59)
        scene.requests.parties(request_id, CLERK)
        assert len(looks(scene)) == 1
        scene.requests.parties(request_id, SUPERVISOR)
        assert len(looks(scene)) == 2

    def test_many_looks_at_once_are_one(self, scene: Scene) -> None:
        request_id = scene.submit()
        scene.now = scene.now.replace(minute=0, second=0) + timedelta(hours=1)
        start, failed = threading.Barrier(4), []

        def run() -> None:
            start.wait()
            try:
                scene.requests.parties(request_id, CLERK)
            except Exception as error:  # noqa: BLE001 -- told below
                failed.append(error)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        assert len(looks(scene)) == 1

    def test_what_cannot_be_recorded_is_not_shown(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request_id = scene.submit()

        def die(*_: Any, **__: Any) -> None:
            raise LedgerUnavailableError

        monkeypatch.setattr(scene.house.acts, "store", die)
        with pytest.raises(LedgerUnavailableError):
            scene.requests.parties(request_id, CLERK)
        with pytest.raises(LedgerUnavailableError):
            scene.house.people.export(applicant(request_id), SUPERVISOR)

    def test_a_citizen_sees_who_looked_at_the_own_party(self, scene: Scene) -> None:
        citizen = scene.house.citizen("subject-1")
        request_id = scene.submit(
            citizen,
            channel=Channel.ONLINE,
            centre=CENTRE,
            accept_now=False,
            concerned=OTHER,
            relationship=Relationship.FIRST_DEGREE,
        )
        scene.requests.parties(request_id, CLERK)
        scene.level()
        citizen = scene.house.citizen("subject-1")
        assert len(scene.house.people.looks(request_id, citizen).items) == 1
        for principal in (CLERK, SUPERVISOR, AUDITOR, ADMINISTRATOR):
            (one, other) = scene.house.people.looks(request_id, principal).items
            assert one.actor_place == other.actor_place == CENTRE
        with pytest.raises(NotFoundError):
            scene.house.people.looks(request_id, scene.house.citizen("subject-2"))
        with pytest.raises(NotFoundError):
            scene.house.people.looks(request_id, FOREIGN_CLERK)
        with pytest.raises(RoleForbiddenError):
            scene.house.people.looks(request_id, POST)


def test_no_value_is_anywhere_but_sealed(scene: Scene) -> None:
    one, other = scene.submit(), scene.submit(applicant=OTHER)
    merge(scene, one, other)
    scene.requests.parties(one, CLERK)
    scene.house.people.export(applicant(one), SUPERVISOR)
    (party,) = scene.get(one).parties
    scene.house.vault.corrections.keep(
        party_id=party.id,
        field=PersonField.PHONE,
        value="0944000009",
        correction_id=uuid4(),
    )
    scene.level()
    by_name(scene, MARKED_NAME)
    stored = scene.stored_bytes()
    phones = (MARKED_PHONE[-9:], "944000009")
    for value in (MARKED_NAME, MARKED_NUMBER, *phones, IDENTIFIER):
        assert not stands_in(stored, value)
