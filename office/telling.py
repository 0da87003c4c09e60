"""Telling: whoever asked for something hears of it, by an act of the system.

Two steps. *Following* the ledger puts each event that has something to tell into the
outbox, under the id of the command that will record it. *Sending* takes what is due
there: it counts the attempt, hands the letter to a courier, notes that it has gone and
records ``informed`` at the time of the cause. Decision 0016 says what that promises.

Nothing is told twice because something is read twice: an id that the ledger knows as a
command, or the outbox as told, is not sent again. What was recorded before telling
began, or too long ago, is passed over; imported history is never told.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from uuid import UUID

import structlog
from eventsourcing.persistence import Tracking

from domain.access import Principal
from domain.acts import ActorKind
from domain.errors import InvalidValueError, NotFoundError, RuleBrokenError, SijilError
from domain.ids import derived_id
from domain.persons import PersonDetails
from domain.requests import Means, PartyRole, ServiceRequest
from ledger.book import Ledger
from ledger.entries import Entry
from ledger.outbox import Outbox, OutboxItem, OutboxState
from ledger.persistence.append import TrackingConflictError
from ledger.sealing import VaultError
from ledger.vault import Vault
from office.acts import Clock, Envelope, translated
from office.commands import InformCitizen, Message
from office.couriers import Courier, CourierError, Letter
from office.errors import CommandReusedError, ConcurrencyError
from office.messages import (
    CAUSES,
    MESSAGE_OF,
    is_overtaken,
    message_by_standing,
    written,
)
from office.requests import Requests
from projections.facts import Fact, fact_of

NAME = "telling"
"""Its name in the ledger's tracking: durable."""
ROUTE = "system/telling"
OLDEST_TOLD = timedelta(hours=24)
"""What was recorded earlier is no news: whoever asked has come to look, or called."""
PAUSES = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 2, 4, 8, 16, 32, 64, 128, 240, 240, 240)
)
"""Between attempts. After the last one, some sixteen hours, it is given up."""
_DOWN_PAUSE = timedelta(seconds=30)
"""For the letters of a courier that is down; it costs them no attempt."""
KEPT = timedelta(days=30)
"""How long the outbox remembers what ended: far longer than OLDEST_TOLD, so that a
ledger that came back from a backup makes nobody be told twice."""
_NOT_RECORDED_PAUSE = timedelta(hours=1)
"""Until what went out but may not be recorded is tried again; others go first."""
_BATCH = 200
_FOLLOWED = 1_000
"""Events looked at before the mark moves: an old history goes by in few steps."""
_RETRY_S = 0.5
_TIDY_EVERY_S = 3600.0
"""How often outbox and spool are swept."""
_PASS_EVERY_S = 60.0
"""How often an office that tells nobody notes how far it has passed over."""
_MOBILE = "+9639"
_NATIONAL = "+963"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """By whom and where somebody can be reached."""

    courier: Courier
    means: Means
    address: str = field(repr=False)


