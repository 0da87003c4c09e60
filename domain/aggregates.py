"""The base of every aggregate of the office: how an act becomes an event."""

from dataclasses import field
from datetime import datetime
from typing import Any, ClassVar

from eventsourcing.domain import Aggregate, CanMutateAggregate
from eventsourcing.utils import get_topic

from domain.acts import OUTSIDE_KINDS, Act, ActorKind
from domain.errors import EffectiveTimeError


class OfficeAggregate(Aggregate):
    """An aggregate whose events carry the act that caused them.

    The public method decides and calls ``_happened``; the private ``@event`` method
    only assigns, because it runs again at every replay.
    """

    class Event(Aggregate.Event):
        """What every event has beside its own facts.

        ``timestamp`` is the effective time. ``claimed_at`` is kept when a report
        from outside claimed a time before the previous event and was clamped.
        """

        act: Act
        claimed_at: datetime | None = field(default=None, kw_only=True)

        def mutate(self, aggregate: Any) -> Any:
            """The aggregate after this event; bookkeeping leaves its ETag alone."""
            changed: Any = super().mutate(aggregate)
            if type(self).__name__ not in changed.BOOKKEEPING:
                changed.etag_version = self.originator_version
            return changed

    etag_version = 0
    """The version of the last event that is not bookkeeping."""

    BOOKKEEPING: ClassVar[frozenset[str]] = frozenset()
    """Names of event classes that stale nobody's page (they do not move the ETag)."""

    def _happened(
        self,
        event_class: type[CanMutateAggregate[Any]],
        act: Act,
        *,
        claimed_at: datetime | None = None,
        **facts: Any,
    ) -> None:
        """Raise one event of ``act`` at its effective time.

        ``claimed_at`` is what was claimed where the act's time was moved already.
        Raises EffectiveTimeError when the act lies before the previous event and is
        not one that may be clamped (reports from outside, acts of the system).
        """
        effective_at, clamped = self._effective(act)
        self.trigger_event(
            event_class,
            timestamp=effective_at,
            act=act.at(effective_at),
            claimed_at=claimed_at or clamped,
            **facts,
        )

    def _renewed(
        self, event_class: type[CanMutateAggregate[Any]], act: Act, **facts: Any
    ) -> None:
        """Raise a Renewable event on an aggregate that is there, as ``_happened``."""
        topic = get_topic(type(self))
        self._happened(event_class, act, originator_topic=topic, **facts)

    def _effective(self, act: Act) -> tuple[datetime, datetime | None]:
        previous = self.modified_on
        if act.effective_at >= previous:
            return act.effective_at, None
        if act.actor.kind in OUTSIDE_KINDS:
            return previous, act.effective_at
        if act.actor.kind is ActorKind.SYSTEM:
            return previous, None
        raise EffectiveTimeError(reason="before-previous", bound=previous)


class Renewable(CanMutateAggregate[Any]):
    """An event that creates its aggregate the first time and renews it after that.

    A service is published again under the same topic: version 1 creates it, any
    later one replaces what it says.
    """

    def mutate(self, aggregate: Any) -> Any:
        """The aggregate, made by its first event or changed by a later one."""
        if aggregate is None:
            return super().mutate(None)
        renewed: Any = CanMutateAggregate.mutate(self, aggregate)
        # What is said anew is never bookkeeping: whoever saw the old has a stale page.
        renewed.etag_version = self.originator_version
        return renewed
