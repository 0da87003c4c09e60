"""Ids repeat when their cause repeats, and numbers tell a typing error."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValueError
from domain.ids import (
    code_id,
    derived_id,
    milliseconds,
    new_id,
    parse_tracking_number,
    time_in,
    tracking_number,
)
from domain.post import item_number, parse_item_number

AT = datetime(2026, 11, 23, 8, 14, 5, 473912, tzinfo=UTC)


def test_a_new_id_is_a_v7_of_its_time() -> None:
    made = new_id(AT)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == milliseconds(AT) == 1795421645473
    assert new_id(AT) != made


def test_the_time_in_an_id_is_that_of_a_v7_and_never_beyond_its_century() -> None:
    assert time_in(new_id(AT)) == AT.replace(microsecond=AT.microsecond // 1000 * 1000)
    assert time_in(uuid4()) == time_in(uuid4())
    farthest = UUID(int=new_id(AT).int | ((1 << 48) - 1) << 80)
    assert time_in(farthest).year == 2100


def test_a_derived_id_repeats_with_its_cause_and_is_v7_in_shape() -> None:
    name = "assign/019ab1ef-2e40-7c55-9b60-3f1d2c8a7e10/1"
    assert derived_id(name, AT) == derived_id(name, AT)
    assert derived_id(name, AT).version == 7
    assert derived_id(name, AT) != derived_id(name + "0", AT)
    # Golden: a change here would break every repeat across a release.
    assert str(derived_id(name, AT)) == "01a20778-2aa1-7505-b143-a524c0e3f53b"


def test_a_code_is_unique_for_ever() -> None:
    assert str(code_id("service", "CIV-01")) == "44f06d4e-bb02-5cde-8ee4-8777774f95f7"
    assert code_id("service", "CIV-01") != code_id("agency", "CIV-01")


@given(st.uuids())
def test_a_tracking_number_reads_back_however_it_is_typed(made: UUID) -> None:
    number = tracking_number(made)
    assert parse_tracking_number(number) == number
    assert parse_tracking_number(number.lower().replace("-", " ")) == number


@given(st.uuids(), st.integers(0, 11), st.sampled_from("0123456789ABCDEFGHJKMNPQRST"))
def test_one_wrong_symbol_is_noticed(made: UUID, at: int, symbol: str) -> None:
    number = tracking_number(made)
    place = at + at // 4
    if number[place] == symbol:
        return
    with pytest.raises(InvalidValueError):
        parse_tracking_number(number[:place] + symbol + number[place + 1 :])


@pytest.mark.parametrize("text", ["", "A", "A" * 14, "٣٣٣٣-3333-3333-3", "-" * 20])
def test_what_is_no_tracking_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_tracking_number(text)


def test_numbers_of_different_requests_differ() -> None:
    assert len({tracking_number(uuid4()) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("item", ["EB000717618HK", "RA473124829GB"])
def test_published_item_numbers_are_right(item: str) -> None:
    assert parse_item_number(item.lower()) == item


@given(st.integers(0, 10**8 - 1))
def test_a_made_item_number_parses(serial: int) -> None:
    assert parse_item_number(item_number(serial)) == item_number(serial)


@pytest.mark.parametrize("item", ["EB000717619HK", "EB00071761HK", "٠٠", "", "1" * 13])
def test_a_wrong_item_number_is_refused(item: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_item_number(item)
