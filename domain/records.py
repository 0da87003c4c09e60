"""Persons' records: that two were made one. Which two, only the vault knows."""

from enum import StrEnum
from uuid import UUID

from domain.acts import Act
from domain.aggregates import OfficeAggregate


class MergedBecause(StrEnum):
    """Why one person came to have two records."""

    IDENTIFIER_REPLACED = "identifier-replaced"
    NUMBER_MISTYPED = "number-mistyped"
    REGISTERED_TWICE = "registered-twice"


class PersonRecord(OfficeAggregate):
    """What happened to records of persons, under an id that leads to nobody.

    Not the record's own id: that would let a reader follow one person from event to
    event. Each merge is an aggregate of its own.
    """

    TOPIC = "sijil.person"

    class Event(OfficeAggregate.Event):
        """An event of a person's record."""

    class Created(Event, OfficeAggregate.Created):
        """What the library wants; it begins with ``Merged``."""

        TOPIC = "sijil.person.created.v1"

    class Merged(Created):
        """Two records were found to be of one person."""

        TOPIC = "sijil.person.merged.v1"
        reason: MergedBecause

    def __init__(self, *, reason: MergedBecause) -> None:
        self.reason = reason

    @classmethod
    def merge(
        cls, act: Act, *, merge_id: UUID, reason: MergedBecause
    ) -> "PersonRecord":
        """The record of one merge."""
        return cls._create(
            cls.Merged,
            id=merge_id,
            timestamp=act.effective_at,
            act=act,
            reason=reason,
        )
