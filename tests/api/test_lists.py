"""Lists: pages, sorts, filters and CSV tell the same rows, and only those in scope."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import pytest
from pydantic import BaseModel

from api import spreadsheets
from api.listing import prefers_csv
from api.spreadsheets import BOM, Downloads, columns_of, written
from tests.api.door import Door
from tests.api.matrix import operations
from tests.office.scene import ITEM, STAMP


def looked_at(door: Door, part: str) -> str:
    """The way to a part of a request that several have looked at."""
    request_id = door.submitted()
    for who in ("clerk", "supervisor"):
        assert door.get(who, f"/v1/requests/{request_id}/parties").status_code == 200
    door.scene.level()
    return f"/v1/requests/{request_id}/{part}"


def on_the_desk(door: Door, part: str) -> str:
    """The way to a part of the desk that has something in it."""
    request_id = door.mailed()
    sent_back = {"item": ITEM, "reason": "receiver_absent"}
    assert door.act("post", request_id, "return", **sent_back).status_code == 200
    # It was returned already: the rules refuse it, and that is recorded.
    assert door.act("post", request_id, "return", **sent_back).status_code == 409
    long_ago = door.scene.house.clock() - timedelta(days=20)
    door.submitted("supervisor", effective_at=long_ago.isoformat(), approved=True)
    assert door.act("supervisor", door.online(), "release").status_code == 200
    door.scene.level()
    return f"/v1/desk/{part}"


GOVERNORATES = "/v1/governorates"
SUMS = "/v1/payments/sums"


def with_letters(door: Door, part: str) -> str:
    """The way to messages that could not be used, of several causes."""
    for cause in ("not-json", "wrong-state", "unsigned", "fault"):
        door.dead_letter(cause=cause)
    door.scene.level()
    return f"/v1/dead-letters{part}"


LISTS: dict[str, tuple[str, Callable[[Door], str]]] = {
    "get_counts": ("auditor", lambda _: "/v1/counts"),
    "get_flows": ("auditor", lambda _: "/v1/counts/flows"),
    "get_turnaround": ("auditor", lambda _: "/v1/turnaround"),
    "get_queue": ("supervisor", lambda _: "/v1/queue"),
    "get_request_looks": ("auditor", lambda door: looked_at(door, "looks")),
    "get_request_trail": ("auditor", lambda door: looked_at(door, "trail")),
    "get_trail": ("auditor", lambda _: "/v1/trail"),
    "get_service_trail": ("auditor", lambda _: "/v1/services/CIV-01/trail"),
    "get_agency_trail": ("auditor", lambda _: "/v1/agencies/CIV/trail"),
    "get_centre_trail": ("auditor", lambda _: "/v1/centres/SY-DI-01/trail"),
    "get_calendar_trail": ("auditor", lambda _: "/v1/calendars/2026/trail"),
    "get_clerk_trail": ("auditor", lambda _: "/v1/clerks/clk-DI-1/trail"),
    "get_stamp_trail": ("auditor", lambda _: f"/v1/stamps/{STAMP}/trail"),
    "get_inbox": ("agency", lambda _: "/v1/inbox"),
    "get_payment_sums": ("auditor", lambda _: SUMS),
    "list_inbox_totals": ("auditor", lambda _: "/v1/inbox/totals"),
    **{
        name: ("supervisor", lambda door, part=part: on_the_desk(door, part))
        for name, part in (
            ("list_approvals", "approvals"),
            ("list_clerk_load", "load"),
            ("list_refused_attempts", "refused-attempts"),
            ("list_returned_post", "returned-post"),
            ("list_unassigned_work", "unassigned"),
        )
    },
    "list_dead_letters": ("auditor", lambda door: with_letters(door, "")),
    "list_dead_letter_totals": ("auditor", lambda door: with_letters(door, "/totals")),
    "list_agencies": ("auditor", lambda _: "/v1/agencies"),
    "list_calendars": ("auditor", lambda _: "/v1/calendars"),
    "list_centres": ("auditor", lambda _: "/v1/centres"),
    "list_clerks": ("auditor", lambda _: "/v1/clerks"),
    "list_entries": ("auditor", lambda _: "/v1/entries"),
    "list_governorates": ("citizen", lambda _: GOVERNORATES),
    "list_mailing_days": ("post", lambda _: "/v1/postal-items/days"),
    "list_payments": ("auditor", lambda _: "/v1/payments"),
    "list_postal_items": ("post", lambda _: "/v1/postal-items"),
    "list_registered_stamps": ("auditor", lambda _: "/v1/stamp-register"),
    "list_requests": ("auditor", lambda _: "/v1/requests"),
    "list_services": ("auditor", lambda _: "/v1/services"),
    "list_stampings": ("auditor", lambda _: "/v1/stampings"),
    "list_stamps": ("auditor", lambda _: "/v1/stamps"),
    "list_unmatched_payments": ("auditor", lambda _: "/v1/payments/unmatched"),
}
"""Who may ask for each list, and where."""
ONE_ORDER = {
    "get_inbox",
    "list_approvals",
    "list_clerk_load",
    "list_inbox_totals",
    "list_refused_attempts",
    "list_returned_post",
    "list_unassigned_work",
    "list_dead_letter_totals",
    "list_entries",
    "list_mailing_days",
    "list_registered_stamps",
}
"""Lists that have no other order."""
WITHOUT_PAGES = {
    "get_counts",
    "get_flows",
    "get_payment_sums",
    "get_turnaround",
    "list_governorates",
}
"""Lists that are whole answers."""
WHOLE = ("/v1/counts", "/v1/turnaround", SUMS, GOVERNORATES)
NO_FILES = {"get_request_parties": "values of persons leave by the export alone"}
"""Answers with items that are no list to take away, and why."""
QUEUE = "/v1/queue"


@pytest.fixture(scope="module")
def filled(door: Door) -> Door:
    """An office with requests at several stages, in its views."""
    for make in (door.submitted, door.forwarded, door.mailed, door.online):
        make()
    door.scene.level()
    door.scene.stray_payments()
    return door


def all_pages(door: Door, who: str, path: str, **asked: Any) -> list[dict[str, Any]]:
    """Every item of a list, by pages of three."""
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        size = {} if path.startswith(WHOLE) else {"limit": 3}
        answer = door.get(who, path, **{**size, **asked, **more})
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        cursor = answer.json().get("next")
        assert ("Link" in answer.headers) is (cursor is not None)
        if cursor is None:
            return items


def read_back(content: bytes) -> list[dict[str, str]]:
    """The rows of a file, as anybody's reader of CSV has them."""
    text = content.decode("utf-8")
    assert text.startswith(BOM)
    return list(csv.DictReader(StringIO(text.removeprefix(BOM), newline="")))


