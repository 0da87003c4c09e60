"""Server-sent events: what changed in a view, told to whoever may see it.

A stream is a place in the ledger and nothing more: it holds no thread and no connection
of the database, and one that is slow or gone costs nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from threading import Lock
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread
import structlog
from eventsourcing.persistence import PersistenceError
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from api.feeds import CHANGES_A_READ, Change, Feed, Follower, ledger_name
from api.limits import RateLimitedError
from api.tokens import Login
from domain.errors import SijilError
from ledger.reader import Head
from office.acts import translated

HEARTBEAT_S = 15.0
"""How often a silent stream says that it lives: proxies cut at 30 to 60 seconds."""
RETRY_MS = 2_000
"""How long a client waits before it comes again; a restart takes about as long."""
LONGEST_S = 3600.0
"""A stream is ended then and asked for again, so that no server keeps them all."""
STALLED_S = 60.0
"""How long a client may take for one piece before it is given up."""
MOST_STREAMS = 500
"""Of one process: each holds a socket, and some 100 kB where its client is slow."""
MOST_STREAMS_AN_ASKER = 8
"""A person has a few windows; one that opens more has lost count of them."""
RETRY_FULL_S = 10
"""When somebody who found no place may try again."""
FARTHEST_BACK = 20_000
"""Positions a stream is taken through again; further back, a picture is shorter."""
THREADS = 2
"""For all streams together, beside those that answer the other routes."""

_log = structlog.get_logger()

C = TypeVar("C", bound=Change)
C_contra = TypeVar("C_contra", bound=Change, contravariant=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a stream: its name and what it says."""

    event: str
    data: BaseModel


class Telling(Protocol[C_contra]):
    """What one stream tells of a feed: one asker, one set of filters."""

    def begin(self, position: int) -> None:
        """Get ready to tell what comes after a position."""

    def picture(self, position: int, because: str) -> BaseModel:
        """All that there is as of a position, to begin from."""

    def tell(self, change: C_contra) -> Told | None:
        """What a change is to this asker; None for nothing."""


