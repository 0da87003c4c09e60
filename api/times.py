"""Times as RFC 3339 writes them, and no other way: what people and machines send."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from domain.persons import ascii_digits

_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
"""Six decimals at most: the ledger keeps no more, and dropping some would be silent."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
"""Not the other shapes of ISO 8601, nor a number, which a reader may take for one."""


def utc_time(text: str) -> datetime:
    """The time in UTC of an RFC 3339 text with its offset.

    Raises ValueError, without the text, for anything else and for a time that no
    calendar has.
    """
    if _RFC_3339.fullmatch(text) is None:
        raise ValueError("not a time as RFC 3339 writes it")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("no calendar has this time") from error


def day_or_time(text: str) -> date | datetime:
    """The day that ``2026-11-23`` is, else a time as ``utc_time`` reads it."""
    if _DAY.fullmatch(text) is not None:
        return date.fromisoformat(text)
    return utc_time(text)


def _from_text(value: object) -> datetime:
    """JSON has no times: a text is read as one, a number never."""
    if not isinstance(value, str):
        raise ValueError("a time is a text")  # noqa: TRY004 -- pydantic wants it
    return utc_time(value)


Time = Annotated[datetime, BeforeValidator(_from_text)]
"""A time that is sent, read strictly."""


def _day(value: object) -> date:
    if isinstance(value, str) and _DAY.fullmatch(ascii_digits(value)):
        with suppress(ValueError):
            return date.fromisoformat(ascii_digits(value))
    raise PydanticCustomError("date", "a date is YYYY-MM-DD")


Day = Annotated[date, BeforeValidator(_day)]
"""A date that is sent: a text ``YYYY-MM-DD``, in either digits."""
