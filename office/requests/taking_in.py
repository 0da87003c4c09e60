"""Taking in: a new request, accepted or declined."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from uuid import UUID

from domain.access import Permission, Principal
from domain.acts import Act, Actor, ActorKind
from domain.centres import Centre
from domain.errors import (
    InvalidValueError,
    NotFoundError,
    ServiceNotOfferedError,
    WrongStateError,
)
from domain.ids import derived_id, time_in, tracking_number
from domain.persons import PersonDetails
from domain.requests import Channel, Party, PartyRole, ServiceRequest
from domain.services import Service
from domain.stages import Stage
from ledger.persistence import append
from office.acts import Done, Envelope, On, translated
from office.commands import AcceptRequest, DeclineRequest, SubmitRequest
from office.requests.desk import RequestsDesk
from office.rules import must_be_known

_AT_A_CENTRE = frozenset({ActorKind.CLERK, ActorKind.SUPERVISOR})


def request_id_of(command_id: UUID, named_at: datetime) -> UUID:
    """The id of the request that a command makes; the time is the act's, if it says.

    Whoever derives the ids of commands knows those of the requests before they exist.
    """
    return derived_id(f"request/{command_id}", named_at)


class TakingIn(RequestsDesk):
    """Submitting, accepting, declining."""

    def submit(self, command: SubmitRequest, envelope: Envelope) -> Done:
        """A new request; at the counter accepted or declined in the same act.

        The persons' values reach the vault first; the event names parties only.
        """
        principal = envelope.principal
        principal.must_be_allowed(Permission.SUBMIT)
        _must_fit_channel(command, envelope)
        # The id follows from the command: a repeat can only ever mean this request.
        named_at = envelope.effective_at or time_in(envelope.command_id)
        request_id = request_id_of(envelope.command_id, named_at)
        stored = self._acts.command(envelope, command)
        needs = self._needed(command, envelope)
        with (
            translated(),
            self._ledger.glance(request_id, *needs, command_id=stored.id),
        ):
            return self._submit(command, envelope, stored, request_id)

    def _needed(self, command: SubmitRequest, envelope: Envelope) -> list[UUID]:
        """What a submission will ask for, to be read together."""
        at = envelope.effective_at or self._acts.clock()
        needs = self._rules.needs(command.service, at)
        centre = command.centre or envelope.principal.centre
        if centre is not None:
            needs.append(Centre.id_of(centre))
        if command.asks_again is not None:
            needs.append(command.asks_again)
        return needs

    def _submit(
        self,
        command: SubmitRequest,
        envelope: Envelope,
        stored: append.Command,
        request_id: UUID,
    ) -> Done:
        principal = envelope.principal
        earlier = self._acts.earlier(stored, request_id)
        if earlier is not None:
            return earlier
        service, centre = self._offered(command, envelope)
        parties = self._parties(command, request_id)
        actor = principal.actor
        if principal.role is ActorKind.CITIZEN:
            actor = Actor(
                kind=ActorKind.CITIZEN, id=str(parties[0].id), place=centre.code
            )

        def decide(_: ServiceRequest | None, act: Act) -> ServiceRequest:
            if command.asks_again is not None:
                self._must_be_refused(command.asks_again, command.service, principal)
            request = self._new_request(command, act, request_id, service, centre)
            self._write_vault(command, parties, request_id, principal)
            return request

        return self._acts.on(
            envelope,
            stored,
            On(
                thing_id=request_id,
                load=lambda: None,
                actor=lambda _: actor,
                centre=lambda _: centre.code,
            ),
            decide,
        )

    def _new_request(
        self,
        command: SubmitRequest,
        act: Act,
        request_id: UUID,
        service: Service,
        centre: Centre,
    ) -> ServiceRequest:
        """The new request with what is decided of it at once; nothing is stored."""
        self._must_be_offered(act, service, centre)
        is_decided = command.accept_now or command.decline_reason is not None
        may_expire = not is_decided and act.actor.kind is not ActorKind.IMPORT
        request = ServiceRequest.submit(
            act,
            request_id=request_id,
            service=command.service,
            agency=service.published.agency,
            centre=centre.code,
            governorate=centre.governorate,
            channel=command.channel,
            parties=self._parties(command, request_id),
            relationship=command.relationship,
            documents=command.documents,
            delivery=command.delivery,
            tracking_number=tracking_number(request_id),
            code_key=self._code_key_name,
            expires_at=self._expiry(service, act.effective_at) if may_expire else None,
        )
        if command.accept_now:
            terms = self._rules.terms(request, act.effective_at)
            request.accept(act, terms=terms, documents=command.documents)
        elif command.decline_reason is not None:
            request.decline(act, reason=command.decline_reason, missing=command.missing)
        return request

    def _must_be_offered(self, act: Act, service: Service, centre: Centre) -> None:
        """The service, its agency and the centre serve citizens on the act's day.

        What is imported happened whatever the catalogue says of that day today.
        """
        if act.actor.kind is ActorKind.IMPORT:
            return
        closed = self._rules.closed(service, centre, act.effective_at)
        if closed is not None:
            raise ServiceNotOfferedError(what=closed)

    def _must_be_refused(
        self, request_id: UUID, service: str, principal: Principal
    ) -> None:
        """What is asked again was refused, for the same service, and is in scope."""
        refused = self._load(request_id, principal)
        ends = {Stage.COMPLETED_REFUSED, Stage.NOT_ACCEPTED}
        if refused.stage not in ends or refused.service != service:
            raise WrongStateError(
                act="ask-again", stage=refused.stage, reason="not-refused"
            )

    def _expiry(self, service: Service, at: datetime) -> datetime:
        """When a waiting request expires, by the rules of its first day."""
        days = self._rules.service_at(service, at).acceptance_days
        return self._rules.working_time(at).due(at, days).at

    def _offered(
        self, command: SubmitRequest, envelope: Envelope
    ) -> tuple[Service, Centre]:
        """The service and the centre, whose codes have to be known."""
        principal = envelope.principal
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
        with translated():
            # Documents are those of the day the act is dated.
            then = self._rules.service_at(
                service, envelope.effective_at or self._acts.clock()
            )
        must_be_known(then, (*command.documents, *command.missing))
        return service, centre

    def _parties(self, command: SubmitRequest, request_id: UUID) -> tuple[Party, ...]:
        """Random-looking ids that repeat with the command and link to nothing else."""
        told = _told(command)
        return tuple(
            Party(role=role, id=self._party_id(request_id, role)) for role in told
        )

    def _party_id(self, request_id: UUID, role: PartyRole) -> UUID:
        name = f"party/{request_id}/{role}".encode()
        digest = hmac.digest(self._party_key, name, hashlib.sha256)
        return UUID(bytes=digest[:16], version=4)

    def _write_vault(
        self,
        command: SubmitRequest,
        parties: tuple[Party, ...],
        request_id: UUID,
        principal: Principal,
    ) -> None:
        told = _told(command)
        if command.asks_again is not None:
            with translated():
                self._vault.link_asked_again(
                    request_id=request_id, refused_request_id=command.asks_again
                )
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
        """Take a waiting request in under the terms of its service that day."""

        def decide(request: ServiceRequest, act: Act) -> None:
            # An import that claims an earlier time is moved up to the submission's.
            at = max(act.effective_at, request.modified_on)
            terms = self._rules.terms(request, at)
            self._rules.must_know(request, command.documents, at=at)
            request.accept(
                act, terms=terms, documents=command.documents, token=command.token
            )

        return self._on(command, envelope, Permission.ACCEPT, decide, is_judged=True)

    def decline(self, command: DeclineRequest, envelope: Envelope) -> Done:
        """Do not take a waiting request in."""

        def decide(request: ServiceRequest, act: Act) -> None:
            self._rules.must_know(request, command.missing, at=act.effective_at)
            request.decline(
                act,
                reason=command.reason,
                missing=command.missing,
                token=command.token,
            )

        return self._on(command, envelope, Permission.DECLINE, decide, is_judged=True)


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
