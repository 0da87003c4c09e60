"""The commands of the acts, made from the bodies that the interface takes.

A body says what can be told of an act: each field is an option, and a new field becomes
one by itself. What a person's value may stand in is never an option; see ``typed``.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from api.cli import typed
from api.cli.acting import As, Deed, Desk, do
from api.cli.options import AsJson
from api.v1 import bodies
from domain.acts import ActorKind
from domain.ids import new_id
from domain.requests import CorrectedField

TYPED = frozenset({"applicant", "concerned", "value"})
"""Fields that hold a person's values: they come from standard input alone."""
FETCHED = frozenset({"token", "amount", "unit"})
"""Fields that are taken from the request as the actor sees it, unless they are told."""
_WORDS = {
    "token": "The token of a claim; the current one by default.",
    "amount": "Hundredths of a pound; by default all that is due.",
    "unit": "Of which pound; by default the one that is due.",
    "accept": "Accept it in the same act, at the counter.",
    "decline_reason": "Decline it in the same act, for this reason.",
    "missing": "The code of what is missing.",
    "supplied": "The code of what was brought.",
    "kinds": "Which line of the fee.",
    "approval": "A supervisor's word; `sijil request approve` gives it.",
}
"""Where the field's own description would say less to somebody at a shell."""
Request = Annotated[UUID, typer.Argument(help="The request's id.")]
Key = Annotated[
    UUID | None,
    typer.Option(help="The act's id, to send the same act again; new by default."),
]
IfMatch = Annotated[
    str | None,
    typer.Option(help='The ETag you saw, such as "4"; the current one by default.'),
]


def _nothing(_: Mapping[str, Any]) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ActCommand:
    """One act as a command: where it is sent, what it takes, who does it as a rule."""

    name: str
    path: str
    body: type[BaseModel]
    by: ActorKind
    help: str
    ask: Callable[[Mapping[str, Any]], dict[str, Any]] = field(default=_nothing)
    """What is read from standard input, by what the options say."""

    @property
    def options(self) -> dict[str, FieldInfo]:
        """The body's fields that are options, its own before those of all acts."""
        fields = self.body.model_fields
        names = sorted(fields, key=lambda name: name in bodies.Body.model_fields)
        return {name: fields[name] for name in names if name not in TYPED}

    def told(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the options say, as the body has it; what was not said is left out.

        A list that the interface wants is empty when nothing was said.
        """
        fields = self.body.model_fields
        empty: dict[str, Any] = {
            name: []
            for name in given
            if fields[name].is_required()
            and get_origin(option_type(fields[name].annotation)) is list
        }
        said = {
            name: plain(value)
            for name, value in given.items()
            if value is not None and value is not False and value != []
        }
        return {**empty, **said}

    def run(self, request: UUID | None, given: dict[str, Any]) -> None:
        """Send the act with what was typed."""
        as_json, as_who = given.pop("as_json"), given.pop("as_who")
        key, if_match = given.pop("key"), given.pop("if_match", None)
        told = self.told(given)
        deed = Deed(
            command=self.name,
            request_id=request,
            path="/v1/requests" + (f"/{request}/{self.path}" if self.path else ""),
            body={**told, **self.ask(told)},
            told=told,
            key=key or new_id(datetime.now(UTC)),
            if_match=if_match,
        )
        with Desk(as_who, default=self.by) as desk:
            do(desk, deed, fields=frozenset(self.options), as_json=as_json)


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, StrEnum | UUID) else value


def option_type(annotation: Any) -> Any:
    """What a shell can say for a field: text for times, choices, lists of them."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in {Union, types.UnionType}:
        (annotation,) = (a for a in get_args(annotation) if a is not type(None))
        return option_type(annotation)
    if get_origin(annotation) is list:
        return list[option_type(get_args(annotation)[0])]  # type: ignore[misc]
    return str if annotation is datetime else annotation


def _parameter(name: str, info: FieldInfo) -> inspect.Parameter:
    kind = option_type(info.annotation)
    words = _WORDS.get(name) or info.description or ""
    flag = f"--{name.replace('_', '-')}"
    default: Any = inspect.Parameter.empty
    if get_origin(kind) is list:
        default = None
        words = f"{words} May be given several times.".strip()
        kind = kind | None
    elif kind is bool:
        default = False
    elif name in FETCHED or not info.is_required():
        default, kind = None, kind | None
    if not words and info.examples and info.examples[0] is not None:
        words = f"For example {info.examples[0]}."
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, typer.Option(flag, help=words)],
    )


