"""A history in which everything comes up that any view keeps rows of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain.acts import ActorKind
from domain.agencies import Agency, AgencyScope
from domain.centres import Centre
from domain.ids import derived_id
from domain.money import Unit
from domain.payments import Payment, PaymentSettledBecause, UnmatchedBecause
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
"""Acts between two looks at somebody's values, and between two stray payments; what
became of one is said when the next one comes, of every other one."""


class Looking:
    """A recorder beside which values are looked at, and messages cannot be used."""

    def __init__(
        self, recorder: PostgresProcessRecorder, beside: Callable[[int], None]
    ) -> None:
        self._recorder = recorder
        self._beside = beside
        self._acts = 0
        self._letters = Letters(recorder)
        self._stray: Payment | None = None

    def append(self, acts: Any) -> Any:
        done = self._recorder.append(acts)
        self._acts += 1
        if self._acts % LETTER_EVERY == 0:
            self._letters.happen()
        if self._acts % LOOK_EVERY == 0:
            store(self._recorder, look(self._acts))
            self._pay(self._acts)
        self._beside(self._acts)
        return done

    def _pay(self, number: int) -> None:
        if self._stray is not None:
            store(self._recorder, settled(self._stray))
        made = payment(number)
        store(self._recorder, made)
        self._stray = made if number % (2 * LOOK_EVERY) else None


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


def payment(number: int) -> Payment:
    """A bank has money that no request was waiting for."""
    is_known = number % (2 * LOOK_EVERY) == 0
    return Payment.unmatched(
        act(f"payment/{number}", ActorKind.BANK, actor="bank-1", place="ministry"),
        bank_reference=f"B-{number}",
        amount=100 + number,
        unit=Unit.NEW if is_known else Unit.OLD,
        reason=(
            UnmatchedBecause.WRONG_AMOUNT
            if is_known
            else UnmatchedBecause.UNKNOWN_NUMBER
        ),
        tracking_number="A77W-EAA2-E5G9-Q" if is_known else None,
        request=derived_id(f"p/{number}", NINE) if is_known else None,
        centre=PLACES[0][0] if is_known else None,
    )


def settled(stray: Payment) -> Payment:
    """Its bank has given the money back."""
    by = act(f"settle/{stray.id}", ActorKind.ADMINISTRATOR, actor="adm-1")
    stray.settle(by, reason=PaymentSettledBecause.RETURNED)
    return stray


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
