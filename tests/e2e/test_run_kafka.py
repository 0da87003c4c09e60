"""``make run KAFKA=1``: the streams run beside all else, and survive as it does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing

import httpx2
import psutil
import pytest
from kafka import KafkaProducer

from consumers.settings import KafkaSettings
from consumers.topics import BANK_PAYMENTS
from tests.consumers.inward.letters import by_secret, senders_file, signature, written
from tests.kafka.shared import must_be_had
from tests.running import Running

NUMBER = "A77W-EAA2-E5G9-Q"
TIMEOUT_S = 180.0
"""A broker starts in six seconds, and in many more on a shared machine."""


@pytest.fixture(scope="module")
def run() -> Iterator[Running]:
    must_be_had()
    made = Running(kafka=True)
    try:
        # Who may send has to be named before the start, as a newcomer's home is.
        made.home.mkdir(mode=0o700)
        senders_file(made.home)
        made.start()
        made.wait_until_ready()
        yield made
    finally:
        made.close()


def test_the_topic_gets_everything_and_the_files_count_it_as_the_ledger_does(
    run: Running,
) -> None:
    walked = run.sijil("walk", "--outcome", "issued")
    assert walked.returncode == 0, walked.stdout + walked.stderr
    level(run)
    counts = json.loads(run.sijil("counts", "--json").stdout)
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        asked = run.sijil("analytics", "query", "counts", "--json")
        told = json.loads(asked.stdout) if asked.returncode == 0 else {"rows": []}
        if sum(row["submitted"] for row in told["rows"]) > 0:
            break
        assert time.monotonic() < deadline, asked.stderr + run.logs()
        time.sleep(0.5)
    theirs = {
        item["group"]["governorate"]: item["submitted"]
        for item in counts["items"]
        if item["submitted"]
    }
    assert {row["governorate"]: row["submitted"] for row in told["rows"]} == theirs
    assert f"127.0.0.1:{run.kafka_port}" in run.printed()


def test_a_payment_that_a_bank_sends_is_in_the_list_of_payments(run: Running) -> None:
    send_payment(run, reference="B-run-1")
    until_listed(run, reference="B-run-1")
    (worker,) = children(run, "inward")
    worker.kill()
    deadline = time.monotonic() + TIMEOUT_S
    while "inward ended with code -9" not in run.printed():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    send_payment(run, reference="B-run-2")
    until_listed(run, reference="B-run-2")


def test_a_dead_relay_is_started_again(run: Running) -> None:
    (relay,) = children(run, "relay")
    relay.kill()
    deadline = time.monotonic() + TIMEOUT_S
    while "relay ended with code -9" not in run.printed():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert run.sijil("walk", "--outcome", "refused").returncode == 0
    level(run)


@pytest.mark.long
def test_after_the_death_of_everything_nothing_is_missing(run: Running) -> None:
    before = json.loads(run.sijil("ledger", "head", "--json").stdout)
    run.kill_everything()
    run.start()
    run.wait_until_ready()
    assert run.sijil("walk", "--outcome", "issued").returncode == 0
    assert level(run) > before["position"]
    assert run.interrupt() == 0
    assert run.processes() == []


def send_payment(run: Running, *, reference: str) -> None:
    """Money for a number that no request has, signed by the bank of the senders."""
    topic, key = BANK_PAYMENTS.name, NUMBER.encode()
    value = written(
        type="sijil.bank-payment.v1",
        tracking_number=NUMBER,
        amount=4500,
        unit="SYP.new",
        bank_reference=reference,
    )
    options = KafkaSettings(kafka=f"127.0.0.1:{run.kafka_port}").client()
    with closing(KafkaProducer(**options, acks="all")) as producer:
        headers = signature(topic, key, value, "bank-key", by_secret())
        producer.send(topic, key=key, value=value, headers=headers).get(TIMEOUT_S)


def until_listed(run: Running, *, reference: str) -> None:
    """Until an auditor sees the payment among those that match nothing, once."""
    token = run.sijil("token", "auditor").stdout.strip()
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        answer = httpx2.get(
            f"{run.url}/v1/payments/unmatched",
            params={"bank_reference": reference},
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        items = answer.raise_for_status().json()["items"]
        if items:
            assert [(item["bank"], item["amount"]) for item in items] == [
                ("bank-1", 4500)
            ]
            return
        assert time.monotonic() < deadline, run.logs()
        time.sleep(0.2)


def children(run: Running, command: str) -> list[psutil.Process]:
    """Its processes of one command, but not of what these have started."""
    return [
        process for process, words in run.commands() if {"api.cli", command} <= {*words}
    ]


def level(run: Running) -> int:
    """The head, once the topic was proved to have everything up to it."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        head = json.loads(run.sijil("ledger", "head", "--json").stdout)["position"]
        proved = run.sijil("verify-topic")
        if proved.returncode == 0 and f"1 to {head}," in proved.stdout:
            return int(head)
        assert proved.returncode != 1, proved.stdout
        assert time.monotonic() < deadline, proved.stdout + proved.stderr + run.logs()
        time.sleep(0.5)
