"""What every role gets of every operation: one table over the whole OpenAPI document.

How a row's request is prepared stands beside it, and is used wherever every operation
is to be asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from tests.api.door import AGENCY, CENTRE_FACTS, OFFER, SUBMISSION, WHO, Door
from tests.office.scene import DIGEST, ITEM, STAMP

STAFF = {"clerk": 200, "supervisor": 200}
OVERSIGHT = {"administrator": 200, "auditor": 200}
FOREIGN_STAFF = {"foreign-clerk": 404, "foreign-supervisor": 404}
EVERYBODY = dict.fromkeys(WHO, 200)
OWN_OR_NONE = {**STAFF, **OVERSIGHT, "foreign-clerk": 200, "foreign-supervisor": 200}
"""A list of the own centre's rows: of another centre's there is an empty one."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A thing of the catalogue that an operation is right for, new for each success."""

    path: dict[str, str]
    etag: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """What each asker gets. Who is not named gets 403: a role that may never do it.

    ``make`` prepares a request that the operation is right for.
    """

    expected: dict[str, int]
    make: Callable[[Door], str] | None = None
    body: Callable[[Door, str], dict[str, Any]] | None = None
    path: dict[str, str] = field(default_factory=dict)
    is_public: bool = False
    thing: Callable[[Door], Thing] | None = None
    asked: dict[str, Any] = field(default_factory=dict)


def held(**body: Any) -> Callable[[Door, str], dict[str, Any]]:
    """The body of an act that carries the present token."""
    return lambda door, request_id: {"token": door.token_of(request_id), **body}


def fixed(**body: Any) -> Callable[[Door, str], dict[str, Any]]:
    return lambda _door, _request_id: body


ACT = {**STAFF, **FOREIGN_STAFF}
READ = {
    **STAFF,
    **OVERSIGHT,
    **FOREIGN_STAFF,
    "agency": 200,
    "foreign-agency": 404,
    "post": 404,
    "bank": 404,
    "citizen": 404,
    "foreign-citizen": 404,
}


def stamped_in_the_views(door: Door) -> str:
    request_id = door.stamped()
    door.scene.level()
    return request_id


def receipt(door: Door, request_id: str) -> dict[str, Any]:
    """What the citizen holds: the number and the code of a request."""
    request = door.scene.get(UUID(request_id))
    code = door.scene.house.requests.code_of(request)
    return {"number": request.tracking_number, "code": code}


ADMINISTRATOR = {"administrator": 200}


def thing(path: str, body: dict[str, Any], **more: Any) -> Callable[[Door], Thing]:
    """A thing that the administrator makes anew each time, and acts on it first."""

    def make(door: Door) -> Thing:
        # Not without the letter: twelve digits of chance may be those of a phone.
        code = f"T-x{uuid4().hex[:12]}"
        [name] = (key for key in ("code", "serial") if key in body)
        answer = door.post("administrator", path, {**body, name: code})
        assert answer.status_code == 201, answer.text
        for act, acted in more.items():
            answer = door.post(
                "administrator",
                f"{path}/{code}/{act}",
                acted,
                if_match=answer.headers["ETag"],
            )
            assert answer.status_code == 200, answer.text
        return Thing(path={name: code}, etag=answer.headers["ETag"])

    return make


def letter(door: Door) -> Thing:
    """A message that could not be used, new each time."""
    return Thing(path={"letter_id": door.dead_letter()}, etag='"1"')


def payment(door: Door) -> Thing:
    """A payment under the number of a request of the own centre, new each time."""
    return Thing(path={"payment_id": door.stray_payment_here()}, etag='"1"')


def payment_of_nobodys(door: Door) -> Thing:
    """A payment under a number of nobody's, new each time."""
    return Thing(path={"payment_id": door.stray_payment()}, etag='"1"')


