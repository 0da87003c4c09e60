"""A real mail server, and the courier that goes to it."""

from __future__ import annotations

import email
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default as modern
from typing import Any, cast

import aiosmtpd.smtp
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope, Session

from domain.requests import Means
from office.acts import utc_now
from office.couriers import Letter
from office.smtp import Mail, MailServer, MailTls
from tests.office.letters import MARKED_EMAIL, letter
from tests.running import free_port

SENDER = "no-reply@centres.example.org"


class Inbox:
    """What a mail server of the tests does with mail; by default it keeps it."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], EmailMessage]] = []
        self.raw: list[bytes] = []
        self.rcpt_answer: str | None = None
        self.data_answer: str | None = None
        self.was_tls: list[bool] = []

    async def handle_RCPT(  # noqa: N802 -- as aiosmtpd names it
        self,
        server: aiosmtpd.smtp.SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        if self.rcpt_answer is not None:
            return self.rcpt_answer.format(address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: aiosmtpd.smtp.SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.data_answer is not None:
            return self.data_answer.format(envelope.rcpt_tos[0])
        raw = bytes(envelope.content or b"")
        self.raw.append(raw)
        self.was_tls.append(session.ssl is not None)
        mail = cast("EmailMessage", email.message_from_bytes(raw, policy=modern))
        self.mails.append(
            (str(envelope.mail_from), [str(to) for to in envelope.rcpt_tos], mail)
        )
        return "250 taken"


@contextmanager
def mail_server(inbox: Inbox, **options: Any) -> Iterator[int]:
    """A real server on a real socket."""
    port = free_port()
    controller = Controller(
        inbox, hostname="127.0.0.1", port=port, ready_timeout=60, **options
    )
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def mail(port: int, **changes: Any) -> Mail:
    context = changes.pop("context", None)
    limits = {
        name: changes.pop(name)
        for name in ("timeout_s", "longest_talk_s")
        if name in changes
    }
    facts: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "sender": SENDER,
        "tls": MailTls.NONE,
    }
    return Mail(
        MailServer(**{**facts, **changes}),
        clock=utc_now,
        context=context,
        **limits,
    )


def e_mail(**changes: Any) -> Letter:
    return letter(**{"means": Means.EMAIL, "to": MARKED_EMAIL, **changes})
