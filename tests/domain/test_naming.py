"""Codes, references and reasons: nothing that is or may be a person's own gets in."""

from __future__ import annotations

import pytest

from domain.errors import InvalidValueError
from domain.naming import checked_code, checked_reason, checked_reference
from tests.domain.office import stamp

NUMBERS = [
    "04130977215",
    "041-3097-7215",
    "0944817263",
    "963944817263",
    "00963944817263",
    "944817263",
    "0944-817-263",
    "clk-04130977215",
    "clk_0944817263",
]


@pytest.mark.parametrize("text", NUMBERS)
def test_what_may_be_a_persons_number_is_no_code_and_no_reference(text: str) -> None:
    for checked in (checked_code, checked_reference):
        with pytest.raises(InvalidValueError) as refused:
            checked(text, field="code")
        assert refused.value.reason == "may-be-a-persons-number"
        assert text not in str(refused.value)


@pytest.mark.parametrize("text", ["zubaydah", "zubaydah-almarqumah", "x@y", "زبيدة ٤"])
def test_a_name_or_an_address_is_no_reference(text: str) -> None:
    with pytest.raises(InvalidValueError):
        checked_reference(text, field="reference")


@pytest.mark.parametrize(
    "text", ["B-1", "CIV/2026/1187", "2026-1234567", "RF-0001234567X"]
)
def test_references_of_offices_pass(text: str) -> None:
    assert checked_reference(text, field="reference") == text


@pytest.mark.parametrize("text", ["clk-DI-1", "adm-1", "T-b9448172630f", "CIV"])
def test_codes_pass(text: str) -> None:
    assert checked_code(text) == text


@pytest.mark.parametrize("text", ["زبيدة", "no record", "No-Record", "a" * 65, "ref-1"])
def test_a_reason_is_a_code_of_letters(text: str) -> None:
    with pytest.raises(InvalidValueError):
        checked_reason(text, field="reason")
    assert checked_reason("no-record", field="reason") == "no-record"


@pytest.mark.parametrize(
    "serial", ["+963 944 817 263", "(041) 3097-7215", "٠٤١٣٠٩٧٧٢١٥", "z@x.example"]
)
def test_a_stamps_serial_is_nobodys_number_or_address(serial: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        stamp(serial)
    assert refused.value.reason == "may-be-a-persons-number"
    assert stamp("ختم-DI-000001")
