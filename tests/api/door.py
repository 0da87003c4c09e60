"""A running interface over a seeded office, and people with tokens to ask it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from anyio.from_thread import BlockingPortal
from eventsourcing.persistence import Tracking
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import ASGITransport, BaseTransport, ByteStream, Request, Response

from api.app import create_app
from api.problems import MEDIA_TYPE
from api.settings import ApiSettings
from api.tokens import mint
from domain.acts import ActorKind
from office.dead_letters import SetAside
from tests.conftest import Database
from tests.office.scene import CENTRE, DIGEST, ITEM, STAMP, Scene, scene_in

PERSON = {
    "full_name": "علامة فارقة الاختبار",
    "national_number": "٠١٠٠٠٠٩٩٨٨٧",
    "phone": "٠٩٣٣ ١٢٣ ٤٩٨",
    "address": "شارع العلامة الفارقة ٧٧",
}
SUBMISSION: dict[str, Any] = {
    "service": "CIV-01",
    "channel": "counter",
    "applicant": PERSON,
    "relationship": "self",
    "documents": ["id-card"],
    "delivery": "home",
    "accept": True,
}

OFFER: dict[str, Any] = {
    "agency": "CIV",
    "name_ar": "خدمة الاختبار",
    "name_en": "A service of the tests",
    "direct_in": ["*"],
    "completion_days": 3,
    "applicants": ["self"],
    "documents": [{"code": "id-card", "name_ar": "هوية", "name_en": "Identity card"}],
    "fee_lines": [{"kind": "state_fee", "amount": 3000, "unit": "SYP.new"}],
    "paper": True,
    "live_stamp": True,
    "post": True,
    "basis": "plausible",
}
"""A service without its code."""
AGENCY = {"name_ar": "جهة", "name_en": "An agency", "scope": "national"}
CENTRE_FACTS = {"governorate": "SY-DI", "name_ar": "مركز", "name_en": "A centre"}
WITHOUT_TOKEN = {
    "assignment",
    "claim",
    "delivery",
    "collection",
    "return",
    "message",
    "withdrawal",
    "refund",
    "correction",
}
"""Acts that are not about who holds the request."""
_OFFSETS = count(1)

WHO: dict[str, dict[str, Any]] = {
    "clerk": {"role": ActorKind.CLERK, "subject": "clk-DI-1", "centre": CENTRE},
    "foreign-clerk": {
        "role": ActorKind.CLERK,
        "subject": "clk-HL-1",
        "centre": "SY-HL-01",
    },
    "supervisor": {
        "role": ActorKind.SUPERVISOR,
        "subject": "sup-DI",
        "centre": CENTRE,
    },
    "foreign-supervisor": {
        "role": ActorKind.SUPERVISOR,
        "subject": "sup-HL",
        "centre": "SY-HL-01",
    },
    "administrator": {"role": ActorKind.ADMINISTRATOR, "subject": "adm-1"},
    "auditor": {"role": ActorKind.AUDITOR, "subject": "aud-1"},
    "agency": {
        "role": ActorKind.AGENCY,
        "subject": "off-1",
        "agency": "CIV",
        "governorate": "SY-DI",
    },
    "foreign-agency": {
        "role": ActorKind.AGENCY,
        "subject": "off-2",
        "agency": "CIV",
        "governorate": "SY-HL",
    },
    "post": {"role": ActorKind.POST, "subject": "post-1"},
    "bank": {"role": ActorKind.BANK, "subject": "bank-1"},
    "citizen": {"role": ActorKind.CITIZEN, "subject": "subject-1"},
    "foreign-citizen": {"role": ActorKind.CITIZEN, "subject": "subject-2"},
}


class Door:
    """The interface, asked by name of who asks."""

    def __init__(self, scene: Scene, app: FastAPI, client: TestClient) -> None:
        self.scene = scene
        self.app = app
        self.client = client
        self.settings: ApiSettings = app.state.settings
        self._tokens: dict[str, str] = {}

    def token(self, who: str) -> str:
        if who not in self._tokens:
            self._tokens[who] = mint(
                self.settings,
                now=datetime.now(UTC),
                lifespan=timedelta(hours=1),
                **WHO[who],
            )
        return self._tokens[who]

    def headers(self, who: str | None, **more: str | None) -> dict[str, str]:
        made = {name.replace("_", "-"): v for name, v in more.items() if v is not None}
        if who is not None:
            made["Authorization"] = f"Bearer {self.token(who)}"
        return made

    def get(self, who: str | None, path: str, **asked: Any) -> Response:
        return self.client.get(path, headers=self.headers(who), params=asked)

    def post(
        self,
        who: str | None,
        path: str,
        body: Any,
        *,
        if_match: str | None = None,
        key: str | UUID | None = None,
    ) -> Response:
        return self.client.post(
            path,
            headers=self.headers(
                who, Idempotency_Key=str(key or uuid4()), If_Match=if_match
            ),
            json=body,
        )

    def etag(self, request_id: str) -> str:
        return str(self.get("auditor", f"/v1/requests/{request_id}").headers["ETag"])

    def token_of(self, request_id: str) -> int:
        answer = self.get("auditor", f"/v1/requests/{request_id}").json()
        return int(answer["token"])

    def act(self, who: str, request_id: str, act: str, **body: Any) -> Response:
        """One act with the present ETag and token, as a careful client does it."""
        if who in {"clerk", "supervisor"} and act not in WITHOUT_TOKEN:
            body.setdefault("token", self.token_of(request_id))
        return self.post(
            who,
            f"/v1/requests/{request_id}/{act}",
            body,
            if_match=self.etag(request_id),
        )

    def submitted(self, who: str = "clerk", **changes: Any) -> str:
        answer = self.post(who, "/v1/requests", {**SUBMISSION, **changes})
        assert answer.status_code == 201, answer.text
        self.scene.level()
        return str(answer.json()["id"])

    def online(self) -> str:
        return self.submitted("citizen", channel="online", centre=CENTRE, accept=False)

    def paid(self, **changes: Any) -> str:
        request_id = self.submitted(**changes)
        answer = self.act(
            "clerk",
            request_id,
            "payment",
            channel="cash",
            amount=3000,
            unit="SYP.new",
        )
        assert answer.status_code == 200, answer.text
        return request_id

    def claimed(self) -> str:
        request_id = self.online()
        answer = self.act("clerk", request_id, "claim")
        assert answer.status_code == 200, answer.text
        return request_id

    def asked(self) -> str:
        request_id = self.submitted()
        answer = self.act(
            "clerk", request_id, "information-request", missing=["birth_place"]
        )
        assert answer.status_code == 200, answer.text
        return request_id

    def withdrawn(self) -> str:
        request_id = self.paid()
        answer = self.act("clerk", request_id, "withdrawal", reason="not_needed")
        assert answer.status_code == 200, answer.text
        return request_id

    def forwarded(self) -> str:
        request_id = self.paid(service="CIV-06")
        assert self.act("clerk", request_id, "forwarding").status_code == 200
        return request_id

    def issued(self, **changes: Any) -> str:
        request_id = self.paid(**changes)
        answer = self.act("clerk", request_id, "response", outcome="issued")
        assert answer.status_code == 200, answer.text
        return request_id

    def stamped(self) -> str:
        request_id = self.issued()
        answer = self.act(
            "clerk", request_id, "stamp", serial=STAMP, stamped_digest=DIGEST
        )
        assert answer.status_code == 200, answer.text
        return request_id

    def mailed(self) -> str:
        request_id = self.stamped()
        answer = self.act("clerk", request_id, "mailing", item=ITEM, to="home")
        assert answer.status_code == 200, answer.text
        return request_id

    def dead_letter(self, **changed: Any) -> str:
        """A message that could not be used; its id."""
        offset = next(_OFFSETS)
        facts: dict[str, Any] = {
            "group": "inward",
            "topic": "sijil.agency-replies.v1",
            "partition": 3,
            "offset": offset,
            "sent_ms": 1_792_735_200_000,
            "cause": "not-json",
            "attempts": 1,
            "kept_partition": 0,
            "kept_offset": offset,
        }
        done = self.scene.house.dead_letters.set_aside(
            SetAside(**{**facts, **changed}), tracking=Tracking("letters", offset)
        )
        return str(done.aggregate_id)

    def stray_payment(self, *number: str, **changed: Any) -> str:
        """A payment under a number that no request was waiting for; its id."""
        return str(self.scene.stray_payment(*number, **changed).aggregate_id)

    def stray_payment_here(self) -> str:
        """A payment under a request's number, and not what is due of it; its id."""
        request_id = self.submitted()
        number = self.scene.get(UUID(request_id)).tracking_number
        return self.stray_payment(number, amount=1)

    def refused(self) -> str:
        request_id = self.forwarded()
        answer = self.act(
            "agency", request_id, "response", outcome="refused", reason="no-record"
        )
        assert answer.status_code == 200, answer.text
        return request_id


