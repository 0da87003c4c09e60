"""The path every act takes: repeat, scope, version, rules, append, in this order."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

import structlog
from eventsourcing.persistence import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    PersistenceError,
    Tracking,
)

from domain.access import Principal
from domain.acts import MINISTRY, OUTSIDE_KINDS, Act, Actor, ActorKind, Provenance
from domain.aggregates import OfficeAggregate
from domain.attempts import Attempt
from domain.errors import EffectiveTimeError, NotFoundError, RuleBrokenError
from domain.ids import code_id, derived_id, new_id, time_in
from domain.requests import ServiceRequest
from ledger.bodies import canonical, plain
from ledger.book import Book
from ledger.corrections import CorrectionReusedError
from ledger.persistence import append
from office.approvals import Approvals
from office.errors import (
    ClockSkewError,
    CommandReusedError,
    ConcurrencyError,
    LedgerBusyError,
    LedgerReturnedError,
    LedgerUnavailableError,
    OutcomeUnknownError,
    PreconditionRequiredError,
    StaleVersionError,
)

_EXEMPT_FROM_BOUND = frozenset({ActorKind.SYSTEM, ActorKind.IMPORT})
_NOT_RECORDED = frozenset({ActorKind.SYSTEM, ActorKind.IMPORT})
"""Refusals of an import stand in its report; the system's are its own faults."""

_OFFICE = f"{ActorKind.SYSTEM}:office"
"""Who binds names, in the table of commands: what a name means is nobody's own."""
LARGEST_SKEW = timedelta(minutes=1)
"""Clocks that are further apart can append nothing (docs/reference/contract.md)."""

_log = structlog.get_logger()
A = TypeVar("A", bound=OfficeAggregate)
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The office's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What a door knows of one act beside the command itself.

    ``route`` names the act the same way at every repeat; ``if_version`` is the
    version the actor saw (an ETag), None where there is none to see. ``approved_by``
    is a supervisor's own word, ``approval`` the one a supervisor gave (Approvals).
    ``tracking`` is the place of the message that the act comes from, stored with it.
    ``is_time_moved`` is of what is never refused for its time: one that is out of
    bounds is moved to the bound, and whoever decides MUST keep what was claimed.
    """

    principal: Principal
    command_id: UUID
    route: str
    if_version: int | None = None
    effective_at: datetime | None = None
    approved_by: str | None = None
    approval: str | None = None
    causation_id: str | None = None
    correlation_id: UUID | None = None
    provenance: Provenance | None = None
    tracking: Tracking | None = None
    is_time_moved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The outcome of an act. Positions are None when it changed nothing.

    ``etag_version`` is the thing's version after this act, also in a repeat, whatever
    happened since; in a repeat of what changed nothing, and so kept no position, it is
    the thing's version now.
    """

    aggregate_id: UUID
    first_position: int | None
    last_position: int | None
    etag_version: int
    is_repeat: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class On(Generic[A]):
    """The one thing an act is on, and what the path has to know of it.

    ``load`` gives the thing, or None when the act is what makes it, and raises
    NotFoundError outside the scope. ``actor`` is who acts on it in events.
    ``centre`` is whose supervisor sees the attempts on it: a code, or ``ministry``.
    ``needs`` are other things it will ask for, as far as can be guessed: what is
    guessed is read together, what is not is read when it is asked for.
    """

    thing_id: UUID
    load: Callable[[], A | None]
    actor: Callable[[A | None], Actor]
    centre: Callable[[A | None], str]
    needs: Callable[[], Iterable[UUID]] = tuple


