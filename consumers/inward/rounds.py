"""The messages of many partitions used together: decided in one thread, stored at once.

A round takes what waits in each lane, in its order. All that is plain sailing is stored
in one transaction, with the place that each partition has reached, or none of it is:
then, and from the first message of a lane that is not plain, its lane goes on by
itself, one message alone, and what comes behind that is for later rounds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Event, Thread

import structlog

from consumers.inward.desk import InwardDesk, Letter
from consumers.inward.lane import SAY_EVERY_S, Lane
from consumers.inward.records import InwardMessage
from domain.errors import SijilError
from office.mailbag import MailbagDesk

MOST_TOGETHER = 200
"""Messages of one round: a twentieth of a second, and as long at most the first of them
waits for the last, and others for the ledger's head."""

_log = structlog.get_logger()


@dataclass(slots=True)
class _Lent:
    """What one lane gave for a round, and how far that was used."""

    lane: Lane
    messages: list[InwardMessage]
    letters: list[Letter] = field(default_factory=list)
    used: int = 0


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
        share = max(1, MOST_TOGETHER // max(1, len(ready)))
        lent = [
            _Lent(lane, messages) for lane in ready if (messages := lane.lend(share))
        ]
        try:
            self._use(lent)
        except Exception as error:  # noqa: BLE001 -- each lane tries for itself
            self._say(error)
            for each in lent:
                each.used = 0
        finally:
            for each in lent:
                each.lane.give_back(
                    each.messages[: each.used],
                    is_next_alone=each.used < len(each.messages),
                )
        return bool(lent)

    def _use(self, lent: Iterable[_Lent]) -> None:
        """Store what is plain of all that was lent, or raise, and nothing is stored."""
        for each in lent:
            each.letters = self._opened(each)
        if not any(each.letters for each in lent):
            return
        if self._mailbag is None:
            self._mailbag = self._make_mailbag()
        self._mailbag.begin(
            [
                (letter.envelope.command_id, letter.request_id)
                for each in lent
                for letter in each.letters
            ]
        )
        for each in lent:
            each.used = self._done(self._mailbag, each.letters)
        self._mailbag.store()

    def _opened(self, lent: _Lent) -> list[Letter]:
        """What the first messages say, up to one that cannot be used, or not yet."""
        letters = []
        for message in lent.messages:
            tracking = message.tracking(lent.lane.place.topic_id)
            try:
                letters.append(self._desk.opened(message, tracking))
            except Exception:  # noqa: BLE001 -- its lane finds it again, and says why
                break
        return letters

    def _done(self, mailbag: MailbagDesk, letters: list[Letter]) -> int:
        """How many letters are done in the mailbag; the one behind is not plain."""
        for number, letter in enumerate(letters):
            try:
                with mailbag.trying():
                    done = self._desk.do(letter, mailbag.reports)
            except Exception:  # noqa: BLE001 -- its lane finds it again, and says why
                return number
            if done.is_repeat:
                return number
        return len(letters)

    def _say(self, error: Exception) -> None:
        """Say now and then why a round was not stored."""
        now = time.monotonic()
        if now - self._said_at > SAY_EVERY_S:
            self._said_at = now
            because = error.code if isinstance(error, SijilError) else None
            _log.warning("inward.one_by_one", because=because or type(error).__name__)
