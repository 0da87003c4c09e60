"""What careful clients rely on: ETags, repeats, positions, pages, tracking."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient

from api.tokens import mint
from api.v1 import tracking
from domain.acts import ActorKind
from domain.calendars import office_day
from ledger import migrations
from ledger.migrations import Migration
from ledger.persistence.datastore import PostgresDatastore
from projections.looks import Looks
from projections.tracking import Tracking
from tests.api.door import SUBMISSION, Door


class TestWriting:
    def test_a_new_request_has_a_place_a_version_and_a_position(
        self, door: Door
    ) -> None:
        answer = door.post("clerk", "/v1/requests", SUBMISSION)
        assert answer.status_code == 201
        made = answer.json()
        assert answer.headers["Location"] == f"/v1/requests/{made['id']}"
        assert answer.headers["ETag"] == '"2"'
        assert int(answer.headers["Ledger-Position"]) > 0
        assert len(made["secret_code"]) == 6
        assert (made["stage"], made["next_act"]) == ("in_progress", "take_fee")
        assert made["fee_due"] == {"amount": 3000, "unit": "SYP.new"}

    @pytest.mark.parametrize("quoted", [True, False])
    def test_a_repeat_has_the_same_outcome_and_says_so(
        self, door: Door, quoted: bool
    ) -> None:
        key = str(uuid4())
        first = door.post("clerk", "/v1/requests", SUBMISSION, key=key)
        again = door.post(
            "clerk", "/v1/requests", SUBMISSION, key=f'"{key}"' if quoted else key
        )
        assert again.status_code == first.status_code == 201
        assert again.json() == first.json()
        for name in ("ETag", "Ledger-Position", "Location"):
            assert again.headers[name] == first.headers[name]
        assert again.headers["Idempotency-Hit"] == "true"
        assert "Idempotency-Hit" not in first.headers

    def test_a_repeat_is_answered_as_the_act_was_whatever_came_after(
        self, door: Door
    ) -> None:
        key = uuid4()
        first = door.post("clerk", "/v1/requests", SUBMISSION, key=key)
        request_id = first.json()["id"]
        door.scene.level()
        path, body = (
            f"/v1/requests/{request_id}/payment",
            {
                "token": door.token_of(request_id),
                "channel": "cash",
                "amount": 3000,
                "unit": "SYP.new",
            },
        )
        pay_key, seen = uuid4(), door.etag(request_id)
        paid = door.post("clerk", path, body, key=pay_key, if_match=seen)
        door.act("clerk", request_id, "response", outcome="issued")
        for made, again in (
            (first, door.post("clerk", "/v1/requests", SUBMISSION, key=key)),
            # The version the actor saw is stale by now, or not sent again at all.
            (paid, door.post("clerk", path, body, key=pay_key, if_match=seen)),
            (paid, door.post("clerk", path, body, key=pay_key)),
        ):
            assert again.status_code == made.status_code
            assert again.json() == made.json()
            assert again.headers["ETag"] == made.headers["ETag"]
            assert again.headers["Idempotency-Hit"] == "true"

    def test_other_input_under_the_same_id_is_422(self, door: Door) -> None:
        key = uuid4()
        door.post("clerk", "/v1/requests", SUBMISSION, key=key)
        other = {**SUBMISSION, "delivery": "post_office"}
        answer = door.post("clerk", "/v1/requests", other, key=key)
        assert (answer.status_code, answer.json()["code"]) == (
            422,
            "idempotency-key-reused",
        )

    def test_arabic_digits_are_the_same_input(self, door: Door) -> None:
        key = uuid4()
        first = door.post("clerk", "/v1/requests", SUBMISSION, key=key)
        latin = {
            **SUBMISSION["applicant"],
            "national_number": "01000099887",
            "phone": "+963933123498",
        }
        again = door.post(
            "clerk", "/v1/requests", {**SUBMISSION, "applicant": latin}, key=key
        )
        assert again.json() == first.json()
        parties = door.get("clerk", f"/v1/requests/{first.json()['id']}/parties")
        (told,) = parties.json()["items"]
        assert told["national_number"] == "01000099887"
        assert told["phone"] == "+963933123498"

    def test_an_act_moves_the_etag_and_the_state(self, door: Door) -> None:
        request_id = door.submitted()
        before = door.etag(request_id)
        answer = door.act(
            "clerk",
            request_id,
            "payment",
            channel="cash",
            amount=3000,
            unit="SYP.new",
        )
        assert answer.headers["ETag"] == door.etag(request_id) != before
        assert answer.json()["next_act"] == "record_reply"


class TestReading:
    def test_what_one_has_is_not_sent_again(self, door: Door) -> None:
        request_id = door.submitted()
        answer = door.client.get(
            f"/v1/requests/{request_id}",
            headers=door.headers("clerk", If_None_Match=door.etag(request_id)),
        )
        assert (answer.status_code, answer.content) == (304, b"")

    def test_only_staff_see_clerk_and_token(self, door: Door) -> None:
        request_id = door.online()
        for who, sees in (("clerk", True), ("citizen", False)):
            answer = door.get(who, f"/v1/requests/{request_id}").json()
            assert (answer["clerk"] is not None) is sees
            assert (answer["token"] is not None) is sees
            assert answer["secret_code"] is None

    def test_an_officer_of_no_governorate_does_not_see_all_of_them(
        self, door: Door
    ) -> None:
        request_id = door.forwarded()
        door.scene.level()
        for governorate, status in (("SY-DI", 200), ("SY-HL", 404), (None, 404)):
            token = mint(
                door.settings,
                role=ActorKind.AGENCY,
                subject="off-3",
                now=datetime.now(UTC),
                agency="CIV",
                governorate=governorate,
            )
            asked = {"Authorization": f"Bearer {token}"}
            one = door.client.get(f"/v1/requests/{request_id}", headers=asked)
            listed = door.client.get("/v1/requests", headers=asked).json()
            assert one.status_code == status
            assert len(listed["items"]) == (1 if status == 200 else 0)

    def test_a_read_waits_for_the_position_of_a_write(self, door: Door) -> None:
        request_id = door.submitted()
        head = door.scene.house.ledger.reader.head().position
        for path in (
            "/v1/queue",
            "/v1/counts",
            "/v1/requests",
            f"/v1/requests/{request_id}/trail",
        ):
            answer = door.get("supervisor", path, min_position=head)
            assert answer.status_code == 200

    def test_a_read_of_the_past_waits_until_its_view_is_there(
        self, door: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("api.asking.FRESH_TIMEOUT_S", 0.05)
        made = door.post("clerk", "/v1/requests", SUBMISSION)
        written = made.headers["Ledger-Position"]
        now = door.scene.house.ledger.reader.head().recorded_at
        assert now is not None
        asked: tuple[dict[str, str], ...] = (
            {"as_of": written},
            {"as_of": now.isoformat()},
            {"as_of": "9999-01-01T00:00:00Z"},
            {"as_of": "9" * 39},
            {"as_of": "1", "min_position": written},
        )
        for question in asked:
            answer = door.get("supervisor", "/v1/requests", **question)
            assert answer.status_code == 503, question
            assert answer.json()["code"] == "not-fresh-enough"
        assert door.get("supervisor", "/v1/requests", as_of="1").status_code == 200
        door.scene.level()
        for question in asked:
            answer = door.get("supervisor", "/v1/requests", **question)
            assert answer.status_code == 200, question

    def test_pages_follow_their_links(self, door: Door) -> None:
        for _ in range(5):
            door.submitted()
        seen: list[str] = []
        path = "/v1/requests?limit=2"
        while path:
            answer = door.client.get(path, headers=door.headers("auditor"))
            seen += [item["id"] for item in answer.json()["items"]]
            link = answer.headers.get("Link", "")
            assert bool(link) is (answer.json()["next"] is not None)
            path = link.partition(">")[0].removeprefix("<")
        assert len(seen) == len(set(seen)) >= 5

    def test_a_list_is_as_it_was_known(self, door: Door) -> None:
        request_id = door.submitted()
        head = door.scene.house.ledger.reader.head()
        door.act(
            "clerk", request_id, "payment", channel="cash", amount=3000, unit="SYP.new"
        )
        door.scene.level()

        def next_act(as_of: str | None) -> str:
            asked = {} if as_of is None else {"as_of": as_of}
            items = door.get("clerk", "/v1/requests", **asked).json()["items"]
            return next(i["next_act"] for i in items if i["id"] == request_id)

        assert head.recorded_at is not None
        assert next_act(None) == "record_reply"
        assert next_act(str(head.position)) == "take_fee"
        assert next_act(head.recorded_at.isoformat()) == "take_fee"

    def test_counts_add_up_and_say_what_is_not_measured(self, door: Door) -> None:
        door.mailed()
        door.scene.level()
        counts = door.get("administrator", "/v1/counts").json()["items"]
        assert len(counts) == 14
        stages = ("waiting", "not_accepted", "in_progress", "completed")
        for count in counts:
            assert count["submitted"] == sum(count[stage] for stage in stages)
        (total,) = door.get("administrator", "/v1/counts", total=True).json()["items"]
        assert total["submitted"] == sum(count["submitted"] for count in counts)
        flows = door.get("administrator", "/v1/counts/flows").json()["items"]
        assert sum(flow["submitted"] for flow in flows) == total["submitted"]
        assert all(flow["waiting"] is None for flow in flows)

    def test_counts_are_of_what_had_happened_by_a_day_or_a_time(
        self, door: Door
    ) -> None:
        door.mailed()
        door.scene.level()
        day = office_day(door.scene.clock())

        def total(**asked: Any) -> int:
            found = door.get("administrator", "/v1/counts", total=True, **asked)
            items = found.json()["items"]
            return int(items[0]["submitted"]) if items else 0

        all_there_is = total()
        assert all_there_is == total(effective_at=day.isoformat()) > 0
        assert total(effective_at=(day - timedelta(days=30)).isoformat()) == 0
        head = door.scene.house.ledger.reader.head()
        later = (door.scene.clock() + timedelta(days=1)).isoformat()
        assert total(effective_at=later, as_of=head.position) == all_there_is
        assert total(effective_at=later, as_of=0) == 0

    def test_times_say_of_how_many_they_are(self, door: Door) -> None:
        door.mailed()
        door.scene.level()
        (total,) = door.get("administrator", "/v1/turnaround", total=True).json()[
            "items"
        ]
        assert total["completed"] == total["whole"]["n"] > 0
        assert total["whole"]["median"] is not None
        assert total["post"] == {"n": 0, "median": None, "p90": None}
        assert total["inside_limit"]["share"] == 1.0
        by_month = door.get("administrator", "/v1/turnaround", by="month").json()
        assert all(item["open"] is None for item in by_month["items"])

    def test_an_auditor_recomputes_a_leaf(self, door: Door) -> None:
        door.submitted()
        page = door.get("auditor", "/v1/entries", limit=5).json()
        for item in page["items"]:
            entry = base64.b64decode(item["entry"])
            leaf = hashlib.sha256(b"\0" + entry).hexdigest()
            assert leaf == item["leaf_hash"]

    def test_the_trail_tells_the_leaves_of_the_ledger(self, door: Door) -> None:
        request_id = door.submitted()
        trail = door.get("clerk", f"/v1/requests/{request_id}/trail").json()["items"]
        for item in trail:
            entry = door.get("auditor", f"/v1/entries/{item['position']}").json()
            assert entry["leaf_hash"] == item["leaf_hash"]
        assert trail[0]["words_ar"] == "تقديم الطلب للخدمة CIV-01 في المركز"


class TestTracking:
    def receipt(self, door: Door) -> dict[str, str]:
        made = door.post("clerk", "/v1/requests", SUBMISSION).json()
        door.scene.level()
        return {"number": made["tracking_number"], "code": made["secret_code"]}

    def test_number_and_code_show_the_steps_and_no_clerk(self, door: Door) -> None:
        answer = door.client.post("/v1/tracking", json=self.receipt(door))
        assert answer.status_code == 200
        shown = answer.json()
        assert [step["step"] for step in shown["steps"]] == ["submitted", "accepted"]
        assert "clk-" not in answer.text

    def shown(self, door: Door, request_id: str) -> dict[str, Any]:
        """What the citizen of a request reads there."""
        door.scene.level()
        request = door.scene.get(UUID(request_id))
        question = {
            "number": request.tracking_number,
            "code": door.scene.requests.code_of(request),
        }
        shown: dict[str, Any] = door.client.post("/v1/tracking", json=question).json()
        return shown

    def test_what_messages_send_the_citizen_to_read_is_there(self, door: Door) -> None:
        request_id = door.submitted()
        assert self.shown(door, request_id)["payment_due_at"] is not None
        asked = door.asked()
        assert self.shown(door, asked)["missing"] == ["birth_place"]
        done = door.act("clerk", asked, "information", supplied=["birth_place"])
        assert done.status_code == 200, done.text
        assert self.shown(door, asked)["missing"] is None
        refused = self.shown(door, door.refused())
        assert (refused["outcome"], refused["reason"]) == ("refused", "no-record")
        declined = door.post(
            "clerk",
            "/v1/requests",
            {
                **SUBMISSION,
                "accept": False,
                "documents": [],
                "decline_reason": "documents_missing",
                "missing": ["id-card"],
            },
        ).json()
        shown = self.shown(door, declined["id"])
        assert (shown["stage"], shown["reason"], shown["missing"]) == (
            "not_accepted",
            "documents_missing",
            ["id-card"],
        )

    def test_arabic_digits_and_spaces_are_read(self, door: Door) -> None:
        receipt = self.receipt(door)
        arabic = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
        question = {
            "number": receipt["number"].translate(arabic).replace("-", " ").lower(),
            "code": receipt["code"].translate(arabic),
        }
        assert door.client.post("/v1/tracking", json=question).status_code == 200

    def test_wrong_and_right_do_the_same_work(
        self, door: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        receipt = self.receipt(door)
        work: list[str] = []
        queries = door.scene.house.queries.tracking
        for name in ("by_number", "steps"):
            real = getattr(queries, name)

            def counted(*args: Any, name: str = name, real: Any = real) -> Any:
                work.append(name)
                return real(*args)

            monkeypatch.setattr(queries, name, counted)
        real_code = tracking_codes(monkeypatch, work)
        slept: list[float] = []
        monkeypatch.setattr(tracking.time, "sleep", slept.append)
        done = []
        for question in (
            receipt,
            {**receipt, "code": "000000"},
            {**receipt, "number": "A77W-EAA2-E5G9-Q"},
            {"number": "nonsense", "code": "nonsense"},
        ):
            work.clear()
            door.client.post("/v1/tracking", json=question)
            done.append(list(work))
        assert real_code
        assert done == [["by_number", "steps", "code"]] * 4
        assert len(slept) == 4
        # On a busy machine a look-up may take longer than the floor.
        assert all(0 <= pause <= tracking.FLOOR_S for pause in slept)


def tracking_codes(monkeypatch: pytest.MonkeyPatch, work: list[str]) -> Any:
    """Count the codes that are made while tracking."""
    import office.tracking

    real = office.tracking.secret_code

    def counted(*args: Any) -> str:
        work.append("code")
        return real(*args)

    monkeypatch.setattr(office.tracking, "secret_code", counted)
    return real


class TestHealth:
    def test_a_level_house_is_ready(self, door: Door) -> None:
        door.scene.level()
        answer = door.client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (200, "ready")
        assert {view["lag"] for view in answer.json()["views"]} == {0}

    def test_lag_and_failure_are_told(self, door: Door) -> None:
        strict = door.settings.model_copy(update={"largest_lag": 0})
        door.app.state.settings = strict
        try:
            door.post("clerk", "/v1/requests", SUBMISSION)
            answer = door.client.get("/readyz")
        finally:
            door.app.state.settings = door.settings
        assert answer.status_code == 503
        assert any("behind" in reason for reason in answer.json()["reasons"])
        door.scene.level()

    def test_what_an_upgrade_has_not_migrated_is_told(
        self, door: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        door.scene.level()
        newer = [
            *migrations.vault_migrations(),
            Migration(number=9999, name="9999_x.sql", script=""),
        ]
        monkeypatch.setattr(migrations, "vault_migrations", lambda: newer)
        monkeypatch.setattr(Tracking, "version", 99)
        monkeypatch.setattr(Looks, "name", "another")
        answer = door.client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["reasons"] == [
            "view another is not migrated",
            "view tracking is not migrated",
            "the vault's migration 9999_x.sql is not applied",
        ]

    def test_a_missing_database_is_told_and_not_named(
        self, door: Door, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nowhere = {"host": "127.0.0.1", "port": "1", "dbname": "secret"}
        house = door.scene.house
        for gone, reason in (
            (house.vault, "the vault does not answer"),
            (house.queries.progress, "the database does not answer"),
        ):
            with monkeypatch.context() as patch:
                name = "datastore" if gone is house.vault else "_datastore"
                patch.setattr(gone, name, PostgresDatastore(nowhere))
                answer = door.client.get("/readyz")
            assert answer.status_code == 503
            assert reason in answer.json()["reasons"]
            assert "secret" not in answer.text


def test_an_unforeseen_error_says_nothing_of_what_was_sent(
    door: Door,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("01000099887")

    monkeypatch.setattr(door.scene.house.requests, "get", broken)
    # Raises what the server would get to see, and print.
    with TestClient(door.app, raise_server_exceptions=True) as client:
        monkeypatch.setattr(door.scene.house, "close", lambda: None)
        answer = client.get(f"/v1/requests/{uuid4()}", headers=door.headers("clerk"))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert answer.headers["Trace-Id"] == answer.json()["trace_id"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    said = "".join(capsys.readouterr()) + caplog.text
    assert "RuntimeError" in said
    assert "test_requests.py" in said
    assert said.count(answer.json()["trace_id"]) == 2
    assert "01000099887" not in said + answer.text


def test_a_path_is_never_completed_by_a_redirect(door: Door) -> None:
    answer = door.client.get("/v1/requests/", follow_redirects=False)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_no_answer_is_kept_by_a_cache(door: Door) -> None:
    request_id = door.submitted()
    for path in ("/v1/requests", f"/v1/requests/{request_id}/parties"):
        assert door.get("clerk", path).headers["Cache-Control"] == "no-store"
    one = door.get("clerk", f"/v1/requests/{request_id}")
    assert one.headers["Cache-Control"] == "private, no-cache"


def test_logs_name_no_person_and_no_citizen(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    door.online()
    door.get("citizen", "/v1/requests")
    door.client.post("/v1/tracking", json={"number": "01000099887", "code": "x"})
    said = "".join(capsys.readouterr())
    assert "api.request" in said
    for value in ("01000099887", "علامة", "subject-1", "933123498"):
        assert value not in said
