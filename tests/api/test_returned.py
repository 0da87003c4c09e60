"""The interface over a ledger that came back: it reads, says why, and goes on later."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from uuid import uuid4

import pytest

from api.health import RETURNED
from domain.resumptions import ResumedBecause
from ledger.backup.resuming import resume, suspend
from ledger.mark import Mark, write_mark
from office.keeping import EARLIER
from tests.api.door import SUBMISSION, Door, door_of
from tests.conftest import Database


@pytest.fixture
def own(seeded_database: Database) -> Iterator[Door]:
    with door_of(seeded_database) as made:
        yield made


def reasons(door: Door) -> list[str]:
    answer = door.client.get("/readyz")
    said: list[str] = answer.json()["reasons"]
    assert answer.status_code == (503 if said else 200)
    return said


def test_it_reads_refuses_acts_and_goes_on_once_resumed(own: Door) -> None:
    settings = own.scene.database.settings
    request_id = own.submitted()
    assert reasons(own) == []
    suspend(settings)
    key = uuid4()
    for _ in range(2):
        answer = own.post("clerk", "/v1/requests", SUBMISSION, key=key)
        assert (answer.status_code, answer.json()["code"]) == (503, "ledger-returned")
        assert int(answer.headers["Retry-After"]) > 0
    assert own.get("clerk", f"/v1/requests/{request_id}").status_code == 200
    assert reasons(own) == [RETURNED]
    resume(settings, ResumedBecause.RESTORED)
    answer = own.post("clerk", "/v1/requests", SUBMISSION, key=key)
    assert answer.status_code == 201
    # Its views saw no more than the ledger has, and follow the new incarnation.
    own.scene.level()
    assert reasons(own) == []
    assert own.submitted() != request_id
    trail = own.get("auditor", "/v1/trail", topic="sijil.ledger.resumed.v1").json()
    (resumed,) = trail["items"]
    assert resumed["actor"]["id"] == "operator"


def test_a_view_that_has_seen_more_shows_an_earlier_ledger(own: Door) -> None:
    own.submitted()
    views = own.scene.database.datastore("runner", schema="sijil_views")
    with views.transaction() as cursor:
        cursor.execute(
            "UPDATE progress SET position = position + 12 WHERE view = 'roster'"
        )
    (said,) = reasons(own)
    assert said.startswith("view roster has seen 12 entries that the ledger has not")


def test_a_home_that_has_seen_more_shows_it_too(own: Door) -> None:
    own.submitted()
    head = own.scene.house.ledger.reader.head()
    home = own.scene.database.settings.home
    write_mark(home, Mark.of(head))
    assert reasons(own) == []
    write_mark(home, Mark.of(dataclasses.replace(head, position=head.position + 1)))
    assert reasons(own) == [EARLIER]
