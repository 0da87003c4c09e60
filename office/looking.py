"""Looks recorded: whoever sees a person's values is written down before they do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from domain.access import Principal
from domain.acts import Act
from domain.ids import derived_id
from domain.reads import Look, Purpose
from domain.requests import Party, ServiceRequest
from office.acts import Acts, Envelope, translated


class Looking:
    """Writes looks. What could not be written down MUST NOT be shown."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts

    def record(
        self,
        request: ServiceRequest,
        parties: Iterable[Party],
        *,
        principal: Principal,
        purpose: Purpose,
    ) -> list[UUID]:
        """Record that the actor sees these parties of one request; the looks' ids.

        Once an hour for one actor, party and purpose: a page that is loaded again
        writes nothing. Raises the errors of the store, and then nothing is shown.
        """
        return [
            self._look(request, party, principal=principal, purpose=purpose)
            for party in parties
        ]

    def _look(
        self,
        request: ServiceRequest,
        party: Party,
        *,
        principal: Principal,
        purpose: Purpose,
    ) -> UUID:
        now = self._acts.clock()
        hour = now.replace(minute=0, second=0, microsecond=0)
        named = Envelope(principal=principal, command_id=party.id, route="look")
        command = self._acts.command(
            named, {"party": party.id, "purpose": purpose, "hour": hour}
        )
        # The keyed digest stands for actor, party, purpose and hour. A name that can
        # be guessed could be used up beforehand, as another act's Idempotency-Key.
        look_id = derived_id(f"looked/{command.digest.hex()}", hour)
        with translated():
            known = self._acts.ledger.find_command(look_id)
        if known is None:
            act = Act(
                command_id=look_id,
                actor=principal.actor,
                correlation_id=request.id,
                effective_at=now,
            )
            look = Look.look(
                act,
                look_id=look_id,
                party=party.id,
                request=request.id,
                purpose=purpose,
            )
            self._acts.store(replace(command, id=look_id), look, named)
        return look_id
