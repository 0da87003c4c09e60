"""The paper leaves, comes back, is received; the citizen is told."""

from __future__ import annotations

from domain.access import Permission
from office.acts import Done, Envelope
from office.commands import (
    BringBack,
    ConfirmCollection,
    ConfirmDelivery,
    HandOver,
    InformCitizen,
    MailDocument,
    TellResult,
)
from office.requests.desk import RequestsDesk


class Leaving(RequestsDesk):
    """From the post to whoever receives."""

    def mail(self, command: MailDocument, envelope: Envelope) -> Done:
        """Give the paper to the post."""
        return self._on(
            command,
            envelope,
            Permission.MAIL,
            lambda request, act: request.mail(
                act, item=command.item, to=command.to, token=command.token
            ),
        )

    def deliver(self, command: ConfirmDelivery, envelope: Envelope) -> Done:
        """Record that the post delivered the item."""
        return self._on(
            command,
            envelope,
            Permission.DELIVER,
            lambda request, act: request.deliver(
                act, item=command.item, capacity=command.capacity
            ),
        )

    def collect(self, command: ConfirmCollection, envelope: Envelope) -> Done:
        """Record that the item was fetched at the post office."""
        return self._on(
            command,
            envelope,
            Permission.COLLECT,
            lambda request, act: request.collect(
                act, item=command.item, capacity=command.capacity
            ),
        )

    def bring_back(self, command: BringBack, envelope: Envelope) -> Done:
        """Record that the post brought the item back; work for the supervisor."""
        return self._on(
            command,
            envelope,
            Permission.BRING_BACK,
            lambda request, act: request.bring_back(
                act, item=command.item, reason=command.reason
            ),
        )

    def hand_over(self, command: HandOver, envelope: Envelope) -> Done:
        """Hand the paper over at the counter."""
        return self._on(
            command,
            envelope,
            Permission.HAND_OVER,
            lambda request, act: request.hand_over(
                act, capacity=command.capacity, token=command.token
            ),
        )

    def tell_result(self, command: TellResult, envelope: Envelope) -> Done:
        """Tell the citizen the result."""
        return self._on(
            command,
            envelope,
            Permission.TELL_RESULT,
            lambda request, act: request.tell_result(
                act, means=command.means, token=command.token
            ),
        )

    def inform(
        self,
        command: InformCitizen,
        envelope: Envelope,
        *,
        asked: object | None = None,
    ) -> Done:
        """Record a message that went to the citizen. ``asked``: as for ``assign``."""
        return self._on(
            command,
            envelope,
            Permission.INFORM,
            lambda request, act: request.inform(
                act, message=command.message, means=command.means
            ),
            asked=asked,
            is_bookkeeping=True,
        )
