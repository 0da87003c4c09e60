"""Values of persons: how they are written down, and that nothing repeats them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValueError
from domain.persons import (
    PersonDetails,
    ascii_digits,
    email,
    folded,
    is_named,
    name_words,
    national_number,
    phone,
)


@pytest.mark.parametrize(
    "typed", ["01000099887", "٠١٠٠٠٠٩٩٨٨٧", "۰۱۰۰۰۰۹۹۸۸۷", " 010-000 998-87 "]
)
def test_a_national_number_is_eleven_digits_however_typed(typed: str) -> None:
    assert national_number(typed) == "01000099887"


@pytest.mark.parametrize("typed", ["", "1000099887", "010000998877", "0100009988x"])
def test_what_is_no_national_number_is_refused_without_repeating_it(typed: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        national_number(typed)
    assert not typed or typed not in str(caught.value)


@pytest.mark.parametrize(
    "typed",
    [
        "0933123498",
        "933123498",
        "00963933123498",
        "+963933123498",
        "٠٩٣٣ ١٢٣ ٤٩٨",
        "+963 (933) 123-498",
    ],
)
def test_a_syrian_mobile_has_one_form(typed: str) -> None:
    assert phone(typed) == "+963933123498"


@pytest.mark.parametrize(
    "typed", ["", "09331234", "+0123456789", "abc", "0933123498123456"]
)
def test_what_is_no_phone_is_refused(typed: str) -> None:
    with pytest.raises(InvalidValueError):
        phone(typed)


def test_foreign_and_landline_phones_are_kept() -> None:
    assert phone("+49 30 1234567") == "+49301234567"
    assert phone("011 222 3344") == "+963112223344"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (" One.Two+tag@Example.ORG ", "One.Two+tag@example.org"),
        ("x@sub.example.org", "x@sub.example.org"),
        (f"{'a' * 64}@example.org", f"{'a' * 64}@example.org"),
    ],
)
def test_an_email_is_kept_as_mail_servers_take_it(written: str, kept: str) -> None:
    assert email(written) == kept


@pytest.mark.parametrize(
    "written",
    [
        "",
        "example.org",
        "a@b",
        "a b@example.org",
        ".a@example.org",
        "a..b@example.org",
        '"a b"@example.org',
        "a@-example.org",
        "a@example.org\r\nBcc: b@example.org",
        "a@example.org\nb",
        "a@example.org, b@example.org",
        "<a@example.org>",
        "اسم@example.org",
        "a@exa\0mple.org",
        f"{'a' * 65}@example.org",
        f"a@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.{'f' * 60}.org",
    ],
)
def test_what_is_no_email_is_refused_without_repeating_it(written: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        email(written)
    assert str(caught.value) == "invalid-value(field=email, reason=shape)"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("أحمد", "احمد"),
        ("إيمان", "ايمان"),
        ("آمنة", "امنه"),
        ("مُحَمَّد", "محمد"),
        ("محـــمد", "محمد"),
        ("هدى", "هدي"),
        ("مؤمن", "مومن"),
        ("رقم ١٢", "رقم 12"),
        ("ALI  Ali", "ali ali"),
    ],
)
def test_search_folds_what_arabic_writes_in_two_ways(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ٱلرحمن", "الرحمن"),
        ("رحمٰن", "رحمن"),
        ("رائد", "رايد"),
        ("وائل", "وايل"),
        ("سماء", "سما"),
        ("لؤي", "لوي"),
        ("فاطمة", "فاطمه"),
        ("مصطفى", "مصطفي"),
        ("علی کریم", "علي كريم"),
        ("هبة الله", "هبه الله"),
        ("ﻣﺤﻤﺪ", "محمد"),
        ("ﻷﻣﻞ", "لامل"),
        ("ﷲ", "الله"),
        ("أَحْمَدُ", "احمد"),
        ("سـلـيـم", "سليم"),
        ("\u200fسليم\u200f", "سليم"),
        ("عبد\u200cالله", "عبدالله"),
        ("نور-الدين", "نور الدين"),
        ("هویدا ۱۲", "هويدا 12"),
        ("أ\u0654حمد", "احمد"),
    ],
)
def test_search_folds_what_keyboards_and_printers_write(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("سعاد", "سعيد"),
        ("علي", "عالي"),
        ("سامر", "تامر"),
        ("حسن", "حسين"),
        ("هدى", "هادي"),
        ("ضياء", "ظيا"),
        ("صالح", "سالح"),
    ],
)
def test_search_keeps_different_names_apart(one: str, other: str) -> None:
    assert folded(one) != folded(other)


@pytest.mark.parametrize("name", ["", "  ", "ًٌٍ", "ـــ", "-.,", "\u200f", "ء", "\ud800"])
def test_what_has_no_letters_has_no_words(name: str) -> None:
    assert name_words(name) == []


@pytest.mark.parametrize(
    ("asked", "name", "is_found"),
    [
        ("احم", "أحمد خالد المصري", True),
        ("مصري احمد", "أحمد خالد المصري", False),
        ("المصري احمد", "أحمد خالد المصري", True),
        ("خالد سعيد", "أحمد خالد المصري", False),
        ("عبدالله", "عبد الله حسن", True),
        ("عبد الله", "عبدالله حسن", True),
        ("الله", "عبد الله حسن", True),
        ("عبد", "عبدالله حسن", True),
        ("عبد الرحمن", "عبد الله حسن", False),
        ("عبد", "محمد عبد", True),
        ("حمد", "أحمد خالد", False),
        ("ali", "ALI Hassan", True),
    ],
)
def test_every_word_begins_a_word_of_the_name(
    asked: str, name: str, *, is_found: bool
) -> None:
    assert is_named(name, name_words(asked)) is is_found


@given(st.text(max_size=30))
def test_whoever_has_a_name_is_found_by_it(name: str) -> None:
    assert is_named(name, name_words(name))


@given(st.text(max_size=50))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@given(st.text(alphabet="٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹0123456789", max_size=30))
def test_every_digit_becomes_ascii(text: str) -> None:
    assert ascii_digits(text).isascii()
    assert len(ascii_digits(text)) == len(text)


def test_a_persons_repr_shows_nothing() -> None:
    details = PersonDetails(full_name="علامة", national_number="01000099887")
    assert repr(details) == "PersonDetails()"


@pytest.mark.parametrize(
    "facts",
    [
        {"full_name": "علامة"},
        {"full_name": "", "national_number": "01000099887"},
        {"full_name": "a\0b", "national_number": "01000099887"},
        {"full_name": "علامة", "national_number": "1"},
        {"full_name": "علامة", "other_identifier": ""},
        {"full_name": "علامة", "national_number": "01000099887", "email": "علامة"},
    ],
)
def test_details_that_name_nobody_are_refused(facts: dict[str, str]) -> None:
    with pytest.raises(InvalidValueError) as caught:
        PersonDetails(**facts)
    assert "علامة" not in str(caught.value)
