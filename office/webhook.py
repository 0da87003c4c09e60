"""The SMS gateway: each message an HTTP POST that the gateway can verify.

Signed as the Standard Webhooks specification says, for which there are libraries:
``webhook-signature`` is ``v1,`` and the base64 HMAC-SHA256 of
``<webhook-id>.<webhook-timestamp>.<body>``. The id is the same at every attempt, so a
gateway that keeps ids sends each message once; the time lets it refuse replays.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import httpx2

from domain.requests import Means
from ledger.bodies import rfc3339
from office.couriers import CourierError, Letter

CONNECT_TIMEOUT_S = 5.0
"""A gateway that is there answers the handshake at once."""
TIMEOUT_S = 15.0
"""For one message from first to last, however slowly an answer trickles in: longer
than a gateway may take to queue it."""
_NOT_THIS_MESSAGE = frozenset({401, 403, 404, 405, 408, 425, 429})
"""Refusals that blame the set-up or the moment: trying again may help."""


def signature(key: bytes, *, message_id: str, timestamp: str, body: bytes) -> str:
    """What stands in ``webhook-signature``."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.digest(key, signed, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


class Webhook:
    """A courier that posts to an SMS gateway."""

    name = "webhook"
    carries = (Means.SMS,)

    def __init__(
        self,
        url: str,
        key: bytes,
        *,
        now_s: Callable[[], int],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._url = url
        self._key = key
        self._now_s = now_s
        self._timeout_s = timeout_s

    def send(self, letter: Letter) -> None:
        """Post the letter. Only an answer 2xx means that the gateway took it."""
        body = json.dumps(
            {
                "id": str(letter.id),
                "message": letter.message,
                "to": letter.to,
                "language": "ar",
                "text": letter.text,
                "caused_at": rfc3339(letter.caused_at),
            },
            ensure_ascii=False,
        ).encode()
        message_id, timestamp = str(letter.id), str(self._now_s())
        status = self._status(
            body,
            {
                "content-type": "application/json; charset=utf-8",
                "idempotency-key": message_id,
                "webhook-id": message_id,
                "webhook-timestamp": timestamp,
                "webhook-signature": signature(
                    self._key, message_id=message_id, timestamp=timestamp, body=body
                ),
            },
        )
        if not 200 <= status < 300:  # noqa: PLR2004 -- RFC 9110, 15.3
            is_client_error = 400 <= status < 500  # noqa: PLR2004 -- RFC 9110, 15.5
            is_final = is_client_error and status not in _NOT_THIS_MESSAGE
            raise CourierError(
                f"http-{status}", is_final=is_final, is_down=not is_final
            )

    def _status(self, body: bytes, headers: dict[str, str]) -> int:
        try:
            return asyncio.run(self._post(body, headers))
        except (TimeoutError, httpx2.TimeoutException):
            raise CourierError("timeout", is_down=True) from None
        except httpx2.HTTPError as error:
            code = f"http-{type(error).__name__.lower()}"
            raise CourierError(code, is_down=True) from None

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        """The status. The answer's body is not read: nothing in it is for us.

        A message is rare enough for a connection of its own, and a client that lives
        long would keep what a proxy or a name server said once.
        """
        timeout = httpx2.Timeout(self._timeout_s, connect=CONNECT_TIMEOUT_S)
        async with (
            asyncio.timeout(self._timeout_s),
            httpx2.AsyncClient(timeout=timeout, follow_redirects=False) as client,
            client.stream("POST", self._url, content=body, headers=headers) as answer,
        ):
            return answer.status_code

    def sweep(self) -> int:
        """Nothing is kept here."""
        return 0
