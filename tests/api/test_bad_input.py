"""Bad input: each gets a clear problem, repeats no value, and moves no target."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.types import Message

from api.limits import BodyLimit
from api.tokens import local_key
from projections.pages import encode_cursor
from tests.api.door import PERSON, SUBMISSION, Door, door_of
from tests.conftest import Server, fresh_database


@pytest.fixture(scope="module")
def request_id(door: Door) -> str:
    return door.submitted()


@pytest.fixture(autouse=True)
def nothing_moves(door: Door, request_id: str) -> Iterator[None]:
    before = door.scene.entries()
    yield
    new = door.scene.entries()[len(before) :]
    assert [entry for entry in new if entry.topic != "sijil.attempt.refused.v1"] == []


def changed(**changes: Any) -> dict[str, Any]:
    return {**SUBMISSION, **changes}


def person(**changes: Any) -> dict[str, Any]:
    return changed(applicant={**PERSON, **changes})


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in SUBMISSION.items() if key != name}


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            (changed(surprise=1), "/surprise"),
            (without("service"), "/service"),
            (changed(service=7), "/service"),
            (changed(service=""), "/service"),
            (changed(service="x" * 65), "/service"),
            (changed(service="CIV\0-01"), "/service"),
            (changed(accept="yes"), "/accept"),
            (changed(accept=1), "/accept"),
            (changed(channel="pigeon"), "/channel"),
            (changed(relationship=None), "/relationship"),
            (changed(documents="id-card"), "/documents"),
            (changed(documents=["id-card"] * 51), "/documents"),
            (changed(documents=["marked-paper"]), "/documents"),
            (changed(effective_at="2026-02-30T08:00:00+03:00"), "/effective_at"),
            (changed(effective_at="2026-11-23T08:00:00"), "/effective_at"),
            (changed(effective_at=1795421645), "/effective_at"),
            (changed(effective_at="yesterday"), "/effective_at"),
            (changed(effective_at="0001-01-01T00:00:00+14:00"), "/effective_at"),
            (changed(effective_at="9999-12-31T23:59:59-14:00"), "/effective_at"),
            (changed(effective_at="2026-11-23T25:00:00Z"), "/effective_at"),
            (changed(effective_at="2026-11-23T08:00:00+00:60"), "/effective_at"),
            (changed(effective_at="2026-11-23T08:00:00.1234567Z"), "/effective_at"),
            (changed(effective_at="2026-W48-1T08:00:00Z"), "/effective_at"),
            (changed(effective_at="20261123T080000Z"), "/effective_at"),
            (changed(effective_at="٢٠٢٦-11-23T08:00:00Z"), "/effective_at"),
            (changed(**{"a/b~c": 1}), "/a~1b~0c"),
            (person(full_name="a\0b"), "/applicant/full_name"),
            (person(full_name="\ud800"), "/applicant/full_name"),
            (person(full_name=""), "/applicant/full_name"),
            (person(full_name="   "), "/full_name"),
            (person(full_name="x" * 201), "/applicant/full_name"),
            (person(national_number="marked123"), "/national_number"),
            (person(national_number=12345678901), "/applicant/national_number"),
            (person(national_number="123456789012"), "/national_number"),
            (person(phone="09marked"), "/phone"),
            (person(national_number=None), "/national_number"),
            (person(nickname="x"), "/applicant/nickname"),
            (changed(applicant=[]), "/applicant"),
            (changed(applicant="marked"), "/applicant"),
            ([], "/"),
            ("marked", "/"),
            (None, "/"),
        ],
    )
    def test_what_is_wrong_is_pointed_at_and_not_repeated(
        self, door: Door, body: Any, pointer: str
    ) -> None:
        answer = door.client.post(
            "/v1/requests",
            headers={
                **door.headers("clerk", Idempotency_Key=str(uuid4())),
                "Content-Type": "application/json",
            },
            content=json.dumps(body),
        )
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert problem["code"] == "invalid-value"
        pointers = [error["pointer"] for error in problem["errors"]]
        assert any(found.startswith(pointer.rstrip("/")) for found in pointers)
        assert "marked" not in answer.text

    @pytest.mark.parametrize(
        "content",
        [
            b"{",
            b"\xff\xfe",
            b"[" * 30_000,
            b'{"service":' + b"[" * 9_000 + b"]" * 9_000 + b"}",
            b'{"service":' + b"9" * 5_000 + b"}",
            b'{"a":1}{"b":2}',
            b"{'a':1}",
            b'{"a":"\x00"}',
        ],
    )
    def test_malformed_json_is_named(self, door: Door, content: bytes) -> None:
        answer = door.client.post(
            "/v1/requests",
            headers={
                **door.headers("clerk", Idempotency_Key=str(uuid4())),
                "Content-Type": "application/json",
            },
            content=content,
        )
        assert answer.status_code == 400, answer.text
        assert answer.json()["code"] == "malformed-json"

    @pytest.mark.parametrize("content", [b"", b'{"a":NaN}', b'{"\\ud800":1}'])
    def test_what_is_json_to_some_is_an_invalid_value(
        self, door: Door, content: bytes
    ) -> None:
        answer = door.client.post(
            "/v1/requests",
            headers={
                **door.headers("clerk", Idempotency_Key=str(uuid4())),
                "Content-Type": "application/json",
            },
            content=content,
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-value")

    @pytest.mark.parametrize("name", ["04130977215", "زبيدة", "z@marqumah.example"])
    def test_what_stands_in_a_fields_place_is_not_repeated(
        self, door: Door, name: str
    ) -> None:
        answer = door.post("clerk", "/v1/requests", changed(**{name: 1}))
        assert answer.json()["errors"] == [
            {"pointer": "/", "detail": "extra_forbidden"}
        ]

    def test_an_answer_is_not_larger_than_what_was_asked(self, door: Door) -> None:
        for body in ({f"k{i}": 1 for i in range(4_000)}, {"x" * 60_000: 1}):
            answer = door.post("clerk", "/v1/requests", body)
            assert answer.status_code == 422
            assert len(answer.content) < 8_000

    def test_half_a_body_is_no_body(self, door: Door) -> None:
        """A line that breaks may leave something that reads as a whole."""
        sent: list[Message] = []
        messages = iter(
            [
                {"type": "http.request", "body": b"{}", "more_body": True},
                {"type": "http.disconnect"},
            ]
        )

        async def receive() -> Message:
            return next(messages)

        async def send(message: Message) -> None:
            sent.append(message)

        async def unreachable(*_: Any) -> None:
            raise AssertionError

        scope = {
            "type": "http",
            "method": "POST",
            "headers": [(b"content-type", b"application/json")],
        }
        asyncio.run(BodyLimit(unreachable)(scope, receive, send))
        assert sent == []

    def test_ten_megabytes_are_refused_announced_or_not(self, door: Door) -> None:
        def chunks() -> Iterator[bytes]:
            for _ in range(160):
                yield b"x" * 65_536

        for content in (b"x" * 10_000_000, chunks()):
            answer = door.client.post(
                "/v1/requests",
                headers={
                    **door.headers("clerk", Idempotency_Key=str(uuid4())),
                    "Content-Type": "application/json",
                },
                content=content,
            )
            assert answer.status_code == 413
            assert answer.json()["code"] == "body-too-large"

    @pytest.mark.parametrize("kind", ["text/plain", "", "application/xml"])
    def test_another_content_type_is_refused(self, door: Door, kind: str) -> None:
        answer = door.client.post(
            "/v1/requests",
            headers={
                **door.headers("clerk", Idempotency_Key=str(uuid4())),
                "Content-Type": kind,
            },
            content=json.dumps(SUBMISSION),
        )
        assert answer.status_code == 415

    @pytest.mark.parametrize("key", ["", "not-a-uuid", None, "'; DROP TABLE"])
    def test_every_act_has_an_id(self, door: Door, key: str | None) -> None:
        answer = door.client.post(
            "/v1/requests",
            headers=door.headers("clerk", Idempotency_Key=key),
            json=SUBMISSION,
        )
        assert answer.status_code == 400
        assert answer.json()["code"] == "idempotency-key-required"


class TestTokens:
    def sign(self, door: Door, key: Any = None, **changes: Any) -> str:
        claims = {
            "iss": door.settings.token_issuer,
            "aud": door.settings.token_audience,
            "sub": "clk-DI-1",
            "role": "clerk",
            "centre": "SY-DI-01",
            "exp": datetime.now(UTC) + timedelta(hours=1),
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        signer = key or local_key(door.settings.home)
        return jwt.encode(kept, signer, algorithm="EdDSA")

    def ask(self, door: Door, token: str) -> tuple[int, str]:
        answer = door.client.get(
            "/v1/queue", headers={"Authorization": f"Bearer {token}"}
        )
        return answer.status_code, answer.json().get("code", "")

    def test_a_good_token_is_believed(self, door: Door) -> None:
        assert self.ask(door, self.sign(door))[0] == 200

    def test_an_expired_token_is_told_so(self, door: Door) -> None:
        expired = self.sign(door, exp=datetime.now(UTC) - timedelta(minutes=5))
        assert self.ask(door, expired) == (401, "token-expired")

    @pytest.mark.parametrize(
        "change",
        [
            {"aud": "another"},
            {"aud": None},
            {"iss": "another"},
            {"exp": None},
            {"sub": None},
            {"sub": ""},
            {"sub": "x" * 65},
            {"sub": "a\nb"},
            {"sub": "زبيدة"},
            {"sub": "Zubaydah Marqumah"},
            {"sub": "zubaydah@marqumah.example"},
            {"sub": "04130977215"},
            {"sub": "041-3097-7215"},
            {"sub": "+963944817263"},
            {"sub": "0944817263"},
            {"centre": "زبيدة"},
            {"role": "agency", "agency": "0944817263"},
            {"role": "agency", "agency": "CIV", "governorate": "a b"},
            {"role": "king"},
            {"role": "system"},
            {"role": "import"},
            {"role": None},
            {"role": ["clerk"]},
            {"centre": None},
            {"centre": {"a": 1}},
            {"role": "agency"},
            {"nbf": datetime.now(UTC) + timedelta(hours=2)},
        ],
    )
    def test_claims_that_fit_no_role_are_refused(
        self, door: Door, change: dict[str, Any]
    ) -> None:
        assert self.ask(door, self.sign(door, **change)) == (401, "unauthenticated")

    def test_another_key_none_and_symmetric_signatures_are_refused(
        self, door: Door
    ) -> None:
        claims = jwt.decode(self.sign(door), options={"verify_signature": False})
        public = local_key(door.settings.home).public_key().public_bytes_raw()
        for token in (
            self.sign(door, key=Ed25519PrivateKey.generate()),
            jwt.encode(claims, None, algorithm="none"),
            jwt.encode(claims, public, algorithm="HS256"),
            jwt.encode(claims, public.hex() * 2, algorithm="HS256"),
            self.sign(door)[:-40] + "A" * 40,
            "x.y.z",
            "Bearer",
            "",
        ):
            assert self.ask(door, token) == (401, "unauthenticated")

    @pytest.mark.parametrize("value", ["", "Basic YTpi", "Bearer", "bearer"])
    def test_other_schemes_are_no_login(self, door: Door, value: str) -> None:
        answer = door.client.get("/v1/queue", headers={"Authorization": value})
        assert answer.status_code == 401


class TestVersionsAndRepeats:
    def pay(self, door: Door, request_id: str, **parts: Any) -> Any:
        body = {
            "token": door.token_of(request_id),
            "channel": "cash",
            "amount": 1,
            "unit": "SYP.new",
            **parts.pop("body", {}),
        }
        return door.post("clerk", f"/v1/requests/{request_id}/payment", body, **parts)

    def test_no_version_is_428(self, door: Door, request_id: str) -> None:
        answer = self.pay(door, request_id)
        assert (answer.status_code, answer.json()["code"]) == (
            428,
            "precondition-required",
        )

    def test_a_stale_version_is_412_and_says_the_present_one(
        self, door: Door, request_id: str
    ) -> None:
        answer = self.pay(door, request_id, if_match='"1"')
        assert answer.status_code == 412
        assert answer.json()["facts"]["current"] == door.etag(request_id).strip('"')

    @pytest.mark.parametrize("tag", ["*", "abc", 'W/"2"', '"-1"', '"1", "2"', '"x"'])
    def test_a_tag_of_another_kind_is_refused(
        self, door: Door, request_id: str, tag: str
    ) -> None:
        assert self.pay(door, request_id, if_match=tag).status_code == 422

    def test_a_broken_rule_says_what_is_due(self, door: Door, request_id: str) -> None:
        answer = self.pay(door, request_id, if_match=door.etag(request_id))
        assert (answer.status_code, answer.json()["code"]) == (409, "wrong-amount")
        assert answer.json()["facts"] == {"due": "3000", "unit": "SYP.new"}

    def test_a_stale_claim_says_who_has_it(self, door: Door, request_id: str) -> None:
        answer = self.pay(
            door, request_id, if_match=door.etag(request_id), body={"token": 99}
        )
        assert answer.status_code == 409
        assert answer.json()["facts"] == {"holder": "clk-DI-1", "token": "1"}

    @pytest.mark.parametrize(
        "amount", [-1, 2**53, 10**30, 30.0, "3000", True, None, [3000]]
    )
    def test_money_is_a_whole_number(
        self, door: Door, request_id: str, amount: Any
    ) -> None:
        answer = self.pay(
            door, request_id, if_match=door.etag(request_id), body={"amount": amount}
        )
        assert answer.status_code == 422, answer.text

    @pytest.mark.parametrize("name", ["x", "00000000-0000-0000-0000-000000000000"])
    def test_an_id_of_nothing_is_not_found_or_invalid(
        self, door: Door, name: str
    ) -> None:
        answer = door.post("clerk", f"/v1/requests/{name}/payment", {}, if_match='"1"')
        assert answer.status_code == 422
        assert door.get("clerk", f"/v1/requests/{name}").status_code in {404, 422}


class TestQueries:
    @pytest.mark.parametrize(
        ("path", "asked"),
        [
            ("/v1/queue", {"cursor": "nonsense"}),
            ("/v1/queue", {"limit": 0}),
            ("/v1/queue", {"limit": 201}),
            ("/v1/queue", {"waiting_for": "godot"}),
            ("/v1/requests", {"stage": "lost"}),
            ("/v1/requests", {"cursor": "WzFd"}),
            ("/v1/requests", {"as_of": "yesterday"}),
            ("/v1/requests", {"as_of": "2026-11-23T08:00:00"}),
            ("/v1/counts", {"by": "day"}),
            ("/v1/counts", {"by": "shoe-size"}),
            ("/v1/counts", {"effective_at": "2026-02-30"}),
            ("/v1/counts", {"effective_at": "2026-11-23T08:00:00"}),
            ("/v1/counts", {"effective_at": "9999-12-31"}),
            ("/v1/counts", {"effective_at": "48213"}),
            ("/v1/turnaround", {"effective_at": "9999-12-31"}),
            ("/v1/turnaround", {"by": "year"}),
            ("/v1/turnaround", {"first": "2020-01-01", "last": "2026-01-01"}),
            ("/v1/counts/flows", {"first": "2026-02-30"}),
            ("/v1/counts/flows", {"first": "2020-01-01", "last": "2026-01-01"}),
            ("/v1/counts/flows", {"first": "2026-02-01", "last": "2026-01-01"}),
            ("/v1/counts", {"min_position": -1}),
            ("/v1/requests", {"service": "CIV\0-01"}),
            ("/v1/requests", {"centre": "\0"}),
            ("/v1/queue", {"clerk": "\0"}),
            ("/v1/services/%00", {}),
            ("/v1/requests", {"as_of": "\0"}),
            ("/v1/requests", {"cursor": encode_cursor(["\0", "\0"])}),
            ("/v1/queue", {"cursor": encode_cursor(["\0", "\0", "\0"])}),
            ("/v1/services", {"cursor": encode_cursor(["\0"])}),
            ("/v1/services", {"cursor": encode_cursor(["\ud800"])}),
            ("/v1/services", {"cursor": encode_cursor([10**30])}),
            ("/v1/requests", {"as_off": "1"}),
            ("/v1/governorates", {"limit": "1"}),
            ("/v1/requests", {"as_of": "0001-01-01T00:00:00+14:00"}),
        ],
    )
    def test_a_question_without_sense_is_invalid(
        self, door: Door, path: str, asked: dict[str, Any]
    ) -> None:
        answer = door.get("supervisor", path, **asked)
        assert answer.status_code == 422, answer.text
        assert answer.json()["code"] == "invalid-value"

    def test_a_view_that_is_not_there_yet_says_so(
        self, door: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("api.asking.FRESH_TIMEOUT_S", 0.05)
        answer = door.get("supervisor", "/v1/queue", min_position=10**9)
        assert (answer.status_code, answer.json()["code"]) == (503, "not-fresh-enough")
        assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    "path",
    [
        "/v1/counts/flows?first=2026-11-01&last=2026-11-02&first=2026-10-01",
        "/v1/requests?limit=1&limit=2",
        "/v1/queue/events?clerk=clk-DI-1&clerk=clk-DI-2",
        "/v1/services/CIV-01?as_of=1&as_of=2",
    ],
)
def test_what_is_asked_twice_is_refused_rather_than_half_of_it_answered(
    door: Door, path: str
) -> None:
    answer = door.client.get(path, headers=door.headers("supervisor"))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-value")
    assert answer.json()["errors"][0]["detail"] == "twice"


def test_what_is_a_list_may_be_given_twice(door: Door) -> None:
    path = "/v1/counts?by=centre&by=service"
    answer = door.client.get(path, headers=door.headers("auditor"))
    assert answer.status_code == 200


def test_a_mistyped_number_is_not_counted_as_one_number(
    server: Server, seeded_template: str
) -> None:
    database = fresh_database(server, seeded_template)
    try:
        with door_of(database, tracking_per_number_per_hour=2) as door:

            def ask(number: str) -> int:
                question = {"number": number, "code": "000000"}
                return door.client.post("/v1/tracking", json=question).status_code

            assert [ask("A77W-EAA2-E5G9-Q") for _ in range(3)] == [404, 404, 429]
            assert [ask("a77weaa2e5g9q"), ask("A77W-EAA2-E5G9-X")] == [429, 404]
            assert {ask(f"typo {n}") for n in range(5)} == {404}
    finally:
        database.close()


def test_guessing_codes_is_bounded(server: Server, seeded_template: str) -> None:
    database = fresh_database(server, seeded_template)
    try:
        with door_of(database, tracking_per_minute=3) as door:
            question = {"number": "A77W-EAA2-E5G9-Q", "code": "000000"}
            statuses = [
                door.client.post("/v1/tracking", json=question).status_code
                for _ in range(5)
            ]
            answer = door.client.post("/v1/tracking", json=question)
        assert statuses == [404, 404, 404, 429, 429]
        assert answer.json()["code"] == "rate-limited"
        assert int(answer.headers["Retry-After"]) >= 1
    finally:
        database.close()
