"""The stages of a request: disjoint, and adding up to what was submitted."""

from enum import StrEnum


class Stage(StrEnum):
    """Where one request stands. A request is in exactly one stage."""

    WAITING = "waiting"
    NOT_ACCEPTED = "not_accepted"
    IN_PROGRESS = "in_progress"
    COMPLETED_ISSUED = "completed_issued"
    COMPLETED_REFUSED = "completed_refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


FINAL_STAGES = frozenset(
    {
        Stage.NOT_ACCEPTED,
        Stage.COMPLETED_ISSUED,
        Stage.COMPLETED_REFUSED,
        Stage.WITHDRAWN,
        Stage.EXPIRED,
    }
)


class NextAct(StrEnum):
    """What a queue item says to do next, in the order the office does it."""

    ACCEPT = "accept"
    TAKE_FEE = "take_fee"
    FORWARD = "forward"
    RECORD_REPLY = "record_reply"
    REQUEST_INFORMATION = "request_information"
    RECORD_INFORMATION = "record_information"
    STAMP = "stamp"
    MAIL = "mail"
    HAND_OVER = "hand_over"
    TELL_RESULT = "tell_result"
    DEAL_WITH_RETURN = "deal_with_return"
    NOTHING = "nothing"


class WaitingFor(StrEnum):
    """Who has to move: only ``clerk`` counts as the clerk's open work.

    ``post`` has an item on its way: the queue says so of requests that have ended and
    may come back; to the rules there is nobody who has to move.
    """

    CLERK = "clerk"
    AGENCY = "agency"
    CITIZEN = "citizen"
    POST = "post"
    NOBODY = "nobody"
