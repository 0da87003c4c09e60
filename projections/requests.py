"""What the views over requests remember of one request, folded from its facts.

Every such view keeps these columns for itself, so that each stands on its own rows
and progress; what is next is decided by domain.standing, never here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

from domain.requests import Answer, Delivery
from domain.services import FeeDue, Route
from domain.stages import NextAct, Stage
from domain.standing import Standing
from projections.facts import Fact

PREFIX = "sijil.request."
_ENDS = frozenset(
    {"not-accepted", "mailed", "handed-over", "result-told", "withdrawn", "expired"}
)
_RESULTS = frozenset({Answer.ISSUED, Answer.REFUSED})
_BOOKKEEPING = frozenset({"assigned", "claimed", "released", "informed", "warned"})

REQUEST_COLUMNS = """
    tracking_number text NOT NULL,
    code_key text NOT NULL,
    service text NOT NULL,
    agency text NOT NULL,
    centre text NOT NULL,
    governorate text NOT NULL,
    channel text NOT NULL,
    delivery text NOT NULL,
    parties text[] NOT NULL,
    stage text NOT NULL,
    route text,
    fee_due text,
    is_fee_outstanding boolean NOT NULL,
    is_forwarded boolean NOT NULL,
    outcome text,
    reason text,
    missing text[],
    has_paper boolean NOT NULL,
    wants_stamp boolean NOT NULL,
    needs_stamp boolean NOT NULL,
    is_postable boolean NOT NULL,
    is_posted boolean NOT NULL,
    is_mailed boolean NOT NULL,
    is_information_needed boolean NOT NULL,
    is_information_asked boolean NOT NULL,
    is_returned boolean NOT NULL,
    item text,
    clerk text,
    token integer NOT NULL,
    lease_until timestamptz,
    assigned_clerk text,
    released_because text,
    submitted_at timestamptz NOT NULL,
    since timestamptz NOT NULL,
    due_at timestamptz,
    answer_due_at timestamptz,
    payment_due_at timestamptz,
    expires_at timestamptz,
    ended_at timestamptz,
    version integer NOT NULL,
    etag_version integer NOT NULL
"""
CASTS = {
    "request_id": "uuid",
    "parties": "text[]",
    **dict.fromkeys(
        (
            "is_fee_outstanding",
            "is_forwarded",
            "has_paper",
            "wants_stamp",
            "needs_stamp",
            "is_postable",
            "is_posted",
            "is_mailed",
            "is_information_needed",
            "is_information_asked",
            "is_returned",
        ),
        "boolean",
    ),
    "missing": "text[]",
    **dict.fromkeys(("token", "version", "etag_version"), "integer"),
    **dict.fromkeys(
        (
            "submitted_at",
            "since",
            "lease_until",
            "due_at",
            "answer_due_at",
            "payment_due_at",
            "expires_at",
            "ended_at",
        ),
        "timestamptz",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestState:
    """One request as its facts left it. Times are effective ones, UTC.

    ``since`` is when the present next act began to wait; ``ended_at`` when the
    request reached a final stage. ``reason`` is the code of why it was not accepted, or
    of the agency's answer; ``missing`` what the citizen is asked for, or did not show.
    """

    tracking_number: str
    code_key: str
    service: str
    agency: str
    centre: str
    governorate: str
    channel: str
    delivery: str
    parties: list[str]
    stage: str
    submitted_at: datetime
    since: datetime
    version: int
    etag_version: int
    route: str | None = None
    fee_due: str | None = None
    is_fee_outstanding: bool = False
    is_forwarded: bool = False
    outcome: str | None = None
    reason: str | None = None
    missing: list[str] | None = None
    has_paper: bool = True
    wants_stamp: bool = False
    needs_stamp: bool = False
    is_postable: bool = True
    is_posted: bool = True
    is_mailed: bool = False
    is_information_needed: bool = False
    is_information_asked: bool = False
    is_returned: bool = False
    item: str | None = None
    clerk: str | None = None
    token: int = 0
    lease_until: datetime | None = None
    assigned_clerk: str | None = None
    released_because: str | None = None
    due_at: datetime | None = None
    answer_due_at: datetime | None = None
    payment_due_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def standing(self) -> Standing:
        """The facts that decide what is next."""
        return Standing(
            stage=Stage(self.stage),
            route=None if self.route is None else Route(self.route),
            fee_due=FeeDue(self.fee_due)
            if self.is_fee_outstanding and self.fee_due
            else None,
            is_forwarded=self.is_forwarded,
            is_refused=None
            if self.outcome not in _RESULTS
            else self.outcome == Answer.REFUSED,
            has_paper=self.has_paper,
            needs_stamp=self.needs_stamp,
            is_posted=self.is_posted,
            is_information_needed=self.is_information_needed,
            is_information_asked=self.is_information_asked,
            is_returned=self.is_returned,
        )

    @property
    def until(self) -> datetime | None:
        """When the present step is due: acceptance, fee, answer, else the whole.

        Nothing is due while the clock stands still, nor of an item that came back.
        """
        standing = self.standing
        if standing.is_clock_stopped or self.is_returned:
            return None
        match standing.next_act:
            case NextAct.ACCEPT:
                return self.expires_at
            case NextAct.TAKE_FEE:
                return self.payment_due_at or self.due_at
            case NextAct.RECORD_REPLY if self.is_forwarded:
                return self.answer_due_at
            case _:
                return self.due_at

    def row(self) -> dict[str, Any]:
        """The columns of a view's table."""
        return asdict(self)