def as_cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_cells(item: dict[str, Any], names: list[str]) -> dict[str, str]:
    """What the documentation says a row of JSON is in CSV."""
    cells = {}
    for name in names:
        outer, _, inner = name.partition(".")
        value = item.get(outer)
        if inner and value is not None:
            value = value.get(inner)
        cells[name] = as_cell(value)
    return cells


def lists_of(door: Door) -> set[str]:
    return {
        operation["operationId"]
        for methods in door.app.openapi()["paths"].values()
        for operation in methods.values()
        if "text/csv" in operation["responses"].get("200", {}).get("content", {})
    }


def test_every_list_is_in_the_table(door: Door) -> None:
    assert lists_of(door) == set(LISTS)


def test_everything_that_has_pages_is_a_list(door: Door) -> None:
    paged = {
        operation["operationId"]
        for methods in door.app.openapi()["paths"].values()
        for operation in methods.values()
        if any(p["name"] == "cursor" for p in operation.get("parameters", []))
    }
    assert paged == set(LISTS) - WITHOUT_PAGES


def test_whatever_has_items_is_a_list_or_says_why_not(door: Door) -> None:
    told = door.app.openapi()
    kinds = told["components"]["schemas"]
    with_items = {
        methods["get"]["operationId"]
        for methods in told["paths"].values()
        if "get" in methods
        and "items" in answer_of(methods["get"], kinds).get("properties", {})
    }
    assert with_items == set(LISTS) | set(NO_FILES)


def answer_of(operation: dict[str, Any], kinds: dict[str, Any]) -> dict[str, Any]:
    """What an operation answers with in JSON, as it is declared."""
    content = operation["responses"]["200"]["content"]
    kind = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    found: dict[str, Any] = kinds.get(kind.rpartition("/")[2], {})
    return found


