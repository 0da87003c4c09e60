"""Dead letters: recorded once a message, sent again or settled by somebody's word."""

from __future__ import annotations

from typing import Any

import pytest

from domain.acts import ActorKind
from domain.dead_letters import DeadBecause, DeadLetter, SettledBecause
from domain.errors import AlreadySettledError
from domain.ids import time_at, time_in
from tests.domain.office import act, system

TOPIC = "sijil.postal-scans.v1"
SENT_MS = 1763885653412
ADMINISTRATOR = act("settle", ActorKind.ADMINISTRATOR, actor="adm-1")


def letter(**changed: Any) -> DeadLetter:
    place = {"group": "inward", "topic": TOPIC, "partition": 3, "offset": 4711}
    return DeadLetter.set_aside(
        system(),
        **{
            "letter_id": DeadLetter.id_of(**place, sent_ms=SENT_MS),
            **place,
            "cause": DeadBecause.NOT_JSON,
            "attempts": 1,
            "kept_partition": 0,
            "kept_offset": 12,
            **changed,
        },
    )


def happened(made: DeadLetter) -> list[str]:
    return [type(event).__name__ for event in made.pending_events]


def test_the_same_message_has_the_same_id_and_no_other_has() -> None:
    place = ("inward", TOPIC, 3, 4711, SENT_MS)
    ids = {
        DeadLetter.id_of(*place),
        DeadLetter.id_of("other", *place[1:]),
        DeadLetter.id_of("inward", "sijil.bank-payments.v1", *place[2:]),
        DeadLetter.id_of("inward", TOPIC, 4, *place[3:]),
        DeadLetter.id_of("inward", TOPIC, 3, 4712, SENT_MS),
        # The topic was made again, and its offsets began anew.
        DeadLetter.id_of("inward", TOPIC, 3, 4711, SENT_MS + 1),
    }
    assert len(ids) == 6
    assert DeadLetter.id_of(*place) == DeadLetter.id_of(*place)
    assert time_in(DeadLetter.id_of(*place)) == time_at(SENT_MS)


@pytest.mark.parametrize("claimed", [-1, -(2**62), 0, 2**62])
def test_a_time_that_is_no_clocks_is_bounded(claimed: int) -> None:
    made = DeadLetter.id_of("inward", TOPIC, 3, 4711, claimed)
    assert made.version == 7
    assert 1970 <= time_at(claimed).year <= 2100


def test_it_is_sent_again_as_often_as_somebody_wants() -> None:
    made = letter()
    made.replay(ADMINISTRATOR, partition=3, offset=5000)
    made.replay(ADMINISTRATOR, partition=3, offset=5001)
    assert happened(made) == ["DeadLettered", "Replayed", "Replayed"]
    replayed = list(made.pending_events)[1:]
    assert [event.replay for event in replayed] == [1, 2]  # type: ignore[attr-defined]
    assert made.replays == 2


def test_what_is_settled_stays_settled() -> None:
    made = letter()
    made.settle(ADMINISTRATOR, reason=SettledBecause.DONE_BY_HAND)
    with pytest.raises(AlreadySettledError) as caught:
        made.replay(ADMINISTRATOR, partition=3, offset=5000)
    assert caught.value.facts() == {"reason": "done-by-hand"}
    with pytest.raises(AlreadySettledError):
        made.settle(ADMINISTRATOR, reason=SettledBecause.FORGED)
    assert happened(made) == ["DeadLettered", "Settled"]