STATE_COLUMNS = tuple(field.name for field in fields(RequestState))


def state_after(state: RequestState | None, fact: Fact) -> RequestState | None:
    """The state after a fact of its request; None where nothing is known of it."""
    name = fact.topic.removeprefix(PREFIX).rpartition(".v")[0]
    if name == "submitted":
        return _submitted(fact)
    if state is None:
        return None
    before = state.standing.next_act
    changed = replace(
        state,
        version=fact.entry.version,
        etag_version=state.etag_version if name in _BOOKKEEPING else fact.entry.version,
        **_changes(state, name, fact),
    )
    if name in _ENDS:
        # What has ended is in nobody's hands any more.
        changed = replace(changed, clerk=changed.assigned_clerk, lease_until=None)
    if changed.standing.next_act is not before:
        changed = replace(changed, since=fact.effective_at)
    return changed


def _submitted(fact: Fact) -> RequestState:
    data = fact.data
    return RequestState(
        tracking_number=data["tracking_number"],
        code_key=data["code_key"],
        service=data["service"],
        agency=data["agency"],
        centre=data["centre"],
        governorate=data["governorate"],
        channel=data["channel"],
        delivery=data["delivery"],
        parties=[party["id"] for party in data["parties"]],
        stage=Stage.WAITING,
        expires_at=_time(data, "expires_at"),
        submitted_at=fact.effective_at,
        since=fact.effective_at,
        version=fact.entry.version,
        etag_version=fact.entry.version,
    )


