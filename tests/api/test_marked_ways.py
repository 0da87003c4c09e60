"""The other ways a marked value could get out: faults, logins, messages, a pipe."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg2
import pytest
import structlog
from fastapi.testclient import TestClient
from httpx2 import Request, Response
from pydantic import BaseModel, SecretStr

from api.tokens import mint
from api.v1 import bodies, people
from domain.acts import ActorKind
from domain.persons import PersonDetails, PersonField
from domain.requests import CorrectedBecause, CorrectedField, Means
from ledger.corrections import KeptCorrection
from office.commands import CorrectRequest
from office.couriers import Letter
from office.telling_settings import TellingSettings
from tests import marks
from tests.api.door import SUBMISSION, WHO, Door, door_of
from tests.api.test_marked_values import Place, Sweep
from tests.conftest import Database, Server
from tests.marks import NAME, NUMBER, search
from tests.office.scene import submission
from tests.traces import Logged, everything_stored, leaks_of, told

LETTERS = {"latin word", "latin hyphens", "identifier"}
"""Marks that may be a code: nothing can tell them from one."""
WHOLE = {**marks.PERSON, "national_number": marks.NUMBER_ARABIC}
MARKED = {**SUBMISSION, "applicant": WHOLE}


@pytest.fixture
def logged() -> Iterator[Logged]:
    made = Logged()
    with made.listening():
        yield made


@pytest.fixture
def door(seeded_database: Database) -> Iterator[Door]:
    with door_of(seeded_database) as made:
        yield made


class TestPlantedFaults:
    """The search catches what it is there to catch, and says where it is."""

    def plant(self, database: Database, statement: str, *values: Any) -> set[str]:
        with (
            closing(psycopg2.connect(**database.superuser_dsn())) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            # The owner of the server may do what no role of Sijil's may.
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(statement, values)
            assert cursor.rowcount > 0
        return {
            found.where
            for table, rows in everything_stored(database).items()
            for found in marks.search_all(rows, table)
        }

    def test_in_an_events_body(self, door: Door) -> None:
        door.submitted()
        body = json.dumps({"data": {"reason": NAME}}, ensure_ascii=False).encode()
        places = self.plant(
            door.scene.database,
            "UPDATE sijil.events SET body = %s WHERE position ="
            " (SELECT max(position) FROM sijil.events)",
            body,
        )
        assert places == {"ledger: sijil.events"}

    @pytest.mark.parametrize(
        "value", [NAME, marks.PHONE, hashlib.sha256(NUMBER.encode()).hexdigest()]
    )
    def test_in_a_views_column_also_as_a_hash_without_a_key(
        self, door: Door, value: str
    ) -> None:
        door.submitted()
        places = self.plant(
            door.scene.database, "UPDATE sijil_views.tracking SET reason = %s", value
        )
        assert places == {"ledger: sijil_views.tracking"}

    def test_in_a_line_of_either_log(self, logged: Logged) -> None:
        structlog.get_logger().info("office.planted", holder=marks.EMAIL)
        assert any(search(line) for line in logged.lines)
        logged.lines.clear()
        try:
            int(NAME)
        except ValueError:
            structlog.get_logger().exception("office.planted")
        assert any(search(line) for line in logged.lines)

    def test_in_an_answer(self, door: Door) -> None:
        sweep, place = Sweep(door), Place("query", ("clerk",))
        asked = Request("GET", "http://testserver/v1/queue")
        for status, headers, content in (
            (422, {}, json.dumps({"detail": NAME})),
            (200, {"Location": f"/v1/{quote(NAME)}"}, "{}"),
        ):
            sweep.leaks.clear()
            answer = Response(status, headers=headers, text=content, request=asked)
            sweep.look("get_queue", place, "clerk", "name", answer)
            assert all("get_queue to clerk" in each.where for each in sweep.leaks)
            assert sweep.leaks


class TestFaults:
    def ways_in(self, door: Door) -> list[int]:
        """Ask for everything that takes values, whatever comes of it."""
        asked = [
            ("clerk", "/v1/requests", MARKED),
            ("clerk", "/v1/persons/search", {"national_number": NUMBER}),
            ("clerk", "/v1/persons/search", {"phone": marks.PHONE}),
            ("clerk", "/v1/persons/search", {"name": NAME}),
        ]
        return [door.post(*each).status_code for each in asked]

    def test_a_vault_that_lets_nobody_in(
        self, seeded_database: Database, server: Server, logged: Logged
    ) -> None:
        seeded_database.settings = seeded_database.settings.model_copy(
            update={"vault_password": SecretStr("not-the-password")}
        )
        with door_of(seeded_database) as door:
            statuses = self.ways_in(door)
        assert set(statuses) == {503}
        leaks = leaks_of(seeded_database, server, logged)
        assert not leaks, told(leaks)

    @pytest.mark.parametrize(
        "fault",
        [
            "ALTER TABLE vault.sealed_values ADD CHECK (false) NOT VALID",
            "ALTER TABLE vault.blind_index ADD CHECK (false) NOT VALID",
            "ALTER TABLE vault.sealed_values RENAME TO gone",
        ],
    )
    def test_a_vault_whose_statements_fail(
        self, seeded_database: Database, server: Server, logged: Logged, fault: str
    ) -> None:
        with (
            closing(
                psycopg2.connect(**seeded_database.superuser_dsn(is_vault=True))
            ) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(fault)
        with door_of(seeded_database) as door:
            assert max(self.ways_in(door)) >= 500
        leaks = leaks_of(seeded_database, server, logged)
        assert not leaks, told(leaks)

    def test_views_whose_statements_fail(
        self, seeded_database: Database, server: Server, logged: Logged
    ) -> None:
        with (
            closing(psycopg2.connect(**seeded_database.superuser_dsn())) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(
                "ALTER TABLE sijil_views.tracking ADD CHECK (step = '') NOT VALID;"
                "ALTER TABLE sijil_views.clerk_queue RENAME TO gone"
            )
        with door_of(seeded_database) as door:
            door.post("clerk", "/v1/requests", MARKED)
            door.scene.room.runner.catch_up()
            for mark in marks.TYPED.values():
                assert door.get("supervisor", "/v1/queue", clerk=mark).status_code > 499
        assert any("views.failed" in line for line in logged.lines)
        leaks = leaks_of(seeded_database, server, logged)
        assert not leaks, told(leaks)

    def test_an_unforeseen_error_that_repeats_what_was_sent(
        self, door: Door, logged: Logged, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fall(command: Any, _: Any) -> None:
            raise RuntimeError(f"{command.applicant.full_name} {NUMBER}")

        monkeypatch.setattr(door.scene.house.requests, "submit", fall)
        answer = door.post("clerk", "/v1/requests", MARKED)
        assert answer.status_code == 500
        assert not search(answer.text)
        assert any("RuntimeError" in line for line in logged.lines)
        assert not marks.search_all(logged.lines, "the log")


def test_a_login_by_a_persons_own_value_is_not_believed(
    door: Door, logged: Logged
) -> None:
    for mark in {*marks.TYPED} - LETTERS:
        for who, claims in {**WHO}.items():
            if claims["role"] is not ActorKind.CITIZEN:
                answer = as_somebody(
                    door, {**claims, "subject": marks.TYPED[mark]}
                ).get("/v1/requests")
                assert answer.status_code == 401, (mark, who)
    assert not marks.search_all(logged.lines, "the log")


def test_a_citizens_subject_stays_in_the_vault(
    door: Door, server: Server, logged: Logged
) -> None:
    """Providers make it of what they like: it is kept as a keyed digest only."""
    online = {**MARKED, "channel": "online", "centre": "SY-DI-01", "accept": False}
    for subject in marks.TYPED.values():
        citizen = as_somebody(door, {"role": ActorKind.CITIZEN, "subject": subject})
        answer = citizen.post("/v1/requests", json=online)
        assert answer.status_code == 201
        path = f"/v1/requests/{answer.json()['id']}"
        seen = citizen.get(path)
        assert seen.status_code == 200
        citizen.headers["If-Match"] = seen.headers["ETag"]
        citizen.headers["Idempotency-Key"] = str(uuid4())
        done = citizen.post(f"{path}/withdrawal", json={"reason": "not_needed"})
        assert done.status_code == 200
        assert not search(seen.text + done.text)
    leaks = leaks_of(door.scene.database, server, logged)
    assert not leaks, told(leaks)


def as_somebody(door: Door, claims: dict[str, Any]) -> TestClient:
    """A client that sends a token with these claims."""
    token = mint(
        door.settings,
        now=datetime.now(UTC),
        lifespan=timedelta(hours=1),
        **claims,
    )
    made = TestClient(door.app)
    made.headers.update(
        {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid4())}
    )
    return made


def test_where_values_belong_they_stay(
    door: Door, server: Server, logged: Logged, tmp_path: Any
) -> None:
    """Submitted, corrected, searched, merged, exported, told: sealed all the way."""
    settings = TellingSettings(
        telling="spool", spool=tmp_path / "spool", telling_per_minute=60_000
    )
    telling = door.scene.house.telling(settings)
    telling.catch_up(Event())
    one = door.submitted(
        "citizen", applicant=WHOLE, channel="online", centre="SY-DI-01", accept=False
    )
    taken = door.act("clerk", one, "acceptance", documents=["id-card"])
    assert taken.status_code == 200, taken.text
    other = door.submitted(
        applicant={"full_name": NAME, "other_identifier": marks.IDENTIFIER}
    )
    for name, value in {**WHOLE, "other_identifier": marks.IDENTIFIER}.items():
        answer = door.act(
            "clerk",
            other,
            "correction",
            field=name,
            reason="typing_error",
            party="applicant",
            value=value,
        )
        assert answer.status_code in {200, 409, 422}, answer.text
        assert not search(answer.text)
    for asked in (
        {"national_number": NUMBER},
        {"phone": marks.PHONE_ARABIC},
        {"name": "زبيدة"},
        {"other_identifier": marks.IDENTIFIER},
    ):
        answer = door.post("clerk", "/v1/persons/search", asked)
        assert answer.json()["items"], asked
        assert not search(answer.text)
    parties = [{"request_id": each, "role": "applicant"} for each in (one, other)]
    merge = {"first": parties[0], "second": parties[1], "reason": "registered-twice"}
    answer = door.post("supervisor", "/v1/persons/merge", merge)
    assert not search(answer.text)
    export = door.post("supervisor", "/v1/persons/export", parties[0])
    assert NAME in export.text
    door.scene.level()
    telling.catch_up(Event())
    telling.close()
    letters = [json.loads(p.read_text()) for p in (tmp_path / "spool").glob("*.json")]
    assert letters
    for letter in letters:
        # To whom, and nothing else of theirs.
        assert letter["to"] in {"+963944817263", marks.EMAIL}
        assert not search(json.dumps({**letter, "to": ""}))
    leaks = leaks_of(door.scene.database, server, logged)
    assert not leaks, told(leaks)


def test_nobody_else_is_shown_a_value(door: Door) -> None:
    one = door.post("clerk", "/v1/requests", MARKED).json()["id"]
    door.scene.level()
    for who in WHO:
        shown = search(door.get(who, f"/v1/requests/{one}/parties").text)
        assert bool(shown) is (who in {"clerk", "supervisor"}), who
        body = {"request_id": one, "role": "applicant"}
        shown = search(door.post(who, "/v1/persons/export", body).text)
        assert bool(shown) is (who == "supervisor"), who


def models() -> list[type[BaseModel]]:
    return [
        each
        for module in (bodies, people)
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, bodies.Strict) and each is not bodies.Strict
    ]


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_the_repr_of_a_body_shows_nothing(model: type[BaseModel]) -> None:
    made = model.model_construct(**dict.fromkeys(model.model_fields, NAME))
    assert not search(f"{made!r} {made}")


def test_the_repr_of_what_carries_values_shows_none() -> None:
    details = PersonDetails(**WHOLE)
    correction = KeptCorrection(
        party_id=uuid4(), field=PersonField.FULL_NAME, value=NAME
    )
    corrected = CorrectRequest(
        request_id=uuid4(),
        field=CorrectedField.FULL_NAME,
        reason=CorrectedBecause.TYPING_ERROR,
        value=NAME,
    )
    letter = Letter(
        id=uuid4(),
        message="ready",
        means=Means.SMS,
        to=marks.PHONE,
        subject="",
        text="",
        caused_at=None,  # type: ignore[arg-type]
    )
    for each in (details, submission(applicant=details), correction, corrected, letter):
        assert not search(repr(each))


def test_no_example_of_the_description_is_a_persons(door: Door) -> None:
    """Examples are numbers of zeros, names that say what they are, reserved domains."""
    text = json.dumps(door.app.openapi(), ensure_ascii=False)
    mobiles = set(re.findall(r"(?<![0-9a-fA-Z])(?:\+963|00963|0)9[0-9]{8}", text))
    nationals = set(re.findall(r"(?<![0-9a-f])[0-9]{11}(?![0-9a-f])", text))
    mails = set(re.findall(r"[\w.]+@[\w.]+", text))
    assert (mobiles, nationals) == ({"+963900000000"}, {"00000000000"})
    assert mails == {"citizen@example.org"}