def contribute(group: typer.Typer, act: ActCommand) -> None:
    """Add the act's command to the group."""

    def run(**given: Any) -> None:
        act.run(given.pop("request", None), given)

    own = [
        _own("as_who", As, None),
        _own("key", Key, None),
        *([_own("if_match", IfMatch, None)] if act.path else []),
        _own("as_json", AsJson, default=False),
    ]
    first = [] if not act.path else [_own("request", Request, inspect.Parameter.empty)]
    options = [_parameter(name, info) for name, info in act.options.items()]
    signature = inspect.Signature([*first, *options, *own])
    # What typer reads of a function instead of its source.
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {
        name: parameter.annotation for name, parameter in signature.parameters.items()
    }
    run.__doc__ = act.help
    group.command(act.name)(run)


def _own(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _persons(told: Mapping[str, Any]) -> dict[str, Any]:
    """The applicant, and the person concerned where that is somebody else."""
    roles = ("applicant", "concerned")
    is_self = told.get("relationship") == "self"
    return typed.persons(roles[:1] if is_self else roles, needed="applicant")


def _value(told: Mapping[str, Any]) -> dict[str, Any]:
    """The right value of a person; the choice of delivery is an option."""
    if told.get("field") == CorrectedField.DELIVERY:
        return {}
    return {"value": typed.value_of(str(told["field"]))}


_CLERK, _SUPERVISOR, _POST = ActorKind.CLERK, ActorKind.SUPERVISOR, ActorKind.POST


def _act(
    name: str,
    path: str,
    body: type[BaseModel],
    words: str,
    *,
    by: ActorKind = _CLERK,
    ask: Callable[[Mapping[str, Any]], dict[str, Any]] = _nothing,
) -> ActCommand:
    return ActCommand(name=name, path=path, body=body, by=by, help=words, ask=ask)


ACTS = (
    _act(
        "submit",
        "",
        bodies.Submission,
        "Submit a request; the persons come from standard input, as JSON or asked.",
        ask=_persons,
    ),
    _act("accept", "acceptance", bodies.Acceptance, "Accept a waiting request."),
    _act("decline", "declining", bodies.Declining, "Decline a waiting request."),
    _act(
        "assign",
        "assignment",
        bodies.Assignment,
        "Give a request to a clerk of its centre.",
        by=_SUPERVISOR,
    ),
    _act("claim", "claim", bodies.Claiming, "Take a request in hand for a lease."),
    _act("release", "release", bodies.Releasing, "Let a request go."),
    _act("pay", "payment", bodies.Payment, "Take the whole fee that is due."),
    _act(
        "refund",
        "refund",
        bodies.Refund,
        "Pay lines of the fee back, after the request has ended.",
        by=_SUPERVISOR,
    ),
    _act("forward", "forwarding", bodies.Forwarding, "Forward it to its agency."),
    _act("respond", "response", bodies.AgencyAnswer, "Record the agency's answer."),
    _act(
        "request-information",
        "information-request",
        bodies.AskingForInformation,
        "Ask the citizen for what is missing; the clock stands still.",
    ),
    _act(
        "supply-information",
        "information",
        bodies.Information,
        "Record what the citizen brought; the clock goes on.",
    ),
    _act("stamp", "stamp", bodies.Stamping, "Record the live stamp."),
    _act("mail", "mailing", bodies.Mailing, "Record that the post has the paper."),
    _act(
        "deliver",
        "delivery",
        bodies.DeliveryReport,
        "Report that the post delivered the item.",
        by=_POST,
    ),
    _act(
        "collect",
        "collection",
        bodies.CollectionReport,
        "Report that the item was fetched at the post office.",
        by=_POST,
    ),
    _act(
        "bring-back",
        "return",
        bodies.ReturnReport,
        "Report that the item came back.",
        by=_POST,
    ),
    _act(
        "hand-over",
        "hand-over",
        bodies.HandingOver,
        "Hand the paper over at the counter.",
    ),
    _act("tell-result", "result", bodies.Telling, "Tell the citizen the result."),
    _act(
        "inform",
        "message",
        bodies.Informing,
        "Record a message that went to the citizen.",
    ),
    _act(
        "withdraw",
        "withdrawal",
        bodies.Withdrawal,
        "Take a request back, on the citizen's word.",
    ),
    _act(
        "correct",
        "correction",
        bodies.CorrectionBody,
        "Correct a field; a person's right value comes from standard input.",
        ask=_value,
    ),
)
"""Every act on a request, in the order of its life. Path "" is a new one's."""
