"""A real gateway for short messages, and the courier that goes to it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

from office.webhook import Webhook

KEY = bytes(range(32))


class Gateway(BaseHTTPRequestHandler):
    """An SMS gateway that verifies, as the how-to page says one should."""

    statuses: list[int]
    taken: list[dict[str, Any]]
    seen: list[dict[str, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        told = {name.lower(): value for name, value in self.headers.items()}
        self.seen.append({**told, "body": body.decode()})
        status = self.statuses.pop(0) if self.statuses else 202
        if not self.verified(told, body):
            status = 401
        if status == 202 and told["webhook-id"] not in {t["id"] for t in self.taken}:
            self.taken.append(json.loads(body))
        self.send_response(status)
        if status == 307:
            self.send_header("location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(body)

    @staticmethod
    def verified(told: dict[str, str], body: bytes) -> bool:
        """By the words of the specification, not by our own function."""
        if abs(time.time() - int(told["webhook-timestamp"])) > 300:
            return False
        signed = b".".join(
            (told["webhook-id"].encode(), told["webhook-timestamp"].encode(), body)
        )
        made = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest())
        return hmac.compare_digest(f"v1,{made.decode()}", told["webhook-signature"])

    def log_message(self, *_: object) -> None:
        pass


def webhook(url: str, key: bytes = KEY, **more: Any) -> Webhook:
    return Webhook(url, key, now_s=lambda: int(time.time()), **more)