class Telling:
    """The process manager. Give the turn back with ``close``."""

    def __init__(
        self,
        ledger: Ledger,
        requests: Requests,
        *,
        vault: Vault,
        outbox: Outbox,
        couriers: Sequence[Courier],
        clock: Clock,
        per_minute: int,
        pauses: Sequence[timedelta] = PAUSES,
    ) -> None:
        self._ledger = ledger
        self._requests = requests
        self._vault = vault
        self._outbox = outbox
        self._couriers = tuple(couriers)
        self._clock = clock
        self._between_s = 60 / per_minute
        self._pauses = pauses
        self._turn = outbox.turn()
        self._was_ours = False
        self._tidied_at = -_TIDY_EVERY_S
        self._passed_at = -_PASS_EVERY_S

    def run(self, stop: Event) -> None:
        """Follow the ledger and send what is due, until ``stop`` is set."""
        try:
            for _ in self._ledger.reader.pulses(stop=stop):
                try:
                    self.catch_up(stop)
                except SijilError as error:
                    _log.warning("telling.waits", error=error.code)
                    stop.wait(_RETRY_S)
        finally:
            self.close()

    def close(self) -> None:
        """Let another process have the turn."""
        self._turn.close()
        self._was_ours = False

    def catch_up(self, stop: Event) -> None:
        """Take in what happened since the last time, and send what is due."""
        try:
            self._catch_up(stop)
        except Exception:
            # We may have stopped between an attempt and what came of it.
            self._was_ours = False
            raise

    def _catch_up(self, stop: Event) -> None:
        with translated():
            if self._ledger.reader.head().is_suspended:
                # An earlier ledger came back: what it does not know was told, perhaps.
                return
            if not self._turn.take():
                self._was_ours = False
                return
            if not self._was_ours:
                self._recover()
        if not self._couriers:
            self._pass_everything_over()
            return
        self._follow(stop)
        self._send(stop)
        self._tidy()

    def _recover(self) -> None:
        """Nobody else sends now, so what is under way has lost its process."""
        interrupted = self._outbox.recover(most_attempts=len(self._pauses) + 1)
        if interrupted:
            _log.warning("telling.interrupted", messages=interrupted)
        self._was_ours = True

    # Following ------------------------------------------------------------------

    def _follow(self, stop: Event) -> None:
        with translated():
            position = self._ledger.process_recorder.max_tracking_id(NAME)
            if position is None:
                # Telling begins here: what is older was told otherwise, or not at all.
                position = self._ledger.reader.head().position
                self._mark(position)
                _log.info("telling.begins", position=position)
            while not stop.is_set():
                batch = self._ledger.reader.entries(
                    after=position, limit=_FOLLOWED, topics=CAUSES
                )
                if not batch:
                    return
                self._take_in(batch)
                position = batch[-1].position
                self._mark(position)

    def _take_in(self, batch: Sequence[Entry]) -> None:
        oldest = self._clock() - OLDEST_TOLD
        news, passed_over = [], 0
        for entry in batch:
            fact = fact_of(entry)
            if fact is None or fact.body["actor"]["kind"] == ActorKind.IMPORT:
                continue
            if entry.recorded_at < oldest:
                passed_over += 1
                continue
            message = self._message_of(fact)
            if message is not None:
                news.append(_item(fact, message))
        self._outbox.add(news)
        if passed_over:
            _log.warning("telling.passed_over", events=passed_over)

    def _message_of(self, fact: Fact) -> Message | None:
        message = MESSAGE_OF.get(fact.topic)
        if message is not None:
            return message
        entry = fact.entry
        request: ServiceRequest = self._ledger.repository.get(
            entry.aggregate_id, version=entry.version
        )
        return message_by_standing(fact.topic, fact.data, request.standing)

    def _pass_everything_over(self) -> None:
        if time.monotonic() - self._passed_at >= _PASS_EVERY_S:
            with translated():
                self._mark(self._ledger.reader.head().position)
            self._passed_at = time.monotonic()

    def _mark(self, position: int) -> None:
        try:
            self._ledger.process_recorder.insert_tracking(Tracking(NAME, position))
        except TrackingConflictError:
            # Nothing new, or another process of ours was here first.
            _log.debug("telling.marked_already", position=position)

    # Sending --------------------------------------------------------------------

    def _send(self, stop: Event) -> None:
        down: set[str] = set()
        while not stop.is_set():
            with translated():
                batch = self._outbox.due(limit=_BATCH)
            for item in batch:
                if stop.is_set() or not self._turn.is_ours():
                    return
                with translated():
                    self._carry(item, down, stop)
            if len(batch) < _BATCH:
                return

    def _carry(self, item: OutboxItem, down: set[str], stop: Event) -> None:
        """Bring one message one step on, or to its end."""
        if item.state is OutboxState.SENT:
            self._record(item)
            return
        try:
            prepared = self._prepared(item)
        except (VaultError, InvalidValueError, ValueError, LookupError) as error:
            # A seal that does not open, a message of a later release: no time mends
            # it, and nobody else's letter has to wait for it.
            self._give_up(item, f"unforeseen-{type(error).__name__.lower()}")
            return
        if prepared is None:
            return
        way, letter = prepared
        if way.courier.name in down:
            self._outbox.later(item.id, pause=_DOWN_PAUSE)
            return
        if not self._outbox.start(item):
            return
        failure = _handed_over(way.courier, letter)
        if failure is None:
            self._outbox.sent(item.id, means=way.means)
            self._record(item, way.means)
        else:
            self._failed(item, failure)
            if failure.is_down:
                down.add(way.courier.name)
        stop.wait(self._between_s)

    def _prepared(self, item: OutboxItem) -> tuple[Way, Letter] | None:
        """The letter and its way; None when the message came to its end here."""
        request = self._still_to_tell(item)
        way = None if request is None else self._way_to(item, request)
        if request is None or way is None:
            return None
        return way, self._letter(item, request, way)

    def _still_to_tell(self, item: OutboxItem) -> ServiceRequest | None:
        """The request, unless it was told already or the message is untrue by now."""
        if self._ledger.process_recorder.find_command(item.id) is not None:
            self._outbox.end(item.id, OutboxState.TOLD)
            return None
        request = self._ledger.find(ServiceRequest, item.request_id)
        if request is None or is_overtaken(Message(item.message), request.stage):
            self._outbox.end(item.id, OutboxState.OVERTAKEN)
            return None
        return request

    def _way_to(self, item: OutboxItem, request: ServiceRequest) -> Way | None:
        """The first courier that can reach the applicant, and how."""
        party = next(
            (p.id for p in request.parties if p.role is PartyRole.APPLICANT), None
        )
        told = None if party is None else self._known_of(party, request)
        if told is not None:
            for courier in self._couriers:
                for means in courier.carries:
                    address = _address(told, means)
                    if address is not None:
                        return Way(courier=courier, means=means, address=address)
        self._outbox.end(item.id, OutboxState.UNREACHABLE)
        _log.warning("telling.unreachable", id=str(item.id), message=item.message)
        return None

    def _known_of(self, party: UUID, request: ServiceRequest) -> PersonDetails | None:
        """What was told for a party, with what was corrected since."""
        corrected = [each.command_id for each in request.corrections]
        return self._vault.details_of([party], corrections=corrected).get(party)

    def _letter(self, item: OutboxItem, request: ServiceRequest, way: Way) -> Letter:
        message = Message(item.message)
        words = written(
            message, number=request.tracking_number, item=self._postal_item(item)
        )
        return Letter(
            id=item.id,
            message=item.message,
            means=way.means,
            to=way.address,
            subject=words.subject,
            text=words.sms if way.means is Means.SMS else words.text,
            caused_at=item.cause_at,
        )

    def _postal_item(self, item: OutboxItem) -> str | None:
        """The item number that this very mailing had; a later one has another."""
        if item.message != Message.MAILED:
            return None
        cause = self._ledger.reader.entry(item.cause_position)
        fact = None if cause is None or cause.key != item.cause else fact_of(cause)
        return None if fact is None else str(fact.data["item"])

    def _failed(self, item: OutboxItem, error: CourierError) -> None:
        attempts = item.attempts + 1
        if error.is_final or attempts > len(self._pauses):
            self._give_up(item, error.code)
            return
        self._outbox.later(
            item.id, pause=self._pauses[attempts - 1], failure=error.code
        )
        _log.warning(
            "telling.failed", id=str(item.id), attempts=attempts, failure=error.code
        )

    def _give_up(self, item: OutboxItem, failure: str) -> None:
        self._outbox.end(item.id, OutboxState.GIVEN_UP, failure=failure)
        _log.error(
            "telling.given_up",
            id=str(item.id),
            request=str(item.request_id),
            message=item.message,
            failure=failure,
        )

    def _record(self, item: OutboxItem, means: Means | None = None) -> None:
        try:
            self._requests.inform(
                InformCitizen(
                    request_id=item.request_id,
                    message=Message(item.message),
                    means=means or Means(str(item.means)),
                ),
                Envelope(
                    principal=Principal(role=ActorKind.SYSTEM, id=NAME),
                    command_id=item.id,
                    route=ROUTE,
                    # The cause's time, so that nobody's backdated work is barred.
                    effective_at=item.cause_at,
                    causation_id=item.cause,
                ),
                # The means are our choice, and may have been another one before.
                asked={"trigger": item.cause, "message": item.message},
            )
        except ConcurrencyError:
            # It has gone and stays so; it is recorded at the next look.
            self._outbox.later(item.id, pause=timedelta(seconds=_RETRY_S))
            return
        except RuleBrokenError as error:
            # It has gone; a rule that will not have it recorded is a fault of ours.
            self._outbox.later(item.id, pause=_NOT_RECORDED_PAUSE, failure=error.code)
            _log.error("telling.not_recorded", id=str(item.id), error=error.code)
            return
        except CommandReusedError:
            # Recorded under a command key that has been changed since.
            _log.debug("telling.recorded_before", id=str(item.id))
        except NotFoundError:
            # The ledger is an earlier one and does not know the request yet.
            self._outbox.end(item.id, OutboxState.OVERTAKEN)
            return
        self._outbox.end(item.id, OutboxState.TOLD)

    def _tidy(self) -> None:
        if time.monotonic() - self._tidied_at < _TIDY_EVERY_S:
            return
        with translated():
            forgotten = self._outbox.sweep(older_than=KEPT)
        removed = sum(courier.sweep() for courier in self._couriers)
        if forgotten or removed:
            _log.info("telling.swept", outbox=forgotten, kept_by_couriers=removed)
        self._tidied_at = time.monotonic()


