"""Approvals: a supervisor's word for what the rules leave to approval.

A supervisor approves one act of the own centre before it is sent: by its command id and
the request it is on, or for the act that submits a new one.
The approval is a text that whoever acts sends along; the act's event then names the
supervisor. Nothing is stored: the text is signed under the key of the commands.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from domain.access import Permission, Principal
from domain.errors import InvalidValueError, NotFoundError

LIFESPAN = timedelta(hours=12)
"""A working day: what was approved in the morning is done by the evening."""
LONGEST_APPROVAL = 400
"""Characters; a supervisor's code has at most 64."""
_PARTS = 3


class Approvals:
    """Gives approvals and reads them."""

    def __init__(self, key: bytes, clock: Callable[[], datetime]) -> None:
        self._key = key
        self._clock = clock

    def give(
        self, supervisor: Principal, command_id: UUID, request_id: UUID | None = None
    ) -> tuple[str, datetime]:
        """The approval of an act of the supervisor's centre, and when it ends.

        Without a request it is for the act that submits a new one, and no other.
        """
        supervisor.must_be_allowed(Permission.APPROVE)
        if supervisor.centre is None:
            raise NotFoundError(thing="centre")
        until = self._clock().replace(microsecond=0) + LIFESPAN
        seconds = str(int(until.timestamp()))
        name = base64.urlsafe_b64encode(supervisor.id.encode()).decode().rstrip("=")
        seal = self._seal(
            command_id, request_id, supervisor.centre, supervisor.id, seconds
        )
        return f"{name}.{seconds}.{seal}", until

    def supervisor_of(
        self,
        approval: str,
        command_id: UUID,
        request_id: UUID | None,
        centre: str | None,
    ) -> str:
        """The code of the supervisor who approved this act at this centre.

        ``request_id`` is None for what the act makes. Raises InvalidValueError for
        another act, request or centre, a forged or an old one.
        """
        parts = approval.split(".")
        if len(parts) != _PARTS or not parts[1].isascii() or not parts[1].isdecimal():
            raise InvalidValueError(field="approval", reason="shape")
        name, seconds, seal = parts
        try:
            padded = name + "=" * (-len(name) % 4)
            supervisor = base64.b64decode(
                padded, altchars=b"-_", validate=True
            ).decode()
        except ValueError as error:
            raise InvalidValueError(field="approval", reason="shape") from error
        expected = self._seal(command_id, request_id, centre or "", supervisor, seconds)
        if not hmac.compare_digest(expected.encode(), seal.encode(errors="replace")):
            raise InvalidValueError(field="approval", reason="not-of-this-act")
        if int(seconds) < self._clock().timestamp():
            raise InvalidValueError(field="approval", reason="over")
        return supervisor

    def _seal(
        self,
        command_id: UUID,
        request_id: UUID | None,
        centre: str,
        supervisor: str,
        seconds: str,
    ) -> str:
        on = "" if request_id is None else str(request_id)
        told = "\0".join(("approval", str(command_id), on, centre, supervisor, seconds))
        return hmac.digest(self._key, told.encode(), hashlib.sha256).hex()