@pytest.mark.parametrize("name", sorted(set(LISTS) - {"list_governorates"}))
def test_the_file_has_what_the_pages_have(filled: Door, name: str) -> None:
    who, where = LISTS[name]
    path = where(filled)
    answer = filled.get(who, path, format="csv")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/csv; header=present")
    assert answer.headers["List-Complete"] == "true"
    position = answer.headers["Ledger-Position"]
    # Told for the moment of that position, as ages and what is overdue are.
    then = filled.get(who, path, format="csv", as_of=position)
    rows = read_back(then.content)
    assert len(rows) == len(read_back(answer.content))
    items = all_pages(filled, who, path, as_of=position)
    assert items
    assert rows == [as_cells(item, list(rows[0])) for item in items]


def test_sums_have_a_column_for_each_group_and_each_line(filled: Door) -> None:
    by = ["day", "channel", "centre"]
    answer = filled.get("auditor", SUMS, by=by, format="csv")
    rows = read_back(answer.content)
    items = filled.get("auditor", SUMS, by=by).json()["items"]
    assert len(rows) == len(items) > 1
    assert list(rows[0])[:5] == [
        *(f"group.{name}" for name in by),
        "unit",
        "expected.count",
    ]
    assert rows == [as_cells(item, list(rows[0])) for item in items]


def test_what_no_event_says_is_a_file_as_of_no_position(door: Door) -> None:
    answer = door.get("citizen", GOVERNORATES, format="csv")
    assert "Ledger-Position" not in answer.headers
    assert 'filename="governorates.csv"' in answer.headers["Content-Disposition"]
    rows = read_back(answer.content)
    items = door.get("citizen", GOVERNORATES).json()["items"]
    assert len(rows) == 14
    assert rows == [as_cells(item, list(rows[0])) for item in items]


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_file_is_refused_to_whom_the_pages_are(filled: Door, name: str) -> None:
    _, where = LISTS[name]
    path = where(filled)
    assert filled.get(None, path, format="csv").status_code == 401
    for who in ("clerk", "foreign-clerk", "citizen", "agency", "post", "auditor"):
        as_json = filled.get(who, path)
        as_csv = filled.get(who, path, format="csv")
        assert as_csv.status_code == as_json.status_code, who
        if as_json.status_code == 200:
            whole = all_pages(filled, who, path)
            assert len(read_back(as_csv.content)) == len(whole), who


@pytest.mark.parametrize("name", sorted(set(LISTS) - ONE_ORDER - WITHOUT_PAGES))
def test_every_sort_gives_the_same_rows_and_its_cursor_fits_no_other(
    filled: Door, name: str
) -> None:
    who, where = LISTS[name]
    path = where(filled)
    _, template = operations(filled)[name]
    schema = filled.app.openapi()
    sorts = [
        parameter["schema"]
        for parameter in schema["paths"][template]["get"]["parameters"]
        if parameter["name"] == "sort"
    ]
    kind = sorts[0]["$ref"].rpartition("/")[2]
    names = schema["components"]["schemas"][kind]["enum"]
    # As of one moment, or an age would differ by the seconds between two questions.
    [*_, last] = filled.scene.entries()
    moment = {"as_of": last.position}
    told = {sort: all_pages(filled, who, path, sort=sort, **moment) for sort in names}
    usual = all_pages(filled, who, path, **moment)
    assert usual == told[sorts[0]["default"]]
    for sort, items in told.items():
        assert sorted(map(json.dumps, items)) == sorted(map(json.dumps, usual))
        opposite = sort.removeprefix("-") if sort.startswith("-") else f"-{sort}"
        assert items == told[opposite][::-1]
        cursor = filled.get(who, path, sort=sort, limit=1).json()["next"]
        if cursor is None:
            assert len(items) == 1
            continue
        for other in set(names) - {sort}:
            answer = filled.get(who, path, sort=other, cursor=cursor)
            assert answer.status_code == 422
            assert answer.json()["errors"][0]["detail"] == "another-sort"


