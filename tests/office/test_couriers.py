"""What holds for every courier."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from office.webhook import TIMEOUT_S
from tests.office.gateways import webhook
from tests.office.letters import MARKED_PHONE, failure, letter
from tests.office.mail_servers import e_mail, mail


def test_a_letter_shows_no_address() -> None:
    assert MARKED_PHONE not in repr(letter())


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
        assert time.monotonic() - started < 60
        assert error.code == "disconnected"

    def test_a_gateway_is_left(self) -> None:
        started = time.monotonic()
        with trickling(b"HTTP/1.1 200 OK") as port:
            url = f"http://127.0.0.1:{port}/"
            error = failure(webhook(url, timeout_s=0.5), letter())
        assert time.monotonic() - started < TIMEOUT_S
        assert error.code == "timeout"
