"""``sijil telling``: which messages to citizens are on their way, and which stuck."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID

import typer

from api.cli.failures import NO, Failure
from api.cli.options import AsJson, Limit
from api.cli.tables import print_json, print_table
from ledger.bodies import rfc3339
from ledger.names import VAULT_SCHEMA, Role
from ledger.outbox import Outbox
from ledger.persistence.datastore import PostgresDatastore
from ledger.settings import LedgerSettings

telling = typer.Typer(
    help="Look at the messages that go to citizens.", no_args_is_help=True
)


@contextmanager
def _outbox() -> Iterator[Outbox]:
    datastore = PostgresDatastore(
        LedgerSettings.load().dsn(Role.VAULT), schema=VAULT_SCHEMA, pool_size=1
    )
    try:
        yield Outbox(datastore)
    finally:
        datastore.close()


@telling.command("list")
def list_(
    *,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Each message that needs somebody, by id.")
    ] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Count the messages by state, message and reason."""
    with _outbox() as outbox:
        if stuck:
            rows = [
                {
                    "id": str(item.id),
                    "request_id": str(item.request_id),
                    "message": item.message,
                    "state": str(item.state),
                    "failure": item.failure,
                    "attempts": item.attempts,
                }
                for item in outbox.stuck(limit=limit)
            ]
        else:
            rows = [
                {
                    "state": each.state,
                    "message": each.message,
                    "failure": each.failure,
                    "count": each.count,
                    "since": rfc3339(each.since),
                }
                for each in outbox.tally()
            ]
    if as_json:
        print_json({"items": rows})
        return
    columns = ("id", "request_id", "message", "state", "failure", "attempts")
    counted = ("state", "message", "failure", "count", "since")
    print_table(
        rows,
        {name: name for name in (columns if stuck else counted)},
        empty="nothing is stuck" if stuck else "no message was on its way lately",
    )


@telling.command()
def retry(
    message_id: Annotated[UUID, typer.Argument(metavar="ID", help="As listed.")],
) -> None:
    """Try a message again that was given up, or that had nowhere to go."""
    with _outbox() as outbox:
        if not outbox.retry(message_id):
            raise Failure(
                "no such message was given up or unreachable",
                then="`sijil telling list --stuck` shows those that were",
                exit_code=NO,
            )
    typer.echo("it is tried again by the runner")
