"""A whole run is sent marked values by HTTP and by the command line, and searched."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from ledger.embedded import EmbeddedServer
from tests import marks
from tests.api.door import SUBMISSION
from tests.marks import Found, search
from tests.running import REPOSITORY, Running

WHOLE = {**marks.PERSON, "national_number": marks.NUMBER_ARABIC}


@pytest.fixture(scope="module")
def run() -> Iterator[Running]:
    made = Running()
    try:
        made.start()
        made.wait_until_ready()
        yield made
    finally:
        made.close()


def ask_everything(run: Running) -> list[int]:
    """Values where a careless client would put them; what it was answered."""
    token = run.sijil("token", "clerk").stdout.strip()
    login = {"Authorization": f"Bearer {token}"}
    statuses = []
    with httpx2.Client(base_url=run.url, timeout=30) as client:
        for text in marks.TYPED.values():
            quoted = marks.percent(text)
            for headers in ({}, login):
                for path in (
                    f"/v1/services/{quoted}",
                    f"/{quoted}",
                    f"/v1/queue?clerk={quoted}",
                    f"/v1/requests?{quoted}=1",
                ):
                    statuses.append(client.get(path, headers=headers).status_code)
            answer = client.post(
                "/v1/tracking", json={"number": text, "code": text}, headers=login
            )
            statuses.append(answer.status_code)
        sent = {"applicant": WHOLE, **login}
        act = {**login, "Idempotency-Key": str(uuid4())}
        body = {**SUBMISSION, "applicant": WHOLE}
        statuses.append(client.post("/v1/requests", json=body, headers=act).status_code)
        half = json.dumps(sent, ensure_ascii=False).encode()[:-9]
        act["Content-Type"] = "application/json"
        statuses.append(
            client.post("/v1/requests", content=half, headers=act).status_code
        )
    return statuses


def break_the_line(run: Running) -> None:
    """What is no HTTP at all: the server itself refuses it, and logs that."""
    for line in (
        f"{marks.LATIN_WORD} {marks.NUMBER}\r\n\r\n",
        f"GET /{marks.NUMBER} HTTP/9.9\r\n\r\n",
        f"GET / HTTP/1.1\r\n{marks.EMAIL} {marks.PHONE}\r\n\r\n",
        f"POST /v1/requests HTTP/1.1\r\nContent-Length: {marks.NUMBER_ARABIC}\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", run.port), timeout=5) as line_out:
            line_out.sendall(line.encode())
            line_out.settimeout(0.3)
            try:
                line_out.recv(4096)
            except TimeoutError:
                continue


def person(run: Running, by: str, value: str) -> subprocess.CompletedProcess[str]:
    """``sijil person search`` with the value on standard input."""
    return subprocess.run(
        [sys.executable, "-m", "api.cli", "person", "search", "--by", by],
        cwd=REPOSITORY,
        env=run.environment,
        input=f"{value}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def leaks_in(folder: Path, *, but: tuple[Path, ...]) -> set[Found]:
    return {
        found
        for path in folder.rglob("*")
        if path.is_file() and not any(each in path.parents for each in but)
        for found in search(path.read_bytes(), str(path.relative_to(folder)))
    }


def raw_in(folder: Path) -> set[str]:
    """Files of the database that hold a value in plain letters, dropped rows too."""
    plain = [
        text.encode() for text in (marks.NAME, marks.NUMBER, marks.ADDRESS, marks.EMAIL)
    ]
    return {
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(text in path.read_bytes() for text in plain)
    }


def test_a_whole_run_keeps_no_value_in_the_clear(run: Running) -> None:
    statuses = ask_everything(run)
    assert {200, 201, 400, 401, 404, 422} <= set(statuses)
    break_the_line(run)
    for by, value, code in (
        ("national_number", marks.NUMBER, 0),
        ("name", marks.NAME, 0),
        ("phone", marks.PHONE_ARABIC, 0),
        ("national_number", marks.PHONE, 1),
        ("phone", marks.NAME, 1),
    ):
        done = person(run, by, value)
        assert done.returncode == code, (by, done.returncode, done.stderr)
        assert not search(done.stdout + done.stderr)
    assert run.interrupt() == 0
    assert not search(run.output.read_bytes(), "what it printed")
    data = EmbeddedServer(run.home).data
    # The spool's files are letters: they hold the address they are for, 0600.
    spool = run.home / "spool"
    leaks = leaks_in(run.home, but=(data, spool))
    assert not leaks, leaks
    assert not search(EmbeddedServer(run.home).log.read_bytes())
    # Stopped cleanly, so all of it is in the files: tables, indexes and their log.
    assert raw_in(data) == set()