def test_a_file_that_the_bound_cut_says_so_and_leads_on(
    filled: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_back(filled.get("auditor", "/v1/requests", format="csv").content)
    monkeypatch.setattr(spreadsheets, "MOST_ROWS", 2)
    rows: list[dict[str, str]] = []
    asked = {"format": "csv"}
    while True:
        answer = filled.get("auditor", "/v1/requests", **asked)
        rows += read_back(answer.content)
        if answer.headers["List-Complete"] == "true":
            break
        assert "-incomplete.csv" in answer.headers["Content-Disposition"]
        link = answer.headers["Link"].partition(">")[0]
        asked = dict(parse_qsl(link.partition("?")[2]))
        # What comes meanwhile is not in a list that was begun before.
        filled.submitted()
        filled.scene.level()
    assert "Link" not in answer.headers
    assert rows == whole


def test_one_download_too_many_is_told_when_to_come_again(door: Door) -> None:
    door.app.state.downloads = Downloads(0)
    try:
        answer = door.get("auditor", "/v1/requests", format="csv")
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0
        assert door.get("auditor", "/v1/requests").status_code == 200
    finally:
        door.app.state.downloads = Downloads()


@pytest.mark.parametrize(
    ("accepted", "is_csv"),
    [
        ("", False),
        ("*/*", False),
        ("text/csv", True),
        ("Text/CSV;q=0.9, application/json;q=0.5", True),
        ("text/csv;q=0.5, application/json", False),
        ("text/csv;q=0", False),
        ("text/csv;q=x", False),
        ("text/html, */*;q=0.1", False),
    ],
)
def test_csv_is_given_to_whoever_prefers_it_by_name(
    accepted: str, is_csv: bool
) -> None:
    assert prefers_csv(accepted) is is_csv


def test_the_header_asks_as_well_as_the_parameter(filled: Door) -> None:
    headers = {**filled.headers("auditor"), "Accept": "text/csv"}
    answer = filled.client.get("/v1/requests", headers=headers)
    assert answer.headers["Content-Type"].startswith("text/csv")
    answer = filled.client.get("/v1/requests?format=json", headers=headers)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Vary"] == "Accept"


class Inner(BaseModel):
    word: str


class Item(BaseModel):
    text: str | None
    number: int
    is_true: bool
    inner: Inner | None
    actor: dict[str, str]
    words: list[str]


NASTY = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1", "'", "'=1", "''x", ""]
PLAIN = ["نص عربي", 'a "quoted", cell', "two\r\nlines", "x=1", "1-2", " =1"]


@pytest.mark.parametrize("text", [*NASTY, *PLAIN])
def test_no_cell_runs_as_a_formula_and_every_cell_can_be_read_back(text: str) -> None:
    item = Item(
        text=text,
        number=-7,
        is_true=True,
        inner=Inner(word=text),
        actor={"kind": text},
        words=[text],
    )
    columns = columns_of(Item, {"actor": ("kind", "id")})
    with written(columns, [item]) as file:
        [row] = read_back(file.read())
    assert list(row) == [
        "text",
        "number",
        "is_true",
        "inner.word",
        "actor.kind",
        "actor.id",
        "words",
    ]
    for name in ("text", "inner.word", "actor.kind"):
        cell = row[name]
        assert not cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))
        assert cell.removeprefix("'") == text if cell[:1] == "'" else cell == text
    assert row["number"] == "-7"
    assert row["is_true"] == "true"
    assert row["actor.id"] == ""
    assert json.loads(row["words"]) == [text]


def test_a_file_ends_its_lines_as_the_standard_wants() -> None:
    with written((("word",),), [Inner(word="x")]) as file:
        assert file.read() == f"{BOM}word\r\nx\r\n".encode()


STILL = {
    "follow_counts": "it is told as it happens",
    "follow_desk": "it is told as it happens",
    "follow_inbox": "it is told as it happens",
    "follow_queue": "it is told as it happens",
    "get_entry": "an entry never changes",
    "get_request_conditions": "what an act would be judged by now",
    "get_request_parties": "a person's values are kept as they are now",
    "get_service_conditions": "what a request would be judged by now",
    "list_governorates": "reference data without events",
}
"""Reads that cannot be asked as of a position, and why."""


def test_every_read_can_be_asked_as_of_or_says_why_not(door: Door) -> None:
    without = {
        operation["operationId"]
        for path, methods in door.app.openapi()["paths"].items()
        if path.startswith("/v1") and (operation := methods.get("get"))
        if not any(p["name"] == "as_of" for p in operation.get("parameters", []))
    }
    assert without == set(STILL)


