"""Many acts in a row: decided in memory, stored in batches.

For an import or a simulation. The same use cases and rules as one by one; only the
ledger beneath them is a window that remembers what it has read and takes in what is
decided. While one batch is being appended the next is decided. Each act is still
stored whole or not at all, under its own command: an act that lost to somebody else is
decided again, and so is what was decided after it. Measured: benchmarks/bulk.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from domain.errors import SijilError
from domain.requests import AssignedBecause
from ledger.persistence import append
from ledger.vault_batch import VaultBatch
from ledger.window import LedgerWindow
from office import commands
from office.acts import Done, Envelope, translated
from office.commands import Command
from office.errors import (
    ClockSkewError,
    CommandReusedError,
    ConcurrencyError,
    LedgerUnavailableError,
)
from office.house import House
from office.requests import Requests

BATCH = 1_000
"""Acts decided and appended together: some 100 ms, 1 MB, and one lock of the head."""
TRIES = 5
"""How often an act may lose its version to others before the whole run gives up."""

METHODS: dict[type[Any], Callable[..., Done]] = {
    commands.SubmitRequest: Requests.submit,
    commands.AcceptRequest: Requests.accept,
    commands.DeclineRequest: Requests.decline,
    commands.AssignRequest: Requests.assign,
    commands.ClaimRequest: Requests.claim,
    commands.ReleaseRequest: Requests.release,
    commands.PayFee: Requests.pay,
    commands.ForwardRequest: Requests.forward,
    commands.RecordResponse: Requests.respond,
    commands.RequestInformation: Requests.request_information,
    commands.SupplyInformation: Requests.supply_information,
    commands.StampDocument: Requests.stamp,
    commands.MailDocument: Requests.mail,
    commands.ConfirmDelivery: Requests.deliver,
    commands.ConfirmCollection: Requests.collect,
    commands.BringBack: Requests.bring_back,
    commands.HandOver: Requests.hand_over,
    commands.TellResult: Requests.tell_result,
    commands.InformCitizen: Requests.inform,
    commands.WithdrawRequest: Requests.withdraw,
    commands.RefundFee: Requests.refund,
    commands.CorrectRequest: Requests.correct,
    commands.ExpireRequest: Requests.expire,
    commands.WarnOfLimit: Requests.warn,
}
"""Which use case a command is for."""
_STORES_TROUBLE = (LedgerUnavailableError, ClockSkewError, ConcurrencyError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One act to do. ``because`` is for an assignment.

    ``also`` are commands without events, remembered in the same transaction.
    """

    command: Command
    envelope: Envelope
    because: AssignedBecause | None = None
    also: tuple[append.Command, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of an item: done (now or before), or the error that refused it."""

    item: Item
    done: Done | None
    error: SijilError | None


@dataclass(slots=True, kw_only=True)
class _Batch:
    """A chunk of items that is decided, and the acts that it appends.

    ``owners`` has an act's item by number, None for what is only remembered; ``send``
    appends the acts.
    """

    items: Sequence[Item]
    settled: list[Settled]
    acts: list[append.ActToAppend]
    owners: list[int | None]
    send: Callable[[], list[append.Appended]] = list
    appending: Future[list[append.Appended]] | None = None


class BulkDesk:
    """Does items in their order. One thread's own; others may write meanwhile.

    While one batch is appended the next is decided: ``run`` for a stream of items, or
    ``push`` for one batch after the other, ``finish`` and ``close``.
    """

    def __init__(
        self, house: House, *, batch: int = BATCH, party_key: bytes | None = None
    ) -> None:
        self._batch = batch
        self._worker: ThreadPoolExecutor | None = None
        self._flying: _Batch | None = None
        self._is_decided_in_vain = False
        self._ledger = house.ledger
        self._window = LedgerWindow(house.ledger)
        self._vault = VaultBatch(house.vault.datastore, house.vault.keys)
        self._requests = house.requests_of(
            house.acts_on(self._window), vault=self._vault, party_key=party_key
        )

    def run(self, items: Iterable[Item]) -> Iterator[Settled]:
        """What becomes of each item, in their order, once it is durable.

        Items are taken when they are needed, at most two batches ahead of what was
        given. Raises as ``push``.
        """
        source = iter(items)
        try:
            while chunk := list(islice(source, self._batch)):
                yield from self.push(chunk)
            yield from self.finish()
        finally:
            self.close()

    def push(self, items: Sequence[Item]) -> list[Settled]:
        """Do one batch; what became of the batch before, which is durable now.

        Raises the store's troubles (LedgerUnavailableError, ClockSkewError,
        ConcurrencyError); what was given before that is stored, and all items may be
        done again from the first.
        """
        decided = self._decide(items)
        landed = self.finish()
        if self._is_decided_in_vain:
            # What was decided meanwhile stood on what is not there.
            decided = self._decide(items)
        if self._worker is None:
            self._worker = ThreadPoolExecutor(max_workers=1)
        decided.appending = self._worker.submit(decided.send)
        self._flying = decided
        return landed

    def finish(self) -> list[Settled]:
        """Wait for the batch that is under way; what became of it."""
        self._is_decided_in_vain = False
        flying, self._flying = self._flying, None
        if flying is None:
            return []
        if self._land(flying):
            return flying.settled
        self._is_decided_in_vain = True
        return self._again(flying)

    def close(self) -> None:
        """End the thread that appends, once it has. The desk may be used again."""
        if self._worker is not None:
            self._worker.shutdown()
        self._worker = None
        if self._flying is not None:
            # Nobody has asked what became of it: the ledger is asked when it matters.
            self._flying = None
            self._window.forget()

    @property
    def window(self) -> LedgerWindow:
        """The ledger as this desk sees it."""
        return self._window

    @staticmethod
    def do(requests: Requests, item: Item) -> Done:
        """Do one item at a desk; which use case it is follows from its command."""
        method = METHODS[type(item.command)]
        more = {} if item.because is None else {"because": item.because}
        return method(requests, item.command, item.envelope, **more)

    # Deciding -------------------------------------------------------------------

    def _decide(self, items: Sequence[Item]) -> _Batch:
        """Decide items in memory; the parties they open are in the vault afterwards."""
        batch = _Batch(items=items, settled=[], acts=[], owners=[])
        with translated():
            self._window.look_ahead(
                [
                    each
                    for item in items
                    for each in (
                        item.envelope.command_id,
                        *(also.id for also in item.also),
                    )
                ],
                [
                    (item.envelope.command_id, thing)
                    for item in items
                    if (thing := _thing_of(item)) is not None
                ],
            )
        try:
            for number, item in enumerate(items):
                before = self._window.waiting
                batch.settled.append(self._settle(item))
                batch.owners += [number] * (self._window.waiting - before)
                if batch.settled[-1].done is not None:
                    self._remember(item)
                    batch.owners += [None] * (self._window.waiting - len(batch.owners))
            with translated():
                self._vault.commit()
                batch.acts = self._window.take()
                batch.send = self._ledger.process_recorder.prepare(batch.acts)
        except BaseException:
            self._vault.abandon()
            self._window.forget()
            raise
        return batch

    def _settle(self, item: Item) -> Settled:
        try:
            done = self.do(self._requests, item)
        except _STORES_TROUBLE:
            # The store's trouble is not the item's.
            raise
        except SijilError as error:
            self._window.drop_decided()
            return Settled(item=item, done=None, error=error)
        return Settled(item=item, done=done, error=None)

    def _remember(self, item: Item) -> None:
        for also in item.also:
            if self._window.find_command(also.id) is None:
                self._window.append(command=also)

    # Appending ------------------------------------------------------------------

    def _land(self, batch: _Batch) -> bool:
        """Wait for a batch and take in what became of it; whether nothing was lost."""
        if batch.appending is None:
            raise TypeError(batch)
        with translated():
            appended = batch.appending.result()
            self._window.settle(batch.acts, appended)
        is_whole = True
        for number, outcome in zip(batch.owners, appended, strict=True):
            if number is None:
                continue
            each = batch.settled[number]
            done = each.done
            if outcome.outcome is not append.Outcome.APPENDED:
                is_whole, done = False, None
            elif done is not None:
                done = Done(
                    aggregate_id=done.aggregate_id,
                    first_position=outcome.first_position,
                    last_position=outcome.last_position,
                    etag_version=done.etag_version,
                    is_repeat=False,
                )
            batch.settled[number] = Settled(item=each.item, done=done, error=None)
        return self._is_refused_rightly(batch) and is_whole

    def _is_refused_rightly(self, batch: _Batch) -> bool:
        """Whether nothing was refused only because another had just stored it.

        Who reads a thing after another desk has done the same act, and its command
        before, is refused what is a repeat. Such items are to be decided again.
        """
        refused = [n for n, each in enumerate(batch.settled) if each.error is not None]
        ids = [batch.items[number].envelope.command_id for number in refused]
        if not ids:
            return True
        with translated():
            stored = self._window.find_commands(ids)
        late = [n for n in refused if batch.items[n].envelope.command_id in stored]
        for number in late:
            item = batch.items[number]
            if isinstance(batch.settled[number].error, CommandReusedError):
                continue
            batch.settled[number] = Settled(item=item, done=None, error=None)
        return all(batch.settled[number].error is not None for number in late)

    def _again(self, batch: _Batch) -> list[Settled]:
        """Decide anew what lost, and what was decided after it and is not stored.

        An item that lost has neither an outcome nor an error. What was refused after
        it was refused on what is not there.
        """
        for _ in range(TRIES):
            self._window.forget()
            lost = [
                number
                for number, each in enumerate(batch.settled)
                if each.done is None and each.error is None
            ]
            if not lost:
                return batch.settled
            numbers = [
                number
                for number, each in enumerate(batch.settled)
                if each.done is None and number >= lost[0]
            ]
            again = self._decide([batch.items[number] for number in numbers])
            again.appending = Future()
            with translated():
                again.appending.set_result(again.send())
            self._land(again)
            for number, each in zip(numbers, again.settled, strict=True):
                batch.settled[number] = each
        raise ConcurrencyError


def _thing_of(item: Item) -> UUID | None:
    """The request that an item is on; None for one that makes a request."""
    command = item.command
    return None if isinstance(command, commands.SubmitRequest) else command.request_id