class Acts:
    """Runs acts against the ledger. One act changes one aggregate.

    Without ``keeps_refusals`` no attempt is kept: for callers who do again, in the
    ordinary way, whatever was refused.
    """

    def __init__(
        self,
        ledger: Book,
        *,
        command_key: bytes,
        backdating: timedelta,
        clock: Clock = utc_now,
        keeps_refusals: bool = True,
    ) -> None:
        self.ledger = ledger
        self.clock = clock
        self._keeps_refusals = keeps_refusals
        self._command_key = command_key
        self._backdating = backdating
        self.approvals = Approvals(command_key, clock)

    # Repeats --------------------------------------------------------------------

    def command(self, envelope: Envelope, asked: object) -> append.Command:
        """The command as the ledger remembers it: id, actor, keyed digest of input.

        ``asked`` is the normalised input. What an actor is by is the principal, not
        the event's actor, because a citizen's differs from request to request.
        """
        actor = f"{envelope.principal.role}:{envelope.principal.id}"
        if envelope.principal.role is ActorKind.CITIZEN:
            actor = f"{ActorKind.CITIZEN}:{self._keyed(actor.encode()).hex()[:32]}"
        digest = self._keyed(
            canonical(
                {
                    "actor": actor,
                    "route": envelope.route,
                    "input": plain(asked),
                    **(
                        {"effective_at": plain(envelope.effective_at)}
                        if envelope.effective_at is not None
                        else {}
                    ),
                }
            )
        )
        return append.Command(id=envelope.command_id, actor=actor, digest=digest)

    def _keyed(self, text: bytes) -> bytes:
        return hmac.digest(self._command_key, text, hashlib.sha256)

    def earlier(
        self, command: append.Command, aggregate_id: UUID, *, anew: bool = False
    ) -> Done | None:
        """The outcome of this very command when it was stored before, else None.

        ``anew`` asks the ledger again, whatever this act's glance has seen. Raises
        CommandReusedError when its id was used for something else.
        """
        with translated():
            known = self.ledger.find_command(command.id, anew=anew)
        if known is None:
            return None
        if known.actor != command.actor or not hmac.compare_digest(
            known.digest, command.digest
        ):
            raise CommandReusedError
        return self._rendered(known.first_position, known.last_position, aggregate_id)

    def _rendered(
        self, first: int | None, last: int | None, aggregate_id: UUID
    ) -> Done:
        """An outcome anew from the positions kept; no answer's text is stored."""
        with translated():
            aggregate_id, etag_version = self.ledger.outcome_of(last, aggregate_id)
        return Done(
            aggregate_id=aggregate_id,
            first_position=first,
            last_position=last,
            etag_version=etag_version,
            is_repeat=True,
        )

    # The act --------------------------------------------------------------------

    def act(
        self,
        envelope: Envelope,
        actor: Actor,
        correlation_id: UUID,
        *,
        previous: datetime | None = None,
        is_bookkeeping: bool = False,
    ) -> Act:
        """The act with its effective time: now, or the past time that is claimed.

        ``previous`` is the time of the thing's last event. Bookkeeping takes that
        time, so that it bars nobody's backdated work. Raises EffectiveTimeError for
        the future, and beyond the bound unless a supervisor approves or the
        envelope lets the time be moved.
        """
        now = self.clock()
        bound = now - self._backdating
        principal = envelope.principal
        # What the act is to make has no past, and no id that a supervisor could know.
        approved_by = self._approved_by(
            envelope, None if previous is None else correlation_id
        )
        is_cause_dated = is_bookkeeping and previous is not None
        if envelope.effective_at is None and is_cause_dated and previous is not None:
            effective_at = previous
        elif envelope.effective_at is None:
            # Another process's clock may be a little ahead of ours; nobody claimed a
            # time here, so nobody may be refused for it.
            effective_at = now if previous is None else max(now, previous)
        else:
            effective_at = envelope.effective_at
            if envelope.is_time_moved:
                effective_at = min(max(effective_at, bound), now)
            # The system takes the time of its cause, which is in the ledger already:
            # another clock of ours may have dated it.
            is_system = principal.role is ActorKind.SYSTEM
            latest = now + LARGEST_SKEW if is_system else now
            if effective_at > latest:
                raise EffectiveTimeError(reason="in-the-future", bound=now)
        # A report from outside is clamped to what happened before: that is its time,
        # and nobody out there could ask a supervisor.
        counted = effective_at
        if principal.role in OUTSIDE_KINDS and previous is not None:
            counted = max(effective_at, previous)
        # Bookkeeping that claims no time takes its cause's; one that does is bounded.
        is_bound = principal.role not in _EXEMPT_FROM_BOUND and not (
            is_cause_dated and envelope.effective_at is None
        )
        if is_bound and counted < bound and approved_by is None:
            raise EffectiveTimeError(reason="needs-approval", bound=bound)
        is_own_word = approved_by == principal.id
        if is_own_word and not (is_bound and counted < bound):
            # A supervisor's own act needs no word of theirs where no rule asks for it.
            approved_by = None
        return Act(
            command_id=envelope.command_id,
            actor=actor,
            correlation_id=envelope.correlation_id or correlation_id,
            effective_at=effective_at,
            causation_id=envelope.causation_id,
            approved_by=approved_by,
            provenance=envelope.provenance,
        )

    def _approved_by(self, envelope: Envelope, thing_id: UUID | None) -> str | None:
        """The supervisor whose word comes with the act, or None.

        Raises InvalidValueError for an approval that is not of this act.
        """
        principal = envelope.principal
        if envelope.approval is not None:
            return self.approvals.supervisor_of(
                envelope.approval, envelope.command_id, thing_id, principal.centre
            )
        is_own_word = (
            principal.role is ActorKind.SUPERVISOR
            and envelope.approved_by == principal.id
        )
        return principal.id if is_own_word else None

    def store(
        self, command: append.Command, thing: OfficeAggregate, envelope: Envelope
    ) -> Done:
        """Append what is pending on the thing; a repeat in a race is a repeat."""
        with translated():
            try:
                appended = self.ledger.append(
                    thing, command=command, tracking=envelope.tracking
                )
            except append.CommandRepeatedError as error:
                first = error.appended.first_position
                last = error.appended.last_position
                return self._rendered(first, last, thing.id)
            except append.CommandReusedError as error:
                raise CommandReusedError from error
        return Done(
            aggregate_id=thing.id,
            first_position=appended.first_position,
            last_position=appended.last_position,
            etag_version=thing.etag_version,
            is_repeat=False,
        )

    def remember(self, envelope: Envelope, asked: object) -> None:
        """Keep the id of an act that is done as many acts, so that it means one thing.

        Raises CommandReusedError when it was used for something else.
        """
        self._remember(self.command(envelope, asked))

    def bind(self, name: str, meaning: object) -> None:
        """Let a name mean one thing for ever, whoever says so first.

        For what two acts on two things must not both have: no version that both would
        write lets one of them lose, so the store keeps the name as it keeps the id of
        an act. What is bound stays bound, also where its act is refused after: MUST be
        asked after everything else that can refuse. Raises CommandReusedError where the
        name means something else.
        """
        self._remember(self._binding(name, meaning))

    def is_bound_otherwise(self, name: str, meaning: object) -> bool:
        """Whether a name means something else already."""
        binding = self._binding(name, meaning)
        with translated():
            known = self.ledger.find_command(binding.id, anew=True)
        return known is not None and not hmac.compare_digest(
            known.digest, binding.digest
        )

    def _binding(self, name: str, meaning: object) -> append.Command:
        # A name that can be guessed could be used up beforehand, as somebody's
        # Idempotency-Key: the id is keyed.
        command_id = code_id("bound", self._keyed(name.encode()).hex())
        digest = self._keyed(canonical({"name": name, "meaning": plain(meaning)}))
        return append.Command(id=command_id, actor=_OFFICE, digest=digest)

    def _remember(self, command: append.Command) -> None:
        with translated():
            try:
                self.ledger.append(command=command)
            except append.CommandRepeatedError:
                return
            except append.CommandReusedError as error:
                raise CommandReusedError from error

    def on(
        self,
        envelope: Envelope,
        command: append.Command,
        on: On[A],
        decide: Callable[[A | None, Act], A],
        *,
        is_bookkeeping: bool = False,
    ) -> Done:
        """Run one act on a thing: what it changes is stored whole or not at all.

        ``on.load`` raises NotFoundError outside the scope, and gives None for what
        the act may make. ``decide`` gives the thing back with its pending events. A
        version lost to somebody else at the same moment is decided once more on what
        they left, unless the actor's page is stale by then.
        """
        for is_again in (False, True):
            with (
                translated(),
                self.ledger.glance(
                    on.thing_id, *on.needs(), command_id=command.id, anew=is_again
                ),
            ):
                earlier = self.earlier(command, on.thing_id)
                if earlier is not None:
                    return earlier
                thing = self._decided(
                    envelope, command, on, decide, is_bookkeeping=is_bookkeeping
                )
            if isinstance(thing, Done):
                return thing
            try:
                return self.store(command, thing, envelope)
            except append.TrackingConflictError:
                raise
            except IntegrityError as error:
                if is_again:
                    raise ConcurrencyError from error
        raise ConcurrencyError

    def _decided(
        self,
        envelope: Envelope,
        command: append.Command,
        on: On[A],
        decide: Callable[[A | None, Act], A],
        *,
        is_bookkeeping: bool,
    ) -> A | Done:
        """The thing with its pending events; the outcome, where this is a repeat."""
        is_loaded, found, version = False, None, 0
        try:
            with translated():
                found = on.load()
                # What is decided moves the thing in memory, also when it is refused
                # half way.
                is_loaded, version = True, 0 if found is None else found.version
                _must_match(envelope, found)
                act = self.act(
                    envelope,
                    on.actor(found),
                    on.thing_id,
                    previous=None if found is None else found.modified_on,
                    is_bookkeeping=is_bookkeeping,
                )
                return decide(found, act)
        except (NotFoundError, StaleVersionError, RuleBrokenError) as error:
            # Sent twice at once, the other may have been stored since we looked: what
            # we ran into is then our own doing, and this is a repeat.
            earlier = self.earlier(command, on.thing_id, anew=True)
            if earlier is not None:
                return earlier
            if is_loaded and isinstance(error, RuleBrokenError):
                self._record_refusal(envelope, error, on, found, version=version)
            raise

    def on_request(
        self,
        envelope: Envelope,
        command: append.Command,
        request_id: UUID,
        load: Callable[[UUID], ServiceRequest],
        decide: Callable[[ServiceRequest, Act], None],
        *,
        needs: Callable[[], Iterable[UUID]] = tuple,
        is_bookkeeping: bool = False,
    ) -> Done:
        """Run one act on a request that exists. ``load`` raises NotFoundError."""

        def decided(request: ServiceRequest | None, act: Act) -> ServiceRequest:
            if request is None:
                raise NotFoundError(thing="request")
            decide(request, act)
            return request

        def actor(request: ServiceRequest | None) -> Actor:
            principal = envelope.principal
            return principal.actor if request is None else actor_on(request, principal)

        return self.on(
            envelope,
            command,
            On(
                thing_id=request_id,
                load=lambda: load(request_id),
                actor=actor,
                centre=lambda request: MINISTRY if request is None else request.centre,
                needs=needs,
            ),
            decided,
            is_bookkeeping=is_bookkeeping,
        )

    def _record_refusal(
        self,
        envelope: Envelope,
        error: RuleBrokenError,
        on: On[A],
        found: A | None,
        *,
        version: int,
    ) -> None:
        """Keep the attempt as an aggregate of its own; never hide the refusal.

        That of a message is one attempt however often the message is tried, and MUST be
        kept before the message is passed over.
        """
        if not self._keeps_refusals or envelope.principal.role in _NOT_RECORDED:
            return
        now = self.clock()
        is_message = envelope.tracking is not None
        attempt_id, command_id = new_id(now), new_id(now)
        causation_id = f"{on.thing_id}/{version}" if version else None
        if is_message:
            named_at = time_in(envelope.command_id)
            attempt_id = derived_id(f"attempt/{envelope.command_id}", named_at)
            command_id, causation_id = attempt_id, envelope.causation_id
        attempt = Attempt.refuse(
            Act(
                command_id=command_id,
                actor=on.actor(found),
                correlation_id=on.thing_id,
                effective_at=now,
                causation_id=causation_id,
            ),
            attempt_id=attempt_id,
            attempted=envelope.route.rpartition("/")[2],
            target=on.thing_id,
            target_version=version,
            centre=on.centre(found),
            code=error.code,
            reason=error.facts().get("reason"),
            holder=error.facts().get("holder"),
        )
        try:
            self.ledger.append(attempt)
        except PersistenceError as failure:
            if is_message and isinstance(failure, append.VersionConflictError):
                # It was tried before, and kept then.
                return
            if is_message:
                with translated():
                    raise
            _log.error(
                "office.attempt_not_recorded",
                code=error.code,
                target=str(on.thing_id),
                error=type(failure).__name__,
            )


