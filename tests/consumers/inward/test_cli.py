"""``sijil inward`` as a process: what it takes in, and what it says when it cannot."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli import command_line
from consumers.topic_admin import TopicAdmin
from consumers.topics import AGENCY_REPLIES, TOPICS
from domain.requests import Answer
from ledger.mark import Mark, write_mark
from ledger.names import Role
from ledger.reader import LedgerReader
from ledger.settings import GENERATED_SECRETS
from tests.conftest import Database
from tests.consumers.conftest import until
from tests.consumers.inward.letters import FILE, senders_file
from tests.consumers.inward.post import Post, forwarded
from tests.office.test_keeping import url_of
from tests.running import REPOSITORY


def environment(post: Post, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        **post.scene.database.environment(),
        "SIJIL_KAFKA": ",".join(post.options["bootstrap_servers"]),
        "SIJIL_SENDERS_FILE": str(post.folder / "senders.toml"),
        **more,
    }


def started(post: Post, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "api.cli", "inward"],
        cwd=REPOSITORY,
        env=environment(post, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_reply_is_used_and_what_cannot_be_is_a_dead_letter(post: Post) -> None:
    with closing(TopicAdmin(post.options, replication=1)) as admin:
        admin.apply(TOPICS)
    scene = post.scene
    (asked,) = forwarded(scene)
    # The topics of the catalogue, which all tests of this run share: a sender of ours.
    key = f"cli-{os.getpid()}"
    senders_file(post.folder, FILE.replace("civ-1", key))
    post.topics = dict.fromkeys(["sijil.agency-replies.v1"], post.topics[post.replies])
    post.replies = "sijil.agency-replies.v1"
    post.send(post.replies, b"{", key_id=key)
    post.reply(asked, key_id=key)
    worker = started(post)
    try:
        until(lambda: scene.get(asked).answer is Answer.ISSUED, 120)
        until(lambda: dead_letters(post) >= 1, 60)
    finally:
        worker.send_signal(signal.SIGTERM)
        said = worker.communicate(timeout=60)
    assert worker.returncode == 0, said


def dead_letters(post: Post) -> int:
    topics = [entry.topic for entry in post.scene.entries()]
    return topics.count("sijil.message.dead-lettered.v1")


def test_how_far_the_group_is_is_said_and_too_far_is_a_no(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = [dataclasses.replace(AGENCY_REPLIES, name=name) for name in post.topics]
    monkeypatch.setattr("consumers.inward.cli.FOLLOWED", topics)
    for name, text in environment(post).items():
        monkeypatch.setenv(name, text)

    def said() -> tuple[int, str]:
        command = command_line(only="inward")
        done = CliRunner().invoke(command, ["inward", "--check"])
        return done.exit_code, done.stdout

    for partition in range(2):
        post.send(post.replies, b"{", partition=partition)
    post.send(post.scans, b"{", partition=0)
    assert said() == (0, "inward: 0 of 3\n")
    monkeypatch.setattr("consumers.cli.LARGEST_LAG", 2)
    assert said() == (1, "inward: 0 of 3\n")
    with post.working():
        until(lambda: len(post.aside.found) == post.sent)
    assert said() == (0, "inward: 3 of 3\n")


def without_the_owner(database: Database, home: Path) -> dict[str, str]:
    """The settings of another home on the same server, but for the owner's password."""
    more = {"SIJIL_HOME": str(home), "SIJIL_DATABASE_URL": url_of(database)}
    for name in GENERATED_SECRETS:
        if name != "owner_password":
            given = getattr(database.settings, name)
            more[f"SIJIL_{name.upper()}"] = given.get_secret_value()
    return more


def test_it_does_not_start_on_a_ledger_that_came_back(
    post: Post, tmp_path: Path
) -> None:
    senders_file(post.folder)
    scene = post.scene
    head = LedgerReader(scene.database.datastore(Role.READER)).head()
    # A home of its own, which has seen more, and does not know the owner's password.
    home = tmp_path / "home"
    seen = dataclasses.replace(Mark.of(head), position=head.position + 1)
    write_mark(home, seen)
    worker = started(post, **without_the_owner(scene.database, home))
    try:
        _, error = worker.communicate(timeout=60)
    finally:
        worker.kill()
    assert worker.returncode == 2
    assert "an earlier one than this home has seen" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"SIJIL_SENDERS_FILE": "missing.toml"}, "missing.toml cannot be read"),
        ({"SIJIL_KAFKA": ""}, "SIJIL_KAFKA is not set"),
    ],
)
def test_it_says_what_is_missing(post: Post, more: dict[str, Any], said: str) -> None:
    senders_file(post.folder)
    worker = started(post, **more)
    _, error = worker.communicate(timeout=120)
    assert worker.returncode == 2
    assert said in error
    assert "Traceback" not in error
