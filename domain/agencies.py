"""Agencies: who answers what the centres forward."""

from enum import StrEnum
from uuid import UUID

from domain.acts import Act
from domain.aggregates import OfficeAggregate, Renewable
from domain.ids import code_id


class AgencyScope(StrEnum):
    """Whether the agency exists once, or once per governorate."""

    NATIONAL = "national"
    GOVERNORATE = "governorate"


class Agency(OfficeAggregate):
    """One agency, as it was published last."""

    TOPIC = "sijil.agency"

    class Event(OfficeAggregate.Event):
        """An event of an agency."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; an agency begins with ``Published``."""

        TOPIC = "sijil.agency.created.v1"

    class Published(Renewable, Created):
        """The agency's names and whether its offices are one per governorate."""

        TOPIC = "sijil.agency.published.v1"
        code: str
        name_ar: str
        name_en: str
        scope: AgencyScope

        def apply(self, aggregate: "Agency") -> None:
            """The agency says what was published last."""
            aggregate.published = self

    def __init__(self) -> None:
        """What there is to know is in ``published``, set when it is applied."""
        self.published: Agency.Published

    @staticmethod
    def id_of(code: str) -> UUID:
        """The id of the agency with this code."""
        return code_id("agency", code)

    @classmethod
    def publish(
        cls, act: Act, *, code: str, name_ar: str, name_en: str, scope: AgencyScope
    ) -> "Agency":
        """A new agency."""
        return cls._create(
            cls.Published,
            id=cls.id_of(code),
            timestamp=act.effective_at,
            act=act,
            code=code,
            name_ar=name_ar,
            name_en=name_en,
            scope=scope,
        )
