"""A supervisor's desk as it changes: all of its parts in one stream."""

from collections import Counter
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response, status
from pydantic import BaseModel, Field

from api.asking import TheHouse, TheLogin
from api.streams import EventStream, Told
from api.v1.answers import QueueAnswer
from api.v1.desk import AllowedActAnswer, AttemptAnswer
from api.v1.desk import Centre as OneCentre
from api.v1.events.items import all_items, now_in, told_live, was_in
from api.v1.events.shared import LARGEST_PICTURE, STREAMING, LastEventId, TheLive
from domain.access import Permission, Scope
from domain.calendars import office_day
from domain.stages import NextAct, WaitingFor
from office.house import House
from projections.changes import PlacedRow
from projections.desk_changes import DeskChange
from projections.pages import DEFAULT_PAGE, LARGEST_PAGE, LARGEST_READ
from projections.queue_changes import QueueChange
from projections.queue_items import QueueFilter, QueueItem
from projections.supervisor_desk import ApprovalFilter, AttemptFilter, ClerkLoad

router = APIRouter(prefix="/v1")

UNASSIGNED, RETURNED_POST = "unassigned", "returned_post"
LOAD, APPROVALS, REFUSED_ATTEMPTS = "load", "approvals", "refused_attempts"
_COUNTED = {
    WaitingFor.CLERK: "to_move",
    WaitingFor.AGENCY: "waiting_for_agency",
    WaitingFor.CITIZEN: "waiting_for_citizen",
}
"""Under which name a clerk's work counts, by who has to move. The post's does not."""
_Told = dict[str, Any]
_Clerk = tuple[str, str]


class LiveLoad(BaseModel):
    """How much one clerk has at one centre. What is overdue, only a moment tells."""

    centre: str
    clerk: str
    to_move: int
    waiting_for_agency: int
    waiting_for_citizen: int


class DeskPicture(BaseModel):
    """The desk at a position, and why it is told from the beginning.

    ``is_complete`` says of each part whether it is all of it; the lists have the rest.
    Approvals and attempts are the newest; load has the clerks with any work.
    """

    because: str
    position: int
    is_complete: dict[str, bool]
    unassigned: list[_Told]
    returned_post: list[_Told]
    load: list[LiveLoad]
    approvals: list[_Told]
    refused_attempts: list[_Told]


class LiveDesk(BaseModel):
    """What one entry did, by the parts of the desk: items as they are now, and gone."""

    position: int
    changed: dict[str, list[_Told]] = Field(default_factory=dict)
    gone: dict[str, list[UUID]] = Field(default_factory=dict)