def command_id_of(
    request_id: UUID, version: int, message: Message, at: datetime
) -> UUID:
    """The id of the command that records a message: its cause repeats it."""
    return derived_id(f"inform/{request_id}/{version}/{message}", at)


def _item(fact: Fact, message: Message) -> OutboxItem:
    entry = fact.entry
    return OutboxItem(
        id=command_id_of(entry.aggregate_id, entry.version, message, fact.effective_at),
        request_id=entry.aggregate_id,
        cause_version=entry.version,
        cause_position=entry.position,
        cause_at=fact.effective_at,
        message=message,
    )


def _handed_over(courier: Courier, letter: Letter) -> CourierError | None:
    """What went wrong, or None. A letter that breaks its courier stops no other."""
    try:
        courier.send(letter)
    except CourierError as error:
        return error
    except Exception as error:  # noqa: BLE001 -- the top of one letter's way
        return CourierError(f"unforeseen-{type(error).__name__.lower()}")
    return None


def _address(told: PersonDetails, means: Means) -> str | None:
    """Where a person can be reached by some means, or None."""
    match means:
        case Means.SMS:
            phone = told.phone
            if phone is not None and phone.startswith(_NATIONAL):
                # A Syrian number that is no mobile's takes no SMS.
                return phone if phone.startswith(_MOBILE) else None
            return phone
        case Means.EMAIL:
            return told.email
        case Means.POST:
            address = told.address
            return None if address is None else f"{told.full_name}\n{address}"
        case _:
            return None
