"""Live stamps: each has a serial and belongs to one centre."""

from uuid import UUID

from domain.acts import Act
from domain.aggregates import OfficeAggregate
from domain.ids import code_id

LIVE = "live"


class Stamp(OfficeAggregate):
    """One stamp, issued to one centre."""

    TOPIC = "sijil.stamp"

    class Event(OfficeAggregate.Event):
        """An event of a stamp."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; a stamp begins with ``Issued``."""

        TOPIC = "sijil.stamp.created.v1"

    class Issued(Created):
        """The stamp may be used at ``centre`` from the effective time on."""

        TOPIC = "sijil.stamp.issued.v1"
        serial: str
        kind: str
        centre: str

    def __init__(self, *, serial: str, kind: str, centre: str) -> None:
        self.serial = serial
        self.kind = kind
        self.centre = centre

    @staticmethod
    def id_of(serial: str) -> UUID:
        """The id of the stamp with this serial."""
        return code_id("stamp", serial)

    @classmethod
    def issue(cls, act: Act, *, serial: str, kind: str, centre: str) -> "Stamp":
        """A new stamp of a centre."""
        return cls._create(
            cls.Issued,
            id=cls.id_of(serial),
            timestamp=act.effective_at,
            act=act,
            serial=serial,
            kind=kind,
            centre=centre,
        )
