"""Who has a request: assignment, claims, and warnings of its limits."""

from __future__ import annotations

from domain.access import Permission
from domain.acts import Act, ActorKind
from domain.clerks import Clerk
from domain.errors import InvalidValueError, ServiceNotOfferedError
from domain.requests import AssignedBecause, ReleasedBecause, ServiceRequest
from office.acts import Done, Envelope
from office.commands import AssignRequest, ClaimRequest, ReleaseRequest, WarnOfLimit
from office.requests.desk import RequestsDesk


class Holding(RequestsDesk):
    """Assigning, claiming, releasing, warning: all of it bookkeeping."""

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
            self._must_be_there(command.clerk, request, act)
            request.assign(act, clerk=command.clerk, reason=because)

        return self._on(
            command,
            envelope,
            Permission.ASSIGN,
            decide,
            asked=asked,
            needs=(Clerk.id_of(command.clerk),),
            is_bookkeeping=True,
        )

    def claim(self, command: ClaimRequest, envelope: Envelope) -> Done:
        """Take a request in hand until the lease ends; acts then carry its token."""
        is_told = envelope.principal.role is ActorKind.IMPORT
        if is_told != (command.clerk is not None):
            raise InvalidValueError(field="clerk", reason="role")

        def decide(request: ServiceRequest, act: Act) -> None:
            # A lease is real time; one of long ago was over long ago.
            told_at = max(act.effective_at, request.modified_on)
            now = told_at if is_told else self._acts.clock()
            clerk = command.clerk or act.actor.id
            request.claim(
                act, now=now, lease_until=now + self._lease, clerk=command.clerk
            )
            self._must_be_there(clerk, request, act)

        return self._on(
            command,
            envelope,
            Permission.CLAIM,
            decide,
            needs=(Clerk.id_of(command.clerk or envelope.principal.id),),
            is_bookkeeping=True,
        )

    def _must_be_there(self, code: str, request: ServiceRequest, act: Act) -> None:
        """The clerk works at the request's centre, and today: a login says neither.

        An imported history says itself who was there, and where on that day.
        """
        is_import = act.actor.kind is ActorKind.IMPORT
        clerk_id = Clerk.id_of(code)
        clerk = self._ledger.find(Clerk, clerk_id)
        if is_import and clerk is not None and clerk.centre != request.centre:
            clerk = self._ledger.find(Clerk, clerk_id, effective_at=act.effective_at)
        if clerk is None or clerk.centre != request.centre:
            raise ServiceNotOfferedError(what="clerk")
        if not is_import and not clerk.is_available_at(self._acts.clock()):
            raise ServiceNotOfferedError(what="clerk")

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
