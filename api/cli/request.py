"""``sijil request``: every act on a request, by hand; and what there is to see of one.

The acts are those of the interface, made from its bodies (``act_commands``).
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import typer

from api.cli.act_commands import ACTS, Request, contribute
from api.cli.acting import As, Desk, facts_of
from api.cli.options import AsJson, AsOf, Limit, MinPosition
from api.cli.server import RefusedError
from api.cli.tables import print_facts, print_json, print_table
from domain.acts import ActorKind
from domain.stages import Stage

request = typer.Typer(
    help="Act on requests, and see where they stand.", no_args_is_help=True
)
for _act in ACTS:
    contribute(request, _act)

_LISTED = {
    "tracking_number": "tracking number",
    "id": "request",
    "service": "service",
    "centre": "centre",
    "stage": "stage",
    "next_act": "next",
    "outcome": "outcome",
    "submitted_at": "submitted",
    "due_at": "due",
}
_DOCUMENTS = {
    "code": "document",
    "name_ar": "name",
    "is_required": "required",
    "is_shown": "shown",
}
_CONDITIONS = {
    "service": "service",
    "agency": "agency",
    "route": "route",
    "applicants": "may ask",
    "spouse_counts": "spouse counts as kin",
    "receivers": "may receive",
    "is_eligible": "applicant may ask",
    "fee_due": "fee falls due at",
    "payment_days": "days to pay",
    "first_answer_days": "days to the first answer",
    "completion_days": "days to complete",
    "due_at": "due",
    "paper": "paper",
    "live_stamp": "live stamp",
    "post": "by post",
    "is_offered": "offered today",
}


@request.command()
def show(request: Request, *, as_who: As = None, as_json: AsJson = False) -> None:
    """Show one request: where it stands, what is next, and its conditions."""
    with Desk(as_who, default=ActorKind.AUDITOR) as desk:
        server = desk.actor(request)
        seen = server.get(f"/v1/requests/{request}").body
        try:
            conditions = server.get(f"/v1/requests/{request}/conditions").body
        except RefusedError as refused:
            # A service may be gone that the request was never accepted under.
            if refused.code != "service-not-offered":
                raise
            conditions = None
    if as_json:
        print_json({"request": seen, "conditions": conditions})
        return
    print_facts(facts_of(seen))
    if conditions is not None:
        typer.echo()
        _print_conditions(conditions)


@request.command("list")
def list_(
    *,
    stage: Annotated[Stage | None, typer.Option(help="Only those at it.")] = None,
    service: Annotated[str | None, typer.Option(help="Only those for it.")] = None,
    centre: Annotated[str | None, typer.Option(help="Only those at it.")] = None,
    cursor: Annotated[
        str | None, typer.Option(help="Go on where the answer before ended.")
    ] = None,
    as_who: As = None,
    as_of: AsOf = None,
    min_position: MinPosition = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List requests, the newest first."""
    with Desk(as_who, default=ActorKind.AUDITOR) as desk:
        page = (
            desk.actor()
            .get(
                "/v1/requests",
                stage=None if stage is None else stage.value,
                service=service,
                centre=centre,
                cursor=cursor,
                as_of=as_of,
                min_position=min_position,
                limit=limit,
            )
            .body
        )
    if as_json:
        print_json(page)
        return
    print_table(page["items"], _LISTED, empty="there is no such request")
    if page["next"] is not None:
        typer.echo(f"There is more than {limit}; go on with --cursor {page['next']}")


@request.command()
def conditions(
    what: Annotated[str, typer.Argument(help="A service's code, or a request's id.")],
    *,
    centre: Annotated[
        str, typer.Option(help="Where a service is asked for.")
    ] = "SY-DI-01",
    as_who: As = None,
    as_json: AsJson = False,
) -> None:
    """Show who may ask and receive, the documents, the fee and the times."""
    with Desk(as_who, default=ActorKind.AUDITOR) as desk:
        of_request = _request_id(what)
        if of_request is None:
            # A code is one part of the path, whatever was typed.
            path = f"/v1/services/{_quoted(what)}/conditions"
            found = desk.actor().get(path, centre=centre).body
        else:
            path = f"/v1/requests/{of_request}/conditions"
            found = desk.actor(of_request).get(path).body
    if as_json:
        print_json(found)
    else:
        _print_conditions(found)


@request.command()
def approve(
    command_id: Annotated[
        UUID, typer.Argument(help="The act's id: the key it is to be sent with.")
    ],
    *,
    on: Annotated[
        UUID | None,
        typer.Option(help="The request that the act is on; none for a new request."),
    ] = None,
    as_who: As = None,
    as_json: AsJson = False,
) -> None:
    """Give a supervisor's word for one act of the centre, before it is sent."""
    asked = {"command_id": str(command_id)}
    if on is not None:
        asked["request_id"] = str(on)
    with Desk(as_who, default=ActorKind.SUPERVISOR) as desk:
        given = desk.actor().ask("/v1/approvals", asked).body
    if as_json:
        print_json(given)
        return
    print_facts({"approval": given["approval"], "good until": given["until"]})
    typer.echo(
        f"Send it with the act: --key {given['command_id']} "
        f"--approval {given['approval']}"
    )


def _request_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _quoted(code: str) -> str:
    return quote(code, safe="", errors="replace")


def _print_conditions(found: dict[str, Any]) -> None:
    facts = {
        heading: found[name]
        for name, heading in _CONDITIONS.items()
        if found[name] is not None
    }
    fees = [
        f"{line['kind']} {line['amount']} hundredths of {line['unit']}"
        for line in found["fee_lines"]
    ]
    print_facts({**facts, "fee": fees})
    typer.echo()
    print_table(found["documents"], _DOCUMENTS, empty="no document is wanted")
