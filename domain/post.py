"""Postal item numbers as UPU standard S10 writes them: two letters, nine digits, two.

``EB000717618HK`` is service indicator EB, serial 00071761, check digit 8, issuer HK.
"""

import re

from domain.errors import InvalidValueError

_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)
_SHAPE = re.compile(r"[A-Z]{2}[0-9]{9}[A-Z]{2}")
SERIALS = 10**8


def check_digit(serial: str) -> int:
    """The S10 check digit of an eight-digit serial: 11 - weighted sum modulo 11.

    10 is written as 0 and 11 as 5.
    """
    weighted = sum(
        weight * int(digit) for weight, digit in zip(_WEIGHTS, serial, strict=True)
    )
    return {10: 0, 11: 5}.get(11 - weighted % 11, 11 - weighted % 11)


def item_number(serial: int, *, indicator: str = "RR", issuer: str = "SY") -> str:
    """The item number of a serial from 0 to 99,999,999, with its check digit."""
    digits = f"{serial % SERIALS:08d}"
    return f"{indicator}{digits}{check_digit(digits)}{issuer}"


def parse_item_number(text: str) -> str:
    """The canonical item number of what was typed or scanned.

    Raises InvalidValueError when the shape or the check digit is wrong.
    """
    compact = "".join(text.upper().split())
    if not _SHAPE.fullmatch(compact):
        raise InvalidValueError(field="item", reason="shape")
    if check_digit(compact[2:10]) != int(compact[10]):
        raise InvalidValueError(field="item", reason="check-digit")
    return compact
