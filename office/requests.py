"""The acts on requests: one method a command, each ending in one append."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.access import Permission, Principal
from domain.acts import Act, Actor, ActorKind
from domain.calendars import OFFICE_ZONE, Calendar
from domain.centres import Centre
from domain.clerks import Clerk
from domain.errors import InvalidValueError, NotFoundError, ServiceNotOfferedError
from domain.ids import derived_id, tracking_number
from domain.persons import PersonDetails
from domain.reads import Purpose
from domain.requests import (
    AssignedBecause,
    Channel,
    Party,
    PartyRole,
    ServiceRequest,
)
from domain.services import Service, Terms
from domain.stamps import Stamp
from domain.working_time import WorkingTime
from ledger.persistence import append
from ledger.vault import Vault
from office.acts import Acts, Done, Envelope, translated
from office.commands import (
    AcceptRequest,
    AssignRequest,
    Command,
    ConfirmDelivery,
    DeclineRequest,
    ForwardRequest,
    HandOver,
    InformCitizen,
    MailDocument,
    PayFee,
    RecordResponse,
    StampDocument,
    SubmitRequest,
    TellResult,
)
from office.errors import ConcurrencyError
from office.looking import Looking

CODE_DIGITS = 6
_NO_KEY = secrets.token_bytes(32)
"""Stands in for a key that is not kept any more: nobody can know what it gives."""
_AT_A_CENTRE = frozenset({ActorKind.CLERK, ActorKind.SUPERVISOR})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS = 4_102_444_800_000
"""The year 2100: a later time in a command id is nobody's clock."""


def secret_code(keys: Mapping[str, bytes], name: str, request_id: UUID) -> str:
    """The six digits that open a request's tracking, by the key named at submission.

    A name no key is kept under gives the code of a key that nobody has.
    """
    key = keys.get(name, _NO_KEY)
    digest = hmac.digest(key, request_id.bytes, hashlib.sha256)
    return f"{int.from_bytes(digest, 'big') % 10**CODE_DIGITS:0{CODE_DIGITS}d}"


