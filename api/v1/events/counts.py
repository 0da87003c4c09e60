"""The counts as they change: the groups that an entry moved, as it left them."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Response, status
from pydantic import BaseModel

from api.asking import TheHouse, TheLogin
from api.streams import EventStream, Told
from api.v1.counts import CountAnswer
from api.v1.events.shared import STREAMING, LastEventId, TheLive
from domain.access import Permission, Scope
from domain.errors import InvalidValueError
from domain.stages import Stage
from office.house import House
from projections.governorate_counts import Count, CountBy
from projections.governorate_counts.moves import Moves

router = APIRouter(prefix="/v1")


class LiveCounts(BaseModel):
    """The groups that an entry changed, as it left them."""

    position: int
    items: list[CountAnswer]


class CountsPicture(BaseModel):
    """All groups at a position, and why they are told from the beginning."""

    because: str
    position: int
    items: list[CountAnswer]


class CountsTelling:
    """The counts of one asker: those of a position, moved on in memory."""

    def __init__(self, house: House, scope: Scope, by: Sequence[CountBy]) -> None:
        self._house = house
        self._scope = scope
        self._by = tuple(dict.fromkeys(by))
        self._groups: dict[tuple[str, ...], Counter[str]] = {}

    def begin(self, position: int) -> None:
        """Count what stands where as of a position."""
        stocks = self._house.queries.counts.stocks(
            self._scope, by=self._by, as_of=position
        )
        self._groups = {
            tuple(count.group[name] for name in self._by): Counter(
                {stage: getattr(count, stage) for stage in Stage}
            )
            for count in stocks
        }

    def picture(self, position: int, because: str) -> CountsPicture:
        """Every group, in order."""
        self.begin(position)
        return CountsPicture(
            because=because,
            position=position,
            items=[self._answer(group) for group in sorted(self._groups)],
        )

    def tell(self, change: Moves) -> Told | None:
        """The groups after a move; None where it is not the asker's."""
        changed: list[tuple[str, ...]] = []
        for move in change.moves:
            if not move.is_for(self._scope):
                continue
            group = tuple(getattr(move, name) for name in self._by)
            stages = self._groups.setdefault(group, Counter())
            if move.left is not None:
                stages[move.left] -= 1
            if move.entered is not None:
                stages[move.entered] += 1
            changed.append(group)
        if not changed:
            return None
        items = [self._answer(group) for group in dict.fromkeys(changed)]
        return Told("changed", LiveCounts(position=change.position, items=items))

    def _answer(self, group: tuple[str, ...]) -> CountAnswer:
        stages = self._groups[group]
        count = Count(
            group=dict(zip(self._by, group, strict=True)),
            submitted=sum(stages.values()),
            **{str(stage): stages[stage] for stage in Stage},
        )
        return CountAnswer.of(count)


@router.get(
    "/counts/events",
    tags=["counts"],
    operation_id="follow_counts",
    summary="Follow the counts",
    # Told apart from the constructor, which has no status to be read off.
    status_code=status.HTTP_200_OK,
    response_class=EventStream,
    responses=STREAMING,
)
def follow_counts(
    login: TheLogin,
    house: TheHouse,
    live: TheLive,
    by: Annotated[
        list[CountBy] | None,
        Query(description="What to group by.", examples=[["governorate"]]),
    ] = None,
    total: Annotated[
        bool, Query(description="One group of everything.", examples=[False])
    ] = False,
    last_event_id: LastEventId = None,
) -> Response:
    """Follow how many requests stand at each stage; only groups that have any."""
    principal = login.principal
    principal.must_be_allowed(Permission.READ_COUNTS)
    groups = [] if total else by or [CountBy.GOVERNORATE]
    if CountBy.DAY in groups:
        raise InvalidValueError(field="by", reason="stocks-have-no-day")
    telling = CountsTelling(house, principal.scope, groups)
    return live.streams.answer(live.counts, telling, login, last_event_id)
