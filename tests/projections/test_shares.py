"""Runners that share the views fold each of them once, and leave what one does."""

from __future__ import annotations

from collections import Counter

import pytest

from domain.errors import InvalidValueError
from projections.runner import ViewRunner
from projections.schema import VIEWS
from projections.shares import HEAVIEST, WHOLE, Share
from tests.conftest import Database
from tests.projections.histories import random_history
from tests.projections.live import Views


@pytest.mark.parametrize("of", range(1, len(VIEWS) + 1))
def test_shares_have_every_view_once_and_each_has_some(of: int) -> None:
    shares = [Share(number=number, of=of).views for number in range(1, of + 1)]
    assert all(shares)
    assert Counter(v.name for share in shares for v in share) == Counter(
        view.name for view in VIEWS
    )


def test_one_share_is_all_of_them_in_their_order() -> None:
    assert WHOLE.views == VIEWS


def test_what_is_called_heavy_is_there_and_two_have_it_in_halves() -> None:
    assert set(HEAVIEST) < {view.name for view in VIEWS}
    ranks = [
        sum(HEAVIEST.index(v.name) for v in share.views if v.name in HEAVIEST)
        for share in (Share(number=1, of=2), Share(number=2, of=2))
    ]
    assert abs(ranks[0] - ranks[1]) <= 1


@pytest.mark.parametrize(
    ("number", "of"), [(0, 1), (2, 1), (-1, 2), (1, 0), (1, len(VIEWS) + 1)]
)
def test_a_share_that_is_none_of_them_is_refused(number: int, of: int) -> None:
    with pytest.raises(InvalidValueError):
        Share(number=number, of=of)


def test_runners_that_share_leave_what_one_does(database: Database) -> None:
    views = Views(database)
    random_history(views.recorder, requests=30)
    head = views.reader.head().position
    shares = [Share(number=number, of=3) for number in (1, 2, 3)]
    runners = [ViewRunner(views.written, views.reader, each.views) for each in shares]
    for until in (head // 3, head):
        for runner in runners:
            assert runner.catch_up(until=until) == until
    shared = views.contents()
    views.start_over()
    views.runner.catch_up()
    assert shared == views.contents()
