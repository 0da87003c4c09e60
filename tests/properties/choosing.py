"""How an act is chosen: all of it right, but for one kind of choice."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tests.properties.desk import BAD_ITEM, ITEMS, LEASE
from tests.properties.known import Case, Offered, Who, World

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FAULTS = (None, None, "who", "token", "page", "time", "args", "args", "turn", "turn")
"""What may be wrong with an act: one kind at a time, so that no other hides it."""
RIGHT = (None,)
"""Everything is chosen as it is right."""


class Chooser:
    """Draws what is right, but for one kind of choice where there is a fault."""

    def __init__(self, data: st.DataObject, faults: tuple[str | None, ...]) -> None:
        self._data = data
        self.fault = data.draw(st.sampled_from(faults))

    def right_of(self, *choices: Any) -> Any:
        """One of several things that may all be right."""
        if len(choices) == 1:
            return choices[0]
        return choices[self._data.draw(st.integers(0, len(choices) - 1))]

    def one(self, kind: str, right: Any, *others: Any) -> Any:
        """The right thing; where this is the fault, as a rule one of the others."""
        if kind != self.fault:
            return right
        return self.right_of(right, right, *others)


def args_of(  # noqa: PLR0911, PLR0912 -- one case an act
    act: str, case: Case, choose: Chooser, who: Who, *, world: World, now: datetime
) -> dict[str, Any]:
    """What an act says: all of it right, or one thing wrong."""
    latest = world.offers[case.service][-1]
    offer = case.offer or latest
    limits = [case.expires, case.payment_due, case.due, case.answer_due]
    known = [each for each in limits if each is not None]
    match act:
        case "accept":
            return {"documents": choose.one("args", latest.required, (), ("photo",))}
        case "decline":
            reason = choose.right_of("ineligible", "documents_missing")
            missing = ("passport",) if reason == "documents_missing" else ()
            return {
                "reason": reason,
                "missing": choose.one("args", missing, ("passport",)),
            }
        case "assign":
            clerks = sorted(world.clerks)
            return {"clerk": choose.one("args", choose.right_of(*clerks), "clk-HL-1")}
        case "claim":
            return {"lease": LEASE}
        case "release":
            reason = None
            if who.role == "system":
                reason = choose.right_of("lease_ended", "clerk_away")
            return {"reason": reason}
        case "warn":
            return {
                "limit": choose.right_of("completion", "first_answer"),
                "when": choose.right_of("before", "after"),
                "due_at": choose.right_of(*known, now),
            }
        case "expire":
            return {"due_at": choose.right_of(*known, now - HOUR)}
        case "pay":
            is_bank = choose.one("args", who.role == "bank", True)
            return {
                "channel": "bank" if is_bank else "cash",
                "reference": choose.one(
                    "args", "B-1" if is_bank else None, None, "B-2"
                ),
                "amount": choose.one("args", offer.amount, offer.amount - 1, 0),
                "unit": choose.one("args", "new", "old"),
            }
        case "refund":
            kinds = [kind for kind, _ in offer.fee]
            reasons = {"withdrawn": "withdrawn", "completed_refused": "refused"}
            right = tuple(kind for kind in kinds if kind not in case.refunded)
            return {
                "kinds": choose.one(
                    "args", choose.right_of(right, right[:1]), tuple(kinds)
                ),
                "reason": choose.one(
                    "args",
                    reasons.get(case.stage, "charged_wrongly"),
                    "charged_wrongly",
                    "refused",
                    "withdrawn",
                ),
                "channel": "cash",
                "reference": choose.one("args", None, "B-3"),
            }
        case "respond":
            outcomes = (*["issued"] * 4, "refused", "information_needed")
            outcome = choose.right_of(*outcomes)
            is_issued = outcome == "issued"
            return {
                "outcome": outcome,
                "reason": choose.one("args", None if is_issued else "no-record", None),
                "digest": None,
                "supersedes": choose.one("args", case.answer_version, None, 1, 3),
            }
        case "request_information":
            codes = choose.right_of(("passport",), ("address",), ("full_name",))
            return {"missing": choose.one("args", codes, (), ("photo",))}
        case "supply_information":
            return {"supplied": choose.one("args", ("passport",), ("photo",))}
        case "stamp":
            serial = choose.right_of(*sorted(world.stamps))
            return {"serial": choose.one("args", serial, "PS-none", "ختم-HL-000001")}
        case "mail":
            fresh = next(each for each in ITEMS if each != case.item)
            item = choose.one("args", fresh, *ITEMS, BAD_ITEM)
            to = choose.one("args", choose.right_of("home", "post_office"), "counter")
            return {"item": item, "is_good": item != BAD_ITEM, "to": to}
        case "deliver" | "collect" | "bring_back":
            item = choose.one("args", case.item or ITEMS[0], *ITEMS, BAD_ITEM)
            return {
                "item": item,
                "is_good": item != BAD_ITEM,
                "capacity": _capacity(offer, choose),
            }
        case "hand_over":
            return {"capacity": _capacity(offer, choose)}
        case "correct":
            names = ("full_name", "address", "delivery")
            field = choose.right_of(*names)
            if field == "delivery":
                to = choose.right_of("home", "counter")
                return {
                    "field": field,
                    "party": None,
                    "value": None,
                    "delivery": to,
                }
            return {
                "field": field,
                "party": choose.one("args", "applicant", "concerned"),
                "value": "قيمة",
                "delivery": None,
            }
        case _:
            return {}


def _capacity(offer: Offered, choose: Chooser) -> str:
    right = "other" if "anyone" in offer.receipt else "self"
    return choose.one("args", right, "spouse", "first_degree", "other")
