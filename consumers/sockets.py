"""What kafka-python leaves open, closed.

The client (3.0) drops sockets in four places without closing them; they cost a
descriptor each until the collector comes by. Here alone they are closed: by what it is
made with (``Client``), and by how a producer is let go (``let_go``).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaConnectionError, KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket

LET_GO_TIMEOUT_S = 5.0
"""How long the thread of a producer may take to end: it may be waiting for an answer.
It ends by itself all the same, a little later."""


class _Direct(KafkaNetSocket):  # type: ignore[misc]
    """Connects without a proxy, and closes what did not connect.

    KafkaNetSocket.connect makes a socket and drops it when nobody listens, the time is
    up, or the client is closed meanwhile: some ten a second while a broker is away.
    """

    SCHEMES = ("sijil-direct",)
    _made: Any = None

    def socket(self, *kind: Any) -> Any:
        self._made = super().socket(*kind)
        return self._made

    async def connect(self, *given: Any, **named: Any) -> Any:
        try:
            return await super().connect(*given, **named)
        except BaseException:
            if self._made is not None:
                self._made.close()
            raise


class Client(KafkaNetClient):  # type: ignore[misc]
    """What producers, consumers and admin clients are made with (``kafka_client``).

    They ask for the brokers' version when they are made. Where no broker answers in
    time they raise and cannot be closed any more, and their sockets and some of their
    threads stay. So it is asked here, where both can be ended.
    """

    def __init__(self, *, bootstrap_timeout_ms: int, **configs: Any) -> None:
        given = {
            "proxy_url": f"{_Direct.SCHEMES[0]}://",
            # It warns of a tenth of a second, and to unpack a large batch takes longer.
            "slow_task_threshold_secs": 0,
        }
        super().__init__(**configs | given)
        try:
            self._manager.bootstrap(bootstrap_timeout_ms)
        except BaseException:
            self.close()
            raise

    def close(self, node_id: int | None = None) -> None:
        """Close the connections, those first that have something left to send.

        They would be closed once that is sent; but the loop that sends ends before.
        """
        every = self._manager._conns  # noqa: SLF001 -- it has no other name
        for connection in list(every.values()) if node_id is None else ():
            transport = connection.transport
            if transport is not None and transport._write_buffer:  # noqa: SLF001
                connection.close(KafkaConnectionError("closed"))
        super().close(node_id)


def let_go(producer: KafkaProducer, *, wait_s: float = 0.0) -> None:
    """Close a producer that may have failed; what ``wait_s`` does not do is not sent.

    Its own close() flushes first, and where that fails it raises and closes nothing.
    """
    sender = producer._sender  # noqa: SLF001 -- there is no other way
    try:
        producer.close(timeout=wait_s)
    except KafkaError:
        sender.force_close()
        with suppress(KafkaError):
            producer.close(timeout=LET_GO_TIMEOUT_S)
    sender.join(LET_GO_TIMEOUT_S)
