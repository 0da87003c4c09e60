"""Two clerks, one item: nothing lost, nothing double, each told what happened."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier, Event
from typing import Any
from uuid import UUID

import pytest

from domain.access import Principal, Scope
from domain.acts import ActorKind
from domain.errors import (
    HeldByAnotherError,
    RuleBrokenError,
    SijilError,
    StaleClaimError,
)
from domain.requests import Means
from office.acts import Done
from office.commands import (
    AcceptRequest,
    AssignRequest,
    ClaimRequest,
    InformCitizen,
    Message,
    ReleaseRequest,
)
from office.errors import ConcurrencyError, StaleVersionError
from tests.office.scene import CLERK, OTHER_CLERK, SUPERVISOR, Scene, envelope

LEASE = timedelta(minutes=30)
"""The office's default."""
ROUNDS = 50
"""Of four people at one item: races that are rare come up within some ten."""
PEOPLE = 4
_HOLDING = ("assigned", "claimed", "released")


def claim_only(scene: Scene, request_id: UUID, clerk: Principal) -> Done:
    return scene.requests.claim(
        ClaimRequest(request_id=request_id), scene.seen(request_id, clerk, "claim")
    )


def claim(scene: Scene, request_id: UUID, clerk: Principal) -> int:
    """The token of a new claim."""
    claim_only(scene, request_id, clerk)
    return scene.get(request_id).token


def accept(scene: Scene, request_id: UUID, clerk: Principal, token: int) -> Done:
    return scene.requests.accept(
        AcceptRequest(request_id=request_id, token=token, documents=("id-card",)),
        scene.seen(request_id, clerk, "acceptance"),
    )


def assign(scene: Scene, request_id: UUID, clerk: Principal) -> Done:
    return scene.requests.assign(
        AssignRequest(request_id=request_id, clerk=clerk.id),
        scene.seen(request_id, SUPERVISOR, "assignment"),
    )


def release(scene: Scene, request_id: UUID, clerk: Principal, token: int) -> Done:
    return scene.requests.release(
        ReleaseRequest(request_id=request_id, token=token),
        scene.seen(request_id, clerk, "release"),
    )


def waiting(scene: Scene) -> UUID:
    """A request that nobody has."""
    return scene.submit(accept_now=False)


def names(scene: Scene, request_id: UUID) -> list[str]:
    return [each.topic.split(".")[2] for each in scene.entries(request_id)]


def tokens(scene: Scene, request_id: UUID) -> list[int]:
    """The token of each event that gave or took the request, in order."""
    return [
        json.loads(entry.body)["data"]["token"]
        for entry in scene.entries(request_id)
        if entry.topic.split(".")[2] in _HOLDING
    ]


def told(scene: Scene) -> list[tuple[str, str, str | None]]:
    """Who tried, what was said, and whom it named, of every recorded attempt."""
    found = []
    for entry in scene.attempts():
        body = json.loads(entry.body)
        data = body["data"]
        found.append((body["actor"]["id"], data["code"], data.get("holder")))
    return found


