"""Acts in batches are the acts of everyone, and lose nothing to whoever is quicker."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

import pytest
from eventsourcing.persistence import OperationalError

from benchmarks.bulk import life, many
from domain.access import Principal
from domain.acts import ActorKind
from domain.requests import Means, ServiceRequest
from ledger.persistence.append import Command
from ledger.persistence.intake import FEWEST_ACTS
from ledger.window import LedgerWindow
from office import commands
from office.bulk import METHODS, BulkDesk, Item, Settled
from office.errors import LedgerUnavailableError
from office.requests.taking_in import request_id_of
from tests.conftest import Server, fresh_database
from tests.office.scene import PERSON, Scene, envelope, scene_in

LIVES = 12


def history(scene: Scene) -> list[tuple[UUID, int, str, bytes]]:
    return [
        (e.aggregate_id, e.version, e.topic, e.body)
        for e in scene.entries()
        if e.topic.startswith("sijil.request.")
    ]


def fates(settled: list[Settled]) -> Counter[str]:
    return Counter(
        each.error.code
        if each.error
        else "repeated"
        if each.done and each.done.is_repeat
        else "stored"
        for each in settled
    )


def request_of(item: Item) -> UUID:
    at = item.envelope.effective_at
    assert at is not None
    return request_id_of(item.envelope.command_id, at)


def informed_by_another(scene: Scene, request_id: UUID) -> None:
    """Somebody else's act on a request, at this moment."""
    scene.requests.inform(
        commands.InformCitizen(
            request_id=request_id, message=commands.Message.READY, means=Means.PHONE
        ),
        envelope(Principal(role=ActorKind.SYSTEM, id="telling"), "informing"),
    )


@pytest.mark.parametrize("batch", [7, FEWEST_ACTS + 3], ids=["literals", "copy"])
def test_a_batch_writes_byte_for_byte_what_one_by_one_writes(
    scene: Scene, server: Server, seeded_template: str, batch: int
) -> None:
    for each in many("s", LIVES):
        BulkDesk.do(scene.requests, each)
    database = fresh_database(server, seeded_template)
    try:
        with scene_in(database) as other:
            settled = list(BulkDesk(other.house, batch=batch).run(many("s", LIVES)))
            assert fates(settled) == {"stored": 8 * LIVES}
            assert history(other) == history(scene)
            positions = [each.done.last_position for each in settled if each.done]
            assert positions == sorted(positions)
            assert positions[-1] == other.house.ledger.reader.head().position
    finally:
        database.close()


def test_a_second_run_repeats_everything_and_writes_nothing(scene: Scene) -> None:
    first = list(BulkDesk(scene.house, batch=20).run(many("s", LIVES)))
    before = scene.entries()
    again = list(BulkDesk(scene.house, batch=33).run(many("s", LIVES)))
    assert fates(again) == {"repeated": 8 * LIVES}
    assert scene.entries() == before
    assert [each.done.last_position for each in again if each.done] == [
        each.done.last_position for each in first if each.done
    ]


