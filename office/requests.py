"""The acts on requests: one method a command, each ending in one append."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from domain.access import Permission, Principal
from domain.acts import Act, Actor, ActorKind
from domain.agencies import Agency
from domain.calendars import OFFICE_ZONE, Calendar
from domain.centres import Centre
from domain.clerks import Clerk
from domain.errors import (
    InvalidValueError,
    NotFoundError,
    ServiceNotOfferedError,
    WrongStateError,
)
from domain.ids import derived_id, tracking_number
from domain.persons import PersonDetails, PersonField
from domain.reads import Purpose
from domain.requests import (
    AssignedBecause,
    Channel,
    CorrectedField,
    MissingFact,
    Party,
    PartyRole,
    ReleasedBecause,
    ServiceRequest,
)
from domain.services import Service, Terms
from domain.stages import Stage
from domain.stamps import Stamp
from domain.working_time import WorkingTime
from ledger.vault import Vault
from office.acts import Acts, Done, Envelope, On, translated
from office.commands import (
    AcceptRequest,
    AssignRequest,
    BringBack,
    ClaimRequest,
    Command,
    ConfirmCollection,
    ConfirmDelivery,
    CorrectRequest,
    DeclineRequest,
    ExpireRequest,
    ForwardRequest,
    HandOver,
    InformCitizen,
    MailDocument,
    PayFee,
    RecordResponse,
    RefundFee,
    ReleaseRequest,
    RequestInformation,
    StampDocument,
    SubmitRequest,
    SupplyInformation,
    TellResult,
    WarnOfLimit,
    WithdrawRequest,
)
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
        lease: timedelta,
    ) -> None:
        self._acts = acts
        self._ledger = acts.ledger
        self._vault = vault
        self._code_keys = code_keys
        self._code_key_name = code_key_name
        self._looking = Looking(acts)
        self._lease = lease

    # Coming in ------------------------------------------------------------------

    def submit(self, command: SubmitRequest, envelope: Envelope) -> Done:
        """A new request; at the counter accepted or declined in the same act.

        The persons' values reach the vault first; the event names parties only.
        """
        principal = envelope.principal
        principal.must_be_allowed(Permission.SUBMIT)
        _must_fit_channel(command, envelope)
        # The id follows from the command: a repeat can only ever mean this request.
        named_at = envelope.effective_at or time_of(envelope.command_id)
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

        def decide(_: ServiceRequest | None, act: Act) -> ServiceRequest:
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
        if command.asks_again is not None:
            self._must_be_refused(command.asks_again, command.service, act)
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
            terms = self._terms(request, act.effective_at)
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
        closed = self._closed(service, centre, act.effective_at)
        if closed is not None:
            raise ServiceNotOfferedError(what=closed)

    def is_offered(self, service: Service, centre: Centre, at: datetime) -> bool:
        """Whether service, agency and centre serve citizens on the day of a time."""
        return self._closed(service, centre, at) is None

    def _closed(self, service: Service, centre: Centre, at: datetime) -> str | None:
        day = office_day(at)
        if not centre.is_open_on(day):
            return "centre"
        if not service.is_offered_on(day):
            return "service"
        agency = self._ledger.find(Agency, Agency.id_of(service.published.agency))
        is_closed = agency is not None and not agency.is_open_on(day)
        return "agency" if is_closed else None

    def _must_be_refused(self, request_id: UUID, service: str, act: Act) -> None:
        """What is asked again was refused: here, for the same service."""
        refused = self._ledger.find(ServiceRequest, request_id)
        party = act.actor.id if act.actor.kind is ActorKind.CITIZEN else None
        if refused is None or (party is None and refused.centre != act.actor.place):
            raise NotFoundError(thing="request")
        ends = {Stage.COMPLETED_REFUSED, Stage.NOT_ACCEPTED}
        if refused.stage not in ends or refused.service != service:
            raise WrongStateError(
                act="ask-again", stage=refused.stage, reason="not-refused"
            )

    def _expiry(self, service: Service, at: datetime) -> datetime:
        """When a waiting request expires, by the rules of its first day."""
        return self._working_time(at).due(at, service.acceptance_days).at

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
        _must_be_known(service, (*command.documents, *command.missing))
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
            terms = self._terms(request, act.effective_at)
            self._must_know(request, command.documents)
            request.accept(
                act, terms=terms, documents=command.documents, token=command.token
            )

        return self._on(command, envelope, Permission.ACCEPT, decide)

    def decline(self, command: DeclineRequest, envelope: Envelope) -> Done:
        """Do not take a waiting request in."""

        def decide(request: ServiceRequest, act: Act) -> None:
            self._must_know(request, command.missing)
            request.decline(
                act,
                reason=command.reason,
                missing=command.missing,
                token=command.token,
            )

        return self._on(command, envelope, Permission.DECLINE, decide)

    def assign(
        self,
        command: AssignRequest,
        envelope: Envelope,
        *,
        because: AssignedBecause = AssignedBecause.SUPERVISOR,
        asked: object | None = None,
    ) -> Done:
        """Give a request to a clerk of its centre.

        The system only gives what nobody has, or what stands as it has seen it: a
        supervisor who was quicker has decided. ``asked`` replaces the command in the
        digest: a process manager's covers its trigger, not its choice.
        """

        def decide(request: ServiceRequest, act: Act) -> None:
            if act.actor.kind is ActorKind.SYSTEM and (
                request.clerk is not None
                if command.token is None
                else request.token != command.token
            ):
                return
            clerk = self._ledger.find(Clerk, Clerk.id_of(command.clerk))
            if clerk is None or clerk.centre != request.centre:
                raise ServiceNotOfferedError(what="clerk")
            is_import = act.actor.kind is ActorKind.IMPORT
            if not is_import and not clerk.is_available_at(self._acts.clock()):
                raise ServiceNotOfferedError(what="clerk")
            request.assign(act, clerk=command.clerk, reason=because)

        return self._on(
            command,
            envelope,
            Permission.ASSIGN,
            decide,
            asked=asked,
            is_bookkeeping=True,
        )

    def claim(self, command: ClaimRequest, envelope: Envelope) -> Done:
        """Take a request in hand until the lease ends; acts then carry its token."""
        now = self._acts.clock()
        return self._on(
            command,
            envelope,
            Permission.CLAIM,
            lambda request, act: request.claim(
                act, now=now, lease_until=now + self._lease
            ),
            is_bookkeeping=True,
        )

    def release(
        self,
        command: ReleaseRequest,
        envelope: Envelope,
        *,
        asked: object | None = None,
    ) -> Done:
        """Let a request go: a clerk the own claim, a supervisor anybody's."""
        envelope.principal.must_be_allowed(Permission.RELEASE)
        by_role = {
            ActorKind.CLERK: ReleasedBecause.GIVEN_BACK,
            ActorKind.SUPERVISOR: ReleasedBecause.SUPERVISOR,
        }
        reason = by_role.get(envelope.principal.role, command.reason)
        if reason is None:
            raise InvalidValueError(field="reason", reason="missing")
        return self._on(
            command,
            envelope,
            Permission.RELEASE,
            lambda request, act: request.release(
                act, reason=reason, token=command.token, now=self._acts.clock()
            ),
            asked=asked,
            is_bookkeeping=True,
        )

    def warn(self, command: WarnOfLimit, envelope: Envelope) -> Done:
        """Warn staff of a limit; of one that holds no more, nothing is written."""
        return self._on(
            command,
            envelope,
            Permission.WARN,
            lambda request, act: request.warn(
                act, limit=command.limit, when=command.when, due_at=command.due_at
            ),
            is_bookkeeping=True,
        )

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
                working_time=self._working_time_of(request, act),
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
                working_time=self._working_time_of(request, act),
                token=command.token,
            ),
        )

    def request_information(
        self, command: RequestInformation, envelope: Envelope
    ) -> Done:
        """Ask the citizen for what is missing; the clock stands still."""

        def decide(request: ServiceRequest, act: Act) -> None:
            self._must_know(request, command.missing, also=MissingFact)
            request.request_information(
                act, missing=command.missing, token=command.token
            )

        return self._on(command, envelope, Permission.REQUEST_INFORMATION, decide)

    def supply_information(
        self, command: SupplyInformation, envelope: Envelope
    ) -> Done:
        """Record what the citizen brought; the clock goes on."""

        def decide(request: ServiceRequest, act: Act) -> None:
            self._must_know(request, command.supplied, also=MissingFact)
            request.supply_information(
                act,
                supplied=command.supplied,
                working_time=self._working_time_of(request, act),
                token=command.token,
            )

        return self._on(command, envelope, Permission.SUPPLY_INFORMATION, decide)

    def stamp(self, command: StampDocument, envelope: Envelope) -> Done:
        """Put an issued stamp of the centre on the document."""

        def decide(request: ServiceRequest, act: Act) -> None:
            stamp = self._ledger.find(Stamp, Stamp.id_of(command.serial))
            if stamp is not None and not stamp.is_valid_on(
                office_day(act.effective_at)
            ):
                stamp = None
            request.stamp(
                act,
                stamp=stamp,
                serial=command.serial,
                stamped_digest=command.stamped_digest,
                working_time=self._working_time_of(request, act),
                token=command.token,
            )

        return self._on(command, envelope, Permission.STAMP, decide)

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

    # Ending and correcting --------------------------------------------------------

    def withdraw(self, command: WithdrawRequest, envelope: Envelope) -> Done:
        """Take a request back on its citizen's word."""
        return self._on(
            command,
            envelope,
            Permission.WITHDRAW,
            lambda request, act: request.withdraw(act, reason=command.reason),
        )

    def expire(self, command: ExpireRequest, envelope: Envelope) -> Done:
        """End what nobody accepted or paid for; nothing where somebody did in time."""
        return self._on(
            command,
            envelope,
            Permission.EXPIRE,
            lambda request, act: request.expire(act, due_at=command.due_at),
        )

    def refund(self, command: RefundFee, envelope: Envelope) -> Done:
        """Pay lines of the fee back after the request has ended."""
        return self._on(
            command,
            envelope,
            Permission.REFUND,
            lambda request, act: request.refund(
                act,
                kinds=command.kinds,
                reason=command.reason,
                channel=command.channel,
                bank_reference=command.bank_reference,
            ),
        )

    def correct(self, command: CorrectRequest, envelope: Envelope) -> Done:
        """Correct a field: the new value to the vault first, then the event.

        A correction is effective when it is made. What the rules refuse reaches the
        vault neither.
        """
        envelope.principal.must_be_allowed(Permission.CORRECT)
        if envelope.effective_at is not None:
            raise InvalidValueError(field="effective_at", reason="when-made")
        is_personal = command.field is not CorrectedField.DELIVERY
        if is_personal != (command.value is not None):
            raise InvalidValueError(field="value", reason="field")

        def decide(request: ServiceRequest, act: Act) -> None:
            request.correct(
                act,
                field=command.field,
                reason=command.reason,
                party=command.party,
                delivery=command.delivery,
            )
            if command.value is not None:
                party = next(p for p in request.parties if p.role is command.party)
                self._vault.keep_correction(
                    party_id=party.id,
                    field=PersonField(command.field),
                    value=command.value,
                    correction_id=act.command_id,
                )

        done = self._on(command, envelope, Permission.CORRECT, decide)
        if is_personal:
            with translated():
                self._vault.count_corrections([envelope.command_id])
        return done

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
            told = self._vault.details_of(
                [party.id for party in request.parties],
                corrections=[each.command_id for each in request.corrections],
            )
        return {party: told.get(party.id) for party in request.parties}

    def asked_again_of(self, request: ServiceRequest) -> UUID | None:
        """The refused request that this one asks again for, or None; for staff."""
        with translated():
            return self._vault.refused_before(request.id)

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
        is_bookkeeping: bool = False,
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
            is_bookkeeping=is_bookkeeping,
        )

    def _must_know(
        self,
        request: ServiceRequest,
        codes: tuple[str, ...],
        *,
        also: Iterable[str] = (),
    ) -> None:
        """The codes are documents of the request's service: no free text gets in.

        ``also`` are codes that are known without the service.
        """
        version = None if request.terms is None else request.terms.service_version
        service = self._ledger.find(
            Service, Service.id_of(request.service), version=version
        )
        if service is None:
            raise ServiceNotOfferedError(what="service")
        known = frozenset(also)
        _must_be_known(service, tuple(code for code in codes if code not in known))

    def _terms(self, request: ServiceRequest, at: datetime) -> Terms:
        """The terms of a request accepted at a time, by the rules in force then."""
        service = self._ledger.find(
            Service, Service.id_of(request.service), effective_at=at
        )
        if service is None:
            raise ServiceNotOfferedError(what="service")
        return self.terms_at(service, request.governorate, at)

    def terms_at(self, service: Service, governorate: str, at: datetime) -> Terms:
        """The terms that a service gives at a time, in a governorate."""
        return service.terms(
            governorate=governorate,
            accepted_at=at,
            working_time=self._working_time(at),
        )

    def _working_time(self, start: datetime) -> WorkingTime:
        """The calendars, as published then, that an allowance can reach."""
        with translated():
            found = [
                self._ledger.find(Calendar, Calendar.id_of(year), effective_at=start)
                for year in _years_from(start)
            ]
        return WorkingTime(calendar for calendar in found if calendar is not None)

    def _working_time_of(self, request: ServiceRequest, act: Act) -> WorkingTime:
        """The calendars a request was accepted under; for later years, those of now."""
        terms = request.terms
        start = act.effective_at if request.asked_at is None else request.asked_at
        if terms is None:
            return self._working_time(start)
        pinned = {each.year: each.version for each in terms.calendars}
        found = []
        with translated():
            for year in _years_from(min(start, act.effective_at)):
                if year not in terms.unpublished_years:
                    version = pinned.get(year)
                    calendar = self._ledger.find(
                        Calendar,
                        Calendar.id_of(year),
                        version=version,
                        effective_at=act.effective_at if version is None else None,
                    )
                    found.append(calendar)
        return WorkingTime(calendar for calendar in found if calendar is not None)


def office_day(at: datetime) -> date:
    """The day of a time on the office's clock."""
    return at.astimezone(OFFICE_ZONE).date()


def _years_from(start: datetime) -> range:
    """The years an allowance, the longest of some 400 working days, can reach."""
    year = office_day(start).year
    return range(year, year + 3)


def _must_be_known(service: Service, codes: tuple[str, ...]) -> None:
    known = {document.code for document in service.published.documents}
    if not known.issuperset(codes):
        raise InvalidValueError(field="documents", reason="unknown-code")


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


def time_of(command_id: UUID) -> datetime:
    """The moment in a version 7 command id; for any other, one that never changes."""
    is_timed = command_id.version == 7  # noqa: PLR2004 -- RFC 9562
    milliseconds = command_id.int >> 80 if is_timed else 0
    return _EPOCH + timedelta(milliseconds=min(milliseconds, _LATEST_MS))
