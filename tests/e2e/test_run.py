"""``make run`` as a newcomer meets it: it comes up, a request lives, it stops, it is
there again."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator

import httpx2
import pytest

from ledger.embedded import EmbeddedServer
from tests.running import Running

MAKING = ("making a new database cluster", "reference data: ")
"""What is said when a start makes something."""


@pytest.fixture(scope="module")
def run() -> Iterator[Running]:
    made = Running()
    try:
        made.start()
        made.wait_until_ready()
        yield made
    finally:
        made.close()


def wait_for(run: Running, text: str) -> str:
    """The whole of what was printed, once ``text`` is in it."""
    deadline = time.monotonic() + 60
    while text not in run.printed():
        assert time.monotonic() < deadline, run.printed()
        time.sleep(0.1)
    return run.printed()


def test_it_prints_addresses_a_login_for_each_role_and_what_to_try(
    run: Running,
) -> None:
    printed = wait_for(run, "/v1/requests\n")
    assert f"{run.url}/v1" in printed
    tokens = re.findall(r"^  (\w+) [^\n]*\n  (eyJ[\w.-]+)$", printed, re.MULTILINE)
    roles = [role for role, _ in tokens]
    assert roles == [
        "clerk",
        "supervisor",
        "administrator",
        "agency",
        "post",
        "bank",
        "citizen",
        "auditor",
    ]
    for role, token in tokens:
        answer = httpx2.get(
            f"{run.url}/v1/services",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )
        assert answer.status_code == 200, role
    assert "Three things to try" in printed


def test_without_a_kafka_it_says_so_in_a_line_and_nothing_of_the_streams_runs(
    run: Running,
) -> None:
    assert run.printed().count("no Kafka is named") == 1
    commands = {word for _, command in run.commands() for word in command}
    assert {"serve", "runner"} <= commands
    assert not {"relay", "analytics", "broker"} & commands


def test_a_request_is_walked_to_both_ends_and_every_view_shows_each_step(
    run: Running,
) -> None:
    done = run.sijil("walk", "--outcome", "both", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    issued, refused = json.loads(done.stdout)
    for life, ending in ((issued, "delivered"), (refused, "result-told")):
        assert len(life["steps"]) == 8
        for step in life["steps"]:
            assert set(step["seen"]) == {"queue", "counts", "trail", "tracking"}
            assert all(len(event["leaf_hash"]) == 64 for event in step["events"])
        last = life["steps"][-1]["events"][-1]
        assert last["topic"] == f"sijil.request.{ending}.v1"
        positions = [e["position"] for s in life["steps"] for e in s["events"]]
        # Word to the citizen of the other life may come in between.
        assert positions == sorted(set(positions))


def test_what_walk_prints_names_every_event_with_its_leaf(run: Running) -> None:
    done = run.sijil("walk", "--outcome", "issued")
    assert done.returncode == 0, done.stdout + done.stderr
    # Nine acts, and the system's word to the citizen twice, if it was quick.
    assert 9 <= len(re.findall(r"leaf [0-9a-f]{64}", done.stdout)) <= 11
    assert "queue: take_fee; counts: submitted +1, in_progress +1" in done.stdout


def test_queue_counts_and_trail_answer_over_http(run: Running) -> None:
    walked = json.loads(run.sijil("walk", "--outcome", "issued", "--json").stdout)
    counts = json.loads(run.sijil("counts", "--json").stdout)
    damascus = next(
        i for i in counts["items"] if i["group"] == {"governorate": "SY-DI"}
    )
    assert damascus["submitted"] >= 1
    queue = json.loads(run.sijil("queue", "--json").stdout)
    assert walked[0]["request_id"] not in [i["request_id"] for i in queue["items"]]
    trail = run.sijil("trail", walked[0]["request_id"])
    assert trail.returncode == 0
    assert "Document mailed" in trail.stdout
    arabic = run.sijil("trail", walked[0]["request_id"], "--arabic")
    assert "Document mailed" not in arabic.stdout


def test_a_request_that_is_not_there_ends_with_one_sentence(run: Running) -> None:
    done = run.sijil("trail", "019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10")
    assert done.returncode == 1
    assert "404 not-found" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_run_of_the_same_home_is_told_so(run: Running) -> None:
    done = run.sijil("run", timeout_s=60)
    assert done.returncode == 2
    assert "another `sijil run` has" in done.stderr


def test_a_dead_child_is_started_again(run: Running) -> None:
    (server,) = [process for process, words in run.commands() if "serve" in words]
    server.kill()
    wait_for(run, "serve ended with code -9")
    run.wait_until_ready()


def test_a_dead_database_is_started_again(run: Running) -> None:
    postmaster = EmbeddedServer(run.home).pid()
    assert postmaster is not None
    os.kill(postmaster, signal.SIGKILL)
    wait_for(run, "PostgreSQL ended and starts again")
    run.wait_until_ready()
    walked = run.sijil("walk", "--outcome", "issued")
    assert walked.returncode == 0, walked.stdout + walked.stderr


def test_ctrl_c_stops_all_of_it_and_a_second_start_makes_nothing_anew(
    run: Running,
) -> None:
    before = json.loads(run.sijil("ledger", "head", "--json").stdout)
    assert run.interrupt() == 0
    assert run.processes() == []
    run.start()
    run.wait_until_ready()
    assert "migrated: nothing to do" in run.printed_since_start()
    # Once, by the first one.
    assert [run.printed().count(making) for making in MAKING] == [1, 1]
    after = json.loads(run.sijil("ledger", "head", "--json").stdout)
    assert after["ledger_id"] == before["ledger_id"]
    assert after["position"] == before["position"]


def test_without_a_server_the_sentence_says_how_to_start_one() -> None:
    nobody = Running()
    try:
        done = nobody.sijil("queue")
        assert done.returncode == 2
        assert "nobody answers" in done.stderr
        assert "make run" in done.stderr
        head = nobody.sijil("ledger", "head")
        assert head.returncode == 2
        assert "Traceback" not in head.stderr
    finally:
        nobody.close()


@pytest.mark.long
def test_a_first_start_loads_a_history_goes_on_when_killed_and_does_so_once() -> None:
    first = Running(simulate=400)
    try:
        first.start()
        first.wait_until_ready()
        wait_for(first, "A simulated history of 400 completed requests")
        assert first.process is not None
        first.process.kill()
        first.process.wait()
        # Cut off in the middle, or just done: the next start knows which.
        first.start()
        first.wait_until_ready()
        deadline = time.monotonic() + 90
        while completed(first) != 400:
            assert time.monotonic() < deadline, first.printed() + first.logs()
            time.sleep(0.5)
        assert first.interrupt() == 0
        first.start()
        first.wait_until_ready()
        wait_for(first, "What you see begins with a simulated")
        assert completed(first) == 400
        queue = json.loads(first.sijil("queue", "--json").stdout)
        assert isinstance(queue["items"], list)
    finally:
        first.close()


def completed(run: Running) -> int:
    told = run.sijil("counts", "--json")
    assert told.returncode == 0, told.stdout + told.stderr + run.logs()
    counts = json.loads(told.stdout)
    return sum(
        item["completed_issued"] + item["completed_refused"] for item in counts["items"]
    )
