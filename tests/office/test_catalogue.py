"""The administrator's desk: who may, what is refused and recorded, what is repeated."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.access import Principal
from domain.acts import ActorKind
from domain.agencies import Agency, AgencyClosedBecause, AgencyScope
from domain.calendars import office_day
from domain.centres import Centre, CentreClosedBecause
from domain.clerks import AwayBecause, Clerk
from domain.errors import (
    AlreadyAwayError,
    EffectiveTimeError,
    InvalidValueError,
    NotFoundError,
    NotOpenError,
    NotResponsibleError,
    NotSuspendedError,
    RoleForbiddenError,
    StampWithdrawnError,
)
from domain.services import Offer, Service, SuspendedBecause
from domain.stamps import Stamp, StampWithdrawnBecause
from office.acts import Done
from office.catalogue_commands import (
    AppointClerk,
    CloseAgency,
    CloseCentre,
    IssueStamp,
    MakeResponsible,
    OpenCentre,
    PublishAgency,
    PublishService,
    RelieveClerk,
    ReportAway,
    ReportBack,
    ResumeService,
    SuspendService,
    WithdrawStamp,
)
from office.errors import (
    CommandReusedError,
    ConcurrencyError,
    PreconditionRequiredError,
    StaleVersionError,
)
from tests.conftest import Database
from tests.domain.office import service
from tests.office.scene import (
    CENTRE,
    CLERK,
    STAMP,
    SUPERVISOR,
    Scene,
    envelope,
    scene_in,
)

ADMINISTRATOR = Principal(role=ActorKind.ADMINISTRATOR, id="adm-1")
FOREIGN_SUPERVISOR = Principal(
    role=ActorKind.SUPERVISOR, id="sup-HL", centre="SY-HL-01"
)


@pytest.fixture
def desk(scene: Scene) -> Scene:
    return scene


def offer(**changes: Any) -> Offer:
    said = service().published
    names = Offer.__dataclass_fields__
    facts = {name: getattr(said, name) for name in names}
    return Offer(**{**facts, "code": "NEW-01", **changes})


def ask(version: int | None = None, who: Principal = ADMINISTRATOR, **more: Any) -> Any:
    route = more.pop("route", "POST /v1/catalogue/act")
    return envelope(who, route, if_version=version, **more)


def refusals(scene: Scene) -> list[dict[str, Any]]:
    return [json.loads(entry.body)["data"] for entry in scene.attempts()]


def test_a_service_is_published_suspended_and_resumed(desk: Scene) -> None:
    catalogue, today = desk.house.catalogue, office_day(desk.clock())
    done = catalogue.publish_service(PublishService(offer=offer()), ask())
    because = SuspendedBecause.AGENCY_ASKED
    last = today + timedelta(days=3)
    done = catalogue.suspend_service(
        SuspendService(code="NEW-01", reason=because, last=last),
        ask(done.etag_version),
    )
    found = desk.house.ledger.find(Service, Service.id_of("NEW-01"))
    assert found is not None
    assert not found.is_offered_on(last)
    assert found.is_offered_on(last + timedelta(days=1))
    resume = ResumeService(code="NEW-01", on=today + timedelta(days=1))
    assert catalogue.resume_service(resume, ask(2)).etag_version == 3
    with pytest.raises(NotSuspendedError):
        catalogue.resume_service(resume, ask(3))
    # The state as of the publication does not know of what came after.
    then = desk.house.ledger.find(Service, Service.id_of("NEW-01"), version=1)
    assert then is not None
    assert then.is_offered_on(today)


def test_a_refused_act_is_recorded_and_its_target_does_not_move(desk: Scene) -> None:
    catalogue = desk.house.catalogue
    clerk = Clerk.id_of("clk-DI-1")
    before = desk.entries(clerk)
    with pytest.raises(NotResponsibleError):
        # Refused half way: the first of the two agencies is the clerk's.
        catalogue.relieve_clerk(
            RelieveClerk(clerk="clk-DI-1", agencies=("CIV", "CRM")),
            ask(before[-1].version, route="POST /v1/clerks/{code}/relief"),
        )
    assert desk.entries(clerk) == before
    [refusal] = refusals(desk)
    assert refusal == {
        "attempted": "relief",
        "target": str(clerk),
        "target_version": before[-1].version,
        "centre": CENTRE,
        "code": "not-responsible",
    }


def test_an_attempt_on_what_is_not_there_yet_is_recorded_for_the_ministry(
    desk: Scene,
) -> None:
    with pytest.raises(NotOpenError) as refused:
        desk.house.catalogue.publish_service(
            PublishService(offer=offer(agency="NOBODY")), ask()
        )
    assert refused.value.facts() == {"thing": "agency", "name": "NOBODY"}
    [refusal] = refusals(desk)
    assert refusal["target"] == str(Service.id_of("NEW-01"))
    assert (refusal["target_version"], refusal["centre"]) == (0, "ministry")


@pytest.mark.parametrize("who", [CLERK, SUPERVISOR])
def test_only_the_administrator_administers(desk: Scene, who: Principal) -> None:
    head = desk.house.ledger.reader.head().position
    with pytest.raises(RoleForbiddenError):
        desk.house.catalogue.publish_service(
            PublishService(offer=offer()), ask(who=who)
        )
    with pytest.raises(RoleForbiddenError):
        desk.house.catalogue.appoint_clerk(
            AppointClerk(code="clk-DI-9", centre=CENTRE), ask(who=who)
        )
    assert desk.house.ledger.reader.head().position == head


def test_a_supervisor_records_absences_of_the_own_centre_only(desk: Scene) -> None:
    catalogue = desk.house.catalogue
    away = ReportAway(clerk="clk-DI-2", reason=AwayBecause.LEAVE)
    version = desk.entries(Clerk.id_of("clk-DI-2"))[-1].version
    with pytest.raises(NotFoundError):
        catalogue.report_away(away, ask(version, who=FOREIGN_SUPERVISOR))
    assert refusals(desk) == []
    done = catalogue.report_away(away, ask(version, who=SUPERVISOR))
    with pytest.raises(AlreadyAwayError):
        catalogue.report_away(away, ask(done.etag_version, who=SUPERVISOR))
    assert [each["code"] for each in refusals(desk)] == ["already-away"]
    back = ReportBack(clerk="clk-DI-2")
    catalogue.report_back(back, ask(done.etag_version, who=SUPERVISOR))
    desk.level()
    responsible = desk.house.queries.roster.responsible_for
    day = office_day(desk.clock())
    assert "clk-DI-2" in responsible(centre=CENTRE, agency="CRM", day=day)


def test_who_is_away_or_has_left_is_not_responsible_on_that_day(desk: Scene) -> None:
    today = office_day(desk.clock())
    tomorrow = today + timedelta(days=1)
    version = desk.entries(Clerk.id_of("clk-DI-2"))[-1].version
    desk.house.catalogue.report_away(
        ReportAway(
            clerk="clk-DI-2", reason=AwayBecause.TRAINING, first=tomorrow, last=tomorrow
        ),
        ask(version),
    )
    desk.level()
    responsible = desk.house.queries.roster.responsible_for
    found = [
        bool(responsible(centre=CENTRE, agency="CRM", day=today + timedelta(days=n)))
        for n in range(3)
    ]
    assert found == [True, False, True]
    assert responsible(centre=CENTRE, agency="CRM") == ("clk-DI-2",)


def test_an_act_is_repeated_by_its_id_and_refused_on_a_stale_page(desk: Scene) -> None:
    catalogue, key = desk.house.catalogue, uuid4()
    command = PublishService(offer=offer())
    first = catalogue.publish_service(command, ask(command_id=key))
    again = catalogue.publish_service(command, ask(command_id=key))
    assert again == replace(first, is_repeat=True)
    with pytest.raises(CommandReusedError):
        other = PublishService(offer=offer(name_en="Another"))
        catalogue.publish_service(other, ask(command_id=key))
    with pytest.raises(PreconditionRequiredError):
        catalogue.publish_service(command, ask())
    with pytest.raises(StaleVersionError):
        catalogue.publish_service(command, ask(7))
    with pytest.raises(StaleVersionError):
        catalogue.publish_agency(
            PublishAgency(
                code="NEW", name_ar="جهة", name_en="New", scope=AgencyScope.NATIONAL
            ),
            ask(1),
        )
    same = catalogue.publish_service(command, ask(1))
    assert (same.first_position, same.etag_version) == (None, 1)
    assert refusals(desk) == []


def test_two_who_publish_one_code_at_once_make_it_once(
    desk: Scene, seeded_database: Database
) -> None:
    def publish(number: int) -> Done | Exception:
        command = PublishService(offer=offer(name_en=f"Name {number}"))
        try:
            return desk.house.catalogue.publish_service(command, ask())
        except (PreconditionRequiredError, ConcurrencyError) as error:
            return error

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(publish, range(4)))
    assert sum(isinstance(each, Done) for each in outcomes) == 1
    assert len(desk.entries(Service.id_of("NEW-01"))) == 1


def test_places_that_are_closed_take_nothing_new(desk: Scene) -> None:
    catalogue = desk.house.catalogue
    catalogue.open_centre(
        OpenCentre(
            code="SY-DI-02", governorate="SY-DI", name_ar="مركز", name_en="Centre"
        ),
        ask(),
    )
    catalogue.close_centre(
        CloseCentre(code="SY-DI-02", reason=CentreClosedBecause.WORKS), ask(1)
    )
    version = desk.entries(Agency.id_of("CRM"))[-1].version
    catalogue.close_agency(
        CloseAgency(code="CRM", reason=AgencyClosedBecause.MERGED), ask(version)
    )
    with pytest.raises(NotOpenError):
        catalogue.appoint_clerk(AppointClerk(code="clk-DI-9", centre="SY-DI-02"), ask())
    with pytest.raises(NotOpenError):
        catalogue.issue_stamp(IssueStamp(serial="N-1", centre="SY-DI-02"), ask())
    with pytest.raises(NotOpenError):
        catalogue.make_responsible(
            MakeResponsible(clerk="clk-DI-1", agencies=("CRM",)),
            ask(desk.entries(Clerk.id_of("clk-DI-1"))[-1].version),
        )
    with pytest.raises(NotOpenError):
        catalogue.publish_service(PublishService(offer=offer(agency="CRM")), ask())
    assert len(refusals(desk)) == 4
    catalogue.open_centre(
        OpenCentre(
            code="SY-DI-02", governorate="SY-DI", name_ar="مركز", name_en="Centre"
        ),
        ask(2),
    )
    assert catalogue.issue_stamp(IssueStamp(serial="N-1", centre="SY-DI-02"), ask())


def test_a_withdrawn_stamp_is_not_issued_again(desk: Scene) -> None:
    catalogue = desk.house.catalogue
    catalogue.withdraw_stamp(
        WithdrawStamp(serial=STAMP, reason=StampWithdrawnBecause.LOST), ask(1)
    )
    with pytest.raises(StampWithdrawnError):
        catalogue.issue_stamp(IssueStamp(serial=STAMP, centre=CENTRE), ask(2))
    found = desk.house.ledger.find(Stamp, Stamp.id_of(STAMP))
    assert found is not None
    assert not found.is_valid_on(office_day(desk.clock()))


def test_governorates_are_those_of_the_reference_data(desk: Scene) -> None:
    with pytest.raises(InvalidValueError):
        desk.house.catalogue.open_centre(
            OpenCentre(code="X-1", governorate="SY-XX", name_ar="م", name_en="x"),
            ask(),
        )
    with pytest.raises(InvalidValueError):
        desk.house.catalogue.publish_service(
            PublishService(offer=offer(direct_in=("SY-DI", "SY-XX"))), ask()
        )
    with pytest.raises(InvalidValueError):
        desk.house.catalogue.open_centre(
            OpenCentre(code="X-1", governorate="*", name_ar="م", name_en="x"), ask()
        )


def test_what_did_not_exist_then_is_not_acted_on_and_the_bound_holds(
    desk: Scene,
) -> None:
    yesterday = desk.clock() - timedelta(days=1)
    done = desk.house.catalogue.publish_service(PublishService(offer=offer()), ask())
    suspend = SuspendService(code="NEW-01", reason=SuspendedBecause.OTHER)
    with pytest.raises(EffectiveTimeError):
        desk.house.catalogue.suspend_service(
            suspend, ask(done.etag_version, effective_at=yesterday)
        )
    with pytest.raises(EffectiveTimeError):
        desk.house.catalogue.publish_service(
            PublishService(offer=offer(code="NEW-02")),
            ask(effective_at=yesterday - timedelta(days=30)),
        )
    early = desk.house.catalogue.publish_service(
        PublishService(offer=offer(code="NEW-03")), ask(effective_at=yesterday)
    )
    found = desk.house.ledger.find(Service, early.aggregate_id)
    assert found is not None
    assert found.modified_on == yesterday


def test_the_views_say_what_the_events_of_each_thing_say(
    seeded_database: Database,
) -> None:
    """The view folds batches of everything; one thing alone makes the same row."""
    from api.v1.things import facts_of
    from projections.catalogue import KINDS, published_from
    from projections.roster import clerk_from

    with scene_in(seeded_database) as scene:
        catalogue, today = scene.house.catalogue, office_day(scene.clock())
        catalogue.suspend_service(
            SuspendService(code="CIV-01", reason=SuspendedBecause.OTHER), ask(2)
        )
        catalogue.resume_service(
            ResumeService(code="CIV-01", on=today + timedelta(days=2)), ask(3)
        )
        catalogue.close_centre(
            CloseCentre(code=CENTRE, reason=CentreClosedBecause.WORKS), ask(1)
        )
        catalogue.open_centre(
            OpenCentre(
                code=CENTRE,
                governorate="SY-DI",
                name_ar="مركز",
                name_en="Centre",
                opens_on=today + timedelta(days=9),
            ),
            ask(2),
        )
        scene.level()
        kinds = {"agency": Agency, "centre": Centre, "service": Service, "stamp": Stamp}
        for kind in KINDS:
            for row in scene.house.queries.catalogue.page(kind, limit=200).items:
                if kind in kinds:
                    thing_id = kinds[kind].id_of(row.code)  # type: ignore[attr-defined]
                    assert published_from(facts_of(scene.house, thing_id)) == row
                    thing = scene.house.ledger.find(kinds[kind], thing_id)
                    for number in range(12):
                        day = today + timedelta(days=number)
                        says = getattr(
                            thing,
                            {"service": "is_offered_on", "stamp": "is_valid_on"}.get(
                                kind, "is_open_on"
                            ),
                        )
                        assert says(day) is row.is_active_on(day)
        for clerk in scene.house.queries.roster.clerks():
            facts = facts_of(scene.house, Clerk.id_of(clerk.code))
            assert clerk_from(facts) == clerk
