"""The codes and names that the administrator gives: their shapes, before any event."""

import re
import unicodedata

from domain.errors import InvalidValueError

LONGEST_CODE = 64
"""Codes are typed and read aloud; a longer one is a mistake."""
LONGEST_NAME = 200
"""A line on a screen and on a receipt."""
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9/._-]*")
_REASON = re.compile(r"[a-z]+(?:-[a-z]+)*")
_PERSONS_NUMBER = re.compile(
    r"(?<![0-9])(?:[0-9]{11}|(?:00963|963|0)?9[0-9]{8})(?![0-9])"
)
"""Eleven digits are a national number's shape; the other is a Syrian mobile's."""
_NUMBER_APART = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9]{11}|(?:00963|963|0)?9[0-9]{8})(?![0-9A-Za-z])"
)
"""The same, where letters run on into digits: a code may be of hexadecimal digits."""
_WITHIN_NUMBER = re.compile(r"(?<=[0-9])[._-]+(?=[0-9])")
_YEAR_FIRST = re.compile(r"(?:19|20)[0-9]{2}[._-]")
"""Offices count by year, and ``2026-1234567`` has eleven digits too."""
_MARKS_OF_SCRIPT = frozenset("\u200c\u200d\u200e\u200f")
"""Joiners and the marks of direction: good Arabic may need them. Overrides of the
direction, and spaces of no width, only make a text read as what it is not."""


def may_be_a_persons_number(code: str) -> bool:
    """Whether a code has the shape of a national number or a mobile phone.

    Also with separators, as numbers are read aloud. A code stands in events for ever.
    """
    written = code if _YEAR_FIRST.match(code) else _WITHIN_NUMBER.sub("", code)
    return any(_NUMBER_APART.search(text) for text in (code, written))


def checked_code(code: str, *, field: str = "code") -> str:
    """``code`` itself. Raises InvalidValueError unless it is plain ASCII and short.

    It is part of addresses and file names, and its thing's id follows from it, so two
    spellings must never look like one. Whoever logs in with a national number or a
    phone needs another code: it would stand in every event of theirs.
    """
    if len(code) > LONGEST_CODE or not _CODE.fullmatch(code):
        raise InvalidValueError(field=field, reason="shape")
    if may_be_a_persons_number(code):
        raise InvalidValueError(field=field, reason="may-be-a-persons-number")
    return code


def checked_reference(text: str, *, field: str) -> str:
    """``text`` itself: another office's number of a case, a payment, a batch.

    Raises InvalidValueError for another shape, for what may be a person's own number,
    and for letters alone, which may be a name: it would stand in an event for ever.
    """
    if len(text) > LONGEST_CODE or not _REFERENCE.fullmatch(text):
        raise InvalidValueError(field=field, reason="shape")
    if not any(letter.isdigit() for letter in text):
        raise InvalidValueError(field=field, reason="no-digit")
    if _PERSONS_NUMBER.search(text) or may_be_a_persons_number(text):
        raise InvalidValueError(field=field, reason="may-be-a-persons-number")
    return text


def checked_reason(reason: str, *, field: str) -> str:
    """``reason`` itself. Raises InvalidValueError unless it is a code: no free text."""
    if len(reason) > LONGEST_CODE or not _REASON.fullmatch(reason):
        raise InvalidValueError(field=field, reason="shape")
    return reason


def checked_text(text: str, *, field: str, longest: int = LONGEST_NAME) -> str:
    """``text`` itself, one line in the form NFC, neither empty nor padded.

    Raises InvalidValueError otherwise.
    """
    if not text or text != text.strip() or len(text) > longest:
        raise InvalidValueError(field=field, reason="shape")
    if any(
        unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Co"}
        and letter not in _MARKS_OF_SCRIPT
        for letter in text
    ):
        raise InvalidValueError(field=field, reason="control-character")
    if not any(letter.isalnum() for letter in text):
        raise InvalidValueError(field=field, reason="shape")
    if not unicodedata.is_normalized("NFC", text):
        raise InvalidValueError(field=field, reason="not-nfc")
    return text