class EventStream(StreamingResponse):
    """The answer that a stream is; its place is given back when it ends, however.

    Not FastAPI's own: a route of that kind is a generator, whose refusals would come
    after its status.
    """

    media_type = "text/event-stream"

    def __init__(
        self, content: AsyncGenerator[bytes, None], *, release: Callable[[], None]
    ) -> None:
        # Proxies would keep pieces back until a buffer is full.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(content, headers=headers)
        self._content = content
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until it ends or its client is gone."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Cut off between two pieces, it would wait for the collector of garbage.
            await self._content.aclose()
            self._release()

    async def stream_response(self, send: Send) -> None:
        """Send piece by piece; a client that takes nothing for a minute is left."""
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        try:
            async for piece in self.body_iterator:
                with anyio.fail_after(STALLED_S):
                    await send(
                        {"type": "http.response.body", "body": piece, "more_body": True}
                    )
        except TimeoutError:
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Streams:
    """All streams of one process, told from the one follower that they share."""

    def __init__(self, follower: Follower) -> None:
        self.longest_s = LONGEST_S
        self.heartbeat_s = HEARTBEAT_S
        self._follower = follower
        self._open: Counter[tuple[str, str]] = Counter()
        self._lock = Lock()
        self._is_ended = False
        self._limiter: anyio.CapacityLimiter | None = None

    def answer(
        self, feed: Feed[C], telling: Telling[C], login: Login, last_id: str | None
    ) -> EventStream:
        """The stream as an answer. Raises RateLimitedError when there are too many."""
        asker = (str(login.principal.role), login.principal.id)
        with self._lock:
            is_full = sum(self._open.values()) >= MOST_STREAMS
            if is_full or self._open[asker] >= MOST_STREAMS_AN_ASKER:
                raise RateLimitedError(retry_after_s=RETRY_FULL_S)
            self._open[asker] += 1

        def release() -> None:
            with self._lock:
                self._open[asker] -= 1
                if not self._open[asker]:
                    del self._open[asker]

        content = self._told(feed, telling, login, last_id)
        return EventStream(content, release=release)

    def end(self) -> None:
        """End every stream at once; what comes after is ended as it begins."""
        self._is_ended = True
        self._follower.stop()

    async def _told(
        self, feed: Feed[C], telling: Telling[C], login: Login, last_id: str | None
    ) -> AsyncGenerator[bytes, None]:
        yield format_sse_event(retry=RETRY_MS)
        try:
            async with aclosing(
                self._followed(feed, telling, login, last_id)
            ) as pieces:
                async for piece in pieces:
                    yield piece
        except (PersistenceError, SijilError) as error:
            # It has begun, so there is no status to say it with: it comes again.
            _log.warning("streams.ended", views=feed.views, error=type(error).__name__)

    async def _followed(
        self, feed: Feed[C], telling: Telling[C], login: Login, last_id: str | None
    ) -> AsyncGenerator[bytes, None]:
        head, level = await self._in_thread(lambda: self._follower.where(feed))
        self._follower.join(feed, level)
        epoch, ledger = self._follower.epoch, ledger_name(head)
        token_until = login.until.timestamp()
        # In this order: held up in between, it ends after the token, never before it.
        token_s = token_until - time.time()
        ends_at = time.monotonic() + min(self.longest_s, token_s)
        try:
            position, because = _place(last_id, head, feed.level)
            if because is None:
                await self._in_thread(lambda: telling.begin(position))
            spoke_at = time.monotonic()
            while not self._is_ended and epoch == self._follower.epoch:
                moved, piece = self._follower.moved, b""
                if because is not None:
                    position = feed.level
                    piece = await self._picture(telling, position, because, ledger)
                    because = None
                else:
                    changes, end = await self._changes(feed, position)
                    piece = _events(telling, changes, ledger)
                    is_level, position = end == position, end
                    if is_level:
                        await _rest(moved, min(spoke_at + self.heartbeat_s, ends_at))
                    elif feed.level - position > FARTHEST_BACK:
                        because = "too-far-back"
                if not piece and time.monotonic() >= spoke_at + self.heartbeat_s:
                    # It has no data, so it is no event; but its id is kept.
                    piece = format_sse_event(comment="", id=f"{ledger}.{position}")
                if piece:
                    yield piece
                    spoke_at = time.monotonic()
                if time.monotonic() >= ends_at:
                    if time.time() >= token_until:
                        yield _event(Told("end", Ended(code="token-expired")), None)
                    return
        finally:
            self._follower.leave(feed)

    async def _picture(
        self, telling: Telling[C], position: int, because: str, ledger: str
    ) -> bytes:
        data = await self._in_thread(lambda: telling.picture(position, because))
        return _event(Told("reset", data), f"{ledger}.{position}")

    async def _changes(self, feed: Feed[C], position: int) -> tuple[Sequence[C], int]:
        kept = feed.since(position)
        if kept is not None:
            return kept
        until = min(position + CHANGES_A_READ, feed.begins)
        return await self._in_thread(lambda: feed.load(position, until)), until

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(THREADS)

        def done() -> T:
            with translated():
                return work()

        return await anyio.to_thread.run_sync(done, limiter=self._limiter)


class Ended(BaseModel):
    """Why a stream ended, where coming again would not help."""

    code: str


async def _rest(moved: asyncio.Event, until: float) -> None:
    """Wait for news, or until a moment of the monotonic clock."""
    with anyio.move_on_after(max(0.0, until - time.monotonic())):
        await moved.wait()


def _events(telling: Telling[C], changes: Sequence[C], ledger: str) -> bytes:
    """What the changes are to one asker, each an event with its own place."""
    return b"".join(
        _event(told, f"{ledger}.{change.position}")
        for change in changes
        if (told := telling.tell(change)) is not None
    )


def _event(told: Told, place: str | None) -> bytes:
    return format_sse_event(
        event=told.event, data_str=told.data.model_dump_json(), id=place
    )


def _place(last_id: str | None, head: Head, level: int) -> tuple[int, str | None]:
    """Where to go on, or where to begin and why: it is not known what was seen."""
    if last_id is None:
        return level, "new"
    ledger, _, position = last_id.rpartition(".")
    if not (position.isascii() and position.isdecimal() and len(position) <= 18):  # noqa: PLR2004 -- a bigint
        return level, "unknown-id"
    if ledger != ledger_name(head):
        return level, "other-ledger"
    if int(position) > head.position:
        return level, "future"
    if level - int(position) > FARTHEST_BACK:
        return level, "too-far-back"
    return int(position), None
