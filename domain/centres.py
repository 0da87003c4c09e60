"""Centres: where citizens come. Each stands in one governorate."""

from uuid import UUID

from domain.acts import Act
from domain.aggregates import OfficeAggregate
from domain.ids import code_id


class Centre(OfficeAggregate):
    """One citizen service centre."""

    TOPIC = "sijil.centre"

    class Event(OfficeAggregate.Event):
        """An event of a centre."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; a centre begins with ``Opened``."""

        TOPIC = "sijil.centre.created.v1"

    class Opened(Created):
        """The centre serves citizens from the effective time on."""

        TOPIC = "sijil.centre.opened.v1"
        code: str
        governorate: str
        name_ar: str
        name_en: str

    def __init__(
        self, *, code: str, governorate: str, name_ar: str, name_en: str
    ) -> None:
        self.code = code
        self.governorate = governorate
        self.name_ar = name_ar
        self.name_en = name_en

    @staticmethod
    def id_of(code: str) -> UUID:
        """The id of the centre with this code."""
        return code_id("centre", code)

    @classmethod
    def open(
        cls, act: Act, *, code: str, governorate: str, name_ar: str, name_en: str
    ) -> "Centre":
        """A new centre."""
        return cls._create(
            cls.Opened,
            id=cls.id_of(code),
            timestamp=act.effective_at,
            act=act,
            code=code,
            governorate=governorate,
            name_ar=name_ar,
            name_en=name_en,
        )
