"""What the office refuses, and why: every error has a stable code, no HTTP words.

Errors never carry a value of a person: a field's name and a reason code are enough
to mend an input, and the input is on the sender's screen already.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar


class SijilError(Exception):
    """The root of everything Sijil refuses; ``code`` is stable and kebab-case."""

    code: ClassVar[str] = "error"

    def __str__(self) -> str:
        facts = ", ".join(
            f"{name}={value}" for name, value in self.facts().items() if value
        )
        return f"{self.code}({facts})" if facts else self.code

    def facts(self) -> dict[str, str]:
        """The typed fields as text, for a problem's extension members and logs."""
        return {
            name: value.isoformat() if isinstance(value, date) else str(value)
            for name, value in vars(self).items()
            if not name.startswith("_") and value is not None
        }


class InvalidValueError(SijilError):
    """A value has the wrong shape. ``reason`` never repeats the value."""

    code = "invalid-value"

    def __init__(self, *, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason


class NotFoundError(SijilError):
    """The thing does not exist, or stands outside the actor's scope."""

    code = "not-found"

    def __init__(self, *, thing: str) -> None:
        super().__init__(thing)
        self.thing = thing


class RoleForbiddenError(SijilError):
    """The actor's role may never do this act, on whatever thing."""

    code = "role-forbidden"

    def __init__(self, *, act: str, role: str) -> None:
        super().__init__(act, role)
        self.act = act
        self.role = role


class RuleBrokenError(SijilError):
    """A rule of the office was broken by an actor on a thing in its own scope.

    These, and only these, are recorded as ``sijil.attempt.refused.v1``.
    """

    code = "rule-broken"


class AlreadyMergedError(RuleBrokenError):
    """The two parties are of one record already."""

    code = "already-merged"


class WrongStateError(RuleBrokenError):
    """The request is not where this act begins."""

    code = "wrong-state"

    def __init__(self, *, act: str, stage: str, reason: str) -> None:
        super().__init__(act, stage, reason)
        self.act = act
        self.stage = stage
        self.reason = reason


class StaleClaimError(RuleBrokenError):
    """The claim's token is no longer the current one; ``holder`` has it now."""

    code = "stale-claim"

    def __init__(self, *, holder: str | None, token: int) -> None:
        super().__init__(holder, token)
        self.holder = holder
        self.token = token


class HeldByAnotherError(RuleBrokenError):
    """Somebody else has the request; ``until`` is the end of a claim's lease."""

    code = "held-by-another"

    def __init__(self, *, holder: str, until: datetime | None = None) -> None:
        super().__init__(holder, until)
        self.holder = holder
        self.until = until


class NotAssignedError(RuleBrokenError):
    """Nobody has the request yet, so no clerk may act on it."""

    code = "not-assigned"


class FeeUnpaidError(RuleBrokenError):
    """A due fee is unpaid; nothing goes further until it is."""

    code = "fee-unpaid"

    def __init__(self, *, amount: int, unit: str) -> None:
        super().__init__(amount, unit)
        self.amount = amount
        self.unit = unit


class WrongAmountError(RuleBrokenError):
    """What was paid is not what is due."""

    code = "wrong-amount"

    def __init__(self, *, due: int, unit: str) -> None:
        super().__init__(due, unit)
        self.due = due
        self.unit = unit


class IneligibleError(RuleBrokenError):
    """The applicant's relationship does not allow this service."""

    code = "ineligible"

    def __init__(self, *, allowed: str) -> None:
        super().__init__(allowed)
        self.allowed = allowed


class DocumentsMissingError(RuleBrokenError):
    """Documents that the service wants were not shown."""

    code = "documents-missing"

    def __init__(self, *, missing: str) -> None:
        super().__init__(missing)
        self.missing = missing


class WrongRouteError(RuleBrokenError):
    """The act belongs to the other route (direct, or agency reply)."""

    code = "wrong-route"

    def __init__(self, *, route: str) -> None:
        super().__init__(route)
        self.route = route


class WrongAgencyError(RuleBrokenError):
    """The agency named is not the one whose service this is."""

    code = "wrong-agency"

    def __init__(self, *, agency: str) -> None:
        super().__init__(agency)
        self.agency = agency


class UnknownStampError(RuleBrokenError):
    """The stamp is not a good one of this centre. What was typed is not repeated."""

    code = "unknown-stamp"


class StampRequiredError(RuleBrokenError):
    """The service wants a live stamp before the paper leaves."""

    code = "stamp-required"


class NotPostableError(RuleBrokenError):
    """The service's paper is handed over at the counter, never posted."""

    code = "not-postable"


class WrongReceiverError(RuleBrokenError):
    """The receipt condition does not allow this receiver."""

    code = "wrong-receiver"

    def __init__(self, *, allowed: str) -> None:
        super().__init__(allowed)
        self.allowed = allowed


class NotOpenError(RuleBrokenError):
    """The agency or centre that this rests on does not exist, or is closed then."""

    code = "not-open"

    def __init__(self, *, thing: str, name: str) -> None:
        super().__init__(thing, name)
        self.thing = thing
        self.name = name


class AlreadyClosedError(RuleBrokenError):
    """The agency or centre is closed already, or its closing is announced."""

    code = "already-closed"

    def __init__(self, *, thing: str, day: date) -> None:
        super().__init__(thing, day)
        self.thing = thing
        self.day = day


class AlreadySuspendedError(RuleBrokenError):
    """The service is suspended on some of these days already."""

    code = "already-suspended"

    def __init__(self, *, first: date, last: date | None) -> None:
        super().__init__(first, last)
        self.first = first
        self.last = last


class NotSuspendedError(RuleBrokenError):
    """The service would not be suspended on that day: there is nothing to resume."""

    code = "not-suspended"

    def __init__(self, *, day: date) -> None:
        super().__init__(day)
        self.day = day


class GovernorateFixedError(RuleBrokenError):
    """A centre stays in its governorate; another place is another centre."""

    code = "governorate-fixed"

    def __init__(self, *, governorate: str) -> None:
        super().__init__(governorate)
        self.governorate = governorate


class AlreadyAwayError(RuleBrokenError):
    """The clerk is away on some of these days already."""

    code = "already-away"

    def __init__(self, *, first: date, last: date | None) -> None:
        super().__init__(first, last)
        self.first = first
        self.last = last


class NotAwayError(RuleBrokenError):
    """The clerk would not be away on that day: there is nothing to come back from."""

    code = "not-away"

    def __init__(self, *, day: date) -> None:
        super().__init__(day)
        self.day = day


class ClerkLeftError(RuleBrokenError):
    """The clerk has left, or has said when."""

    code = "clerk-left"

    def __init__(self, *, day: date) -> None:
        super().__init__(day)
        self.day = day


class NotResponsibleError(RuleBrokenError):
    """The clerk is not responsible for this agency."""

    code = "not-responsible"

    def __init__(self, *, agency: str) -> None:
        super().__init__(agency)
        self.agency = agency


class StampIssuedError(RuleBrokenError):
    """The serial belongs to a stamp of another kind or centre already."""

    code = "stamp-issued"

    def __init__(self, *, serial: str, centre: str) -> None:
        super().__init__(serial, centre)
        self.serial = serial
        self.centre = centre


class ViewNotStoppedError(RuleBrokenError):
    """The view has not stopped at this entry; ``stopped_at`` says where, or None."""

    code = "view-not-stopped"

    def __init__(self, *, view: str, stopped_at: int | None) -> None:
        super().__init__(view, stopped_at)
        self.view = view
        self.stopped_at = stopped_at


class AlreadySettledError(RuleBrokenError):
    """Somebody has said before what became of the dead letter, or of the payment."""

    code = "already-settled"

    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StampWithdrawnError(RuleBrokenError):
    """The stamp is out of use from ``day``; it is never issued again."""

    code = "stamp-withdrawn"

    def __init__(self, *, serial: str, day: date) -> None:
        super().__init__(serial, day)
        self.serial = serial
        self.day = day


class DayBegunError(RuleBrokenError):
    """The correction would change a working day that is over or has begun."""

    code = "day-begun"

    def __init__(self, *, day: date) -> None:
        super().__init__(day)
        self.day = day


class DatePassedError(RuleBrokenError):
    """What is to hold from a day cannot begin before the day of the act."""

    code = "date-passed"

    def __init__(self, *, day: date, earliest: date) -> None:
        super().__init__(day, earliest)
        self.day = day
        self.earliest = earliest


class ApprovalRequiredError(RuleBrokenError):
    """The act needs a supervisor's word, and has none."""

    code = "approval-required"


class EffectiveTimeError(RuleBrokenError):
    """The claimed time is not possible: ``reason`` says why.

    ``in-the-future``: later than the office's clock. ``before-previous``: earlier
    than the thing's previous event. ``needs-approval``: further back than the bound
    without a supervisor's approval. ``before-limit``: a limit that is not over yet.
    """

    code = "effective-time"

    def __init__(self, *, reason: str, bound: datetime | None = None) -> None:
        super().__init__(reason, bound)
        self.reason = reason
        self.bound = bound


class ServiceNotOfferedError(RuleBrokenError):
    """The service, centre or clerk is not there to take this request."""

    code = "service-not-offered"

    def __init__(self, *, what: str) -> None:
        super().__init__(what)
        self.what = what