class OneCrossing(BaseTransport):
    """Asks the application with one step into its thread, and one back.

    The test client's own takes seven, for answers that are read while they are made.
    """

    def __init__(self, app: FastAPI, portal: BlockingPortal) -> None:
        self._inner = ASGITransport(
            app, raise_app_exceptions=False, client=("testclient", 50_000)
        )
        self._portal = portal

    def handle_request(self, request: Request) -> Response:
        """The answer, read to its end."""
        request.read()
        answer, body = self._portal.call(self._ask, request)
        return Response(
            answer.status_code,
            headers=answer.headers,
            stream=ByteStream(body),
            extensions=answer.extensions,
        )

    async def _ask(self, request: Request) -> tuple[Response, bytes]:
        answer = await self._inner.handle_async_request(request)
        return answer, await answer.aread()


@contextmanager
def door_of(database: Database, **settings: Any) -> Iterator[Door]:
    with scene_in(database) as scene:
        given = {"tracking_per_minute": 10_000, **settings}
        api = ApiSettings.load(home=database.settings.home, **given)
        app = create_app(scene.house, api)
        # This client reads an answer to its end, so a stream has to have one.
        app.state.live.streams.longest_s = 0.1
        with TestClient(app, raise_server_exceptions=False) as client:
            assert client.portal is not None
            client._transport = OneCrossing(app, client.portal)
            client.event_hooks = {"response": [lambda told: _declared(app, told)]}
            yield Door(scene, app, client)


def _declared(app: FastAPI, answer: Response) -> None:
    """Every problem that any test meets is one that its route declares."""
    if answer.headers.get("Content-Type") != MEDIA_TYPE:
        return
    answer.read()
    if not answer.content:
        return
    problem = answer.json()
    route, code = problem["instance"], problem["code"]
    operation = app.openapi()["paths"].get(route, {}).get(answer.request.method.lower())
    if operation is None or code == "internal-error":
        return
    told = operation["responses"].get(str(answer.status_code), {})
    codes = told.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {})
    assert code in codes, f"{operation['operationId']} does not declare {code}"
