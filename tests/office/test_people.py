"""People: found in the own scope only, merged by an event that leads to nobody."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.access import Principal
from domain.acts import ActorKind
from domain.errors import (
    AlreadyMergedError,
    InvalidValueError,
    NotFoundError,
    RoleForbiddenError,
)
from domain.persons import PersonDetails, PersonField
from domain.records import MergedBecause
from domain.requests import Channel, CorrectedBecause, CorrectedField, PartyRole
from domain.services import Relationship
from ledger.entries import Entry
from office import people
from office.commands import CorrectRequest
from office.errors import CommandReusedError, LedgerUnavailableError
from office.people import Hits, MergePersons, PartyOf
from office.sweeping import sweep_corrections, sweep_merges
from tests.conftest import Database
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
    envelope,
    scene_in,
)

FOREIGN_SUPERVISOR = Principal(
    role=ActorKind.SUPERVISOR, id="sup-HL", centre="SY-HL-01"
)
ADMINISTRATOR = Principal(role=ActorKind.ADMINISTRATOR, id="adm-1")
CITIZEN = Principal(role=ActorKind.CITIZEN, id="subject-1")
OTHER = PersonDetails(
    full_name="ليلى مؤمنة عبد الله", other_identifier="P-77", phone="0944000001"
)
ROUTE = "POST /v1/persons/merge"


@pytest.fixture
def scene(seeded_database: Database) -> Iterator[Scene]:
    with scene_in(seeded_database) as made:
        yield made


def found(hits: Hits) -> set[UUID]:
    return {hit.request.request_id for hit in hits.items}


def by_number(scene: Scene, principal: Principal = CLERK) -> set[UUID]:
    return found(
        scene.house.people.find(PersonField.NATIONAL_NUMBER, MARKED_NUMBER, principal)
    )


def by_name(scene: Scene, name: str, principal: Principal = CLERK) -> set[UUID]:
    return found(scene.house.people.find_by_name(name, principal))


def merge(
    scene: Scene, first: UUID, second: UUID, principal: Principal = SUPERVISOR, **m: Any
) -> UUID:
    command = MergePersons(
        first=PartyOf(request_id=first, role=m.pop("role", PartyRole.APPLICANT)),
        second=PartyOf(request_id=second, role=PartyRole.APPLICANT),
        reason=MergedBecause.IDENTIFIER_REPLACED,
    )
    return scene.house.people.merge(
        command, envelope(principal, ROUTE, **m)
    ).aggregate_id


def correct(
    scene: Scene, request_id: UUID, field: CorrectedField, value: str, **more: Any
) -> None:
    scene.requests.correct(
        CorrectRequest(
            request_id=request_id,
            field=field,
            reason=CorrectedBecause.TYPING_ERROR,
            party=PartyRole.APPLICANT,
            value=value,
        ),
        scene.seen(request_id, SUPERVISOR, "correction", **more),
    )


def looks(scene: Scene) -> list[Entry]:
    return [e for e in scene.entries() if e.topic == "sijil.read.looked.v1"]


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
        hits = scene.house.people.find(PersonField.OTHER_IDENTIFIER, " P-٧٧ ", CLERK)
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


class TestMerging:
    def test_either_number_finds_the_requests_of_both(self, scene: Scene) -> None:
        one, other = scene.submit(), scene.submit(applicant=OTHER)
        merge(scene, one, other)
        later = scene.submit(applicant=OTHER)
        scene.level()
        assert by_number(scene) == {one, other, later}
        hits = scene.house.people.find(PersonField.OTHER_IDENTIFIER, "P-77", CLERK)
        assert found(hits) == {one, other, later}
        assert len(scene.house.vault.find_parties("national_number", MARKED_NUMBER)) > 2

    def test_the_event_leads_to_neither(self, scene: Scene) -> None:
        one, other = scene.submit(), scene.submit(applicant=OTHER)
        merge_id = merge(scene, one, other)
        (entry,) = scene.entries(merge_id)
        assert entry.topic == "sijil.person.merged.v1"
        body = json.loads(entry.body)
        assert body["data"] == {"reason": "identifier-replaced"}
        assert body["correlation_id"] == str(merge_id)
        assert "causation_id" not in body
        text = entry.to_bytes().decode()
        for request_id in (one, other):
            request = scene.get(request_id)
            for named in (request_id, *(p.id for p in request.parties)):
                assert str(named) not in text

    def test_a_repeat_is_a_repeat_and_another_input_is_not(self, scene: Scene) -> None:
        one, other = scene.submit(), scene.submit(applicant=OTHER)
        third = scene.submit(applicant=replace(OTHER, other_identifier="Q-1"))
        key = uuid4()
        merge_id = merge(scene, one, other, command_id=key)
        before = scene.entries()
        assert merge(scene, one, other, command_id=key) == merge_id
        assert scene.entries() == before
        with pytest.raises(CommandReusedError):
            merge(scene, one, third, command_id=key)

    def test_what_is_one_already_is_refused_and_recorded(self, scene: Scene) -> None:
        one, again, other = (
            scene.submit(),
            scene.submit(),
            scene.submit(applicant=OTHER),
        )
        merge(scene, one, other)
        for first, second in ((one, again), (one, other), (again, other)):
            with pytest.raises(AlreadyMergedError):
                merge(scene, first, second)
        attempts = scene.attempts()
        assert len(attempts) == 3
        text = b"".join(attempt.body for attempt in attempts).decode()
        assert "already-merged" in text
        for request_id in (one, again, other):
            assert str(request_id) not in text

    def test_a_party_with_itself_is_no_merge(self, scene: Scene) -> None:
        one = scene.submit()
        with pytest.raises(InvalidValueError):
            merge(scene, one, one)

    def test_only_what_is_in_scope_and_exists(self, scene: Scene) -> None:
        one, other = scene.submit(), scene.submit(applicant=OTHER)
        foreign = scene.submit(FOREIGN_CLERK, applicant=OTHER)
        before = scene.entries()
        for first, second, by in (
            (one, foreign, SUPERVISOR),
            (foreign, one, SUPERVISOR),
            (one, other, FOREIGN_SUPERVISOR),
            (one, uuid4(), SUPERVISOR),
        ):
            with pytest.raises(NotFoundError):
                merge(scene, first, second, by)
        with pytest.raises(NotFoundError):
            merge(scene, one, other, role=PartyRole.CONCERNED)
        assert scene.entries() == before

    @pytest.mark.parametrize(
        "principal", [CLERK, CITIZEN, AGENCY, POST, AUDITOR, ADMINISTRATOR]
    )
    def test_only_by_a_supervisor(self, scene: Scene, principal: Principal) -> None:
        with pytest.raises(RoleForbiddenError):
            merge(scene, uuid4(), uuid4(), principal)

    def test_cut_off_before_the_event_it_never_was(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = scene.submit(), scene.submit(applicant=OTHER)
        house = scene.house

        def die(*_: Any, **__: Any) -> None:
            raise LedgerUnavailableError

        with monkeypatch.context() as cut:
            cut.setattr(house.people._acts, "store", die)
            with pytest.raises(LedgerUnavailableError):
                merge(scene, one, other)
        scene.level()
        assert by_number(scene) == {one}
        day = timedelta(days=1)
        assert sweep_merges(house.ledger, house.records, older_than=day) == 0
        assert len(house.records.waiting_merges(older_than=day)) == 1
        now = timedelta(0)
        assert sweep_merges(house.ledger, house.records, older_than=now) == 1
        assert house.records.waiting_merges(older_than=now) == {}

    @pytest.mark.parametrize("by", ["repeat", "sweeping"])
    def test_cut_off_after_the_event_it_is_completed(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, by: str
    ) -> None:
        one, other = scene.submit(), scene.submit(applicant=OTHER)
        house, key = scene.house, uuid4()

        def die(_: UUID) -> None:
            raise LedgerUnavailableError

        with monkeypatch.context() as cut:
            cut.setattr(house.records, "put_in_effect", die)
            with pytest.raises(LedgerUnavailableError):
                merge(scene, one, other, command_id=key)
        scene.level()
        assert by_number(scene) == {one}
        if by == "repeat":
            merge(scene, one, other, command_id=key)
        else:
            day = timedelta(days=1)
            assert sweep_merges(house.ledger, house.records, older_than=day) == 0
        assert by_number(scene) == {one, other}
        merged = [e for e in scene.entries() if e.topic == "sijil.person.merged.v1"]
        assert len(merged) == 1

    def test_another_input_cannot_take_over_what_was_cut_off(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = scene.submit(), scene.submit(applicant=OTHER)
        third = scene.submit(applicant=replace(OTHER, other_identifier="Q-1"))
        key = uuid4()

        def die(*_: Any, **__: Any) -> None:
            raise LedgerUnavailableError

        with monkeypatch.context() as cut:
            cut.setattr(scene.house.people._acts, "store", die)
            with pytest.raises(LedgerUnavailableError):
                merge(scene, one, other, command_id=key)
        merge(scene, one, third, command_id=key)
        scene.level()
        assert by_number(scene) == {one, third}

    def test_the_same_merge_by_two_at_once_is_one_person(self, scene: Scene) -> None:
        one, other = scene.submit(), scene.submit(applicant=OTHER)
        start, failed = threading.Barrier(2), []

        def run(first: UUID, second: UUID) -> None:
            start.wait()
            try:
                merge(scene, first, second)
            except AlreadyMergedError:
                pass
            except Exception as error:  # noqa: BLE001 -- told below
                failed.append(error)

        threads = [
            threading.Thread(target=run, args=pair)
            for pair in ((one, other), (other, one))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        scene.level()
        assert not failed
        assert by_number(scene) == {one, other}


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


def applicant(request_id: UUID) -> PartyOf:
    return PartyOf(request_id=request_id, role=PartyRole.APPLICANT)


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
        scene.house.vault.keep_correction(
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
        cut.setattr(house.vault, "count_corrections", die)
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
        house.vault.keep_correction(
            party_id=party.id,
            field=PersonField.PHONE,
            value="0944000009",
            correction_id=correction_id,
        )
    day, now = timedelta(days=1), timedelta(0)
    assert sweep_corrections(house.ledger, house.vault, older_than=day) == 0
    assert sweep_corrections(house.ledger, house.vault, older_than=now) == 2


def test_no_value_is_anywhere_but_sealed(scene: Scene) -> None:
    one, other = scene.submit(), scene.submit(applicant=OTHER)
    merge(scene, one, other)
    scene.requests.parties(one, CLERK)
    scene.house.people.export(applicant(one), SUPERVISOR)
    (party,) = scene.get(one).parties
    scene.house.vault.keep_correction(
        party_id=party.id,
        field=PersonField.PHONE,
        value="0944000009",
        correction_id=uuid4(),
    )
    scene.level()
    by_name(scene, MARKED_NAME)
    stored = scene.stored_bytes()
    for value in (MARKED_NAME, MARKED_NUMBER, MARKED_PHONE[-9:], "944000009", "P-77"):
        assert value.encode() not in stored