class DeskTelling:
    """The desk of one asker: lists by their filters, the load moved on in memory."""

    def __init__(self, house: House, scope: Scope, centre: str | None) -> None:
        self._house = house
        self._scope = scope
        self._centre = centre
        self._work = {
            UNASSIGNED: QueueFilter(
                waiting_for=None, is_unassigned=True, centre=centre
            ),
            RETURNED_POST: QueueFilter(
                waiting_for=None, next_act=NextAct.DEAL_WITH_RETURN, centre=centre
            ),
        }
        self._every = QueueFilter(waiting_for=None, centre=centre)
        self._load: dict[_Clerk, Counter[str]] = {}

    def begin(self, position: int) -> None:
        """Count what each clerk has as of a position."""
        now, after = self._house.clock(), None
        self._load = {}
        while True:
            page = self._house.queries.desk.load(
                self._scope,
                now=now,
                day=office_day(now),
                centre=self._centre,
                after=after,
                limit=LARGEST_READ,
                as_of=position,
            )
            for row in page.items:
                work = _counted(row)
                if work.total():
                    self._load[row.centre, row.code] = work
            after = page.next
            if after is None:
                return

    def picture(self, position: int, because: str) -> DeskPicture:
        """Every part, each in the order of its list and up to its bound."""
        self.begin(position)
        queries, scope, now = self._house.queries, self._scope, self._house.clock()
        is_complete = {}
        told: dict[str, list[_Told]] = {}
        for part, only in self._work.items():
            found, is_complete[part] = all_items(
                lambda after, only=only: queries.queue.page(  # type: ignore[misc]
                    scope,
                    now=now,
                    only=only,
                    after=after,
                    limit=LARGEST_PAGE,
                    as_of=position,
                )
            )
            told[part] = [told_live(QueueAnswer.of(item)) for item in found]
        allowed = queries.desk.approvals(
            scope,
            only=ApprovalFilter(centre=self._centre),
            limit=DEFAULT_PAGE,
            as_of=position,
        )
        refused = queries.desk.attempts(
            scope,
            only=AttemptFilter(centre=self._centre),
            limit=DEFAULT_PAGE,
            as_of=position,
        )
        clerks = sorted(self._load)
        return DeskPicture(
            because=because,
            position=position,
            is_complete={
                **is_complete,
                LOAD: len(clerks) <= LARGEST_PICTURE,
                APPROVALS: allowed.next is None,
                REFUSED_ATTEMPTS: refused.next is None,
            },
            unassigned=told[UNASSIGNED],
            returned_post=told[RETURNED_POST],
            load=[self._of(clerk) for clerk in clerks[:LARGEST_PICTURE]],
            approvals=[told_live(AllowedActAnswer.of(row)) for row in allowed.items],
            refused_attempts=[
                told_live(AttemptAnswer.of(row)) for row in refused.items
            ],
        )

    def tell(self, change: DeskChange) -> Told | None:
        """What an entry did to this desk, all its parts at once; None for nothing."""
        told = LiveDesk(position=change.position)
        if change.work is not None:
            self._tell_work(change.work, told)
        if change.approval is not None and self._is_at(change.approval.centre):
            allowed = told_live(AllowedActAnswer.of(change.approval))
            told.changed[APPROVALS] = [allowed]
        if change.attempt is not None and self._is_at(change.attempt.centre):
            refused = told_live(AttemptAnswer.of(change.attempt))
            told.changed[REFUSED_ATTEMPTS] = [refused]
        return Told("changed", told) if told.changed or told.gone else None

    def _tell_work(self, work: QueueChange, told: LiveDesk) -> None:
        for part, only in self._work.items():
            now = now_in(work, self._scope, only)
            if now is not None:
                told.changed[part] = [told_live(QueueAnswer.of(now))]
            elif was_in(work, self._scope, only):
                told.gone[part] = [work.request_id]
        moved = Counter(self._load_of(work.after))
        moved.subtract(self._load_of(work.before))
        clerks = {clerk: None for (clerk, _), by in moved.items() if by}
        for (clerk, name), by in moved.items():
            self._load.setdefault(clerk, Counter())[name] += by
        if clerks:
            told.changed[LOAD] = [told_live(self._of(clerk)) for clerk in clerks]

    def _load_of(self, row: PlacedRow[QueueItem] | None) -> list[tuple[_Clerk, str]]:
        """Whose work a row is, and how it counts: once or not at all."""
        if row is None or not row.is_for(self._scope, self._every):
            return []
        item = row.item
        if item.clerk is None or item.waiting_for not in _COUNTED:
            return []
        return [((item.centre, item.clerk), _COUNTED[item.waiting_for])]

    def _is_at(self, centre: str) -> bool:
        """Whether what was noted at a centre is on this desk: the rule of its lists."""
        return {self._scope.centre, self._centre} <= {None, centre}

    def _of(self, clerk: _Clerk) -> LiveLoad:
        centre, code = clerk
        work = self._load[clerk]
        return LiveLoad(
            centre=centre,
            clerk=code,
            **{name: work[name] for name in _COUNTED.values()},
        )


def _counted(row: ClerkLoad) -> Counter[str]:
    return Counter({name: getattr(row, name) for name in _COUNTED.values()})


@router.get(
    "/desk/events",
    tags=["desk"],
    operation_id="follow_desk",
    summary="Follow a supervisor's desk",
    # Told apart from the constructor, which has no status to be read off.
    status_code=status.HTTP_200_OK,
    response_class=EventStream,
    responses=STREAMING,
)
def follow_desk(
    login: TheLogin,
    house: TheHouse,
    live: TheLive,
    centre: OneCentre = None,
    last_event_id: LastEventId = None,
) -> Response:
    """Follow unassigned work, returned post, load, approvals and refused attempts."""
    principal = login.principal
    principal.must_be_allowed(Permission.READ_DESK)
    telling = DeskTelling(house, principal.scope, centre)
    return live.streams.answer(live.desk, telling, login, last_event_id)
