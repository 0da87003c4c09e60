"""Governorates: reference data by ISO 3166-2 code, never events."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Governorate:
    """One governorate; ``population`` is an estimate of residents, not a register."""

    code: str
    name_ar: str
    name_en: str
    city_ar: str
    city_en: str
    population: int


@cache
def governorates() -> tuple[Governorate, ...]:
    """The fourteen governorates, in the order of their codes on identity papers."""
    table = files("domain") / "catalogue" / "governorates.csv"
    with table.open(encoding="utf-8") as lines:
        return tuple(
            Governorate(
                code=row["iso_code"],
                name_ar=row["name_ar"],
                name_en=row["name_en"],
                city_ar=row["centre_city_ar"],
                city_en=row["centre_city_en"],
                population=int(row["population_estimate"]),
            )
            for row in csv.DictReader(lines)
        )
