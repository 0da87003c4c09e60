"""A wire between a client and PostgreSQL that can be cut at any place.

It stands for what happens to networks: the statement never arrived, or it arrived and
was done and the answer did not; in the middle of an answer; or the line goes silent.
"""

from __future__ import annotations

import contextlib
import select
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any, Self

from ledger.embedded import PORT

_LOOK_EVERY_S = 0.05
_PIECE = 65_536


class Proxy:
    """A socket in a folder of its own; ``dsn`` goes through it to the server's.

    One cut is armed at a time and spent by the connection that it meets. ``cuts``
    counts them, so that a test can show that its cut took place.
    """

    def __init__(self, dsn: dict[str, Any]) -> None:
        self._server = f"{dsn['host']}/.s.PGSQL.{dsn['port']}"
        self._folder = Path(tempfile.mkdtemp(prefix="sijil-proxy-"))
        self.dsn = {**dsn, "host": str(self._folder), "port": str(PORT)}
        self.cuts = 0
        self._lock = threading.Lock()
        self._before_the_server = False
        self._bytes_of_the_answer: int | None = None
        self._cut_now = 0
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(f"{self._folder}/.s.PGSQL.{PORT}")
        self._listening.listen()
        self._listening.settimeout(_LOOK_EVERY_S)

    def cut_before_the_server(self) -> None:
        """The next thing that a client says does not arrive."""
        with self._lock:
            self._before_the_server = True

    def cut_in_the_answer(self, after_bytes: int) -> None:
        """What a client says next arrives; of the answer only so much comes back."""
        with self._lock:
            self._bytes_of_the_answer = after_bytes

    def cut_all(self) -> None:
        """Cut every connection that there is now, whatever it does."""
        with self._lock:
            self._cut_now += 1
            self.cuts += 1

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *args: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._listening.close()
        shutil.rmtree(self._folder)

    def _start(self, work: Any, *args: Any) -> None:
        thread = threading.Thread(target=work, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._listening.accept()
                self._start(self._carry, client)

    def _carry(self, client: socket.socket) -> None:
        born = self._cut_now
        left: int | None = None
        # A server that is away: the client sees its connection end.
        with (
            client,
            socket.socket(socket.AF_UNIX) as server,
            contextlib.suppress(OSError),
        ):
            server.connect(self._server)
            while not self._over.is_set() and self._cut_now == born:
                ready, _, _ = select.select([client, server], [], [], _LOOK_EVERY_S)
                if client in ready:
                    said = client.recv(_PIECE)
                    if not said or self._spend_before():
                        return
                    left = self._spend_answer(left)
                    server.sendall(said)
                if server in ready:
                    answer = server.recv(_PIECE)
                    if left is not None and len(answer) >= left:
                        client.sendall(answer[:left])
                        self.cuts += 1
                        return
                    left = None if left is None else left - len(answer)
                    if not answer:
                        return
                    client.sendall(answer)

    def _spend_before(self) -> bool:
        with self._lock:
            if not self._before_the_server:
                return False
            self._before_the_server = False
            self.cuts += 1
            return True

    def _spend_answer(self, left: int | None) -> int | None:
        with self._lock:
            if self._bytes_of_the_answer is None:
                return left
            left, self._bytes_of_the_answer = self._bytes_of_the_answer, None
            return left
