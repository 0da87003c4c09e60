"""The messages of many partitions used together: decided in one thread, stored at once.

A round takes what waits in each lane, in its order. All that is plain (nothing refuses
it, nobody has to be waited for) is stored in one transaction, with the place that each
partition has reached, or none of it is: then, and from the first message of a lane that
is not plain, its lane goes on by itself, one message alone, and what comes behind that
is for later rounds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Event, Thread

import structlog

from consumers.inward.desk import InwardDesk, OpenedMessage, TooEarlyError
from consumers.inward.lane import SAY_EVERY_S, Lane
from consumers.inward.records import InwardMessage, UnusableError
from domain.errors import SijilError
from ledger.persistence.append import NotWholeError
from office.errors import ClockSkewError, LedgerUnavailableError
from office.mailbag import MailbagDesk

MOST_TOGETHER = 200
"""Messages of one round, shared evenly by the lanes that have any. The first of them
waits as long as all take, and others as long as storing all keeps the ledger's head."""

_THE_STORES = (LedgerUnavailableError, ClockSkewError)
"""Trouble of the store's, which is every lane's: asked once a round is enough."""

_log = structlog.get_logger()


@dataclass(slots=True)
class _Lent:
    """What one lane gave for a round, and how many of the first are stored."""

    lane: Lane
    messages: list[InwardMessage]
    used: int = 0

    def give_back(self) -> None:
        """Give it back to its lane; what is not stored it uses alone, one message."""
        self.lane.give_back(
            self.messages[: self.used], is_next_alone=self.used < len(self.messages)
        )


class Rounds:
    """The thread of the rounds. ``begin`` and ``stop`` it once.

    ``mailbag`` makes the desk that stores them, ``lanes`` gives those there are now.
    What is under way when it is stopped is finished, and its lanes wait for that.
    """

    def __init__(
        self,
        desk: InwardDesk,
        mailbag: Callable[[], MailbagDesk],
        lanes: Callable[[], list[Lane]],
    ) -> None:
        self.error: BaseException | None = None
        self._desk = desk
        self._make_mailbag = mailbag
        self._mailbag: MailbagDesk | None = None
        self._lanes = lanes
        self._said_at = -math.inf
        self._stop = Event()
        self._woken = Event()
        self._thread = Thread(target=self._run, name="inward-rounds", daemon=True)

    def begin(self) -> None:
        """Do rounds from now on."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def stop(self) -> None:
        """Begin no more rounds."""
        self._stop.set()
        self._woken.set()

    # Inside -----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._woken.wait()
                self._woken.clear()
                while self._round() and not self._stop.is_set():
                    pass
        except BaseException as error:  # noqa: BLE001 -- the worker ends with it
            self.error = error

    def _round(self) -> bool:
        """Use what waits in the lanes; whether there was anything."""
        ready = [lane for lane in self._lanes() if lane.has_to_lend]
        del ready[MOST_TOGETHER:]
        share = MOST_TOGETHER // max(1, len(ready))
        lent: list[_Lent] = []
        try:
            # What was lent before one fails stands in the list, and is given back.
            lent.extend(
                _Lent(lane, messages)
                for lane in ready
                if (messages := lane.lend(share))
            )
            self._use(lent)
        except Exception as error:  # noqa: BLE001 -- each lane tries for itself
            self._say(error)
        finally:
            with ExitStack() as back:
                # One that fails keeps no other from coming back.
                for each in lent:
                    back.callback(each.give_back)
        return bool(lent)

    def _use(self, lent: Sequence[_Lent]) -> None:
        """Store what is plain of all that was lent, or raise, and nothing is stored."""
        opened = [self._opened(each) for each in lent]
        if not any(opened):
            return
        if self._mailbag is None:
            self._mailbag = self._make_mailbag()
        self._mailbag.begin(
            [
                (message.envelope.command_id, message.request_id)
                for messages in opened
                for message in messages
            ]
        )
        done = [self._done(self._mailbag, messages) for messages in opened]
        self._mailbag.store(
            {
                each.lane.place.tracking_name: each.lane.mark
                for each, number in zip(lent, done, strict=True)
                if number
            }
        )
        for each, number in zip(lent, done, strict=True):
            each.used = number

    def _opened(self, lent: _Lent) -> list[OpenedMessage]:
        """What the first messages say, up to one that cannot be used, or not yet."""
        opened = []
        for message in lent.messages:
            tracking = message.tracking(lent.lane.place.topic_id)
            try:
                opened.append(self._desk.opened(message, tracking))
            except Exception as error:  # noqa: BLE001 -- its lane finds it again
                self._not_plain(error)
                break
        return opened

    def _done(self, mailbag: MailbagDesk, opened: list[OpenedMessage]) -> int:
        """How many of these are done in the mailbag; the one behind is not plain."""
        for number, message in enumerate(opened):
            try:
                with mailbag.trying():
                    done = self._desk.do(message, mailbag.reports)
            except Exception as error:  # noqa: BLE001 -- its lane finds it again
                self._not_plain(error)
                return number
            if done.is_repeat:
                return number
        return len(opened)

    def _not_plain(self, error: Exception) -> None:
        """Leave a message to its lane, which says why; raise what is no message's."""
        if isinstance(error, _THE_STORES):
            raise error
        if not isinstance(error, (SijilError, UnusableError, TooEarlyError)):
            # A fault of ours, that the ordinary way may not have.
            self._say(error)

    def _say(self, error: Exception) -> None:
        """Say now and then why a round was not stored."""
        now = time.monotonic()
        if now - self._said_at > SAY_EVERY_S:
            self._said_at = now
            _log.warning("inward.one_by_one", because=_because(error))


def _because(error: Exception) -> str:
    """A code or the name of an error: never its text, which may hold a value."""
    if isinstance(error, NotWholeError):
        return str(error)
    return error.code if isinstance(error, SijilError) else type(error).__name__
