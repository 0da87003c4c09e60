"""Openly invented people for the requests that are still open at the end.

Their values lie in the vault like anybody's. The family name says that nobody is meant,
the number begins with 000, which no registry has, and the telephone with 090, which no
operator has.
"""

from __future__ import annotations

from domain.persons import PersonDetails
from office.simulating.draws import Draws

MARK = "(محاكاة)"
"""Arabic for "simulation": stands behind every such name."""
_GIVEN = (
    "أحمد",
    "محمد",
    "خالد",
    "عمر",
    "يوسف",
    "سامر",
    "ليلى",
    "فاطمة",
    "مريم",
    "هدى",
    "رنا",
    "سعاد",
)
_FAMILY = ("الأحمد", "الخطيب", "الحسن", "العلي", "المصري", "حداد", "الشامي", "درويش")
_NUMBER = 10**8
_PHONE = 10**6


def invented(draws: Draws, city_ar: str) -> PersonDetails:
    """Somebody who does not exist."""
    names = f"{draws.one_of(_GIVEN)} {draws.one_of(_FAMILY)}"
    return PersonDetails(
        full_name=f"{names} {MARK}",
        national_number=f"000{draws.below(_NUMBER):08d}",
        phone=f"+963900{draws.below(_PHONE):06d}",
        address=f"عنوان مختلق، {city_ar} {MARK}",
    )
