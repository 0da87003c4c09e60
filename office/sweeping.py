"""Sweeping: parties that the vault opened and no event came to name."""

from __future__ import annotations

from datetime import timedelta

from domain.requests import ServiceRequest
from ledger.book import Ledger
from ledger.vault import Vault


def sweep_parties(ledger: Ledger, vault: Vault, *, older_than: timedelta) -> int:
    """Remove old parties of requests that were never submitted; how many.

    A party is swept only when its request is not in the ledger, or does not name it.
    """
    unnamed = []
    for party, request_id in vault.unnamed(older_than=older_than).items():
        request = ledger.find(ServiceRequest, request_id)
        if request is None or party not in {named.id for named in request.parties}:
            unnamed.append(party)
    return vault.sweep(unnamed) if unnamed else 0
