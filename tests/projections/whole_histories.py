"""A history in which everything comes up that any view keeps rows of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain.acts import ActorKind
from domain.agencies import Agency, AgencyScope
from domain.centres import Centre
from domain.ids import derived_id
from domain.reads import Look, Purpose
from ledger.persistence.recorders import PostgresProcessRecorder
from tests.domain.office import NINE, act, calendar
from tests.projections.histories import PLACES, publish_days, store
from tests.projections.letters import Letters
from tests.projections.wild_lives import WildLife, wild_history

BLOCK = 64
"""Positions between two sums of the counts: some fit into a short history."""
LETTER_EVERY = 15
"""Acts between two things that happen to messages that could not be used."""
LOOK_EVERY = 40
"""Acts between two looks at somebody's values."""


class Looking:
    """A recorder beside which values are looked at, and messages cannot be used."""

    def __init__(
        self, recorder: PostgresProcessRecorder, beside: Callable[[int], None]
    ) -> None:
        self._recorder = recorder
        self._beside = beside
        self._acts = 0
        self._letters = Letters(recorder)

    def append(self, acts: Any) -> Any:
        done = self._recorder.append(acts)
        self._acts += 1
        if self._acts % LETTER_EVERY == 0:
            self._letters.happen()
        if self._acts % LOOK_EVERY == 0:
            store(self._recorder, look(self._acts))
        self._beside(self._acts)
        return done


def look(number: int) -> Look:
    """Somebody at the counter sees the values of a party."""
    named = derived_id(f"look/{number}", NINE)
    return Look.look(
        act(f"look/{number}", ActorKind.CLERK),
        look_id=named,
        party=derived_id(f"p/{number}", NINE),
        request=named,
        purpose=Purpose.COUNTER,
    )


def whole_history(
    recorder: PostgresProcessRecorder,
    *,
    requests: int,
    seed: int,
    beside: Callable[[int], None] = lambda _: None,
) -> list[WildLife]:
    """Places, people, calendars and wild lives; ``beside`` is called after each act."""
    by = act("places", ActorKind.ADMINISTRATOR)
    names = {"name_ar": "مكان", "name_en": "A place"}
    store(recorder, calendar())
    store(recorder, Agency.publish(by, code="CIV", scope=AgencyScope.NATIONAL, **names))
    for code, governorate in PLACES:
        store(recorder, Centre.open(by, code=code, governorate=governorate, **names))
    publish_days(recorder)
    looking: Any = Looking(recorder, beside)
    return wild_history(looking, requests=requests, seed=seed)
