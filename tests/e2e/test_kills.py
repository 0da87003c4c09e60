"""``kill -9`` of everything at any moment of ``make run``, then ``make run`` again:
nothing acknowledged is lost, nothing is doubled, the views are level."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import httpx2
import pytest

from api.cli.logins import login_of, mint
from api.settings import ApiSettings
from domain.acts import ActorKind
from domain.ids import new_id
from tests.running import Running

ROUNDS = 3
FIRST_STARTS = 3
WRITERS = 3
LEVEL_TIMEOUT_S = 60.0
SEED = 20261124
"""Moments are random, but the same ones in every run."""


@pytest.fixture
def run() -> Iterator[Running]:
    # Two, so that what is killed here also is a share of the views.
    made = Running(runners=2)
    try:
        yield made
    finally:
        made.close()


@dataclass
class Writer:
    """Sends requests until it is stopped, and remembers what was acknowledged."""

    url: str
    token: str
    acknowledged: dict[UUID, tuple[str, int]] = field(default_factory=dict)
    unanswered: list[UUID] = field(default_factory=list)

    def submit(self, client: httpx2.Client, command_id: UUID) -> bool:
        """Send one request; whether it was acknowledged. Raises when it was refused."""
        try:
            answer = client.post(
                f"{self.url}/v1/requests",
                headers={
                    "Authorization": f"Bearer {self.token}",
                    "Idempotency-Key": str(command_id),
                },
                json={
                    "service": "CIV-06",
                    "channel": "counter",
                    "applicant": {
                        "full_name": "شخص مختلق",
                        "national_number": "00012345678",
                    },
                    "relationship": "self",
                    "documents": [],
                    "delivery": "home",
                },
                timeout=60,
            )
        except httpx2.TransportError:
            return False
        if answer.status_code == 503:
            return False
        assert answer.status_code == 201, answer.text
        outcome = (answer.json()["id"], int(answer.headers["Ledger-Position"]))
        assert self.acknowledged.setdefault(command_id, outcome) == outcome
        return True

    def write_until(self, stop: threading.Event) -> None:
        """Submit one request after the other."""
        with httpx2.Client() as client:
            while not stop.is_set():
                command_id = new_id(datetime.now(UTC))
                if not self.submit(client, command_id):
                    self.unanswered.append(command_id)
                    stop.wait(0.05)

    def send_again(self) -> None:
        """Each has the outcome it had, or has it for the first time now."""
        with httpx2.Client() as client:
            for command_id in [*self.acknowledged, *self.unanswered]:
                assert self.submit(client, command_id)
        self.unanswered.clear()


def token(run: Running, role: ActorKind) -> str:
    settings = ApiSettings(home=run.home, port=run.port)
    return mint(settings, login_of(role))


def wait_until_level(run: Running) -> int:
    """The head, once every view has come up to it."""
    deadline = time.monotonic() + LEVEL_TIMEOUT_S
    while True:
        done = run.sijil("views", "--json")
        if done.returncode == 0:
            levels = json.loads(done.stdout)
            if all(
                view["position"] == levels["head"] and view["error"] is None
                for view in levels["views"]
            ):
                return int(levels["head"])
        assert time.monotonic() < deadline, done.stdout + done.stderr + run.logs()
        time.sleep(0.2)


@pytest.mark.long
def test_what_was_acknowledged_survives_the_death_of_everything(run: Running) -> None:
    moments = random.Random(SEED)  # noqa: S311 -- moments of a test
    run.start()
    run.wait_until_ready()
    writers = [Writer(run.url, token(run, ActorKind.CLERK)) for _ in range(WRITERS)]
    for _ in range(ROUNDS):
        stop = threading.Event()
        threads = [
            threading.Thread(target=writer.write_until, args=(stop,))
            for writer in writers
        ]
        for thread in threads:
            thread.start()
        time.sleep(moments.uniform(0.5, 2.5))
        run.kill_everything()
        stop.set()
        for thread in threads:
            thread.join()
        run.start()
        run.wait_until_ready()
        check(run, writers)
    walked = run.sijil("walk")
    assert walked.returncode == 0, walked.stdout + walked.stderr


def check(run: Running, writers: list[Writer]) -> None:
    """Nothing acknowledged is lost, nothing unanswered is doubled, views are level."""
    with ThreadPoolExecutor(len(writers)) as pool:
        for done in [pool.submit(writer.send_again) for writer in writers]:
            done.result()
    outcomes = [o for writer in writers for o in writer.acknowledged.values()]
    assert len(outcomes) == sum(len(writer.acknowledged) for writer in writers) > 0
    head = wait_until_level(run)
    assert head >= max(position for _, position in outcomes)
    listed = all_requests(run)
    assert sorted(listed) == sorted(request_id for request_id, _ in outcomes)


def all_requests(run: Running) -> list[str]:
    headers = {"Authorization": f"Bearer {token(run, ActorKind.SUPERVISOR)}"}
    found: list[str] = []
    asked = {"limit": "200"}
    while True:
        page = httpx2.get(
            f"{run.url}/v1/requests", headers=headers, params=asked, timeout=60
        )
        assert page.status_code == 200, page.text
        found += [item["id"] for item in page.json()["items"]]
        if page.json()["next"] is None:
            return found
        asked["cursor"] = page.json()["next"]


def test_a_first_start_killed_at_any_moment_is_finished_by_the_next(
    run: Running,
) -> None:
    moments = random.Random(SEED)  # noqa: S311 -- moments of a test
    for _ in range(FIRST_STARTS):
        run.start()
        time.sleep(moments.uniform(0.3, 4.0))
        run.kill_everything()
    run.start()
    run.wait_until_ready()
    wait_until_level(run)
    walked = run.sijil("walk", "--outcome", "refused")
    assert walked.returncode == 0, walked.stdout + walked.stderr
