"""Where one request stands on the desk: what is next, and who has to do it.

The aggregate and the clerk's queue both ask here, so that they cannot disagree.
"""

from dataclasses import dataclass

from domain.services import FeeDue, Route
from domain.stages import FINAL_STAGES, NextAct, Stage, WaitingFor


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The facts that decide the next act.

    ``fee_due`` is None when no fee is outstanding. ``is_refused`` is None until the
    agency gave a result. ``is_information_needed``: the agency wants more and nobody
    has asked the citizen yet; ``is_information_asked``: the citizen has been asked and
    everything stands still. ``is_posted`` says that the paper goes by post;
    ``is_returned`` that it came back.
    """

    stage: Stage
    route: Route | None = None
    fee_due: FeeDue | None = None
    is_forwarded: bool = False
    is_refused: bool | None = None
    is_information_needed: bool = False
    is_information_asked: bool = False
    has_paper: bool = True
    needs_stamp: bool = False
    is_posted: bool = True
    is_returned: bool = False

    @property
    def is_open(self) -> bool:
        """Whether there is still something to do: a returned item has ended and is."""
        return self.is_returned or self.stage not in FINAL_STAGES

    @property
    def is_fee_blocking(self) -> bool:
        """Whether an unpaid fee is due now, so that nothing may go further."""
        return self.fee_due is FeeDue.ACCEPTANCE

    @property
    def is_clock_stopped(self) -> bool:
        """Whether the time for completion stands still, waiting for the citizen."""
        return self.stage is Stage.IN_PROGRESS and self.is_information_asked

    @property
    def next_act(self) -> NextAct:  # noqa: C901, PLR0911 -- the office's order
        """What is to be done next, whoever has to do it."""
        if self.is_returned:
            return NextAct.DEAL_WITH_RETURN
        if self.stage in FINAL_STAGES:
            return NextAct.NOTHING
        if self.is_information_asked:
            return NextAct.RECORD_INFORMATION
        if self.stage is Stage.WAITING:
            return NextAct.ACCEPT
        if self.is_fee_blocking:
            return NextAct.TAKE_FEE
        if self.is_information_needed:
            return NextAct.REQUEST_INFORMATION
        if self.is_refused is None:
            if self.route is Route.REPLY and not self.is_forwarded:
                return NextAct.FORWARD
            return NextAct.RECORD_REPLY
        if self.is_refused:
            return NextAct.TELL_RESULT
        if self.has_paper and self.needs_stamp:
            return NextAct.STAMP
        if self.fee_due is not None:
            return NextAct.TAKE_FEE
        if not self.has_paper:
            return NextAct.TELL_RESULT
        return NextAct.MAIL if self.is_posted else NextAct.HAND_OVER

    @property
    def waiting_for(self) -> WaitingFor:
        """Who has to move: the agency once it is asked, the citizen likewise."""
        act = self.next_act
        if act is NextAct.NOTHING:
            return WaitingFor.NOBODY
        if act is NextAct.RECORD_INFORMATION:
            return WaitingFor.CITIZEN
        if act is NextAct.RECORD_REPLY and self.route is Route.REPLY:
            return WaitingFor.AGENCY
        return WaitingFor.CLERK