class Requests:
    """What can be done with requests. Raises the errors of domain and office."""

    def __init__(
        self,
        acts: Acts,
        vault: Vault,
        *,
        code_keys: Mapping[str, bytes],
        code_key_name: str,
    ) -> None:
        self._acts = acts
        self._ledger = acts.ledger
        self._vault = vault
        self._code_keys = code_keys
        self._code_key_name = code_key_name
        self._looking = Looking(acts)

    # Coming in ------------------------------------------------------------------

    def submit(self, command: SubmitRequest, envelope: Envelope) -> Done:
        """A new request; at the counter accepted or declined in the same act.

        The persons' values reach the vault first; the event names parties only.
        """
        principal = envelope.principal
        principal.must_be_allowed(Permission.SUBMIT)
        _must_fit_channel(command, envelope)
        # The id follows from the command: a repeat can only ever mean this request.
        named_at = envelope.effective_at or _time_of(envelope.command_id)
        request_id = derived_id(f"request/{envelope.command_id}", named_at)
        stored = self._acts.command(envelope, command)
        earlier = self._acts.earlier(stored, request_id)
        if earlier is not None:
            return earlier
        service, centre = self._offered(command, principal)
        parties = self._parties(command, request_id)
        actor = principal.actor
        if principal.role is ActorKind.CITIZEN:
            actor = Actor(
                kind=ActorKind.CITIZEN, id=str(parties[0].id), place=centre.code
            )
        act = self._acts.act(envelope, actor, request_id)
        request = ServiceRequest.submit(
            act,
            request_id=request_id,
            service=command.service,
            agency=service.published.agency,
            centre=centre.code,
            governorate=centre.governorate,
            channel=command.channel,
            parties=parties,
            relationship=command.relationship,
            documents=command.documents,
            delivery=command.delivery,
            tracking_number=tracking_number(request_id),
            code_key=self._code_key_name,
        )
        if command.accept_now:
            terms = self._terms(service, centre.governorate, act.effective_at)
            request.accept(act, terms=terms, documents=command.documents)
        elif command.decline_reason is not None:
            request.decline(act, reason=command.decline_reason, missing=command.missing)
        self._write_vault(command, parties, request_id, principal)
        try:
            return self._acts.store(stored, request, envelope)
        except append.VersionConflictError as error:
            raise ConcurrencyError from error

    def _offered(
        self, command: SubmitRequest, principal: Principal
    ) -> tuple[Service, Centre]:
        code = command.centre or principal.centre
        if code is None:
            raise InvalidValueError(field="centre", reason="missing")
        is_bound = principal.role in _AT_A_CENTRE or principal.centre is not None
        if is_bound and code != principal.centre:
            raise NotFoundError(thing="centre")
        with translated():
            centre = self._ledger.find(Centre, Centre.id_of(code))
            service = self._ledger.find(Service, Service.id_of(command.service))
        if centre is None:
            raise ServiceNotOfferedError(what="centre")
        if service is None:
            raise ServiceNotOfferedError(what="service")
        known = {document.code for document in service.published.documents}
        if not known.issuperset((*command.documents, *command.missing)):
            raise InvalidValueError(field="documents", reason="unknown-code")
        return service, centre

    def _parties(self, command: SubmitRequest, request_id: UUID) -> tuple[Party, ...]:
        """Random-looking ids that repeat with the command and link to nothing else."""
        told = _told(command)
        return tuple(
            Party(role=role, id=self._party_id(request_id, role)) for role in told
        )

    def _party_id(self, request_id: UUID, role: PartyRole) -> UUID:
        secret = self._code_keys[self._code_key_name]
        name = f"party/{request_id}/{role}".encode()
        digest = hmac.digest(secret, name, hashlib.sha256)
        return UUID(bytes=digest[:16], version=4)

    def _write_vault(
        self,
        command: SubmitRequest,
        parties: tuple[Party, ...],
        request_id: UUID,
        principal: Principal,
    ) -> None:
        told = _told(command)
        for party in parties:
            is_citizen = (
                principal.role is ActorKind.CITIZEN
                and party.role is PartyRole.APPLICANT
            )
            with translated():
                self._vault.open_party(
                    party_id=party.id,
                    request_id=request_id,
                    role=party.role,
                    details=told[party.role],
                    subject=principal.id if is_citizen else None,
                )

    def accept(self, command: AcceptRequest, envelope: Envelope) -> Done:
        """Take a waiting request in under the terms of its service today."""

        def decide(request: ServiceRequest, act: Act) -> None:
            service = self._ledger.find(Service, Service.id_of(request.service))
            if service is None:
                raise ServiceNotOfferedError(what="service")
            terms = self._terms(service, request.governorate, act.effective_at)
            request.accept(
                act, terms=terms, documents=command.documents, token=command.token
            )

        return self._on(command, envelope, Permission.ACCEPT, decide)

    def decline(self, command: DeclineRequest, envelope: Envelope) -> Done:
        """Do not take a waiting request in."""
        return self._on(
            command,
            envelope,
            Permission.DECLINE,
            lambda request, act: request.decline(
                act,
                reason=command.reason,
                missing=command.missing,
                token=command.token,
            ),
        )

    def assign(
        self,
        command: AssignRequest,
        envelope: Envelope,
        *,
        because: AssignedBecause = AssignedBecause.SUPERVISOR,
        asked: object | None = None,
    ) -> Done:
        """Give a request to a clerk of its centre.

        The system only gives what nobody has: a supervisor who was quicker has
        decided. ``asked`` replaces the command in the digest: a process manager's
        covers its trigger, not its choice.
        """

        def decide(request: ServiceRequest, act: Act) -> None:
            if act.actor.kind is ActorKind.SYSTEM and request.clerk is not None:
                return
            clerk = self._ledger.find(Clerk, Clerk.id_of(command.clerk))
            if clerk is None or clerk.centre != request.centre:
                raise ServiceNotOfferedError(what="clerk")
            request.assign(act, clerk=command.clerk, reason=because)

        return self._on(command, envelope, Permission.ASSIGN, decide, asked=asked)

    # In progress ----------------------------------------------------------------

    def pay(self, command: PayFee, envelope: Envelope) -> Done:
        """Take the fee."""
        return self._on(
            command,
            envelope,
            Permission.PAY,
            lambda request, act: request.pay(
                act,
                channel=command.channel,
                amount=command.amount,
                unit=command.unit,
                bank_reference=command.bank_reference,
                token=command.token,
            ),
        )

    def forward(self, command: ForwardRequest, envelope: Envelope) -> Done:
        """Send a request to its agency."""
        return self._on(
            command,
            envelope,
            Permission.FORWARD,
            lambda request, act: request.forward(
                act,
                working_time=self._working_time(act.effective_at),
                agency_reference=command.agency_reference,
                token=command.token,
            ),
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
                token=command.token,
            ),
        )

    def stamp(self, command: StampDocument, envelope: Envelope) -> Done:
        """Put an issued stamp of the centre on the document."""
        return self._on(
            command,
            envelope,
            Permission.STAMP,
            lambda request, act: request.stamp(
                act,
                stamp=self._ledger.find(Stamp, Stamp.id_of(command.serial)),
                serial=command.serial,
                stamped_digest=command.stamped_digest,
                token=command.token,
            ),
        )

    # Leaving --------------------------------------------------------------------

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
        )

    # Reading --------------------------------------------------------------------

    def get(self, request_id: UUID, principal: Principal) -> ServiceRequest:
        """A request as the ledger has it now. NotFoundError outside the scope."""
        principal.must_be_allowed(Permission.READ_REQUEST)
        with translated():
            return self._load(request_id, principal)

    def parties(
        self, request_id: UUID, principal: Principal
    ) -> dict[Party, PersonDetails | None]:
        """Who the parties of a request are, for staff of its centre, who are recorded.

        What could not be written down is not shown.
        """
        principal.must_be_allowed(Permission.READ_PERSON)
        with translated():
            request = self._load(request_id, principal)
            self._looking.record(
                request, request.parties, principal=principal, purpose=Purpose.COUNTER
            )
            told = self._vault.details_of([party.id for party in request.parties])
        return {party: told.get(party.id) for party in request.parties}

    def code_of(self, request: ServiceRequest) -> str:
        """The secret code of a request's tracking."""
        return secret_code(self._code_keys, request.code_key, request.id)

    def _load(self, request_id: UUID, principal: Principal) -> ServiceRequest:
        request = self._ledger.find(ServiceRequest, request_id)
        if request is None:
            raise NotFoundError(thing="request")
        principal.must_see(request.whereabouts)
        return request

    def _on(
        self,
        command: Command,
        envelope: Envelope,
        permission: Permission,
        decide: Callable[[ServiceRequest, Act], None],
        *,
        asked: object | None = None,
    ) -> Done:
        if isinstance(command, SubmitRequest):
            raise TypeError(command)
        envelope.principal.must_be_allowed(permission)
        return self._acts.on_request(
            envelope,
            self._acts.command(envelope, command if asked is None else asked),
            command.request_id,
            lambda request_id: self._load(request_id, envelope.principal),
            decide,
        )

    def _terms(self, service: Service, governorate: str, at: datetime) -> Terms:
        return service.terms(
            governorate=governorate,
            accepted_at=at,
            working_time=self._working_time(at),
        )

    def _working_time(self, start: datetime) -> WorkingTime:
        """The published calendars that an allowance from ``start`` can reach."""
        year = start.astimezone(OFFICE_ZONE).year
        with translated():
            found = [
                self._ledger.find(Calendar, Calendar.id_of(each))
                for each in (year, year + 1, year + 2)
            ]
        return WorkingTime(calendar for calendar in found if calendar is not None)


