"""Finding an aggregate now, as of an effective time, and at a version."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from domain.acts import ActorKind
from domain.centres import Centre
from domain.clerks import Clerk
from ledger.book import Ledger
from tests.conftest import Database
from tests.domain.office import NINE, act

CLERK = Clerk.id_of("clk-DI-1")


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    ledger = Ledger(database.settings)
    clerk = Clerk.appoint(
        act("appoint", ActorKind.ADMINISTRATOR), code="clk-DI-1", centre="SY-DI-01"
    )
    for minutes, agency in ((10, "CIV"), (10, "CRM"), (30, "EMP")):
        clerk.make_responsible(
            act(agency, ActorKind.ADMINISTRATOR, minutes=minutes), agency=agency
        )
    ledger.append(clerk)
    yield ledger
    ledger.close()


@pytest.mark.parametrize(
    ("minutes", "agencies"),
    [
        (-1, None),
        (0, ()),
        (9, ()),
        (10, ("CIV", "CRM")),
        (29, ("CIV", "CRM")),
        (30, ("CIV", "CRM", "EMP")),
        (999, ("CIV", "CRM", "EMP")),
    ],
)
def test_as_of_an_effective_time_it_is_what_the_highest_version_till_then_left(
    ledger: Ledger, minutes: int, agencies: tuple[str, ...] | None
) -> None:
    found = ledger.find(Clerk, CLERK, effective_at=NINE + timedelta(minutes=minutes))
    assert (found.agencies if found else None) == agencies


@pytest.mark.parametrize(
    ("version", "agencies"),
    [(0, None), (1, ()), (3, ("CIV", "CRM")), (4, ("CIV", "CRM", "EMP")), (5, None)],
)
def test_a_version_is_found_as_it_was_and_one_that_is_not_there_is_not(
    ledger: Ledger, version: int, agencies: tuple[str, ...] | None
) -> None:
    found = ledger.find(Clerk, CLERK, version=version)
    assert (found.agencies if found else None) == agencies


def test_another_kind_and_what_is_not_there_are_not_found(ledger: Ledger) -> None:
    assert ledger.find(Centre, CLERK) is None
    assert ledger.find(Clerk, Clerk.id_of("nobody"), effective_at=NINE) is None
    found = ledger.find(Clerk, CLERK)
    assert found is not None
    assert found.version == 4


def test_a_time_and_a_version_at_once_are_a_mistake(ledger: Ledger) -> None:
    with pytest.raises(TypeError):
        ledger.find(Clerk, CLERK, effective_at=NINE, version=1)
