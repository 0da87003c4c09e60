"""Withdrawal, expiry, refund and correction."""

from __future__ import annotations

from domain.access import Permission
from domain.acts import Act, ActorKind
from domain.errors import InvalidValueError, WrongStateError
from domain.persons import PersonField
from domain.requests import CorrectedField, ServiceRequest
from office.acts import Done, Envelope, translated
from office.commands import CorrectRequest, ExpireRequest, RefundFee, WithdrawRequest
from office.requests.desk import RequestsDesk


class Ending(RequestsDesk):
    """Ends without a result, and what is put right."""

    def withdraw(self, command: WithdrawRequest, envelope: Envelope) -> Done:
        """Take a request back on its citizen's word."""
        return self._on(
            command,
            envelope,
            Permission.WITHDRAW,
            lambda request, act: request.withdraw(act, reason=command.reason),
        )

    def expire(self, command: ExpireRequest, envelope: Envelope) -> Done:
        """End what nobody accepted or paid for; nothing where somebody did in time.

        An import's limit follows from the rules that were in force: what is imported
        sets no timer.
        """
        is_told = envelope.principal.role is ActorKind.IMPORT
        if is_told != (command.due_at is None):
            raise InvalidValueError(field="due_at", reason="role")

        def decide(request: ServiceRequest, act: Act) -> None:
            due_at = command.due_at or self._rules.limit_of(request)
            if due_at is None:
                raise WrongStateError(
                    act="expire", stage=request.stage, reason="nothing-due"
                )
            request.expire(act, due_at=due_at)

        return self._on(command, envelope, Permission.EXPIRE, decide)

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

        A correction is effective when it is made, an imported one when it was. What
        the rules refuse reaches the vault neither.
        """
        envelope.principal.must_be_allowed(Permission.CORRECT)
        is_told = envelope.principal.role is ActorKind.IMPORT
        if envelope.effective_at is not None and not is_told:
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
                self._vault.corrections.keep(
                    party_id=party.id,
                    field=PersonField(command.field),
                    value=command.value,
                    correction_id=act.command_id,
                )

        done = self._on(command, envelope, Permission.CORRECT, decide)
        if is_personal:
            with translated():
                self._vault.corrections.let_count([envelope.command_id])
        return done