def test_what_the_rules_refuse_costs_nothing_else(scene: Scene) -> None:
    items = list(life("s", 1))
    # Mailing comes before the stamp; after it, all is as it should be.
    items[5], items[6] = items[6], items[5]
    settled = list(BulkDesk(scene.house).run(items))
    assert [each.error.code for each in settled if each.error] == [
        "stamp-required",
        "wrong-state",
    ]
    assert [version for _, version, _, _ in history(scene)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("batch", [3, 8, 20])
def test_whoever_is_quicker_is_not_overwritten_and_nothing_is_lost(
    scene: Scene, batch: int
) -> None:
    """Another writes to each request while its acts are on their way."""

    def disturbed() -> Iterator[Item]:
        seen: set[UUID] = set()
        for number, item in enumerate(many("s", LIVES)):
            yield item
            if isinstance(item.command, commands.SubmitRequest):
                seen.add(request_of(item))
            elif number % 5 == 0:
                request_id = item.command.request_id
                if scene.entries(request_id):
                    informed_by_another(scene, request_id)

    settled = list(BulkDesk(scene.house, batch=batch).run(disturbed()))
    assert len(settled) == 8 * LIVES
    assert set(fates(settled)) <= {"stored", "repeated"}
    by_request: dict[UUID, list[int]] = {}
    for request_id, version, _, _ in history(scene):
        by_request.setdefault(request_id, []).append(version)
    assert all(v == list(range(1, len(v) + 1)) for v in by_request.values())
    kinds = Counter(topic for _, _, topic, _ in history(scene))
    assert kinds["sijil.request.delivered.v1"] == LIVES
    assert kinds["sijil.request.informed.v1"] > 0


def test_what_was_refused_behind_a_lost_act_is_decided_again(scene: Scene) -> None:
    """The withdrawal is lost to another's; what stood on it has to look again."""
    (
        first,
        *_,
    ) = life("s", 1)
    request_id = request_of(first)
    at = first.envelope.effective_at or datetime.now(UTC)
    list(BulkDesk(scene.house).run([first]))
    accept = next(islice(life("s", 1), 2, None))
    desk = BulkDesk(scene.house)
    desk._window.look_ahead([], [(request_id, request_id)])
    informed_by_another(scene, request_id)
    told = replace(
        accept.envelope,
        command_id=UUID(int=7 << 76 | 2 << 62 | 1),
        route="import/told",
        effective_at=at + timedelta(days=1),
    )
    pay = list(life("s", 1))[3]
    settled = list(desk.run([accept, replace(accept, envelope=told), pay]))
    assert [each.error.code if each.error else "stored" for each in settled] == [
        "stored",
        "wrong-state",
        "stored",
    ]


def test_two_at_once_write_everything_once(scene: Scene) -> None:
    outcomes: list[Counter[str]] = []

    def work() -> None:
        desk = BulkDesk(scene.house, batch=10)
        outcomes.append(fates(list(desk.run(many("s", LIVES)))))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each["stored"] for each in outcomes) == 8 * LIVES
    assert sum(each["repeated"] for each in outcomes) == 8 * LIVES
    assert len(history(scene)) == 8 * LIVES


def test_what_others_wrote_is_read_anew(scene: Scene) -> None:
    first = next(life("s", 1))
    request_id = request_of(first)
    list(BulkDesk(scene.house).run([first]))
    window = LedgerWindow(scene.house.ledger)
    assert len(list(window.history(request_id))) == 1
    before = window.find(ServiceRequest, request_id)
    informed_by_another(scene, request_id)
    assert window.find(ServiceRequest, request_id) is before
    window.settle([], [])
    after = window.find(ServiceRequest, request_id)
    assert after is not None
    assert after.version == 2


def test_persons_are_in_the_vault_before_their_events(scene: Scene) -> None:
    items = list(life("s", 1))
    first = replace(
        items[0],
        command=replace(items[0].command, applicant=PERSON),  # type: ignore[arg-type]
    )
    list(BulkDesk(scene.house).run([first]))
    (party,) = scene.get(request_of(first)).parties
    assert scene.house.vault.details(party.id) == PERSON


def test_a_vault_that_fails_leaves_nothing_in_the_ledger(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = list(life("s", 1))
    first = replace(
        items[0],
        command=replace(items[0].command, applicant=PERSON),  # type: ignore[arg-type]
    )
    desk = BulkDesk(scene.house)

    def away() -> None:
        raise OperationalError("away")

    monkeypatch.setattr(desk._vault, "commit", away)
    with pytest.raises(LedgerUnavailableError):
        list(desk.run([first]))
    assert history(scene) == []
    monkeypatch.undo()
    assert fates(list(desk.run([first]))) == {"stored": 1}


def test_a_command_that_goes_along_is_remembered_with_its_act(scene: Scene) -> None:
    also = Command(id=UUID(int=5), actor="import:s", digest=b"x" * 24)
    item = replace(next(life("s", 1)), also=(also,))
    for fate in ("stored", "repeated"):
        assert fates(list(BulkDesk(scene.house).run([item]))) == {fate: 1}
    known = scene.house.ledger.find_command(also.id)
    assert known is not None
    assert known.digest == also.digest


def test_memory_keeps_no_more_than_it_was_told(scene: Scene) -> None:
    desk = BulkDesk(scene.house, batch=10)
    desk._window._most_kept = 15
    settled = list(desk.run(many("s", LIVES)))
    assert fates(settled) == {"stored": 8 * LIVES}
    assert len(desk._window._kept) <= 15
    assert not desk._window._unsettled


def test_each_command_of_requests_has_its_use_case() -> None:
    assert set(METHODS) == set(commands.Command.__args__)
