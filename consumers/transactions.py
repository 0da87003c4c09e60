"""Ends a transaction, or says in time that it does not end.

The client's own ``commit_transaction`` and ``abort_transaction`` wait for ever, also
where what they wait for was dropped meanwhile. Who waits so holds the turn, and nobody
publishes.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError

END_TIMEOUT_S = 45.0
"""Longer than the broker itself keeps a silent transaction open."""


def commit(producer: KafkaProducer) -> None:
    """Commit. Raises KafkaTimeoutError, and then nobody knows what came of it."""
    _in_time(producer.commit_transaction)


def abort(producer: KafkaProducer) -> None:
    """Abort. Raises KafkaTimeoutError, and then nobody knows what came of it."""
    _in_time(producer.abort_transaction)


def _in_time(call: Callable[[], None]) -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 -- raised by who waits
            failed.append(error)

    # Left behind where it hangs: the process ends, and does not wait for it.
    ending = Thread(target=run, name="ending-transaction", daemon=True)
    ending.start()
    ending.join(END_TIMEOUT_S)
    if ending.is_alive():
        raise KafkaTimeoutError(f"a transaction did not end within {END_TIMEOUT_S} s")
    if failed:
        raise failed[0]
