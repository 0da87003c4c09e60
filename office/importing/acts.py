"""The acts an activity may be mapped to, and how a row's facts become a command."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from domain.requests import AssignedBecause, CorrectedField
from office import commands

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DIGESTS = frozenset({"document_digest", "stamped_digest"})
_LIST_SEPARATOR = ";"


class ActName(StrEnum):
    """The acts an activity may be mapped to: what people do with requests."""

    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not-accepted"
    ASSIGNED = "assigned"
    CLAIMED = "claimed"
    RELEASED = "released"
    FEE_PAID = "fee-paid"
    FEE_REFUNDED = "fee-refunded"
    FORWARDED = "forwarded"
    AGENCY_RESPONDED = "agency-responded"
    INFORMATION_REQUESTED = "information-requested"
    INFORMATION_SUPPLIED = "information-supplied"
    STAMPED = "stamped"
    MAILED = "mailed"
    DELIVERED = "delivered"
    COLLECTED = "collected"
    RETURNED = "returned"
    HANDED_OVER = "handed-over"
    RESULT_TOLD = "result-told"
    INFORMED = "informed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    CORRECTED = "corrected"


COMMANDS: dict[ActName, type[Any]] = {
    ActName.SUBMITTED: commands.SubmitRequest,
    ActName.ACCEPTED: commands.AcceptRequest,
    ActName.NOT_ACCEPTED: commands.DeclineRequest,
    ActName.ASSIGNED: commands.AssignRequest,
    ActName.CLAIMED: commands.ClaimRequest,
    ActName.RELEASED: commands.ReleaseRequest,
    ActName.FEE_PAID: commands.PayFee,
    ActName.FEE_REFUNDED: commands.RefundFee,
    ActName.FORWARDED: commands.ForwardRequest,
    ActName.AGENCY_RESPONDED: commands.RecordResponse,
    ActName.INFORMATION_REQUESTED: commands.RequestInformation,
    ActName.INFORMATION_SUPPLIED: commands.SupplyInformation,
    ActName.STAMPED: commands.StampDocument,
    ActName.MAILED: commands.MailDocument,
    ActName.DELIVERED: commands.ConfirmDelivery,
    ActName.COLLECTED: commands.ConfirmCollection,
    ActName.RETURNED: commands.BringBack,
    ActName.HANDED_OVER: commands.HandOver,
    ActName.RESULT_TOLD: commands.TellResult,
    ActName.INFORMED: commands.InformCitizen,
    ActName.WITHDRAWN: commands.WithdrawRequest,
    ActName.EXPIRED: commands.ExpireRequest,
    ActName.CORRECTED: commands.CorrectRequest,
}
_NO_FACTS = frozenset(
    {
        # The case says which request; an import has no claim, and names no person.
        "request_id",
        "token",
        "applicant",
        "concerned",
        "asks_again",
        "party",
        "value",
        # The rules in force say when something expired.
        "due_at",
    }
)
_FIXED: dict[ActName, dict[str, Any]] = {
    ActName.SUBMITTED: {"applicant": None, "concerned": None},
    ActName.CORRECTED: {"field": CorrectedField.DELIVERY},
}
_DEFAULTS: dict[ActName, dict[str, Any]] = {
    ActName.SUBMITTED: {"documents": ()},
    ActName.ACCEPTED: {"documents": ()},
}
BECAUSE = {ActName.ASSIGNED: AssignedBecause.RESPONSIBLE}
"""Why a clerk got a request: the source says who had it, so it was theirs to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fact:
    """One field of a command: what it takes, and whether it may be left out."""

    takes: TypeAdapter[Any]
    is_list: bool
    is_optional: bool
    is_integer: bool


class FactsError(ValueError):
    """Facts that do not fit their act; ``names`` are the facts', never values."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


@cache
def _adapter(act: ActName) -> TypeAdapter[Any]:
    return TypeAdapter(COMMANDS[act])


@cache
def _facts_of(act: ActName) -> dict[str, _Fact]:
    """The facts that an act can be told."""
    kind = COMMANDS[act]
    hints = get_type_hints(kind)
    has_default = {
        each.name
        for each in dataclasses.fields(kind)
        if each.default is not dataclasses.MISSING
    }
    return {
        name: _Fact(
            takes=TypeAdapter(hint),
            is_list=get_origin(hint) is tuple,
            is_optional=name in has_default or type(None) in get_args(hint),
            is_integer=hint is int or int in get_args(hint),
        )
        for name, hint in hints.items()
        if name not in _NO_FACTS and name not in _FIXED.get(act, {})
    }


def must_be_facts(
    act: ActName,
    facts: Mapping[str, Any],
    columns: Mapping[str, str],
    values: Mapping[str, Mapping[str, str]],
) -> None:
    """Raise ValueError, naming facts and no values, for what the act cannot be told."""
    known = _facts_of(act)
    unknown = (facts.keys() | columns.keys()) - known.keys()
    if unknown:
        raise ValueError(f"{act} has no fact {', '.join(sorted(unknown))}")
    if facts.keys() & columns.keys():
        raise ValueError("a fact is both fixed and from a column")
    if values.keys() - columns.keys():
        raise ValueError("values for a fact that is from no column")
    told = [(name, fact) for name, fact in facts.items()]
    for name, table in values.items():
        is_list = known[name].is_list
        told += [(name, [code] if is_list else code) for code in table.values()]
    for name, fact in told:
        try:
            known[name].takes.validate_python(fact)
        except ValidationError as error:
            raise ValueError(f"{name} cannot be what it is said to be") from error


def facts_of_row(
    act: ActName,
    columns: Mapping[str, str],
    values: Mapping[str, Mapping[str, str]],
    row: Mapping[str, str],
) -> dict[str, Any]:
    """The facts that a row's columns tell. Raises FactsError for an unknown value.

    An empty column tells nothing where the fact may be left out.
    """
    told: dict[str, Any] = {}
    known = _facts_of(act)
    for name, column in columns.items():
        fact, table = known[name], values.get(name)
        text = row[column].strip()
        if not text and fact.is_optional:
            continue
        parts = [text]
        if fact.is_list:
            parts = [p for each in text.split(_LIST_SEPARATOR) if (p := each.strip())]
        if table is not None:
            if not table.keys() >= set(parts):
                raise FactsError([name])
            parts = [table[part] for part in parts]
        if fact.is_integer and not (parts[0].isascii() and parts[0].isdigit()):
            # An amount is in hundredths: 30.00 would be read as thirty of them.
            raise FactsError([name])
        told[name] = tuple(parts) if fact.is_list else parts[0]
    return told


def command_of(act: ActName, facts: Mapping[str, Any]) -> commands.Command:
    """The command with these facts. Raises FactsError for what does not fit.

    A door would check digests; an import has none, and events are for ever.
    """
    kind = COMMANDS[act]
    told = {**_DEFAULTS.get(act, {}), **facts, **_FIXED.get(act, {})}
    if "token" in kind.__dataclass_fields__:
        told["token"] = None
    for name in _DIGESTS & told.keys():
        if told[name] is not None and not _DIGEST.fullmatch(str(told[name])):
            raise FactsError([name])
    try:
        command: commands.Command = _adapter(act).validate_python(told)
    except ValidationError as error:
        raise FactsError(
            sorted({str(fault["loc"][0]) for fault in error.errors() if fault["loc"]})
        ) from None
    return command
