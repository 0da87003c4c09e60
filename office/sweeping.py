"""Sweeping: what the vault keeps and no event came to name."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from domain.records import PersonRecord
from domain.requests import ServiceRequest
from ledger.book import Ledger
from ledger.records import PersonRecords
from ledger.vault import Vault

CORRECTED = "sijil.request.corrected."


def sweep_parties(ledger: Ledger, vault: Vault, *, older_than: timedelta) -> int:
    """Remove old parties of requests that were never submitted; how many.

    A party is swept only when its request is not in the ledger, or does not name it.
    What an event names is marked, so that nobody looks at it again. A ledger that came
    back from a backup is an earlier one: until it is resumed nothing is swept, because
    the events that name a party may be among the lost ones.
    """
    swept = 0
    while not ledger.reader.head().is_suspended:
        parties = vault.unnamed(older_than=older_than)
        if not parties:
            break
        unnamed: list[UUID] = []
        for party, request_id in parties.items():
            request = ledger.find(ServiceRequest, request_id)
            if request is None or party not in {p.id for p in request.parties}:
                unnamed.append(party)
        vault.mark_named(parties.keys() - set(unnamed))
        swept += vault.sweep(unnamed) if unnamed else 0
    return swept


def sweep_corrections(ledger: Ledger, vault: Vault, *, older_than: timedelta) -> int:
    """Remove old corrections that no event names, let the others count; how many.

    A correction's id is its command's, so the ledger knows whether it happened. As
    with parties, nothing is swept under a ledger that came back from a backup.
    """
    swept = 0
    while not ledger.reader.head().is_suspended:
        corrections = vault.corrections.unnamed(older_than=older_than)
        if not corrections:
            break
        named = {each for each in corrections if _happened(ledger, each)}
        vault.corrections.let_count(named)
        unnamed = corrections.keys() - named
        swept += vault.corrections.sweep(unnamed) if unnamed else 0
    return swept


def sweep_merges(
    ledger: Ledger, records: PersonRecords, *, older_than: timedelta
) -> int:
    """Complete merges whose event is in the ledger, drop old ones without; how many.

    A process that died between the event and its effect is made good here. Those
    dropped are counted, not those completed.
    """
    if ledger.reader.head().is_suspended:
        return 0
    waiting = records.waiting_merges(older_than=older_than)
    unnamed = []
    for merge_id, is_old in waiting.items():
        if ledger.find(PersonRecord, merge_id) is not None:
            records.put_in_effect(merge_id)
        elif is_old:
            unnamed.append(merge_id)
    return records.drop_merges(unnamed) if unnamed else 0


def _happened(ledger: Ledger, command_id: UUID) -> bool:
    known = ledger.process_recorder.find_command(command_id)
    if known is None or known.first_position is None:
        return False
    entry = ledger.reader.entry(known.first_position)
    return entry is not None and entry.topic.startswith(CORRECTED)