def catalogue_rows() -> dict[str, Row]:
    """What is published is everybody's to read and the administrator's to say."""
    agency = {"code": "", **AGENCY}
    centre = {"code": "", **CENTRE_FACTS}
    clerk = {"code": "", "centre": "SY-DI-01"}
    stamp = {"serial": "", "centre": "SY-DI-01"}
    service = {"code": "", **OFFER}
    away = {"reason": "leave"}
    own_centre = {**OVERSIGHT, "supervisor": 200, "foreign-supervisor": 404}
    managing = {**ADMINISTRATOR, "supervisor": 200, "foreign-supervisor": 404}
    made = {"administrator": 201}

    def acting(of: Callable[[Door], Thing], **body: Any) -> Row:
        return Row(thing=of, body=fixed(**body), expected=ADMINISTRATOR)

    rows = {
        f"list_{kind}": Row(expected=EVERYBODY)
        for kind in ("services", "agencies", "centres", "calendars")
    }
    return {
        **rows,
        "get_service": Row(expected=EVERYBODY, path={"code": "CIV-01"}),
        "get_agency": Row(expected=EVERYBODY, path={"code": "CIV"}),
        "get_centre": Row(expected=EVERYBODY, path={"code": "SY-DI-01"}),
        "get_calendar": Row(expected=EVERYBODY, path={"year": "2026"}),
        "list_clerks": Row(expected={**own_centre, "foreign-supervisor": 200}),
        "get_clerk": Row(expected=own_centre, path={"code": "clk-DI-1"}),
        "list_stamps": Row(
            expected={**STAFF, **OVERSIGHT, **dict.fromkeys(FOREIGN_STAFF, 200)}
        ),
        "get_stamp": Row(
            expected={**STAFF, **OVERSIGHT, **FOREIGN_STAFF}, path={"serial": STAMP}
        ),
        **{
            f"get_{kind}_trail": Row(
                expected={**STAFF, **OVERSIGHT, **dict.fromkeys(FOREIGN_STAFF, 200)},
                path=path,
            )
            for kind, path in (
                ("service", {"code": "CIV-01"}),
                ("agency", {"code": "CIV"}),
                ("centre", {"code": "SY-DI-01"}),
                ("calendar", {"year": "2026"}),
            )
        },
        "get_clerk_trail": Row(expected=own_centre, path={"code": "clk-DI-1"}),
        "get_stamp_trail": Row(
            expected={**STAFF, **OVERSIGHT, **FOREIGN_STAFF}, path={"serial": STAMP}
        ),
        "publish_service": Row(body=fixed(**{**service, "code": "T-1"}), expected=made),
        "publish_agency": Row(body=fixed(**{**agency, "code": "T-1"}), expected=made),
        "open_centre": Row(body=fixed(**{**centre, "code": "T-1"}), expected=made),
        "appoint_clerk": Row(body=fixed(**{**clerk, "code": "T-1"}), expected=made),
        "issue_stamp": Row(body=fixed(**{**stamp, "serial": "T-1"}), expected=made),
        "publish_calendar": Row(body=fixed(year=2031, holidays=[]), expected=made),
        # None has stopped here, and the administrator is told so.
        "skip_entry": Row(
            body=fixed(position=1, reason="other"),
            expected={"administrator": 409},
            path={"name": "looks"},
        ),
        "suspend_service": acting(
            thing("/v1/services", service), reason="agency_asked"
        ),
        "resume_service": acting(
            thing("/v1/services", service, suspension={"reason": "other"})
        ),
        "close_agency": acting(thing("/v1/agencies", agency), reason="merged"),
        "close_centre": acting(thing("/v1/centres", centre), reason="works"),
        # Of an agency that no request of these tests is of: they are the first clerk's.
        "make_responsible": acting(thing("/v1/clerks", clerk), agencies=["EDU"]),
        "relieve_clerk": acting(
            thing("/v1/clerks", clerk, responsibility={"agencies": ["EDU"]}),
            agencies=["EDU"],
        ),
        "record_departure": acting(thing("/v1/clerks", clerk)),
        "report_away": Row(
            thing=thing("/v1/clerks", clerk), body=fixed(**away), expected=managing
        ),
        "report_back": Row(
            thing=thing("/v1/clerks", clerk, absence=away),
            body=fixed(),
            expected=managing,
        ),
        "withdraw_stamp": acting(thing("/v1/stamps", stamp), reason="lost"),
    }


