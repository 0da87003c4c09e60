"""The couriers: a folder, a mail server and an SMS gateway, each a real one."""

from __future__ import annotations

import base64
import datetime as dt
import email
import hashlib
import hmac
import ipaddress
import itertools
import json
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default as modern
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import aiosmtpd.smtp
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from domain.ids import tracking_number
from domain.requests import Means
from office.acts import utc_now
from office.commands import Message
from office.couriers import CourierError, Letter
from office.messages import written
from office.smtp import Mail, MailServer, MailTls
from office.spool import Spool
from office.webhook import Webhook, signature
from tests.running import free_port

ID = UUID("019ab1f0-7c00-7a3b-8f21-5d0c9e4b1a77")
AT = datetime(2026, 11, 23, 8, 14, 5, tzinfo=UTC)
MARKED_PHONE = "+963933123498"
MARKED_EMAIL = "marked.citizen@example.org"
SENDER = "no-reply@centres.example.org"
KEY = bytes(range(32))
_SUPERFLUOUS = "ignore:Requiring AUTH while not requiring TLS"


def letter(**changes: Any) -> Letter:
    words = written(Message.ACCEPTED, number=tracking_number(ID))
    facts: dict[str, Any] = {
        "id": ID,
        "message": "accepted",
        "means": Means.SMS,
        "to": MARKED_PHONE,
        "subject": words.subject,
        "text": words.text,
        "caused_at": AT,
    }
    return Letter(**{**facts, **changes})


def test_a_letter_shows_no_address() -> None:
    assert MARKED_PHONE not in repr(letter())