def at_once(acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each act gave, or the error it raised; all begin in one moment."""
    barrier = Barrier(len(acts))

    def one(act: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return act()
        except SijilError as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return [each.result() for each in [pool.submit(one, act) for act in acts]]


class TestTheSameMoment:
    def test_one_has_it_and_the_other_is_told_who(self, scene: Scene) -> None:
        for _ in range(5):
            before = len(scene.attempts())
            request_id = waiting(scene)
            sent = [
                (
                    ClaimRequest(request_id=request_id),
                    scene.seen(request_id, who, "claim"),
                )
                for who in (CLERK, OTHER_CLERK)
            ]
            answers = at_once([partial(scene.requests.claim, *each) for each in sent])
            [error] = [each for each in answers if isinstance(each, SijilError)]
            assert isinstance(error, HeldByAnotherError)
            holder = scene.get(request_id).clerk
            loser = ({CLERK.id, OTHER_CLERK.id} - {holder}).pop()
            assert error.holder == holder
            assert told(scene)[before:] == [(loser, "held-by-another", holder)]
            assert names(scene, request_id) == ["submitted", "claimed"]

    def test_an_act_and_the_move_of_its_request_are_both_whole(
        self, scene: Scene
    ) -> None:
        """Whichever came first: both stand, or the clerk is told who has it."""
        for _ in range(5):
            request_id = waiting(scene)
            token = claim(scene, request_id, CLERK)
            before = len(scene.attempts())
            moved, accepted = at_once(
                [
                    partial(assign, scene, request_id, OTHER_CLERK),
                    partial(accept, scene, request_id, CLERK, token),
                ]
            )
            if isinstance(moved, StaleVersionError):
                # The page was that of the waiting request: look again, and move it.
                assert isinstance(accepted, Done)
                moved = assign(scene, request_id, OTHER_CLERK)
            assert isinstance(moved, Done)
            refused = told(scene)[before:]
            if isinstance(accepted, Done):
                assert not refused
            else:
                assert isinstance(accepted, StaleClaimError)
                assert accepted.holder == OTHER_CLERK.id
                assert refused == [(CLERK.id, "stale-claim", OTHER_CLERK.id)]
            assert scene.get(request_id).clerk == OTHER_CLERK.id
            assert names(scene, request_id).count("accepted") == isinstance(
                accepted, Done
            )

    def test_one_claim_sent_twice_at_once_is_one_claim(self, scene: Scene) -> None:
        request_id = waiting(scene)
        sent = (
            ClaimRequest(request_id=request_id),
            scene.seen(request_id, CLERK, "claim"),
        )
        answers = at_once([partial(scene.requests.claim, *sent)] * 2)
        assert sorted(each.is_repeat for each in answers) == [False, True]
        assert len({each.last_position for each in answers}) == 1
        assert tokens(scene, request_id) == [1]

    def test_rounds_of_claims_and_releases_leave_one_holder_and_no_gap(
        self, scene: Scene
    ) -> None:
        request_id = waiting(scene)
        refused = 0
        for number in range(ROUNDS):
            request = scene.get(request_id)
            token = request.token
            acts = [
                partial(claim_only, scene, request_id, CLERK),
                partial(claim_only, scene, request_id, OTHER_CLERK),
                partial(release, scene, request_id, CLERK, token),
                partial(release, scene, request_id, SUPERVISOR, token)
                if number % 3
                else partial(assign, scene, request_id, OTHER_CLERK),
            ]
            for answer in at_once(acts):
                if isinstance(answer, ConcurrencyError):
                    continue  # Nothing was stored; it says: try again.
                if isinstance(answer, SijilError):
                    assert isinstance(answer, RuleBrokenError)
                    assert answer.code in {
                        "held-by-another",
                        "stale-claim",
                        "wrong-state",
                    }
                    refused += 1
        gone = tokens(scene, request_id)
        assert gone == list(range(1, len(gone) + 1))
        assert len(gone) > ROUNDS
        assert len(scene.attempts()) == refused
        request = scene.get(request_id)
        assert request.token == gone[-1]
        scene.room.runner.catch_up()
        [item] = scene.house.queries.queue.page(
            Scope(centre=CLERK.centre), now=scene.now
        ).items
        assert (item.clerk, item.token) == (request.clerk, request.token)


class TestADeadLine:
    def test_who_comes_back_after_the_lease_is_told_who_has_it_now(
        self, scene: Scene
    ) -> None:
        request_id = waiting(scene)
        mine = claim(scene, request_id, CLERK)
        scene.now += LEASE
        theirs = claim(scene, request_id, OTHER_CLERK)
        with pytest.raises(StaleClaimError) as raised:
            accept(scene, request_id, CLERK, mine)
        assert (raised.value.holder, raised.value.token) == (OTHER_CLERK.id, theirs)
        assert told(scene) == [(CLERK.id, "stale-claim", OTHER_CLERK.id)]
        accept(scene, request_id, OTHER_CLERK, theirs)
        assert names(scene, request_id) == [
            "submitted",
            "claimed",
            "claimed",
            "accepted",
        ]

    def test_what_was_sent_before_the_line_died_is_not_done_twice(
        self, scene: Scene
    ) -> None:
        """The answer got lost; the browser sends it again when the line is back."""
        request_id = waiting(scene)
        token = claim(scene, request_id, CLERK)
        command = AcceptRequest(
            request_id=request_id, token=token, documents=("id-card",)
        )
        sent = scene.seen(request_id, CLERK, "acceptance")
        first = scene.requests.accept(command, sent)
        scene.now += LEASE
        claim(scene, request_id, OTHER_CLERK)
        again = scene.requests.accept(command, sent)
        assert again.is_repeat
        assert again.last_position == first.last_position
        assert names(scene, request_id).count("accepted") == 1
        assert not scene.attempts()

    def test_a_lease_that_is_over_bars_nobody_while_nobody_else_has_it(
        self, scene: Scene
    ) -> None:
        request_id = waiting(scene)
        token = claim(scene, request_id, CLERK)
        scene.now += 2 * LEASE
        accept(scene, request_id, CLERK, token)
        assert not scene.attempts()

    def test_until_the_lease_ends_the_other_is_told_until_when(
        self, scene: Scene
    ) -> None:
        request_id = waiting(scene)
        claim(scene, request_id, CLERK)
        held = scene.get(request_id).claim_held
        assert held is not None
        scene.now = held.until - timedelta(seconds=1)
        with pytest.raises(HeldByAnotherError) as raised:
            claim(scene, request_id, OTHER_CLERK)
        assert (raised.value.holder, raised.value.until) == (CLERK.id, held.until)
        assert told(scene) == [(OTHER_CLERK.id, "held-by-another", CLERK.id)]

    def test_after_the_scheduler_ended_it_who_comes_back_claims_again(
        self, scene: Scene
    ) -> None:
        request_id = waiting(scene)
        token = claim(scene, request_id, CLERK)
        scene.now += LEASE
        scene.room.runner.catch_up()
        scene.house.scheduler().catch_up(Event())
        with pytest.raises(StaleClaimError) as raised:
            accept(scene, request_id, CLERK, token)
        assert raised.value.holder is None
        assert told(scene) == [(CLERK.id, "stale-claim", None)]
        accept(scene, request_id, CLERK, claim(scene, request_id, CLERK))
        assert tokens(scene, request_id) == [1, 2, 3]


class TestTheSupervisorMovesWork:
    def test_who_had_it_and_who_has_it_are_both_told(self, scene: Scene) -> None:
        request_id = waiting(scene)
        mine = claim(scene, request_id, CLERK)
        assign(scene, request_id, OTHER_CLERK)
        for act in (accept, release):
            with pytest.raises(StaleClaimError) as raised:
                act(scene, request_id, CLERK, mine)
            assert raised.value.holder == OTHER_CLERK.id
        assert told(scene) == [(CLERK.id, "stale-claim", OTHER_CLERK.id)] * 2
        scene.room.runner.catch_up()
        queue = scene.house.queries.queue
        scope = Scope(centre=CLERK.centre)
        [item] = queue.page(scope, now=scene.now, clerk=OTHER_CLERK.id).items
        assert not queue.page(scope, now=scene.now, clerk=CLERK.id).items
        accept(scene, request_id, OTHER_CLERK, item.token)

    def test_what_is_assigned_is_claimed_by_its_clerk_only(self, scene: Scene) -> None:
        request_id = waiting(scene)
        assign(scene, request_id, OTHER_CLERK)
        with pytest.raises(HeldByAnotherError) as raised:
            claim(scene, request_id, CLERK)
        assert raised.value.holder == OTHER_CLERK.id
        assert told(scene) == [(CLERK.id, "held-by-another", OTHER_CLERK.id)]
        assert claim(scene, request_id, OTHER_CLERK) == 2

    def test_taken_from_a_clerk_it_is_nobodys_and_anybody_may_claim_it(
        self, scene: Scene
    ) -> None:
        request_id = waiting(scene)
        mine = claim(scene, request_id, CLERK)
        release(scene, request_id, SUPERVISOR, mine)
        assert scene.get(request_id).clerk is None
        with pytest.raises(StaleClaimError) as raised:
            accept(scene, request_id, CLERK, mine)
        assert raised.value.holder is None
        accept(scene, request_id, OTHER_CLERK, claim(scene, request_id, OTHER_CLERK))

    def test_moving_work_stales_no_page_and_no_message(self, scene: Scene) -> None:
        """A message to the citizen carries no token: it is nobody's work."""
        request_id = waiting(scene)
        seen = scene.get(request_id).etag_version
        claim(scene, request_id, CLERK)
        assign(scene, request_id, OTHER_CLERK)
        scene.requests.inform(
            InformCitizen(
                request_id=request_id, message=Message.READY, means=Means.PHONE
            ),
            envelope(CLERK, "message", if_version=seen),
        )
        assert not scene.attempts()


class TestTwoWindows:
    def test_the_claim_of_the_second_window_makes_the_first_stale(
        self, scene: Scene
    ) -> None:
        request_id = waiting(scene)
        first = claim(scene, request_id, CLERK)
        second = claim(scene, request_id, CLERK)
        assert second == first + 1
        with pytest.raises(StaleClaimError) as raised:
            accept(scene, request_id, CLERK, first)
        assert (raised.value.holder, raised.value.token) == (CLERK.id, second)
        assert told(scene) == [(CLERK.id, "stale-claim", CLERK.id)]
        accept(scene, request_id, CLERK, second)

    def test_two_windows_that_give_it_back_give_it_back_once(
        self, scene: Scene
    ) -> None:
        request_id = waiting(scene)
        token = claim(scene, request_id, CLERK)
        answers = at_once([partial(release, scene, request_id, CLERK, token)] * 2)
        [error] = [each for each in answers if isinstance(each, SijilError)]
        assert error.code == "stale-claim"
        assert tokens(scene, request_id) == [1, 2]
        assert scene.get(request_id).clerk is None


def test_a_colleague_of_another_centre_is_told_nothing(scene: Scene) -> None:
    """Out of scope: it does not exist, and no attempt is recorded."""
    request_id = waiting(scene)
    claim(scene, request_id, CLERK)
    stranger = Principal(role=ActorKind.CLERK, id="clk-HL-1", centre="SY-HL-01")
    with pytest.raises(SijilError) as raised:
        claim(scene, request_id, stranger)
    assert raised.value.code == "not-found"
    assert not scene.attempts()