def _changes(  # noqa: C901, PLR0911, PLR0912 -- one case an event
    state: RequestState, name: str, fact: Fact
) -> dict[str, Any]:
    """The columns that one fact changes."""
    data = fact.data
    ended = {"ended_at": fact.effective_at} if state.ended_at is None else {}
    match name:
        case "accepted":
            return _accepted(state, data["terms"])
        case "not-accepted":
            why = {"reason": data["reason"], "missing": list(data["missing"]) or None}
            return {"stage": Stage.NOT_ACCEPTED, **why, **ended}
        case "assigned":
            return {
                "clerk": data["clerk"],
                "assigned_clerk": data["clerk"],
                "token": data["token"],
                "lease_until": None,
                "released_because": None,
            }
        case "claimed":
            return {
                "clerk": data["clerk"],
                "token": data["token"],
                "lease_until": _time(data, "lease_until"),
                "released_because": None,
            }
        case "released":
            return {
                "clerk": data.get("holder"),
                "assigned_clerk": data.get("holder"),
                "token": data["token"],
                "lease_until": None,
                "released_because": data["reason"],
            }
        case "fee-paid":
            return {"is_fee_outstanding": False, "payment_due_at": None}
        case "forwarded":
            return {"is_forwarded": True, "answer_due_at": _time(data, "answer_due_at")}
        case "agency-responded":
            return {
                "outcome": data["outcome"],
                "reason": data.get("reason"),
                "is_information_needed": data["outcome"] == Answer.INFORMATION_NEEDED,
                # Another answer is another document, which wants its own stamp.
                "needs_stamp": state.wants_stamp,
                # Each answer says anew whether a fee falls due with it.
                "payment_due_at": _time(data, "payment_due_at"),
            }
        case "information-requested":
            return {
                "is_information_asked": True,
                "is_information_needed": False,
                "missing": list(data["missing"]),
            }
        case "information-supplied":
            return _supplied(state, data)
        case "stamped":
            return {"needs_stamp": False, **_payment_due(data)}
        case "mailed":
            issued = {"stage": Stage.COMPLETED_ISSUED, **ended}
            return {
                "is_mailed": True,
                "is_returned": False,
                "item": data["item"],
                **issued,
            }
        case "returned":
            return {"is_returned": True}
        case "handed-over":
            return {"stage": Stage.COMPLETED_ISSUED, "is_returned": False, **ended}
        case "result-told":
            told = (
                Stage.COMPLETED_ISSUED
                if data["outcome"] == Answer.ISSUED
                else Stage.COMPLETED_REFUSED
            )
            return {"stage": told, **ended}
        case "withdrawn":
            return {"stage": Stage.WITHDRAWN, **ended}
        case "expired":
            return {"stage": Stage.EXPIRED, **ended}
        case "corrected" if data.get("delivery"):
            return _delivered_to(state, data["delivery"])
        case _:
            return {}


def _time(data: dict[str, Any], name: str) -> datetime | None:
    told = data.get(name)
    return None if told is None else datetime.fromisoformat(told)


def _payment_due(data: dict[str, Any]) -> dict[str, Any]:
    """A payment limit that begins, where one does."""
    due = _time(data, "payment_due_at")
    return {} if due is None else {"payment_due_at": due}


def _supplied(state: RequestState, data: dict[str, Any]) -> dict[str, Any]:
    """The clock goes on, and an agency that wanted more has not answered any more."""
    is_open = state.outcome == Answer.INFORMATION_NEEDED
    return {
        "is_information_asked": False,
        "is_information_needed": False,
        "outcome": None if is_open else state.outcome,
        "reason": None if is_open else state.reason,
        "missing": None,
        "due_at": _time(data, "due_at") or state.due_at,
        "answer_due_at": _time(data, "answer_due_at") or state.answer_due_at,
    }


def _delivered_to(state: RequestState, delivery: str) -> dict[str, Any]:
    return {
        "delivery": delivery,
        "is_posted": state.is_postable and delivery != Delivery.COUNTER,
    }


def _accepted(state: RequestState, terms: dict[str, Any]) -> dict[str, Any]:
    is_fee_due = sum(line["amount"] for line in terms["fee_lines"]) > 0
    is_postable = terms["post"] and terms["fee_due"] == FeeDue.ACCEPTANCE
    return {
        "stage": Stage.IN_PROGRESS,
        "agency": terms["agency"],
        "route": terms["route"],
        "fee_due": terms["fee_due"],
        "is_fee_outstanding": is_fee_due,
        "has_paper": terms["paper"],
        "wants_stamp": terms["live_stamp"],
        "needs_stamp": terms["live_stamp"],
        "is_postable": is_postable,
        "is_posted": is_postable and state.delivery != Delivery.COUNTER,
        "due_at": datetime.fromisoformat(terms["due_at"]),
        "payment_due_at": _time(terms, "payment_due_at"),
        "expires_at": None,
    }