class TestTheSpool:
    def test_a_message_is_one_file_that_only_we_can_read(self, tmp_path: Path) -> None:
        folder = tmp_path / "spool"
        spool = Spool(folder, kept_days=30)
        spool.send(letter())
        (path,) = folder.iterdir()
        assert path.name == f"{ID}.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert json.loads(path.read_text("utf-8")) == {
            "id": str(ID),
            "message": "accepted",
            "means": "sms",
            "to": MARKED_PHONE,
            "language": "ar",
            "subject": letter().subject,
            "text": letter().text,
            "caused_at": "2026-11-23T08:14:05.000000Z",
        }

    def test_writing_twice_leaves_one_file(self, tmp_path: Path) -> None:
        folder = tmp_path / "spool"
        spool = Spool(folder, kept_days=30)
        spool.send(letter())
        before = next(folder.iterdir()).read_bytes()
        spool.send(letter())
        (path,) = folder.iterdir()
        assert path.read_bytes() == before

    def test_a_folder_that_others_may_enter_gets_nothing(self, tmp_path: Path) -> None:
        folder = tmp_path / "spool"
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        with pytest.raises(CourierError) as caught:
            Spool(folder, kept_days=30).send(letter())
        assert caught.value.code == "spool-open-to-others"
        assert not list(folder.iterdir())

    def test_a_folder_that_cannot_be_made_is_no_reason_to_give_up(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(CourierError) as caught:
            Spool(tmp_path / "file" / "spool", kept_days=30).send(letter())
        assert caught.value.is_down
        assert not caught.value.is_final

    def test_what_nobody_fetched_is_removed_in_the_end(self, tmp_path: Path) -> None:
        import os

        folder = tmp_path / "spool"
        spool = Spool(folder, kept_days=30)
        spool.send(letter())
        assert spool.sweep() == 0
        old = time.time() - 31 * 86_400
        unfinished = folder / ".x.part"
        unfinished.write_text("")
        for path in folder.iterdir():
            os.utime(path, (old, old))
        assert spool.sweep() == 2
        assert not list(folder.iterdir())


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
    controller = Controller(inbox, hostname="127.0.0.1", port=port, **options)
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


def failure(courier: Any, sent: Letter) -> CourierError:
    with pytest.raises(CourierError) as caught:
        courier.send(sent)
    error = caught.value
    # Nothing of what the other side said, in the error or in what it came from.
    assert MARKED_EMAIL not in repr(error)
    assert MARKED_PHONE not in repr(error)
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    return error


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A key and a certificate for 127.0.0.1 that nobody else trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


class TestTheMailServer:
    def test_a_mail_arrives_as_mail_should_be(self) -> None:
        inbox = Inbox()
        with mail_server(inbox) as port:
            mail(port).send(e_mail())
        ((sender, recipients, arrived),) = inbox.mails
        assert (sender, recipients) == (SENDER, [MARKED_EMAIL])
        assert arrived["From"] == SENDER
        assert arrived["To"] == MARKED_EMAIL
        assert arrived["Subject"] == letter().subject
        assert arrived["Message-ID"] == f"<{ID}@centres.example.org>"
        assert arrived["Content-Language"] == "ar"
        assert arrived["Auto-Submitted"] == "auto-generated"
        assert arrived["Date"].datetime.tzinfo is not None
        assert arrived.get_content_type() == "text/plain"
        assert arrived.get_content_charset() == "utf-8"
        assert arrived.get_content().splitlines() == letter().text.splitlines()
        # Every server takes seven bits and lines below a thousand octets.
        assert inbox.raw[0].isascii()
        assert max(map(len, inbox.raw[0].splitlines())) < 998

    def test_the_same_letter_has_the_same_message_id(self) -> None:
        inbox = Inbox()
        with mail_server(inbox) as port:
            mail(port).send(e_mail())
            mail(port).send(e_mail())
        assert len({arrived["Message-ID"] for _, _, arrived in inbox.mails}) == 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"to": f"{MARKED_EMAIL}\r\nBcc: other@example.org"},
            {"subject": "x\r\nBcc: other@example.org"},
            {"subject": "x\nBcc: other@example.org"},
        ],
    )
    def test_no_value_can_write_a_header(self, changes: dict[str, str]) -> None:
        inbox = Inbox()
        with mail_server(inbox) as port, pytest.raises(ValueError, match=r".*"):
            mail(port).send(e_mail(**changes))
        assert not inbox.mails

    def test_a_server_without_starttls_gets_nothing(self) -> None:
        inbox = Inbox()
        with mail_server(inbox) as port:
            error = failure(mail(port, tls=MailTls.STARTTLS), e_mail())
        assert error.code == "smtp-not-supported"
        assert error.is_down
        assert not inbox.mails

    def test_starttls_protects_the_mail(self, certificate: tuple[Path, Path]) -> None:
        inbox = Inbox()
        trusting = ssl.create_default_context(cafile=str(certificate[0]))
        with mail_server(
            inbox, tls_context=server_context(certificate), require_starttls=True
        ) as port:
            mail(port, tls=MailTls.STARTTLS, context=trusting).send(e_mail())
        assert inbox.was_tls == [True]

    def test_a_server_that_we_do_not_trust_gets_nothing(
        self, certificate: tuple[Path, Path]
    ) -> None:
        inbox = Inbox()
        with mail_server(inbox, tls_context=server_context(certificate)) as port:
            error = failure(mail(port, tls=MailTls.STARTTLS), e_mail())
        assert error.code == "tls"
        assert not inbox.mails

    def test_tls_from_the_beginning(self, certificate: tuple[Path, Path]) -> None:
        inbox = Inbox()
        trusting = ssl.create_default_context(cafile=str(certificate[0]))
        with mail_server(inbox, ssl_context=server_context(certificate)) as port:
            mail(port, tls=MailTls.IMPLICIT, context=trusting).send(e_mail())
            assert len(inbox.mails) == 1
            assert failure(mail(port, timeout_s=1.0), e_mail()).is_down

    @pytest.mark.filterwarnings(_SUPERFLUOUS)
    def test_we_log_in_and_a_wrong_password_is_not_repeated(self) -> None:
        def known(
            server: Any, session: Any, envelope: Any, mechanism: str, login: Any
        ) -> AuthResult:
            return AuthResult(
                success=login.password == b"right-password", handled=False
            )

        inbox = Inbox()
        with mail_server(
            inbox,
            authenticator=known,
            auth_require_tls=False,
        ) as port:
            mail(port, user="sijil", password="right-password").send(e_mail())
            error = failure(mail(port, user="sijil", password="wrong-pass"), e_mail())
        assert len(inbox.mails) == 1
        assert error.code == "smtp-535"
        assert (error.is_down, error.is_final) == (True, False)
        assert "pass" not in repr(mail(port, password="wrong-pass")._server)

    @pytest.mark.parametrize(
        ("answers", "code", "is_final"),
        [
            ({"rcpt_answer": "550 no mailbox {0}"}, "smtp-550", True),
            ({"rcpt_answer": "450 {0}: come back later"}, "smtp-450", False),
            ({"data_answer": "554 {0} is not liked"}, "smtp-554", True),
            ({"data_answer": "451 {0} is not liked now"}, "smtp-451", False),
        ],
    )
    def test_a_server_that_repeats_the_address_is_quoted_by_its_code_alone(
        self, answers: dict[str, str], code: str, is_final: bool
    ) -> None:
        inbox = Inbox()
        vars(inbox).update(answers)
        with mail_server(inbox) as port:
            error = failure(mail(port), e_mail())
        assert (error.code, error.is_final) == (code, is_final)

    def test_a_server_that_is_away_is_down(self) -> None:
        error = failure(mail(free_port()), e_mail())
        assert error.code == "smtp-connectionrefusederror"
        assert error.is_down

    def test_a_server_that_says_nothing_holds_nobody_up(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            started = time.monotonic()
            error = failure(mail(port, timeout_s=0.2), e_mail())
        assert time.monotonic() - started < 5
        assert error.code == "disconnected"


@contextmanager
def trickling(text: bytes, every_s: float = 0.05) -> Iterator[int]:
    """A server that answers anybody with ``text`` over and over, byte by byte."""
    stop = threading.Event()

    def trickle(listening: socket.socket) -> None:
        with suppress(OSError):
            talk, _ = listening.accept()
            with talk:
                for byte in itertools.cycle(text):
                    if stop.wait(every_s):
                        return
                    talk.sendall(bytes([byte]))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=trickle, args=(listening,))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            stop.set()
            thread.join()


class TestWhoeverAnswersForEver:
    """Each byte comes in time, so no wait is ever too long: the whole is bounded."""

    def test_a_mail_server_is_hung_up_on(self) -> None:
        started = time.monotonic()
        with trickling(b"220-welcome\r\n") as port:
            error = failure(mail(port, longest_talk_s=0.5), e_mail())
        assert time.monotonic() - started < 5
        assert error.code == "disconnected"

    def test_a_gateway_is_left(self) -> None:
        started = time.monotonic()
        with trickling(b"HTTP/1.1 200 OK") as port:
            url = f"http://127.0.0.1:{port}/"
            error = failure(webhook(url, timeout_s=0.5), letter())
        assert time.monotonic() - started < 5
        assert error.code == "timeout"


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


@pytest.fixture
def gateway() -> Iterator[tuple[type[Gateway], str]]:
    """A gateway on a real socket, and its address."""
    kind = type("OneGateway", (Gateway,), {"statuses": [], "taken": [], "seen": []})
    server = HTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield kind, f"http://127.0.0.1:{server.server_port}/sms"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def webhook(url: str, key: bytes = KEY, **more: Any) -> Webhook:
    return Webhook(url, key, now_s=lambda: int(time.time()), **more)


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
