"""``sijil desk payments``, ``payment`` and ``sums``: fees of requests, added up."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from api.cli.logins import connect, login_of
from api.cli.options import AsJson, AsOf, Limit, MinPosition
from api.cli.shown import OneCentre, show_list
from api.cli.tables import print_facts, print_json, print_table
from domain.acts import ActorKind
from domain.money import Unit
from domain.requests import PaymentChannel
from projections.payments import PayBy, PaymentState

_COLUMNS = {
    "is_overdue": "overdue",
    "tracking_number": "tracking number",
    "service": "service",
    "state": "state",
    "pounds": "amount",
    "unit": "unit",
    "due_at": "due",
    "paid_at": "paid",
    "channel": "by",
    "bank_reference": "reference",
    "refunded_at": "refunded",
}
_MOVEMENTS = ("expected", "paid", "cancelled", "refunded")
_OF_HUNDREDTHS = ("state_fee", "service_charge", "amount")
_REFUNDED = ("refunded_state_fee", "refunded_service_charge")


def payments(
    *,
    centre: OneCentre = None,
    service: Annotated[str | None, typer.Option(help="Only of this service.")] = None,
    state: Annotated[PaymentState | None, typer.Option(help="Only such fees.")] = None,
    channel: Annotated[
        PaymentChannel | None, typer.Option(help="Only what was paid this way.")
    ] = None,
    unit: Annotated[Unit | None, typer.Option(help="Only in these pounds.")] = None,
    reference: Annotated[
        str | None, typer.Option(help="The bank's, of a payment or a refund.")
    ] = None,
    due_before: Annotated[
        str | None, typer.Option(help="Due before this time (RFC 3339).")
    ] = None,
    as_of: AsOf = None,
    min_position: MinPosition = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show the fees of requests, the newest first, as an auditor sees them."""
    show_list(
        login_of(ActorKind.AUDITOR),
        "/v1/payments",
        _COLUMNS,
        empty="no fee is so",
        as_json=as_json,
        of=("centres", centre),
        tell=_in_pounds,
        centre=centre,
        service=service,
        state=state,
        channel=channel,
        unit=unit,
        bank_reference=reference,
        due_before=due_before,
        as_of=as_of,
        min_position=min_position,
        limit=limit,
    )


def payment(
    request_id: Annotated[str, typer.Argument(help="Whose fee: the request's id.")],
    *,
    as_of: AsOf = None,
    min_position: MinPosition = None,
    as_json: AsJson = False,
) -> None:
    """Show the fee of one request: expected, paid, refunded, when and how."""
    with connect(login_of(ActorKind.AUDITOR)) as server:
        page = server.get(
            "/v1/payments",
            request_id=request_id,
            as_of=as_of,
            min_position=min_position,
        ).body
        if not page["items"]:
            # One that nobody knows is another answer than one that costs nothing.
            server.get(f"/v1/requests/{request_id}", as_of=as_of)
    if as_json:
        print_json(page["items"][0] if page["items"] else None)
        return
    if not page["items"]:
        typer.echo("no fee is expected of it")
        return
    [fee] = page["items"]
    told = dict(fee)
    for name in (*_OF_HUNDREDTHS, *_REFUNDED):
        told[name] = f"{pounds(fee[name])} {fee['unit']}"
    print_facts({name: value for name, value in told.items() if value is not None})


def sums(
    *,
    by: Annotated[
        list[PayBy] | None,
        typer.Option(help="What to group by, beside the unit; may be repeated."),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="The first day, as 2026-11-01.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="The last day.")] = None,
    as_of: AsOf = None,
    min_position: MinPosition = None,
    as_json: AsJson = False,
) -> None:
    """Add up what was expected, paid, cancelled and refunded, by days in Damascus."""
    with connect(login_of(ActorKind.AUDITOR)) as server:
        answer = server.get(
            "/v1/payments/sums",
            by=[each.value for each in by] if by else None,
            first=first,
            last=last,
            as_of=as_of,
            min_position=min_position,
        ).body
    if as_json:
        print_json(answer)
        return
    rows = [
        {
            **{f"by_{name}": value for name, value in item["group"].items()},
            "unit": item["unit"],
            **{name: _sum(item[name]) for name in _MOVEMENTS},
        }
        for item in answer["items"]
    ]
    groups = dict.fromkeys(str(each) for each in by or ())
    print_table(
        rows,
        {
            **{f"by_{name}": name for name in groups},
            "unit": "unit",
            **{name: name for name in _MOVEMENTS},
        },
        empty="nothing moved on these days",
    )


def pounds(hundredths: int) -> str:
    """An amount in pounds, as it is written on a receipt."""
    whole, part = divmod(hundredths, 100)
    return f"{whole:,}.{part:02d}"


def _in_pounds(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "pounds": pounds(item["amount"])}


def _sum(moved: dict[str, int]) -> str | None:
    """A sum and of how many fees; nothing where there is none."""
    return f"{pounds(moved['amount'])} of {moved['count']}" if moved["count"] else None
