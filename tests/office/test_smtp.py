"""The courier that goes to a mail server, a real one."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from office.smtp import TIMEOUT_S, MailTls
from tests.office.letters import ID, MARKED_EMAIL, failure, letter
from tests.office.mail_servers import SENDER, Inbox, e_mail, mail, mail_server
from tests.running import free_port

_SUPERFLUOUS = "ignore:Requiring AUTH while not requiring TLS"


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
        assert time.monotonic() - started < TIMEOUT_S
        assert error.code == "disconnected"
