"""One partition's messages, one after the other.

A tracked offset can never be filled in below, so nothing is passed by: a message is
used, or is set aside, and the next one waits until then. What is nobody's fault but
the weather's (the database away, a view behind) is tried again for as long as it
lasts; what should not have happened a few times; what can never be used not once more.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from threading import Condition, Event, Thread
from typing import Protocol
from uuid import UUID

import structlog
from eventsourcing.persistence import Tracking

from consumers.inward.desk import InwardDesk, TooEarlyError
from consumers.inward.records import (
    InwardMessage,
    Unusable,
    UnusableError,
    tracking_name,
)
from domain.errors import SijilError
from ledger.book import Ledger
from ledger.persistence.append import TrackingConflictError
from office.acts import translated
from office.errors import (
    ClockSkewError,
    ConcurrencyError,
    LedgerReturnedError,
    LedgerUnavailableError,
    NotFreshEnoughError,
)

MOST_TRIES = 8
"""Of a message that fails for no reason that it gives: some six seconds in all."""
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0
"""How late it may be noticed that the database is back."""
SAY_EVERY_S = 60.0
"""How often whoever waits says so."""
_WEATHER = (LedgerUnavailableError, ClockSkewError, NotFreshEnoughError)
_PASSED = "tracking-conflict"

_log = structlog.get_logger()


class LedgerResumedError(RuntimeError):
    """The ledger came back from a backup; a new start asks where its marks stand.

    What it has lost has to be used again, and is below where we are.
    """


class SetsAside(Protocol):
    """Where messages go that cannot be used: consumers.dead_letters."""

    def set_aside(
        self,
        message: InwardMessage,
        *,
        cause: str,
        attempts: int,
        detail: str | None = None,
        tracking: Tracking,
    ) -> None:
        """Keep a message for people to look at, and pass its offset with that.

        ``cause`` is a code, ``detail`` has no value of the message. Raises
        TrackingConflictError where the offset was passed already.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A partition of one topic that there was under one id."""

    topic: str
    topic_id: UUID
    partition: int

    @property
    def tracking_name(self) -> str:
        """What its offsets are tracked under."""
        return tracking_name(self.topic, self.topic_id, self.partition)


class Lane:
    """One partition's messages, each used or set aside before the next.

    Its own thread does that, one message after the other. Where the lane is
    ``is_lending``, messages are lent in their order to whoever uses many at once
    (consumers.inward.rounds), and its thread has only what that gave back to be used
    alone. It begins when it is made; ``stop`` it once. ``passed`` is the highest offset
    that the ledger has passed, None for none. ``wake`` hears that there is something to
    lend.
    """

    def __init__(
        self,
        place: Place,
        *,
        passed: int | None,
        desk: InwardDesk,
        ledger: Ledger,
        aside: SetsAside,
        done: Callable[[InwardMessage], None] = lambda _: None,
        is_lending: bool = False,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.place = place
        self.passed = -1 if passed is None else passed
        self.error: BaseException | None = None
        self._desk = desk
        self._ledger = ledger
        self._aside = aside
        self._done = done
        self._is_lending = is_lending
        self._has_returned = False
        self._wake = wake
        self._stop = Event()
        self._changed = Condition()
        self._messages: deque[InwardMessage] = deque()
        # Somebody uses what is first in it: our thread, or who was lent some.
        self._is_in_hand = False
        self._is_first_alone = not is_lending
        self._thread = Thread(
            target=self._run,
            name=f"inward-{place.topic}-{place.partition}",
            daemon=True,
        )
        self._thread.start()

    # From outside -----------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many messages wait in memory."""
        return len(self._messages)

    def put(self, messages: Iterable[InwardMessage]) -> None:
        """Take messages in, in the order of their offsets."""
        with self._changed:
            self._messages.extend(messages)
            self._changed.notify_all()
        self._wake()

    def stop(self) -> None:
        """Begin nothing more; what is in hand is finished."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Whether the thread has ended, and what was lent has come back, in time."""
        until = time.monotonic() + max(0.0, timeout_s)
        self._thread.join(max(0.0, timeout_s))
        with self._changed:
            is_free = self._changed.wait_for(
                lambda: not self._is_in_hand, max(0.0, until - time.monotonic())
            )
        return is_free and not self._thread.is_alive()

    # Lent -------------------------------------------------------------------------

    @property
    def mark(self) -> int | None:
        """Where the ledger's mark stands, if nobody else was here."""
        return None if self.passed < 0 else self.passed

    @property
    def has_to_lend(self) -> bool:
        """Whether there are messages that may be used together with others."""
        is_free = not (self._is_in_hand or self._is_first_alone or self._stop.is_set())
        return is_free and bool(self._messages)

    def lend(self, most: int) -> list[InwardMessage]:
        """The next messages, at most so many; MUST be given back, if there are any."""
        with self._changed:
            if not self.has_to_lend:
                return []
            while self._messages and self._messages[0].offset <= self.passed:
                # Another worker was there, or the client has read twice.
                self._messages.popleft()
            if not self._messages:
                return []
            self._is_in_hand = True
            return _rising(islice(self._messages, most))

    def give_back(self, used: Sequence[InwardMessage], *, is_next_alone: bool) -> None:
        """Of what was lent, these first ones are used and passed.

        ``is_next_alone`` leaves the one behind them to the lane itself.
        """
        try:
            for message in used:
                self._pass(message)
        finally:
            with self._changed:
                for _ in used:
                    self._messages.popleft()
                self._is_in_hand = False
                self._is_first_alone = is_next_alone
                self._changed.notify_all()

    # Inside -----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._has_one_alone():
                message = self._messages[0]
                if message.offset > self.passed:
                    self._take(message)
                with self._changed:
                    self._messages.popleft()
                    self._is_in_hand = False
                    self._is_first_alone = not self._is_lending
                    self._changed.notify_all()
                self._wake()
        except BaseException as error:  # noqa: BLE001 -- the worker ends with it
            self.error = error
            with self._changed:
                self._is_in_hand = False
                self._changed.notify_all()

    def _has_one_alone(self) -> bool:
        """Wait for a message of ours, and take it in hand; False once stopped."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._stop.is_set()
                    or (
                        self._is_first_alone
                        and bool(self._messages)
                        and not self._is_in_hand
                    )
                )
            )
            if self._stop.is_set():
                return False
            self._is_in_hand = True
            return True

    def _take(self, message: InwardMessage) -> None:
        """Use a message or set it aside; its offset is passed, or we were stopped."""
        tries = _Tries(self._stop, message)
        while not self._stop.is_set():
            if self._is_settled(message, tries):
                return

    def _is_settled(self, message: InwardMessage, tries: _Tries) -> bool:
        """Whether one try was the last: used, passed by another worker, set aside."""
        try:
            self._must_not_have_resumed()
            self._use(message)
        except LedgerReturnedError as error:
            self._has_returned = True
            tries.wait(error.code)
            return False
        except TooEarlyError as error:
            self._stop.wait(error.wait_s)
            return False
        except TrackingConflictError:
            return self._is_passed(message, tries)
        except _WEATHER as error:
            tries.wait(error.code)
            return False
        except LedgerResumedError:
            raise
        except Exception as error:  # noqa: BLE001 -- one message blocks nobody
            cause, detail = _cause(error)
            if _may_pass(error) and tries.again(cause):
                return False
            self._set_aside(message, cause, tries.made, detail)
        else:
            self._pass(message)
        return True

    def _must_not_have_resumed(self) -> None:
        """Raise LedgerReturnedError while a ledger that came back takes nothing.

        Raises LedgerResumedError once it does: this lane has passed what that lost.
        """
        if not self._has_returned:
            return
        with translated():
            if self._ledger.reader.head().is_suspended:
                raise LedgerReturnedError
        raise LedgerResumedError

    def _use(self, message: InwardMessage) -> None:
        tracking = message.tracking(self.place.topic_id)
        if self._desk.use(message, tracking).is_repeat:
            # Its act was stored before: with this offset, mostly, by another worker.
            with translated():
                self._ledger.append(tracking=tracking)

    def _pass(self, message: InwardMessage) -> None:
        self.passed = message.offset
        self._done(message)

    def _is_passed(self, message: InwardMessage, tries: _Tries) -> bool:
        """Whether another worker was there; where it stands is where we go on."""
        try:
            with translated():
                recorder = self._ledger.process_recorder
                passed = recorder.max_tracking_id(self.place.tracking_name)
        except SijilError as error:
            tries.wait(error.code)
            return False
        self.passed = max(self.passed, -1 if passed is None else passed)
        return message.offset <= self.passed

    def _set_aside(
        self,
        message: InwardMessage,
        cause: str,
        attempts: int,
        detail: str | None = None,
    ) -> None:
        """Set a message aside, however long that takes: nothing comes before it."""
        tries = _Tries(self._stop, message)
        tracking = message.tracking(self.place.topic_id)
        while not self._stop.is_set():
            if self._is_passed(message, tries):
                return
            try:
                self._must_not_have_resumed()
                self._aside.set_aside(
                    message,
                    cause=cause,
                    attempts=attempts,
                    detail=detail,
                    tracking=tracking,
                )
            except TrackingConflictError:
                tries.wait(_PASSED)
                continue
            except LedgerResumedError:
                raise
            except Exception as error:  # noqa: BLE001 -- neither lost nor passed by
                self._has_returned |= isinstance(error, LedgerReturnedError)
                tries.wait(type(error).__name__)
                continue
            _log.warning(
                "inward.set_aside", message=message.name, cause=cause, detail=detail
            )
            self._pass(message)
            return


def _rising(messages: Iterable[InwardMessage]) -> list[InwardMessage]:
    """Messages up to the first that does not come behind the one before it."""
    found: list[InwardMessage] = []
    for message in messages:
        if found and message.offset <= found[-1].offset:
            break
        found.append(message)
    return found


def _cause(error: Exception) -> tuple[str, str | None]:
    """The code a message is set aside under, and a detail without its values."""
    if isinstance(error, UnusableError):
        return str(error.cause), error.detail
    if isinstance(error, SijilError):
        facts = error.facts()
        return error.code, facts.get("reason") or facts.get("thing")
    return str(Unusable.FAULT), type(error).__name__


def _may_pass(error: Exception) -> bool:
    """Whether another try may help: somebody was quicker, or the fault is ours."""
    is_refused = isinstance(error, (UnusableError, SijilError))
    return isinstance(error, ConcurrencyError) or not is_refused


class _Tries:
    """How often one message was tried, and the pauses between."""

    def __init__(self, stop: Event, message: InwardMessage) -> None:
        self.made = 1
        self._stop = stop
        self._message = message
        self._pause_s = FIRST_PAUSE_S
        self._said_at: float | None = None

    def again(self, why: str) -> bool:
        """Whether it is worth another try; waits before it."""
        if self.made >= MOST_TRIES:
            return False
        self.wait(why)
        self.made += 1
        return True

    def wait(self, why: str) -> None:
        """Wait before another try that counts for nothing."""
        now = time.monotonic()
        if self._said_at is None or now - self._said_at > SAY_EVERY_S:
            self._said_at = now
            _log.warning("inward.waits", message=self._message.name, because=why)
        self._stop.wait(self._pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