class TestQueue:
    """Filters of the queue."""

    def test_each_filter_narrows_to_what_it_names(self, filled: Door) -> None:
        for waiting_for in ("clerk", "agency"):
            whole = all_pages(filled, "supervisor", QUEUE, waiting_for=waiting_for)
            assert whole
            for name in ("service", "agency", "stage", "next_act", "clerk"):
                for value in {item[name] for item in whole} - {None}:
                    asked = {"waiting_for": waiting_for, name: value}
                    found = all_pages(filled, "supervisor", QUEUE, **asked)
                    assert found == [item for item in whole if item[name] == value]

    def test_a_clerk_asks_for_the_own_queue_only(self, filled: Door) -> None:
        mine = all_pages(filled, "clerk", QUEUE)
        assert mine
        assert all_pages(filled, "clerk", QUEUE, clerk="clk-DI-2") == mine
        assert {item["clerk"] for item in mine} == {"clk-DI-1"}

    def test_overdue_is_of_the_moment_that_is_asked_for(self, filled: Door) -> None:
        before = filled.scene.now
        position = filled.scene.entries()[-1].position
        then = all_pages(filled, "supervisor", QUEUE, as_of=position)
        late = [item for item in then if item["is_overdue"]]
        try:
            filled.scene.now = before + timedelta(days=365)
            now = all_pages(filled, "supervisor", QUEUE, overdue=True)
            assert len(now) > len(late)
            assert all(item["is_overdue"] for item in now)
            assert all_pages(filled, "supervisor", QUEUE, as_of=position) == then
            asked = {"as_of": position, "overdue": True}
            assert all_pages(filled, "supervisor", QUEUE, **asked) == late
        finally:
            filled.scene.now = before


class TestRequests:
    """Filters and the moment of the list of requests."""

    def test_each_filter_narrows_to_what_it_names(self, filled: Door) -> None:
        whole = all_pages(filled, "auditor", "/v1/requests")
        for name in ("stage", "service", "centre", "agency", "governorate"):
            for value in {item[name] for item in whole}:
                found = all_pages(filled, "auditor", "/v1/requests", **{name: value})
                assert found == [item for item in whole if item[name] == value]
        online = all_pages(filled, "auditor", "/v1/requests", channel="online")
        counter = all_pages(filled, "auditor", "/v1/requests", channel="counter")
        assert 0 < len(online) < len(whole) == len(online) + len(counter)
        for route in ("direct", "reply"):
            found = all_pages(filled, "auditor", "/v1/requests", route=route)
            ledger = {
                request["id"]: filled.get(
                    "auditor", f"/v1/requests/{request['id']}"
                ).json()["route"]
                for request in whole
            }
            assert {item["id"] for item in found} == {
                one for one, its in ledger.items() if its == route
            }

    def test_whose_it_is_can_be_asked_by_staff_only(self, filled: Door) -> None:
        mine = all_pages(filled, "clerk", "/v1/requests", clerk="clk-DI-1")
        for item in mine:
            answer = filled.get("clerk", f"/v1/requests/{item['id']}")
            assert answer.json()["clerk"] == "clk-DI-1"
        for who in ("citizen", "agency", "post", "bank"):
            answer = filled.get(who, "/v1/requests", clerk="clk-DI-1")
            assert answer.status_code == 422

    def test_the_days_are_bounded_below_and_open_above(self, filled: Door) -> None:
        whole = all_pages(filled, "auditor", "/v1/requests")
        at = whole[1]["submitted_at"]
        moment = datetime.fromisoformat
        later = [i for i in whole if moment(i["submitted_at"]) >= moment(at)]
        earlier = [item for item in whole if item not in later]
        assert all_pages(filled, "auditor", "/v1/requests", since=at) == later
        assert all_pages(filled, "auditor", "/v1/requests", until=at) == earlier
        bad = filled.get("auditor", "/v1/requests", since="2026-11-01")
        assert bad.status_code == 422

    def test_what_was_overdue_is_told_for_the_moment_asked(self, door: Door) -> None:
        request_id = door.paid()
        door.scene.level()
        [last] = door.scene.entries(UUID(request_id))[-1:]
        before = door.scene.now
        try:
            door.scene.now = before + timedelta(days=365)
            late = door.get("clerk", "/v1/requests", overdue=True).json()["items"]
            assert request_id in {item["id"] for item in late}
            then = door.get(
                "clerk", "/v1/requests", overdue=True, as_of=last.position
            ).json()["items"]
            assert request_id not in {item["id"] for item in then}
        finally:
            door.scene.now = before