def actor_on(request: ServiceRequest, principal: Principal) -> Actor:
    """The actor of an act on a request: a citizen is the party, never the subject."""
    if principal.role is not ActorKind.CITIZEN:
        return principal.actor
    mine = [str(p.id) for p in request.parties if str(p.id) in principal.parties]
    return Actor(
        kind=ActorKind.CITIZEN, id=mine[0] if mine else "citizen", place=request.centre
    )


def _must_match(envelope: Envelope, thing: OfficeAggregate | None) -> None:
    """If-Match: what people change they have seen. Messages have seen nothing.

    What does not exist yet has no version to see, so naming one is a stale page.
    """
    seen = envelope.if_version
    current = 0 if thing is None else thing.etag_version
    if seen is None:
        is_message = envelope.tracking is not None
        kind = envelope.principal.role
        if thing is None or is_message or kind in {ActorKind.SYSTEM, ActorKind.IMPORT}:
            return
        raise PreconditionRequiredError
    if seen != current:
        raise StaleVersionError(current=current)


@contextmanager
def translated() -> Iterator[None]:
    """The store's troubles as the office's errors; conflicts pass as they are."""
    try:
        yield
    except append.ClockSkewError as error:
        raise ClockSkewError from error
    except CorrectionReusedError as error:
        raise CommandReusedError from error
    except append.LedgerBusyError as error:
        raise LedgerBusyError from error
    except append.LedgerSuspendedError as error:
        raise LedgerReturnedError from error
    except append.OutcomeUnknownError as error:
        raise OutcomeUnknownError from error
    except (OperationalError, InterfaceError) as error:
        raise LedgerUnavailableError from error
