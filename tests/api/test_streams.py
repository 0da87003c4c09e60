"""Live lists: nothing lost, nothing doubled, whatever happens to the connection."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from threading import Thread
from typing import Any

import httpx2
import pytest

from api import feeds, streams
from tests.api.live import (
    QUEUE,
    TIMEOUT_S,
    Listener,
    LiveServer,
    head,
    heard,
    live_in,
    queue_of,
    queue_shown,
)
from tests.conftest import Server, fresh_database
from tests.domain.office import NINE
from tests.projections import wild_lives

COUNTS = "/v1/counts/events"
DESK = "/v1/desk/events"
INBOX = "/v1/inbox/events"
FAR = 2**62


INBOXES: list[tuple[str, dict[str, Any]]] = [
    ("agency", {}),
    ("agency", {"state": "waiting"}),
    ("foreign-agency", {}),
    ("clerk", {"state": "answered"}),
    ("auditor", {"centre": "SY-HL-01"}),
    ("auditor", {"state": "answered", "governorate": "SY-DI"}),
]
DESKS: list[tuple[str, dict[str, Any]]] = [
    ("supervisor", {}),
    ("foreign-supervisor", {}),
    ("foreign-supervisor", {"centre": "SY-DI-01"}),
    ("auditor", {}),
    ("auditor", {"centre": "SY-HL-01"}),
]


class Wild:
    """A ledger that grew by lives that nobody thought of, and who was there before."""

    def __init__(self, live: LiveServer) -> None:
        self.live = live
        live.grow(requests=20, seed=5)
        self.begun = {
            (who, path, str(asked)): heard(live, path, who=who, **asked)
            for path, all_asked in ((INBOX, INBOXES), (DESK, DESKS))
            for who, asked in all_asked
        }
        with pytest.MonkeyPatch.context() as patched:
            # Some of them expire days later: nothing may happen in the future.
            patched.setattr(wild_lives, "NINE", NINE - timedelta(days=28))
            wild_lives.wild_history(live.recorder, requests=40, seed=16)

    def heard(self, who: str, path: str, asked: dict[str, Any]) -> Listener:
        """Who was there before, and has heard all of it by now."""
        listener = self.begun[who, path, str(asked)]
        self.live.listen(listener, who, path, until=head(self.live), **asked)
        return listener

    def shown(self, who: str, path: str, **asked: Any) -> list[dict[str, Any]]:
        """The same list, asked for."""
        answer = httpx2.get(
            f"{self.live.url}{path}",
            headers={"Authorization": f"Bearer {self.live.token(who)}"},
            params={"limit": 200, "min_position": head(self.live), **asked},
            timeout=TIMEOUT_S,
        ).json()
        assert answer["next"] is None
        items: list[dict[str, Any]] = answer["items"]
        for item in items:
            item.pop("is_overdue", None)
        return items


@pytest.fixture(scope="module")
def wild(server: Server, seeded_template: str) -> Iterator[Wild]:
    database = fresh_database(server, seeded_template)
    try:
        with live_in(database) as made:
            yield Wild(made)
    finally:
        database.close()


@pytest.mark.parametrize(
    ("path", "seed"),
    [(QUEUE, 1), (QUEUE, 2), (COUNTS, 1), (COUNTS, 2), (DESK, 1), (INBOX, 1)],
)
def test_cut_off_anywhere_a_stream_is_as_if_it_had_not_been(
    live: LiveServer, path: str, seed: int
) -> None:
    whole, cut = heard(live, path), heard(live, path)
    grown: list[int] = []

    def last() -> int:
        return grown[0] if grown else FAR

    random = Random(seed)  # noqa: S311 -- reproducible test data
    threads = [
        Thread(
            target=lambda: grown.append(
                live.grow(requests=120, seed=seed, pause_s=0.002)
            )
        ),
        Thread(
            target=lambda: live.listen(whole, "supervisor", path, until=last),
        ),
        Thread(
            target=lambda: live.listen(
                cut, "supervisor", path, until=last, cut_after=random
            ),
        ),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Of an inbox there is less: what one centre forwarded.
    assert len(whole.changes) > (15 if path == INBOX else 50)
    assert cut.changes == whole.changes
    assert [each.event for each in cut.events].count("reset") == 1
    ids = [each.id for each in whole.events]
    assert len(ids) == len(set(ids))
    kinds = {each.event for each in whole.changes}
    is_list = path in {QUEUE, INBOX}
    assert kinds == ({"changed", "gone"} if is_list else {"changed"})


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"waiting_for": "agency"},
        {"waiting_for": "citizen"},
        {"next_act": "take_fee", "service": "CIV-06"},
        {"stage": "in_progress", "agency": "CIV", "unassigned": True},
    ],
)
def test_who_does_what_a_stream_tells_has_the_queue(
    live: LiveServer, asked: dict[str, Any]
) -> None:
    live.grow(requests=10, seed=5)
    listener = heard(live, QUEUE, **asked)
    live.grow(requests=30, seed=6)
    live.listen(listener, "supervisor", QUEUE, until=head(live), **asked)
    shown = queue_shown(live, "/v1/queue", **asked)
    for item in shown.values():
        del item["is_overdue"]
    assert queue_of(listener) == shown


@pytest.mark.parametrize(("who", "asked"), INBOXES)
def test_who_does_what_a_stream_tells_has_the_inbox(
    wild: Wild, who: str, asked: dict[str, Any]
) -> None:
    listener = wild.heard(who, INBOX, asked)
    shown = wild.shown(who, "/v1/inbox", **asked)
    assert listener.changes
    assert shown or asked.get("state") != "answered"
    assert queue_of(listener) == {item["request_id"]: item for item in shown}


PARTS = {
    "unassigned": "unassigned",
    "returned_post": "returned-post",
    "load": "load",
    "approvals": "approvals",
    "refused_attempts": "refused-attempts",
}
"""The parts of a desk, and where each is a list."""
KEYS = {
    "load": ("centre", "clerk"),
    "approvals": ("position",),
    "refused_attempts": ("position",),
}
WORK = ("to_move", "waiting_for_agency", "waiting_for_citizen")
Part = dict[tuple[Any, ...], Any]


def keyed(part: str, items: list[dict[str, Any]]) -> Part:
    """The items of a part of the desk; of the load what needs no clock or roster."""
    names = KEYS.get(part, ("request_id",))
    found = {tuple(item[name] for name in names): item for item in items}
    if part == "load":
        work = {who: [load[name] for name in WORK] for who, load in found.items()}
        return dict(work)
    return found


def desk_of(listener: Listener) -> dict[str, Part]:
    """The desk that somebody has who did what the stream told."""
    [first, *changes] = listener.events
    assert all(first.data["is_complete"].values())
    parts = {name: keyed(name, first.data[name]) for name in PARTS}
    for told in changes:
        for name, items in told.data["changed"].items():
            parts[name] |= keyed(name, items)
        for name, gone in told.data["gone"].items():
            for request_id in gone:
                del parts[name][request_id,]
    return parts


@pytest.mark.parametrize(("who", "asked"), DESKS)
def test_who_does_what_a_stream_tells_has_the_desk(
    wild: Wild, who: str, asked: dict[str, Any]
) -> None:
    listener = wild.heard(who, DESK, asked)
    heard = {name for told in listener.changes for name in told.data["changed"]}
    if who == "auditor" and not asked:
        assert heard == set(PARTS)
    # Another centre than the own one has nothing that its asker may see.
    is_elsewhere = who == "foreign-supervisor" and bool(asked)
    assert ("load" in heard) is not is_elsewhere
    told = desk_of(listener)
    for name, path in PARTS.items():
        shown = keyed(name, wild.shown(who, f"/v1/desk/{path}", **asked))
        if name == "load":
            # The list has those without work too, a stream those who had some once.
            shown, told[name] = map(with_work, (shown, told[name]))
        assert told[name] == shown, name


def with_work(load: Part) -> Part:
    return {clerk: work for clerk, work in load.items() if any(work)}


def test_a_stream_of_two_views_is_as_far_as_the_later_one() -> None:
    feed: feeds.Feed[Any] = feeds.Feed(lambda *_: [], ("clerk_queue", "desk"))
    assert feeds.level_of(feed, {"clerk_queue": 7, "desk": 5, "looks": 1}) == 5


@pytest.mark.parametrize(
    ("who", "asked"),
    [
        ("auditor", {}),
        ("auditor", {"total": True}),
        ("auditor", {"by": ["centre", "service"]}),
        ("supervisor", {"by": ["centre", "agency"]}),
        ("foreign-supervisor", {"total": True}),
    ],
)
def test_who_does_what_a_stream_tells_has_the_counts(
    live: LiveServer, who: str, asked: dict[str, Any]
) -> None:
    live.grow(requests=10, seed=5)
    listener = heard(live, COUNTS, who=who, **asked)
    live.grow(requests=40, seed=6)
    live.listen(listener, who, COUNTS, until=head(live), **asked)
    groups: dict[tuple[str, ...], Any] = {}
    for told in listener.events:
        if told.event == "reset":
            groups = {}
        groups |= {tuple(item["group"].values()): item for item in told.data["items"]}
    answer = httpx2.get(
        f"{live.url}/v1/counts",
        headers={"Authorization": f"Bearer {live.token(who)}"},
        params={"min_position": head(live), **asked},
        timeout=TIMEOUT_S,
    ).json()
    shown = {
        tuple(item["group"].values()): item
        for item in answer["items"]
        if item["submitted"]
    }
    assert len(listener.changes) > 5
    assert groups == shown


def test_counts_have_no_day_to_follow(quiet: LiveServer) -> None:
    with quiet.stream("auditor", COUNTS, by="day") as answer:
        assert answer.status_code == 422
    with quiet.stream("citizen", COUNTS) as answer:
        assert answer.status_code == 403


def test_a_picture_and_changes_are_of_the_own_centre(live: LiveServer) -> None:
    ours = heard(live, QUEUE)
    theirs = heard(live, QUEUE, who="foreign-supervisor")
    live.grow(requests=20, seed=7)
    live.listen(ours, "supervisor", QUEUE, until=head(live))
    live.listen(theirs, "foreign-supervisor", QUEUE, until=head(live))
    for listener, centre in ((ours, "SY-DI-01"), (theirs, "SY-HL-01")):
        items = [e.data["item"] for e in listener.changes if e.event == "changed"]
        assert items
        assert {item["centre"] for item in items} == {centre}
    assert not queue_of(ours).keys() & queue_of(theirs).keys()


def test_whoever_may_not_read_the_queue_may_not_follow_it(quiet: LiveServer) -> None:
    for who in ("auditor", "citizen", "agency", "post", "bank"):
        with quiet.stream(who, QUEUE) as answer:
            assert answer.status_code == 403
    with quiet.stream("clerk", QUEUE, token="x") as answer:
        assert answer.status_code == 401
    with quiet.stream("clerk", QUEUE, last_id="x" * 81) as answer:
        assert answer.status_code == 422


def test_an_id_that_leads_nowhere_begins_from_a_picture(
    quiet: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "FARTHEST_BACK", 20)
    listener = heard(quiet, QUEUE)
    ledger, _, position = (listener.last_id or "").rpartition(".")
    incarnation = ledger.rpartition(".")[2]
    for last_id, because in (
        (None, "new"),
        ("nonsense", "unknown-id"),
        (f"{ledger}.{10**30}", "unknown-id"),
        (f"{ledger}.{int(position) + 1}", "future"),
        (f"{ledger}.{int(position) - 21}", "too-far-back"),
        (f"00000000.{incarnation}.{position}", "other-ledger"),
        (f"{ledger}9.{position}", "other-ledger"),
    ):
        again = Listener(last_id=last_id)
        with quiet.stream("supervisor", QUEUE, last_id=last_id) as answer:
            for piece in answer.iter_text():
                again.feed(piece)
                if again.events:
                    break
        assert [(each.event, each.data["because"]) for each in again.events] == [
            ("reset", because)
        ]
        assert again.last_id == listener.last_id
    near = Listener(last_id=f"{ledger}.{int(position) - 20}")
    quiet.listen(near, "supervisor", QUEUE, until=int(position))
    assert near.events == []


def test_what_is_not_kept_in_memory_is_read_again(
    live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "CHANGES_KEPT", 10)
    monkeypatch.setattr(feeds, "CHANGES_A_READ", 7)
    monkeypatch.setattr(streams, "CHANGES_A_READ", 7)
    first = heard(live, QUEUE)
    late = Listener(last_id=first.last_id)
    live.grow(requests=60, seed=8)
    live.listen(first, "supervisor", QUEUE, until=head(live))
    live.listen(late, "supervisor", QUEUE, until=head(live))
    assert late.changes == first.changes
    assert len(late.changes) > 20


def test_a_stream_far_behind_gets_a_new_picture(
    live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = heard(live, QUEUE)
    live.grow(requests=20, seed=9)
    monkeypatch.setattr(streams, "FARTHEST_BACK", 5)
    live.listen(first, "supervisor", QUEUE, until=head(live))
    assert [each.data["because"] for each in first.events if each.event == "reset"] == [
        "new",
        "too-far-back",
    ]
    shown = queue_shown(live, "/v1/queue")
    assert queue_of(first).keys() == shown.keys()


def test_a_silent_stream_moves_its_place_on(live: LiveServer) -> None:
    listener = heard(live, QUEUE, who="clerk")
    places = []
    with live.stream("clerk", QUEUE, last_id=listener.last_id) as answer:
        live.grow(requests=3, seed=10)
        for piece in answer.iter_text():
            listener.feed(piece)
            places.append(listener.position)
            if listener.position >= head(live):
                break
    assert listener.changes == []
