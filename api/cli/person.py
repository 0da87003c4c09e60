"""``sijil person``: find a person, merge two records, tell a person what is held.

Values are asked for, or read from a pipe: what stands on a command line shows in
lists of processes and stays in the shell's history.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import typer

from api.cli.logins import connect, login_of
from api.cli.options import AsJson
from api.cli.tables import print_facts, print_json, print_table
from api.cli.typed import value_of
from domain.acts import ActorKind
from domain.ids import new_id
from domain.records import MergedBecause
from domain.requests import PartyRole

person = typer.Typer(
    help="Find a person, merge records, tell what is held.", no_args_is_help=True
)

Centre = Annotated[str, typer.Option(help="Seen as its supervisor.")]
_FOUND = {
    "tracking_number": "tracking number",
    "id": "request",
    "roles": "role",
    "stage": "stage",
    "service": "service",
    "submitted_at": "submitted",
}


class By(StrEnum):
    """What to look for a person by."""

    NATIONAL_NUMBER = "national_number"
    OTHER_IDENTIFIER = "other_identifier"
    PHONE = "phone"
    NAME = "name"


@person.command()
def search(
    *,
    by: Annotated[
        By, typer.Option(help="What is looked for; its value is asked on stdin.")
    ] = By.NATIONAL_NUMBER,
    centre: Centre = "SY-DI-01",
    cursor: Annotated[
        str | None, typer.Option(help="Go on where the answer before ended.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the requests of a person at a centre. The value comes from stdin."""
    asked: dict[str, Any] = {str(by): value_of(by)}
    if cursor is not None:
        asked["cursor"] = cursor
    with connect(login_of(ActorKind.SUPERVISOR, centre=centre)) as server:
        found = server.ask("/v1/persons/search", asked).body
    if as_json:
        print_json(found)
        return
    print_table(found["items"], _FOUND, empty=f"nobody was found at {centre}")
    if not found["is_complete"]:
        typer.echo(f"Not all was looked at; go on with --cursor {found['next']}")


@person.command()
def merge(
    first: Annotated[UUID, typer.Argument(help="A request of the person.")],
    second: Annotated[UUID, typer.Argument(help="Another request of the person.")],
    *,
    reason: Annotated[
        MergedBecause, typer.Option(help="How there came to be two records.")
    ],
    first_role: Annotated[
        PartyRole, typer.Option(help="What the person is in the first.")
    ] = PartyRole.APPLICANT,
    second_role: Annotated[
        PartyRole, typer.Option(help="What the person is in the second.")
    ] = PartyRole.APPLICANT,
    centre: Centre = "SY-DI-01",
    command: Annotated[
        UUID | None,
        typer.Option(help="The command's id, to send the same merge again."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the two records of one person one. It cannot be undone."""
    body = {
        "first": {"request_id": str(first), "role": str(first_role)},
        "second": {"request_id": str(second), "role": str(second_role)},
        "reason": str(reason),
    }
    with connect(login_of(ActorKind.SUPERVISOR, centre=centre)) as server:
        done = server.post(
            "/v1/persons/merge", body, command_id=command or new_id(datetime.now(UTC))
        )
    facts = {"merge": done.body["id"], "position": done.position}
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


@person.command()
def export(
    request: Annotated[UUID, typer.Argument(help="A request of the person.")],
    *,
    role: Annotated[
        PartyRole, typer.Option(help="What the person is in it.")
    ] = PartyRole.APPLICANT,
    centre: Centre = "SY-DI-01",
) -> None:
    """Print all that is held on a person as JSON, to hand to them. It is recorded."""
    body = {"request_id": str(request), "role": str(role)}
    with connect(login_of(ActorKind.SUPERVISOR, centre=centre)) as server:
        print_json(server.ask("/v1/persons/export", body).body)
