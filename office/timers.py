"""The scheduler: what falls due is done, by acts of the system like any other.

It reads due times from the view ``timers`` and sends one act for each that has come:
expiry, the end of a lease, warnings before and after limits. It keeps nothing of its
own. The id of each act follows from the request and the due time, and the request
decides: so it may be killed at any moment, run twice, or read a view that is behind,
and each thing still happens once. Why: docs/decisions/0017-one-scheduler.md.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from datetime import datetime, timedelta
from threading import Event

import structlog

from domain.access import Principal
from domain.acts import ActorKind
from domain.calendars import Calendar, office_day
from domain.errors import NotFoundError, RuleBrokenError, SijilError
from domain.ids import derived_id
from domain.requests import Limit, ReleasedBecause, WarnedWhen
from domain.working_time import WorkingTime
from ledger.bodies import plain
from ledger.book import Ledger
from office.acts import Clock, Done, Envelope, translated
from office.commands import ExpireRequest, ReleaseRequest, WarnOfLimit
from office.errors import ClockSkewError, ConcurrencyError, LedgerUnavailableError
from office.requests import Requests
from projections.timers import Timer, TimerKind, TimersQueries

NAME = "timers"
"""Its name as an actor: durable."""
ROUTE = "system/timers"
REST_S = 0.2
"""Between two looks: a burst of appends is one look, and nothing due waits for long."""
SETTLED_FOR_S = 60.0
"""How long a timer that was dealt with is not tried again.

Until the view has folded what came of it, its row is still there.
"""
MOST_REMEMBERED = 10_000
"""Timers dealt with that are remembered; forgetting one costs a look-up, no more."""
CALENDARS_FOR_S = 60.0
"""How long published calendars are taken as read: a warning may be a minute off."""
_RETRY_S = 0.5
_MOVED_ON = "moved_on"
"""What comes of an act too late: nothing. The row goes when the view has seen why."""
_FAILED = "failed"

_log = structlog.get_logger()


class Scheduler:
    """Acts on every timer that has come.

    ``warn_before`` is working time: how long before a limit its warning is given.
    Nothing means that none is given before.
    """

    def __init__(
        self,
        ledger: Ledger,
        requests: Requests,
        *,
        timers: TimersQueries,
        clock: Clock,
        warn_before: timedelta,
    ) -> None:
        self._ledger = ledger
        self._requests = requests
        self._timers = timers
        self._clock = clock
        self._warn_before = warn_before
        self._settled = _Settled()
        self._working_time: tuple[float, WorkingTime] | None = None

    def run(self, stop: Event) -> None:
        """Act until ``stop`` is set.

        A pulse comes with every entry and once a second, so that a time which falls
        due is seen when it does, whatever happens or does not.
        """
        for _ in self._ledger.reader.pulses(stop=stop):
            try:
                self.catch_up(stop)
            except SijilError as error:
                _log.warning("timers.waits", error=error.code)
                stop.wait(_RETRY_S)
            stop.wait(REST_S)

    def catch_up(self, stop: Event) -> None:
        """Act on what has come by now, once each."""
        now = self._clock()
        done: Counter[str] = Counter()
        for timer in self._due(now):
            if stop.is_set():
                break
            name = _name(timer, now)
            if self._settled.has(name):
                continue
            if (outcome := self._act(timer, name, now)) is not None:
                done[outcome] += 1
                self._settled.add(name)
        if done:
            _log.info("timers.done", **done)

    def _due(self, now: datetime) -> Iterator[Timer]:
        with translated():
            horizon = self._working(now).after(now, self._warn_before)
            yield from self._timers.due(now=now, horizon=horizon)

    def _working(self, now: datetime) -> WorkingTime:
        """Working time by the calendars published last; a warning is no limit."""
        read_at = time.monotonic()
        known = self._working_time
        if known is not None and read_at - known[0] < CALENDARS_FOR_S:
            return known[1]
        year = office_day(now).year
        found = (
            self._ledger.find(Calendar, Calendar.id_of(each))
            for each in (year, year + 1)
        )
        working = WorkingTime(each for each in found if each is not None)
        self._working_time = read_at, working
        return working

    def _act(self, timer: Timer, name: str, now: datetime) -> str | None:
        """Send the act; what came of it, or None when it is to be tried again soon."""
        envelope = Envelope(
            principal=Principal(role=ActorKind.SYSTEM, id=NAME),
            command_id=derived_id(name, timer.due_at),
            route=ROUTE,
            # Expiry happened when it fell due; bookkeeping bars nobody's work.
            effective_at=timer.due_at if timer.kind is TimerKind.EXPIRY else None,
            causation_id=f"{timer.request_id}/{timer.set_by}",
        )
        try:
            done = self._send(timer, now, envelope)
        except (RuleBrokenError, NotFoundError):
            return _MOVED_ON
        except ConcurrencyError:
            return None
        except (LedgerUnavailableError, ClockSkewError):
            raise
        except Exception as error:  # noqa: BLE001 -- one request may not hold up all
            _log.error("timers.act_failed", timer=name, error=type(error).__name__)
            return _FAILED
        return timer.kind.value if done.last_position is not None else _MOVED_ON

    def _send(self, timer: Timer, now: datetime, envelope: Envelope) -> Done:
        request_id = timer.request_id
        match timer.kind:
            case TimerKind.EXPIRY:
                expire = ExpireRequest(request_id=request_id, due_at=timer.due_at)
                return self._requests.expire(expire, envelope)
            case TimerKind.LEASE:
                release = ReleaseRequest(
                    request_id=request_id,
                    token=timer.token,
                    reason=ReleasedBecause.LEASE_ENDED,
                )
                return self._requests.release(release, envelope)
            case TimerKind.FIRST_ANSWER | TimerKind.COMPLETION:
                warn = WarnOfLimit(
                    request_id=request_id,
                    limit=Limit(timer.kind),
                    when=_side(timer, now),
                    due_at=timer.due_at,
                )
                return self._requests.warn(warn, envelope)


def _side(timer: Timer, now: datetime) -> WarnedWhen:
    """Which warning a limit calls for: once it has passed, none before it any more."""
    return WarnedWhen.BEFORE if now < timer.due_at else WarnedWhen.AFTER


def _name(timer: Timer, now: datetime) -> str:
    """The readable name that the act's id is derived from: durable."""
    due = plain(timer.due_at)
    match timer.kind:
        case TimerKind.EXPIRY:
            return f"timer/expiry/{timer.request_id}/{due}"
        case TimerKind.LEASE:
            return f"timer/lease/{timer.request_id}/{timer.token}"
        case TimerKind.FIRST_ANSWER | TimerKind.COMPLETION:
            side = _side(timer, now)
            return f"timer/warning/{timer.request_id}/{timer.kind}/{side}/{due}"


class _Settled:
    """Names of timers that were dealt with lately, the oldest forgotten first."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def add(self, name: str) -> None:
        self._until[name] = time.monotonic() + SETTLED_FOR_S
        if len(self._until) > MOST_REMEMBERED:
            self._until.popitem(last=False)

    def has(self, name: str) -> bool:
        until = self._until.get(name)
        if until is not None and until <= time.monotonic():
            del self._until[name]
            return False
        return until is not None
