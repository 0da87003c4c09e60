"""Periods against the plainest model there is: a set of days."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.acts import ActorKind
from domain.errors import AlreadySuspendedError, NotSuspendedError
from domain.periods import Period, covers, ended, overlapping
from domain.services import SuspendedBecause
from tests.domain.office import act, service

START = date(2026, 11, 23)
HORIZON = 40
"""Days the model knows: open ends reach to the last of them."""

numbers = st.integers(0, HORIZON - 1)


def day(number: int) -> date:
    return START + timedelta(days=number)


@st.composite
def periods(draw: st.DrawFn) -> Period:
    first = draw(numbers)
    last = draw(st.none() | st.integers(first, HORIZON - 1))
    return Period(first=day(first), last=None if last is None else day(last))


def days_of(*some: Period) -> set[int]:
    return {number for number in range(HORIZON) if covers(some, day(number))}


@given(periods(), periods())
def test_two_overlap_when_they_share_a_day(one: Period, other: Period) -> None:
    shares = bool(days_of(one) & days_of(other))
    assert one.overlaps(other) is other.overlaps(one) is shares
    assert (overlapping([one], other) is one) is shares


@given(periods(), numbers)
def test_what_is_ended_keeps_the_days_before_and_loses_the_rest(
    one: Period, on: int
) -> None:
    before = days_of(one)
    left = days_of(*ended((one,), day(on)))
    if on in before:
        assert left == {number for number in before if number < on}
    else:
        assert left == before


@given(
    st.lists(
        st.tuples(st.just("suspend"), periods())
        | st.tuples(st.just("resume"), numbers),
        max_size=12,
    )
)
def test_a_service_rests_on_the_days_of_the_model(
    acts: list[tuple[str, Period | int]],
) -> None:
    offered, rests = service(), set[int]()
    by = act("any", ActorKind.ADMINISTRATOR)
    for _, said in acts:
        if isinstance(said, Period):
            is_free = not days_of(said) & rests
            try:
                offered.suspend(
                    by,
                    reason=SuspendedBecause.OTHER,
                    first=said.first,
                    last=said.last,
                )
            except AlreadySuspendedError:
                assert not is_free
            else:
                assert is_free
                rests |= days_of(said)
        else:
            period = next(
                (p for p in offered.suspensions if p.includes(day(said))), None
            )
            try:
                offered.resume(by, on=day(said))
            except NotSuspendedError:
                assert period is None
                assert said not in rests
            else:
                assert period is not None
                rests -= {n for n in days_of(period) if n >= said}
        assert {n for n in range(HORIZON) if not offered.is_offered_on(day(n))} == rests
