"""Bytes for COPY: all of them, and no end before there is room for it."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Event, Thread
from typing import Any, cast

import psycopg2.extensions

from ledger.copying import CHUNK_BYTES, copy_in
from tests.ledger.load import wait_until

LONG_S = 20.0


class Driver:
    """Reads what it is to send, as the driver does."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.sent = b""
        self.ended = Event()

    def copy_expert(self, _: str, file: Any, size: int) -> None:
        while found := file.read(size):
            self.sent += found
        self.ended.set()


def test_the_end_comes_when_the_server_has_taken_in_what_came_before() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        full = 0
        with suppress(BlockingIOError):
            while True:
                full += ours.send(bytes(1 << 16))
        driver, data = Driver(ours), bytes(CHUNK_BYTES + 1)
        cursor = cast("psycopg2.extensions.cursor", driver)
        thread = Thread(target=copy_in, args=(cursor, "COPY", data))
        thread.start()
        wait_until(lambda: driver.sent == data)
        assert not driver.ended.wait(0.2)
        while full:
            full -= len(theirs.recv(1 << 16))
        assert driver.ended.wait(LONG_S)
        thread.join()
