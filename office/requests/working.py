"""The work on an accepted request: fee, agency, what is missing, stamp."""

from __future__ import annotations

from collections.abc import Callable

from domain.access import Permission
from domain.acts import Act, ActorKind
from domain.calendars import office_day
from domain.requests import MissingFact, ServiceRequest
from domain.stamps import Stamp
from office.acts import Done, Envelope
from office.commands import (
    ForwardRequest,
    PayFee,
    RecordResponse,
    RequestInformation,
    StampDocument,
    SupplyInformation,
)
from office.requests.desk import RequestsDesk


class Working(RequestsDesk):
    """From the fee to the stamp."""

    def pay(
        self,
        command: PayFee,
        envelope: Envelope,
        *,
        last: Callable[[], None] = lambda: None,
    ) -> Done:
        """Take the fee. ``last`` may refuse what every rule would take."""

        def decide(request: ServiceRequest, act: Act) -> None:
            request.pay(
                act,
                channel=command.channel,
                amount=command.amount,
                unit=command.unit,
                bank_reference=command.bank_reference,
                token=command.token,
            )
            last()

        return self._on(command, envelope, Permission.PAY, decide)

    def forward(self, command: ForwardRequest, envelope: Envelope) -> Done:
        """Send a request to its agency."""
        return self._on(
            command,
            envelope,
            Permission.FORWARD,
            lambda request, act: request.forward(
                act,
                working_time=self._rules.working_time_of(request, act),
                agency_reference=command.agency_reference,
                token=command.token,
            ),
            is_judged=True,
        )

    def respond(self, command: RecordResponse, envelope: Envelope) -> Done:
        """Record the agency's answer: its own, or as a clerk read or received it."""
        return self._on(
            command,
            envelope,
            Permission.RESPOND,
            lambda request, act: request.respond(
                act,
                outcome=command.outcome,
                agency=envelope.principal.agency,
                agency_reference=command.agency_reference,
                reason=command.reason,
                document_digest=command.document_digest,
                supersedes=command.supersedes,
                working_time=self._rules.working_time_of(request, act),
                token=command.token,
            ),
            is_judged=True,
        )

    def request_information(
        self, command: RequestInformation, envelope: Envelope
    ) -> Done:
        """Ask the citizen for what is missing; the clock stands still."""

        def decide(request: ServiceRequest, act: Act) -> None:
            self._rules.must_know(
                request, command.missing, at=act.effective_at, also=MissingFact
            )
            request.request_information(
                act, missing=command.missing, token=command.token
            )

        return self._on(
            command, envelope, Permission.REQUEST_INFORMATION, decide, is_judged=True
        )

    def supply_information(
        self, command: SupplyInformation, envelope: Envelope
    ) -> Done:
        """Record what the citizen brought; the clock goes on."""

        def decide(request: ServiceRequest, act: Act) -> None:
            self._rules.must_know(
                request, command.supplied, at=act.effective_at, also=MissingFact
            )
            request.supply_information(
                act,
                supplied=command.supplied,
                working_time=self._rules.working_time_of(request, act),
                token=command.token,
            )

        return self._on(
            command, envelope, Permission.SUPPLY_INFORMATION, decide, is_judged=True
        )

    def stamp(self, command: StampDocument, envelope: Envelope) -> Done:
        """Put an issued stamp of the centre on the document.

        What is imported was stamped whatever our register says of its day.
        """

        def is_good(stamp: Stamp, act: Act) -> bool:
            # Nobody stamped with it before it was issued.
            return act.actor.kind is ActorKind.IMPORT or (
                stamp.created_on <= act.effective_at
                and stamp.is_valid_on(office_day(act.effective_at))
            )

        def decide(request: ServiceRequest, act: Act) -> None:
            stamp = self._ledger.find(Stamp, Stamp.id_of(command.serial))
            if stamp is not None and not is_good(stamp, act):
                stamp = None
            request.stamp(
                act,
                stamp=stamp,
                serial=command.serial,
                stamped_digest=command.stamped_digest,
                working_time=self._rules.working_time_of(request, act),
                token=command.token,
            )

        return self._on(
            command,
            envelope,
            Permission.STAMP,
            decide,
            needs=(Stamp.id_of(command.serial),),
            is_judged=True,
        )
