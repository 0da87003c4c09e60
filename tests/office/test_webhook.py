"""The courier that goes to a gateway, a real one."""

from __future__ import annotations

import base64
import socket
import time

import pytest

from office.webhook import Webhook, signature
from tests.office.gateways import KEY, Gateway, webhook
from tests.office.letters import ID, MARKED_PHONE, failure, letter
from tests.running import free_port


class TestTheGateway:
    def test_it_gets_a_message_that_it_can_verify(
        self, gateway: tuple[type[Gateway], str]
    ) -> None:
        kind, url = gateway
        webhook(url).send(letter())
        assert kind.taken == [
            {
                "id": str(ID),
                "message": "accepted",
                "to": MARKED_PHONE,
                "language": "ar",
                "text": letter().text,
                "caused_at": "2026-11-23T08:14:05.000000Z",
            }
        ]
        (seen,) = kind.seen
        assert seen["idempotency-key"] == seen["webhook-id"] == str(ID)
        assert seen["content-type"] == "application/json; charset=utf-8"

    def test_a_second_attempt_has_the_same_id_so_one_message_goes_out(
        self, gateway: tuple[type[Gateway], str]
    ) -> None:
        kind, url = gateway
        webhook(url).send(letter())
        webhook(url).send(letter())
        assert len(kind.seen) == 2
        assert len(kind.taken) == 1

    def test_another_key_or_an_old_message_is_not_believed(
        self, gateway: tuple[type[Gateway], str]
    ) -> None:
        kind, url = gateway
        assert failure(webhook(url, bytes(32)), letter()).code == "http-401"
        late = Webhook(url, KEY, now_s=lambda: int(time.time()) - 600)
        assert failure(late, letter()).code == "http-401"
        assert not kind.taken

    def test_the_signature_is_that_of_the_specification(self) -> None:
        # The example of the Standard Webhooks specification's own libraries.
        key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        assert (
            signature(
                key,
                message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
                timestamp="1614265330",
                body=b'{"test": 2432232314}',
            )
            == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        )

    @pytest.mark.parametrize(
        ("status", "is_final"),
        [
            (307, False),
            (400, True),
            (401, False),
            (404, False),
            (422, True),
            (429, False),
            (500, False),
            (503, False),
        ],
    )
    def test_an_answer_says_whether_trying_again_can_help(
        self, gateway: tuple[type[Gateway], str], status: int, is_final: bool
    ) -> None:
        kind, url = gateway
        kind.statuses.append(status)
        error = failure(webhook(url), letter())
        assert (error.code, error.is_final) == (f"http-{status}", is_final)
        assert error.is_down is not is_final
        assert len(kind.seen) == 1, "a redirect was followed"

    def test_a_gateway_that_is_away_or_silent_is_down(self) -> None:
        away = failure(webhook(f"http://127.0.0.1:{free_port()}/"), letter())
        assert away.code == "http-connecterror"
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
            error = failure(webhook(url, timeout_s=0.2), letter())
        assert error.code == "timeout"
