"""Persons merged: by an event that leads to nobody, once, whatever is cut off."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.access import Principal
from domain.errors import (
    AlreadyMergedError,
    InvalidValueError,
    NotFoundError,
    RoleForbiddenError,
)
from domain.persons import PersonField
from domain.requests import PartyRole
from office.errors import CommandReusedError, LedgerUnavailableError
from office.sweeping import sweep_merges
from tests.office.persons import (
    ADMINISTRATOR,
    CITIZEN,
    FOREIGN_SUPERVISOR,
    IDENTIFIER,
    OTHER,
    by_number,
    found,
    merge,
)
from tests.office.scene import (
    AGENCY,
    AUDITOR,
    CLERK,
    FOREIGN_CLERK,
    MARKED_NUMBER,
    POST,
    SUPERVISOR,
    Scene,
)


class TestMerging:
    def test_either_number_finds_the_requests_of_both(self, scene: Scene) -> None:
        one, other = scene.submit(), scene.submit(applicant=OTHER)
        merge(scene, one, other)
        later = scene.submit(applicant=OTHER)
        scene.level()
        assert by_number(scene) == {one, other, later}
        hits = scene.house.people.find(PersonField.OTHER_IDENTIFIER, IDENTIFIER, CLERK)
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