# An operation, or an operation and the row it is asked about where that decides.
ROWS: dict[str, Row] = {
    "submit_request": Row(
        expected={
            "clerk": 201,
            "supervisor": 201,
            "foreign-clerk": 404,
            "foreign-supervisor": 404,
            "citizen": 422,
            "foreign-citizen": 422,
        },
        body=fixed(**{**SUBMISSION, "centre": "SY-DI-01"}),
    ),
    "submit_request/online": Row(
        expected={
            **dict.fromkeys(ACT, 422),
            "citizen": 201,
            "foreign-citizen": 201,
        },
        body=fixed(
            **{
                **SUBMISSION,
                "centre": "SY-DI-01",
                "channel": "online",
                "accept": False,
            }
        ),
    ),
    "list_requests": Row(expected=EVERYBODY),
    "get_request/forwarded": Row(make=Door.forwarded, expected=READ),
    "get_request/fee-due": Row(
        make=Door.submitted, expected={**READ, "agency": 404, "bank": 200}
    ),
    "get_request/mailed": Row(
        make=Door.mailed, expected={**READ, "agency": 404, "post": 200}
    ),
    "get_request/online": Row(
        make=Door.online, expected={**READ, "agency": 404, "citizen": 200}
    ),
    "get_request_parties": Row(make=Door.submitted, expected=ACT),
    "get_request_trail": Row(
        make=Door.submitted, expected={**STAFF, **OVERSIGHT, **FOREIGN_STAFF}
    ),
    "get_trail": Row(expected=OVERSIGHT),
    "get_request_looks": Row(
        make=Door.submitted,
        expected={
            **STAFF,
            **OVERSIGHT,
            **FOREIGN_STAFF,
            "citizen": 404,
            "foreign-citizen": 404,
        },
    ),
    "get_request_looks/own": Row(
        make=Door.online,
        expected={
            **STAFF,
            **OVERSIGHT,
            **FOREIGN_STAFF,
            "citizen": 200,
            "foreign-citizen": 404,
        },
    ),
    "search_persons": Row(
        body=fixed(national_number="01000099887"),
        expected={**STAFF, "foreign-clerk": 200, "foreign-supervisor": 200},
    ),
    "merge_persons": Row(
        make=Door.submitted,
        body=lambda door, request_id: {
            "first": {"request_id": request_id, "role": "applicant"},
            "second": {
                "request_id": door.submitted(
                    applicant={"full_name": "آخر", "other_identifier": str(uuid4())}
                ),
                "role": "applicant",
            },
            "reason": "registered-twice",
        },
        expected={"supervisor": 200, "foreign-supervisor": 404},
    ),
    "export_person": Row(
        make=Door.submitted,
        body=lambda _door, request_id: {
            "request_id": request_id,
            "role": "applicant",
        },
        expected={"supervisor": 200, "foreign-supervisor": 404},
    ),
    "accept_request": Row(
        make=Door.online, body=held(documents=["id-card"]), expected=ACT
    ),
    "decline_request": Row(
        make=Door.online, body=held(reason="ineligible"), expected=ACT
    ),
    "assign_request": Row(
        make=Door.submitted,
        body=fixed(clerk="clk-DI-2"),
        expected={"supervisor": 200, "foreign-supervisor": 404},
    ),
    "pay_fee": Row(
        make=Door.submitted,
        body=lambda door, request_id: {
            "token": door.token_of(request_id),
            "channel": "bank",
            # A reference pays one request; longer ones could be a person's number.
            "bank_reference": f"B-{uuid4().hex[:6]}",
            "amount": 3000,
            "unit": "SYP.new",
        },
        expected={**ACT, "bank": 200},
    ),
    "forward_request": Row(
        make=lambda door: door.paid(service="CIV-06"), body=held(), expected=ACT
    ),
    "record_response": Row(
        make=Door.forwarded,
        body=held(outcome="issued"),
        expected={**ACT, "agency": 200, "foreign-agency": 404},
    ),
    "stamp_document": Row(
        make=Door.issued,
        body=held(serial=STAMP, stamped_digest=DIGEST),
        expected=ACT,
    ),
    "mail_document": Row(
        make=Door.stamped, body=held(item=ITEM, to="home"), expected=ACT
    ),
    "confirm_delivery": Row(
        make=Door.mailed,
        body=fixed(item=ITEM, capacity="self"),
        expected={**ACT, "post": 200},
    ),
    "hand_over_document": Row(
        make=Door.stamped, body=held(capacity="self"), expected=ACT
    ),
    "tell_result": Row(make=Door.refused, body=held(means="phone"), expected=ACT),
    "inform_citizen": Row(
        make=Door.submitted, body=fixed(message="ready", means="sms"), expected=ACT
    ),
    "claim_request": Row(
        make=Door.online,
        body=fixed(),
        expected={"clerk": 200, "foreign-clerk": 404},
    ),
    "release_request": Row(make=Door.claimed, body=held(), expected=ACT),
    "request_information": Row(
        make=Door.submitted, body=held(missing=["birth_place"]), expected=ACT
    ),
    "supply_information": Row(
        make=Door.asked, body=held(supplied=["birth_place"]), expected=ACT
    ),
    "confirm_collection": Row(
        make=Door.mailed,
        body=fixed(item=ITEM, capacity="self"),
        expected={**ACT, "post": 200},
    ),
    "return_item": Row(
        make=Door.mailed,
        body=fixed(item=ITEM, reason="receiver_absent"),
        expected={**ACT, "post": 200},
    ),
    "withdraw_request": Row(
        make=Door.online,
        body=fixed(reason="not_needed"),
        expected={**ACT, "citizen": 200, "foreign-citizen": 404},
    ),
    "refund_fee": Row(
        make=Door.withdrawn,
        body=fixed(kinds=["state_fee"], reason="withdrawn", channel="cash"),
        expected={"supervisor": 200, "foreign-supervisor": 404},
    ),
    "correct_request": Row(
        make=Door.submitted,
        body=fixed(
            field="address",
            reason="changed_since",
            party="applicant",
            value="عنوان جديد",
        ),
        expected=ACT,
    ),
    "approve_act": Row(
        body=fixed(command_id="019ab1f0-7c00-7a3b-8f21-5d0c9e4b1a77"),
        expected={"supervisor": 200, "foreign-supervisor": 200},
    ),
    "move_work": Row(
        body=fixed(to="clk-DI-2"),
        path={"code": "clk-DI-1"},
        expected={"supervisor": 200, "foreign-supervisor": 404},
    ),
    "get_request_conditions": Row(
        make=Door.submitted,
        expected={**READ, "agency": 404, "bank": 200},
    ),
    "get_service_conditions": Row(
        expected=EVERYBODY, path={"code": "CIV-01"}, asked={"centre": "SY-DI-01"}
    ),
    "get_queue": Row(
        expected={**STAFF, "foreign-clerk": 200, "foreign-supervisor": 200}
    ),
    "get_counts": Row(
        expected={
            **STAFF,
            **OVERSIGHT,
            "foreign-clerk": 200,
            "foreign-supervisor": 200,
        }
    ),
    "get_flows": Row(
        expected={
            **STAFF,
            **OVERSIGHT,
            "foreign-clerk": 200,
            "foreign-supervisor": 200,
        }
    ),
    **{
        name: Row(expected={**OVERSIGHT, "supervisor": 200, "foreign-supervisor": 200})
        for name in (
            "list_unassigned_work",
            "list_returned_post",
            "list_clerk_load",
            "list_approvals",
            "list_refused_attempts",
        )
    },
    "get_inbox": Row(expected={**OWN_OR_NONE, "agency": 200, "foreign-agency": 200}),
    "list_inbox_totals": Row(
        expected={**OWN_OR_NONE, "agency": 200, "foreign-agency": 200}
    ),
    "list_dead_letters": Row(expected=OVERSIGHT),
    "list_dead_letter_totals": Row(expected=OVERSIGHT),
    "get_dead_letter": Row(thing=letter, expected=OVERSIGHT),
    "record_replay": Row(
        thing=letter, body=fixed(partition=3, offset=9), expected=ADMINISTRATOR
    ),
    "settle_dead_letter": Row(
        thing=letter, body=fixed(reason="forged"), expected=ADMINISTRATOR
    ),
    "list_stampings": Row(expected=OWN_OR_NONE),
    "list_registered_stamps": Row(expected=OWN_OR_NONE),
    "check_paper": Row(
        make=stamped_in_the_views,
        expected={**OWN_OR_NONE, "agency": 200, "foreign-agency": 200},
        path={"digest": DIGEST},
    ),
    "list_postal_items": Row(expected={**OWN_OR_NONE, "post": 200}),
    "list_mailing_days": Row(expected={**OWN_OR_NONE, "post": 200}),
    "list_payments": Row(expected={**OWN_OR_NONE, "bank": 200}),
    "list_unmatched_payments": Row(
        expected={**OVERSIGHT, "supervisor": 200, "foreign-supervisor": 200}
    ),
    "get_unmatched_payment": Row(
        thing=payment,
        expected={**OVERSIGHT, "supervisor": 200, "foreign-supervisor": 404},
    ),
    "get_unmatched_payment/nobodys": Row(
        thing=payment_of_nobodys,
        expected={**OVERSIGHT, "supervisor": 404, "foreign-supervisor": 404},
    ),
    "settle_unmatched_payment": Row(
        thing=payment,
        body=fixed(reason="returned"),
        expected={**ADMINISTRATOR, "supervisor": 200, "foreign-supervisor": 404},
    ),
    "settle_unmatched_payment/nobodys": Row(
        thing=payment_of_nobodys,
        body=fixed(reason="returned"),
        expected={**ADMINISTRATOR, "supervisor": 404, "foreign-supervisor": 404},
    ),
    "get_payment_sums": Row(
        expected={**OVERSIGHT, "supervisor": 200, "foreign-supervisor": 200}
    ),
    # A stream begins only for whoever may; what it tells has tests of its own.
    "follow_queue": Row(
        expected={**STAFF, "foreign-clerk": 200, "foreign-supervisor": 200}
    ),
    "follow_counts": Row(
        expected={
            **STAFF,
            **OVERSIGHT,
            "foreign-clerk": 200,
            "foreign-supervisor": 200,
        }
    ),
    "follow_desk": Row(
        expected={**OVERSIGHT, "supervisor": 200, "foreign-supervisor": 200}
    ),
    "follow_inbox": Row(expected={**OWN_OR_NONE, "agency": 200, "foreign-agency": 200}),
    "get_turnaround": Row(
        expected={
            **STAFF,
            **OVERSIGHT,
            "foreign-clerk": 200,
            "foreign-supervisor": 200,
        }
    ),
    "list_governorates": Row(expected=EVERYBODY),
    **catalogue_rows(),
    "list_entries": Row(expected={"auditor": 200}),
    "get_entry": Row(expected={"auditor": 200}, path={"position": "1"}),
    "track_request": Row(
        expected=dict.fromkeys(WHO, 404),
        body=fixed(number="A77W-EAA2-E5G9-Q", code="000000"),
        is_public=True,
    ),
    "track_request/right": Row(
        make=Door.submitted, body=receipt, expected=EVERYBODY, is_public=True
    ),
    "livez": Row(expected=EVERYBODY, is_public=True),
    "readyz": Row(expected=EVERYBODY, is_public=True),
    "get_problem": Row(
        expected=EVERYBODY, path={"code": "stale-version"}, is_public=True
    ),
}


def operations(door: Door) -> dict[str, tuple[str, str]]:
    return {
        operation["operationId"]: (method, path)
        for path, methods in door.app.openapi()["paths"].items()
        for method, operation in methods.items()
    }
