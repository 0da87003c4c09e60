"""What follows the views for all streams: each change is read once a process.

One follower waits for the ledger and reads what the views have made of it into feeds,
which hold the newest changes in memory. What waits for news waits in the event loop.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from threading import Event, Thread
from typing import Any, Generic, Protocol, TypeVar

import structlog
from eventsourcing.persistence import PersistenceError

from ledger.reader import Head
from office.house import House

CHANGES_A_READ = 1_000
"""Positions that are read at once, and that one piece of a stream covers."""
CHANGES_KEPT = 10_000
"""Changes in memory: a minute at a thousand a second, some ten megabytes."""
IDLE_POLL_S = 5.0
"""How long a lost notification can delay all streams: one small query an interval."""
LOOK_EVERY_S = 0.02
"""How often the follower looks for the views, once the ledger has something new."""
GIVE_UP_S = 5.0
"""When it waits for the ledger again, where a view stands still."""
AWAY_S = 0.5
"""How soon a database that is away is asked again."""

_log = structlog.get_logger()


class Change(Protocol):
    """What a feed brings: something that one entry did."""

    @property
    def position(self) -> int:
        """The entry's position; no two changes of a feed have the same."""


C = TypeVar("C", bound=Change)


class Feed(Generic[C]):
    """The newest changes of some views, in memory, read once for all its streams.

    It is as far as the last of its views. Only the event loop changes it.
    """

    def __init__(
        self, load: Callable[[int, int], list[C]], views: Sequence[str]
    ) -> None:
        self.views = tuple(views)
        self.load = load
        self.users = 0
        self.begins = 0
        self.level = 0
        self._changes: list[C] = []

    def start(self, level: int) -> None:
        """Begin at a level, with nothing before it."""
        self.begins = self.level = level
        self._changes = []

    def add(self, after: int, changes: Sequence[C], until: int) -> None:
        """Take in what was read above ``after``, unless it was read before."""
        if after != self.level:
            return
        self._changes += changes
        self.level = until
        if len(self._changes) > 2 * CHANGES_KEPT:
            del self._changes[:-CHANGES_KEPT]
            self.begins = self._changes[0].position - 1

    def since(self, position: int) -> tuple[Sequence[C], int] | None:
        """The changes after a position and how far they reach; None: not kept."""
        if position < self.begins:
            return None
        at = bisect_right(self._changes, position, key=lambda each: each.position)
        found = self._changes[at : at + CHANGES_A_READ]
        is_all = at + len(found) == len(self._changes)
        end = max(position, self.level) if is_all else found[-1].position
        return found, end


class Follower:
    """Reads the views' changes into the feeds that somebody uses, as long as one does.

    ``moved`` is set, and another put in its place, whenever there is something new.
    ``epoch`` rises when the ledger has become another.
    """

    def __init__(self, house: House) -> None:
        self.epoch = 0
        self.moved = asyncio.Event()
        self._house = house
        self._feeds: list[Feed[Any]] = []
        self._stop: Event | None = None

    def feed(self, load: Callable[[int, int], list[C]], *views: str) -> Feed[C]:
        """A feed of what views changed: made once, for all streams of its kind."""
        made = Feed(load, views)
        self._feeds.append(made)
        return made

    def where(self, feed: Feed[Any]) -> tuple[Head, int]:
        """The ledger's head and how far the views of a feed are."""
        head = self._house.ledger.reader.head()
        return head, level_of(feed, self._levels())

    # In the event loop ------------------------------------------------------------

    def join(self, feed: Feed[C], level: int) -> None:
        """Follow for one more, who knows that the views have reached ``level``."""
        if not feed.users:
            feed.start(level)
        feed.users += 1
        if self._stop is None:
            self._stop = Event()
            loop = asyncio.get_running_loop()
            Thread(
                target=self._follow,
                args=(self._stop, loop),
                name="sijil-streams",
                daemon=True,
            ).start()

    def leave(self, feed: Feed[C]) -> None:
        """Follow for one less; for nobody, not at all."""
        feed.users -= 1
        if not any(each.users for each in self._feeds):
            self.stop()

    def stop(self) -> None:
        """End following, and wake whoever waits."""
        if self._stop is not None:
            self._stop.set()
            self._stop = None
        self._wake()

    def _publish(
        self, feed: Feed[Any], after: int, changes: list[Any], until: int
    ) -> None:
        feed.add(after, changes, until)
        self._wake()

    def _renew(self) -> None:
        """The ledger became another: every stream ends, and begins from a picture."""
        self.epoch += 1
        self._wake()

    def _wake(self) -> None:
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()

    # In the follower's thread -----------------------------------------------------

    def _follow(self, stop: Event, loop: asyncio.AbstractEventLoop) -> None:
        first: Head | None = None
        for _ in self._house.ledger.reader.pulses(stop=stop, poll_s=IDLE_POLL_S):
            try:
                head = self._house.ledger.reader.head()
                if first is not None and ledger_name(first) != ledger_name(head):
                    loop.call_soon_threadsafe(self._renew)
                first = head
                self._catch_up(head, stop, loop)
            except PersistenceError as error:
                _log.warning("streams.database_away", error=type(error).__name__)
                stop.wait(AWAY_S)
            except RuntimeError:
                # The loop is closed: the server is gone, and so is every stream.
                return

    def _catch_up(
        self, head: Head, stop: Event, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Read what the views have made of the ledger up to its head."""
        moved_at = time.monotonic()
        while not stop.is_set() and time.monotonic() - moved_at < GIVE_UP_S:
            levels = self._levels()
            behind = [
                feed
                for feed in self._feeds
                if feed.users and feed.level < head.position
            ]
            if not behind:
                return
            before = {feed: feed.level for feed in behind}
            for feed in behind:
                after = feed.level
                until = min(level_of(feed, levels), after + CHANGES_A_READ)
                if until > after:
                    _done(
                        loop,
                        partial(
                            self._publish, feed, after, feed.load(after, until), until
                        ),
                    )
            if any(feed.level > before[feed] for feed in behind):
                moved_at = time.monotonic()
            else:
                stop.wait(LOOK_EVERY_S)

    def _levels(self) -> dict[str, int]:
        levels = self._house.queries.progress.levels()
        return {level.view: level.position for level in levels}


def level_of(feed: Feed[Any], levels: dict[str, int]) -> int:
    """How far all views of a feed are: what one of them has not made is not told."""
    return min(levels[view] for view in feed.views)


def _done(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    """Let the event loop do something, and wait until it has, or for a while.

    A loop that is held up does it later; what is read again meanwhile changes nothing.
    Raises RuntimeError where the loop is gone.
    """
    done: Future[None] = Future()

    def do() -> None:
        work()
        done.set_result(None)

    loop.call_soon_threadsafe(do)
    with suppress(TimeoutError):
        done.result(timeout=GIVE_UP_S)


def ledger_name(head: Head) -> str:
    """The ledger and incarnation that positions are of, short."""
    return f"{head.ledger_id.hex[:8]}.{head.incarnation}"
