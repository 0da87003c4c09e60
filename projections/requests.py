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
from domain.stages import Stage
from domain.standing import Standing
from projections.facts import Fact

PREFIX = "sijil.request."
_BOOKKEEPING = frozenset({"assigned", "informed"})

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
    has_paper boolean NOT NULL,
    needs_stamp boolean NOT NULL,
    is_posted boolean NOT NULL,
    is_mailed boolean NOT NULL,
    item text,
    clerk text,
    token integer NOT NULL,
    submitted_at timestamptz NOT NULL,
    since timestamptz NOT NULL,
    due_at timestamptz,
    answer_due_at timestamptz,
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
            "needs_stamp",
            "is_posted",
            "is_mailed",
        ),
        "boolean",
    ),
    **dict.fromkeys(("token", "version", "etag_version"), "integer"),
    **dict.fromkeys(
        ("submitted_at", "since", "due_at", "answer_due_at", "ended_at"), "timestamptz"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestState:
    """One request as its facts left it. Times are effective ones, UTC.

    ``since`` is when the present next act began to wait; ``ended_at`` when the
    request reached a final stage.
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
    has_paper: bool = True
    needs_stamp: bool = False
    is_posted: bool = True
    is_mailed: bool = False
    item: str | None = None
    clerk: str | None = None
    token: int = 0
    due_at: datetime | None = None
    answer_due_at: datetime | None = None
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
            is_refused=None if self.outcome is None else self.outcome == Answer.REFUSED,
            has_paper=self.has_paper,
            needs_stamp=self.needs_stamp,
            is_posted=self.is_posted,
        )

    @property
    def until(self) -> datetime | None:
        """When the present step is due: the agency's answer, else the whole."""
        if self.is_forwarded and self.outcome is None:
            return self.answer_due_at
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
        submitted_at=fact.effective_at,
        since=fact.effective_at,
        version=fact.entry.version,
        etag_version=fact.entry.version,
    )


def _changes(  # noqa: C901, PLR0911 -- one case an event
    state: RequestState, name: str, fact: Fact
) -> dict[str, Any]:
    """The columns that one fact changes."""
    data = fact.data
    ended = {"ended_at": fact.effective_at} if state.ended_at is None else {}
    match name:
        case "accepted":
            return _accepted(state, data["terms"])
        case "not-accepted":
            return {"stage": Stage.NOT_ACCEPTED, **ended}
        case "assigned":
            return {"clerk": data["clerk"], "token": data["token"]}
        case "fee-paid":
            return {"is_fee_outstanding": False}
        case "forwarded":
            return {
                "is_forwarded": True,
                "answer_due_at": datetime.fromisoformat(data["answer_due_at"]),
            }
        case "agency-responded":
            return {"outcome": data["outcome"]}
        case "stamped":
            return {"needs_stamp": False}
        case "mailed":
            issued = {"stage": Stage.COMPLETED_ISSUED, **ended}
            return {"is_mailed": True, "item": data["item"], **issued}
        case "handed-over":
            return {"stage": Stage.COMPLETED_ISSUED, **ended}
        case "result-told":
            told = (
                Stage.COMPLETED_ISSUED
                if data["outcome"] == Answer.ISSUED
                else Stage.COMPLETED_REFUSED
            )
            return {"stage": told, **ended}
        case _:
            return {}


def _accepted(state: RequestState, terms: dict[str, Any]) -> dict[str, Any]:
    is_fee_due = sum(line["amount"] for line in terms["fee_lines"]) > 0
    return {
        "stage": Stage.IN_PROGRESS,
        "agency": terms["agency"],
        "route": terms["route"],
        "fee_due": terms["fee_due"],
        "is_fee_outstanding": is_fee_due,
        "has_paper": terms["paper"],
        "needs_stamp": terms["live_stamp"],
        "is_posted": terms["post"]
        and state.delivery != Delivery.COUNTER
        and terms["fee_due"] == FeeDue.ACCEPTANCE,
        "due_at": datetime.fromisoformat(terms["due_at"]),
    }
