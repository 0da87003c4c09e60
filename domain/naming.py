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
_PERSONS_NUMBER = re.compile(
    r"(?<![0-9])(?:[0-9]{11}|(?:00963|963|0)?9[0-9]{8})(?![0-9])"
)
"""Eleven digits are a national number's shape; the other is a Syrian mobile's."""


def checked_code(code: str, *, field: str = "code") -> str:
    """``code`` itself. Raises InvalidValueError unless it is plain ASCII and short.

    It is part of addresses and file names, and its thing's id follows from it, so two
    spellings must never look like one.
    """
    if len(code) > LONGEST_CODE or not _CODE.fullmatch(code):
        raise InvalidValueError(field=field, reason="shape")
    return code


def checked_reference(text: str, *, field: str) -> str:
    """``text`` itself: another office's number of a case, a payment, a batch.

    Raises InvalidValueError for another shape, and for what may be a person's own
    number: it would stand in an event for ever.
    """
    if len(text) > LONGEST_CODE or not _REFERENCE.fullmatch(text):
        raise InvalidValueError(field=field, reason="shape")
    if _PERSONS_NUMBER.search(text):
        raise InvalidValueError(field=field, reason="may-be-a-persons-number")
    return text


def checked_text(text: str, *, field: str, longest: int = LONGEST_NAME) -> str:
    """``text`` itself, one line in the form NFC, neither empty nor padded.

    Raises InvalidValueError otherwise.
    """
    if not text or text != text.strip() or len(text) > longest:
        raise InvalidValueError(field=field, reason="shape")
    if any(unicodedata.category(letter) in {"Cc", "Cs", "Co"} for letter in text):
        raise InvalidValueError(field=field, reason="control-character")
    if not unicodedata.is_normalized("NFC", text):
        raise InvalidValueError(field=field, reason="not-nfc")
    return text
