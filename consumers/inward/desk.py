"""The desk for messages: who sent it, what it says, and the act it becomes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from uuid import UUID

from eventsourcing.persistence import Tracking

from consumers.dead_letters import replayed_by
from consumers.inward.messages import (
    SENDERS,
    AgencyReply,
    Correspondence,
    PostalScanned,
    Told,
    must_have_a_size,
    read,
)
from consumers.inward.records import InwardMessage, Unusable, UnusableError
from consumers.inward.signatures import Senders
from domain.access import Principal
from domain.ids import derived_id
from office.acts import Done, Envelope
from office.house import House
from office.reports import Reports, Scanned

LARGEST_LEAD = timedelta(seconds=5)
"""How far a sender's clock may be ahead: so long a message waits for its time. Nothing
is effective before it is recorded."""
SCOPE_KEPT_S = 60.0
"""How long it is remembered whether an agency exists once per governorate."""


class TooEarlyError(Exception):
    """The message's time has not come, by a clock that is a little ahead."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(wait_s)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedMessage:
    """A message whose sender is believed and whose content is understood."""

    told: Told
    envelope: Envelope

    @property
    def request_id(self) -> UUID | None:
        """The request that it is on, where it says so itself."""
        told = self.told
        if isinstance(told, AgencyReply | PostalScanned):
            return told.request_id
        return None


class InwardDesk:
    """Makes acts of messages. Many threads may use one.

    ``topics`` says what each topic is for. ``senders`` gives who is believed now.
    """

    def __init__(
        self,
        house: House,
        *,
        topics: Mapping[str, Correspondence],
        senders: Callable[[], Senders],
    ) -> None:
        self._house = house
        self._topics = topics
        self._senders = senders
        self._officers: dict[Principal, tuple[float, Principal]] = {}
        self._mutex = Lock()

    def use(self, message: InwardMessage, tracking: Tracking) -> Done:
        """Do what a message says, and pass its offset in the same transaction.

        Raises as ``opened`` and ``do``.
        """
        return self.do(self.opened(message, tracking), self._house.reports)

    def goes_in_a_mailbag(self, topic: str) -> bool:
        """Whether a topic's messages can be done in a mailbag.

        Not money: each payment waits until a view tells what its reference paid for.
        """
        return self._topics[topic] is not Correspondence.PAYMENTS

    def opened(self, message: InwardMessage, tracking: Tracking) -> OpenedMessage:
        """What a message says, and who says so.

        Raises UnusableError for what no office could use, TooEarlyError, and
        LedgerUnavailableError.
        """
        value = must_have_a_size(message)
        sender = self._senders().sender_of(message)
        kind = self._topics[message.topic]
        if sender.role is not SENDERS[kind]:
            raise UnusableError(Unusable.WRONG_SENDER)
        told = read(kind, value)
        lead = told.happened_at - self._house.clock()
        if timedelta() < lead <= LARGEST_LEAD:
            raise TooEarlyError(lead.total_seconds())
        return OpenedMessage(
            told=told,
            envelope=Envelope(
                principal=self._officer(sender),
                command_id=derived_id(self._first_name(message), told.happened_at),
                route=f"kafka/{kind}/{_act_of(told)}",
                effective_at=told.happened_at,
                causation_id=message.name,
                tracking=tracking,
            ),
        )

    def _first_name(self, message: InwardMessage) -> str:
        """What names the act: however often a message is sent again, it is one."""
        letter = replayed_by(message.headers)
        if letter is None:
            return message.name
        first = self._house.dead_letters.first_name(
            letter, topic=message.topic, partition=message.partition
        )
        return first or message.name

    def do(self, opened: OpenedMessage, reports: Reports) -> Done:
        """Do what a message says. Raises the errors of domain and office."""
        told, envelope = opened.told, opened.envelope
        if isinstance(told, AgencyReply):
            return reports.reply(told.command, envelope)
        if isinstance(told, PostalScanned):
            return reports.scan(told.command, envelope)
        return self._house.fees.report(told.command, envelope)

    def _officer(self, sender: Principal) -> Principal:
        """The sender with its rows: an agency's governorate binds where it has many."""
        if sender.agency is None:
            return sender
        now = time.monotonic()
        with self._mutex:
            until, officer = self._officers.get(sender, (now, sender))
        if now < until:
            return officer
        officer = self._house.officer(sender)
        with self._mutex:
            self._officers[sender] = (now + SCOPE_KEPT_S, officer)
        return officer


def _act_of(told: Told) -> str:
    """What the act is called at the other doors, and so in attempts."""
    if isinstance(told, AgencyReply):
        return "response"
    return _SCANS[told.scanned] if isinstance(told, PostalScanned) else "payment"


_SCANS = {
    Scanned.DELIVERED: "delivery",
    Scanned.COLLECTED: "collection",
    Scanned.RETURNED: "return",
}
