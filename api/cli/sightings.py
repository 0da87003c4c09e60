"""What each view shows of one request as of one position, and what it should."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from api.cli.failures import Failure
from api.cli.server import RunningServer

LARGEST_PAGE = 200
MOST_PAGES = 50
"""Where a search gives up: ten thousand items at one centre are not a walk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Where the request stands after a step; ``next_act`` is None once it ended."""

    stage: str
    next_act: str | None
    waiting_for: str = "clerk"
    moved_from: str | None = None
    """The stage it left in this step; the same as ``stage`` when it stayed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One view's word on one step."""

    view: str
    shows: str


class NotShownError(Failure):
    """A view does not show a step that was written."""

    def __init__(self, view: str, expected: object, shows: object) -> None:
        super().__init__(
            f"{view} does not show the step",
            why=f"it shows {shows} where {expected} was expected",
            then="see `sijil views` and the runner's log",
        )


class Sightings:
    """Looks at one request through the four views, as a supervisor of its centre."""

    def __init__(self, server: RunningServer, *, centre: str, service: str) -> None:
        self._server = server
        self._centre = centre
        self._service = service

    def look(
        self, request_id: str, events: Sequence[dict[str, Any]], expected: Expected
    ) -> list[Seen]:
        """What all four say right after ``events``, the newest of the request.

        Raises NotShownError when one says something else, and RefusedError when one
        does not come so far in time.
        """
        first, last = events[0]["position"], events[-1]["position"]
        return [
            self._queue(request_id, last, expected),
            self._counts(first, last, expected),
            self._trail(request_id, events),
            self._tracking(request_id, last, expected),
        ]

    def _pages(self, path: str, position: int, **asked: Any) -> Iterator[Any]:
        cursor = None
        for _ in range(MOST_PAGES):
            page = self._server.get(
                path,
                min_position=position,
                as_of=position,
                limit=LARGEST_PAGE,
                cursor=cursor,
                **asked,
            ).body
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def _queue(self, request_id: str, position: int, expected: Expected) -> Seen:
        shown = next(
            (
                item["next_act"]
                for item in self._pages(
                    "/v1/queue", position, waiting_for=expected.waiting_for
                )
                if item["request_id"] == request_id
            ),
            None,
        )
        _must_be("queue", expected.next_act, shown)
        return Seen(view="queue", shows=shown or "gone from it")

    def _counts(self, first: int, last: int, expected: Expected) -> Seen:
        """The difference this step made, whatever others do at the same time."""
        before, after = self._stocks(first - 1, last), self._stocks(last, last)
        moves = {name: after[name] - before[name] for name in after}
        wanted = dict.fromkeys(moves, 0)
        if expected.moved_from is None:
            wanted["submitted"] += 1
            wanted[expected.stage] += 1
        elif expected.moved_from != expected.stage:
            wanted[expected.moved_from] -= 1
            wanted[expected.stage] += 1
        _must_be("counts", wanted, moves)
        moved = [f"{name} {by:+d}" for name, by in moves.items() if by]
        here = f"{expected.stage} {after[expected.stage]}"
        return Seen(view="counts", shows=", ".join(moved) or here)

    def _stocks(self, as_of: int, min_position: int) -> dict[str, int]:
        stages = (
            "submitted",
            "waiting",
            "not_accepted",
            "in_progress",
            "completed_issued",
            "completed_refused",
            "withdrawn",
            "expired",
        )
        answer = self._server.get(
            "/v1/counts",
            by=["centre", "service"],
            as_of=as_of,
            min_position=min_position,
        ).body
        for item in answer["items"]:
            if item["group"] == {"centre": self._centre, "service": self._service}:
                return {stage: item[stage] or 0 for stage in stages}
        return dict.fromkeys(stages, 0)

    def _trail(self, request_id: str, events: Sequence[dict[str, Any]]) -> Seen:
        position = events[-1]["position"]
        rows = list(self._pages(f"/v1/requests/{request_id}/trail", position))
        shown = [(row["position"], row["leaf_hash"]) for row in rows]
        wanted = [(event["position"], event["leaf_hash"]) for event in events]
        _must_be("trail", wanted, shown[-len(wanted) :])
        return Seen(view="trail", shows=rows[-1]["words_en"])

    def _tracking(self, request_id: str, position: int, expected: Expected) -> Seen:
        shown = next(
            (
                item["stage"]
                for item in self._pages(
                    "/v1/requests",
                    position,
                    service=self._service,
                    centre=self._centre,
                )
                if item["id"] == request_id
            ),
            None,
        )
        _must_be("tracking", expected.stage, shown)
        return Seen(view="tracking", shows=expected.stage)


def _must_be(view: str, expected: object, shows: object) -> None:
    if expected != shows:
        raise NotShownError(view, expected, shows)