def _told(command: SubmitRequest) -> dict[PartyRole, PersonDetails]:
    told = {
        PartyRole.APPLICANT: command.applicant,
        PartyRole.CONCERNED: command.concerned,
    }
    return {role: details for role, details in told.items() if details is not None}


def _must_fit_channel(command: SubmitRequest, envelope: Envelope) -> None:
    """What a citizen, a clerk and the import may each say of a new request."""
    principal = envelope.principal
    is_citizen = principal.role is ActorKind.CITIZEN
    if is_citizen != (command.channel is Channel.ONLINE) and (
        principal.role is not ActorKind.IMPORT
    ):
        raise InvalidValueError(field="channel", reason="role")
    decides_now = command.accept_now or command.decline_reason is not None
    if decides_now and (is_citizen or command.channel is not Channel.COUNTER):
        raise InvalidValueError(field="accept_now", reason="only-at-the-counter")
    if command.accept_now and command.decline_reason is not None:
        raise InvalidValueError(field="decline_reason", reason="accepted")
    if command.missing and command.decline_reason is None:
        raise InvalidValueError(field="missing", reason="not-declined")
    if is_citizen and envelope.effective_at is not None:
        # A citizen's request happens when it is sent: nobody else saw it earlier.
        raise InvalidValueError(field="effective_at", reason="role")
    if command.applicant is None and principal.role is not ActorKind.IMPORT:
        raise InvalidValueError(field="applicant", reason="missing")


def _time_of(command_id: UUID) -> datetime:
    """The moment in a version 7 command id; for any other, one that never changes."""
    is_timed = command_id.version == 7  # noqa: PLR2004 -- RFC 9562
    milliseconds = command_id.int >> 80 if is_timed else 0
    return _EPOCH + timedelta(milliseconds=min(milliseconds, _LATEST_MS))
