"""Calendars: what may be published."""

from __future__ import annotations

from datetime import date

import pytest

from domain.errors import InvalidValueError
from tests.domain.office import calendar


def test_a_calendar_refuses_days_of_another_year() -> None:
    with pytest.raises(InvalidValueError):
        calendar(date(2027, 1, 1))
