"""E-mail: each message handed to a mail server, over TLS unless it is on this machine.

A letter's Message-ID is the same at every attempt, so that a mailbox that got it twice
can show it once.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_LINES
from email.utils import format_datetime
from enum import StrEnum
from threading import Timer
from typing import Any

from domain.requests import Means
from office.acts import Clock
from office.couriers import CourierError, Letter

TIMEOUT_S = 30.0
"""For each wait in the talk with the server. It may be slow, never silent."""
LONGEST_TALK_S = 120.0
"""For all of it: a server that answers a letter a second holds up nobody for long."""
_READY = 220
_OK = 250
_FORWARDS = 251
"""RFC 5321, 4.2.3: the recipient is not local, and it will forward."""
_REFUSED_FOR_GOOD = 500


class MailTls(StrEnum):
    """How the connection is protected."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """The mail server and who we are to it."""

    host: str
    port: int
    sender: str
    tls: MailTls
    user: str | None = None
    password: str | None = field(default=None, repr=False)


class Mail:
    """A courier that hands letters to a mail server."""

    name = "smtp"
    carries = (Means.EMAIL,)

    def __init__(
        self,
        server: MailServer,
        *,
        clock: Clock,
        context: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
        longest_talk_s: float = LONGEST_TALK_S,
    ) -> None:
        self._server = server
        self._clock = clock
        self._context = context or ssl.create_default_context()
        self._timeout_s = timeout_s
        self._longest_talk_s = longest_talk_s
        self._domain = server.sender.rpartition("@")[2]

    def send(self, letter: Letter) -> None:
        """Hand the letter over: the server answered 250 to all of it."""
        mail = self._composed(letter)
        with _own_words_only(), self._connected() as smtp:
            self._must_be(_OK, smtp.mail(self._server.sender)[0], is_down=True)
            code, _ = smtp.rcpt(letter.to)
            if code != _FORWARDS:
                self._must_be(_OK, code, is_down=False)
            self._must_be(_OK, smtp.data(mail.as_bytes())[0], is_down=False)

    def _composed(self, letter: Letter) -> EmailMessage:
        """The mail. The policy refuses a line break in any header."""
        mail = EmailMessage(policy=SMTP_LINES)
        mail["From"] = Address(addr_spec=self._server.sender)
        mail["To"] = Address(addr_spec=letter.to)
        mail["Subject"] = letter.subject
        mail["Date"] = format_datetime(self._clock())
        mail["Message-ID"] = f"<{letter.id}@{self._domain}>"
        # RFC 3834: no out-of-office answers to a machine.
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(letter.text, charset="utf-8", cte="base64")
        # Only now: setting the content takes off what was said of it before.
        mail["Content-Language"] = "ar"
        return mail

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """A talk with the server that has been protected and logged in."""
        server = self._server
        # Our own name is given: looking it up may hang for a minute.
        ours: dict[str, Any] = {
            "local_hostname": self._domain,
            "timeout": self._timeout_s,
        }
        smtp = (
            smtplib.SMTP_SSL(context=self._context, **ours)
            if server.tls is MailTls.IMPLICIT
            else smtplib.SMTP(**ours)
        )
        watch = Timer(self._longest_talk_s, _hang_up, args=(smtp,))
        watch.daemon = True
        watch.start()
        try:
            # The name that certificates are checked against; connecting sets none.
            smtp._host = server.host  # type: ignore[attr-defined]  # noqa: SLF001
            greeting, _ = smtp.connect(server.host, server.port)
            self._must_be(_READY, greeting, is_down=True)
            smtp.ehlo()
            if server.tls is MailTls.STARTTLS:
                smtp.starttls(context=self._context)
                smtp.ehlo()
            if server.user is not None:
                smtp.login(server.user, server.password or "")
            yield smtp
        finally:
            watch.cancel()
            # Not QUIT: what it answers, or that it does not, changes nothing any more.
            smtp.close()

    @staticmethod
    def _must_be(wanted: int, code: int, *, is_down: bool) -> None:
        if code != wanted:
            raise CourierError(
                f"smtp-{code}",
                is_final=code >= _REFUSED_FOR_GOOD and not is_down,
                is_down=is_down,
            )

    def sweep(self) -> int:
        """Nothing is kept here."""
        return 0


def _hang_up(smtp: smtplib.SMTP) -> None:
    """End a talk that takes too long; whoever waits in it gets an end of file."""
    if smtp.sock is not None:
        with suppress(OSError):
            smtp.sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def _own_words_only() -> Iterator[None]:
    """Errors by code: what a server says may repeat an address, or a password."""
    try:
        yield
    except smtplib.SMTPDataError as error:
        raise CourierError(
            f"smtp-{error.smtp_code}",
            is_final=error.smtp_code >= _REFUSED_FOR_GOOD,
        ) from None
    except smtplib.SMTPResponseException as error:
        raise CourierError(f"smtp-{error.smtp_code}", is_down=True) from None
    except TimeoutError:
        raise CourierError("timeout", is_down=True) from None
    except ssl.SSLError:
        raise CourierError("tls", is_down=True) from None
    except smtplib.SMTPServerDisconnected:
        raise CourierError("disconnected", is_down=True) from None
    except smtplib.SMTPNotSupportedError:
        raise CourierError("smtp-not-supported", is_down=True) from None
    except (smtplib.SMTPException, OSError) as error:
        code = f"smtp-{type(error).__name__.lower()}"
        raise CourierError(code, is_down=True) from None
