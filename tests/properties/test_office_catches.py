"""The property test notices a guard that is gone: here each is taken away in turn."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import Phase

from domain.access import Principal
from domain.requests import guards, holding, leaving, taking_in, working
from domain.standing import Standing
from office import acts
from office.acts import Acts
from projections.requests import next_of
from tests.properties.choosing import FAULTS as ANY
from tests.properties.desk import Desk
from tests.properties.test_office import run

EXAMPLES = 60
"""Far more than any of these faults has needed."""
ACTS: tuple[ModuleType, ...] = (taking_in, working, leaving, holding)


def nothing(*_: Any, **__: Any) -> None:
    """A guard that guards nothing."""


def of_the_acts(name: str, instead: Any = nothing) -> list[tuple[Any, str, Any]]:
    """A guard gone from every file of acts that asks it."""
    return [(module, name, instead) for module in ACTS if hasattr(module, name)]


def in_progress_only(request: Any, act: str) -> Any:
    """Forgets that what came back is here again."""
    return guards.must_be_in_progress(request, act)


SHOWN_BY: dict[str, tuple[str | None, ...]] = {
    "an unpaid request goes further": (None, "turn"),
    "an unpaid paper leaves": (None, "turn"),
    "work goes on while the citizen is asked": (None, "turn"),
    "anybody receives": (None, "args"),
    "anybody acts on anybody's work": (None, "who", "token"),
}
"""Which wrong choices show a fault, so that few examples do: the others show by any."""
FAULTS: dict[str, list[tuple[Any, str, Any]]] = {
    "an unpaid request goes further": of_the_acts("must_be_paid"),
    "an unpaid paper leaves": [
        (guards, "must_be_settled", nothing),
        *of_the_acts("must_be_settled"),
    ],
    "anybody acts on anybody's work": of_the_acts("must_hold"),
    "work goes on while the citizen is asked": [
        (guards, "must_not_stand_still", nothing),
        *of_the_acts("must_not_stand_still"),
    ],
    "anybody receives": of_the_acts("must_be_allowed_to_receive"),
    "what came back cannot leave again": of_the_acts(
        "must_have_paper_here", in_progress_only
    ),
    "a refusal is not recorded": [(Acts, "_record_refusal", nothing)],
    "a stale page is no matter": [(acts, "_must_match", nothing)],
    "the rows of others are seen": [(Principal, "must_see", nothing)],
    "the queue forgets the fee": [(Standing, "is_fee_blocking", False)],
}


@pytest.fixture(autouse=True)
def nothing_is_remembered() -> Iterator[None]:
    """What is next is remembered by situation: nothing from beyond the fault's time."""
    next_of.cache_clear()
    yield
    next_of.cache_clear()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_noticed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    assert FAULTS[fault]
    for owner, name, instead in FAULTS[fault]:
        monkeypatch.setattr(owner, name, instead)
    with pytest.raises(AssertionError):
        run(
            desk,
            faults=SHOWN_BY.get(fault, ANY),
            max_examples=EXAMPLES,
            derandomize=True,
            phases=[Phase.generate],
            report_multiple_bugs=False,
        )
