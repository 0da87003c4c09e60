"""``sijil unmatched-payments``: money without a request, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from api.cli.logins import connect, login_of
from api.cli.money import pounds
from api.cli.options import AsJson, AsOf, Limit, MinPosition
from api.cli.shown import OneCentre, show_list
from api.cli.tables import print_facts, print_json
from domain.acts import ActorKind
from domain.ids import new_id
from domain.payments import PaymentSettledBecause, UnmatchedBecause
from projections.payments import UnmatchedState

PATH = "/v1/payments/unmatched"
_COLUMNS = {
    "payment_id": "id",
    "paid_at": "paid",
    "pounds": "amount",
    "unit": "unit",
    "bank": "bank",
    "bank_reference": "reference",
    "reason": "why",
    "tracking_number": "tracking number",
    "state": "state",
    "settled_because": "became",
}

unmatched_payments = typer.Typer(
    no_args_is_help=True,
    help="Payments that banks reported and no request waited for.",
)
PaymentId = Annotated[UUID, typer.Argument(help="The payment's id.")]


@unmatched_payments.command("list")
def list_(
    *,
    state: Annotated[
        UnmatchedState | None, typer.Option(help="Only what has come to this.")
    ] = UnmatchedState.OPEN,
    every: Annotated[
        bool, typer.Option("--all", help="Whatever has become of them.")
    ] = False,
    centre: OneCentre = None,
    reason: Annotated[
        UnmatchedBecause | None, typer.Option(help="Only of this reason.")
    ] = None,
    reference: Annotated[str | None, typer.Option(help="The bank's.")] = None,
    as_of: AsOf = None,
    min_position: MinPosition = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List payments, the newest first: by default those of which nobody has said."""
    show_list(
        login_of(ActorKind.AUDITOR),
        PATH,
        _COLUMNS,
        empty="there are no such payments",
        as_json=as_json,
        of=("centres", centre),
        tell=_in_pounds,
        state=None if every else state,
        centre=centre,
        reason=reason,
        bank_reference=reference,
        as_of=as_of,
        min_position=min_position,
        limit=limit,
    )


@unmatched_payments.command()
def show(payment: PaymentId, *, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Show one payment, and what became of it."""
    with connect(login_of(ActorKind.AUDITOR)) as server:
        told = server.get(f"{PATH}/{payment}", as_of=as_of).body
    _print(told, as_json=as_json)


@unmatched_payments.command()
def settle(
    payment: PaymentId,
    *,
    reason: Annotated[
        PaymentSettledBecause, typer.Option(help="What became of the money.")
    ],
    request: Annotated[
        UUID | None,
        typer.Option(help="With taken-as-fee: the request whose fee it paid."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what became of the money; recorded as an act. No fee is paid by it."""
    with connect(login_of(ActorKind.ADMINISTRATOR)) as server:
        seen = server.get(f"{PATH}/{payment}")
        answer = server.post(
            f"{PATH}/{payment}/settlement",
            {
                "reason": reason.value,
                **({} if request is None else {"request_id": str(request)}),
            },
            command_id=new_id(datetime.now(UTC)),
            if_match=seen.etag,
        )
    _print(answer.body, as_json=as_json)


def _print(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
    else:
        print_facts({**told, "amount": f"{pounds(told['amount'])} {told['unit']}"})


def _in_pounds(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "pounds": pounds(item["amount"])}
