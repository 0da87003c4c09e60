"""Persons of a seeded office: asked for, made one, corrected, looked at."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from domain.access import Principal
from domain.acts import ActorKind
from domain.persons import PersonDetails, PersonField
from domain.records import MergedBecause
from domain.requests import CorrectedBecause, CorrectedField, PartyRole
from ledger.entries import Entry
from office.commands import CorrectRequest
from office.people import Hits, MergePersons, PartyOf
from tests.office.scene import CLERK, MARKED_NUMBER, SUPERVISOR, Scene, envelope

FOREIGN_SUPERVISOR = Principal(
    role=ActorKind.SUPERVISOR, id="sup-HL", centre="SY-HL-01"
)
ADMINISTRATOR = Principal(role=ActorKind.ADMINISTRATOR, id="adm-1")
CITIZEN = Principal(role=ActorKind.CITIZEN, id="subject-1")
IDENTIFIER = "PASS-7781-QX"
"""Too long for a tracking number to hold it by chance."""
OTHER = PersonDetails(
    full_name="ليلى مؤمنة عبد الله", other_identifier=IDENTIFIER, phone="0944000001"
)
ROUTE = "POST /v1/persons/merge"


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


def applicant(request_id: UUID) -> PartyOf:
    return PartyOf(request_id=request_id, role=PartyRole.APPLICANT)
