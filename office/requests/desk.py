"""The desk of requests: how an act reaches one, and how one is read."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from uuid import UUID

from domain.access import Permission, Principal
from domain.acts import Act
from domain.errors import NotFoundError
from domain.persons import PersonDetails
from domain.reads import Purpose
from domain.requests import Party, ServiceRequest
from ledger.vault import Vault
from office.acts import Acts, Done, Envelope, translated
from office.commands import Command, SubmitRequest
from office.looking import Looking
from office.rules import Rules

CODE_DIGITS = 6
_NO_KEY = secrets.token_bytes(32)
"""Stands in for a key that is not kept any more: nobody can know what it gives."""


def secret_code(keys: Mapping[str, bytes], name: str, request_id: UUID) -> str:
    """The six digits that open a request's tracking, by the key named at submission.

    A name no key is kept under gives the code of a key that nobody has.
    """
    key = keys.get(name, _NO_KEY)
    digest = hmac.digest(key, request_id.bytes, hashlib.sha256)
    return f"{int.from_bytes(digest, 'big') % 10**CODE_DIGITS:0{CODE_DIGITS}d}"


class RequestsDesk:
    """What every act on a request needs, and reading one."""

    def __init__(
        self,
        acts: Acts,
        vault: Vault,
        *,
        code_keys: Mapping[str, bytes],
        code_key_name: str,
        lease: timedelta,
        party_key: bytes | None = None,
    ) -> None:
        """``party_key`` is for people who do not exist: theirs may be known."""
        self._acts = acts
        self._ledger = acts.ledger
        self._vault = vault
        self._rules = Rules(acts.ledger)
        self._code_keys = code_keys
        self._code_key_name = code_key_name
        self._party_key = party_key or code_keys[code_key_name]
        self._looking = Looking(acts)
        self._lease = lease

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

    def refused_before(self, request_id: UUID) -> UUID | None:
        """The refused request that this one asks again for; for staff of its centre."""
        with translated():
            return self._vault.refused_before(request_id)

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
        needs: Iterable[UUID] = (),
        is_judged: bool = False,
        is_bookkeeping: bool = False,
    ) -> Done:
        """Run one act on a request.

        ``needs`` are other things it asks for; ``is_judged``: by the rules in force.
        Both only say what to read together.
        """
        if isinstance(command, SubmitRequest):
            raise TypeError(command)
        request_id = command.request_id

        def needed() -> Iterable[UUID]:
            if not is_judged:
                return needs
            at = envelope.effective_at or self._acts.clock()
            return (*needs, *self._rules.needs_of(request_id, at))

        envelope.principal.must_be_allowed(permission)
        return self._acts.on_request(
            envelope,
            self._acts.command(envelope, command if asked is None else asked),
            request_id,
            lambda request_id: self._load(request_id, envelope.principal),
            decide,
            needs=needed,
            is_bookkeeping=is_bookkeeping,
        )
