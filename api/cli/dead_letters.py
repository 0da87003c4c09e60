"""``sijil dead-letters``: see what could not be used, send it again, or settle it.

What is listed comes from the server, as for any other client (decision 0008); what was
in a message, and sending it again, from Kafka.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from api.cli.failures import COULD_NOT_ASK, NO, Failure
from api.cli.logins import connect, login_of
from api.cli.options import AsJson, AsOf, Limit, MinPosition
from api.cli.server import RunningServer
from api.cli.tables import print_facts, print_json, print_table
from domain.acts import ActorKind
from domain.dead_letters import DeadBecause, SettledBecause
from domain.ids import derived_id, new_id, time_at
from ledger.settings import LedgerSettings
from office.errors import OperatorError
from office.streams import LetterBox, LetterContent, LetterPlace, letter_box
from projections.dead_letters import LetterState
from projections.pages import LARGEST_PAGE

PATH = "/v1/dead-letters"

dead_letters = typer.Typer(
    no_args_is_help=True, help="Messages from outside that could not be used."
)
LetterId = Annotated[UUID, typer.Argument(help="The dead letter's id.")]


@dead_letters.command("list")
def list_(
    *,
    state: Annotated[
        LetterState | None, typer.Option(help="Only what has come to this.")
    ] = LetterState.OPEN,
    cause: Annotated[
        DeadBecause | None, typer.Option(help="Only of this cause.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Whatever has come of them.")
    ] = False,
    as_of: AsOf = None,
    min_position: MinPosition = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest first: by default those nobody dealt with."""
    with connect(login_of(ActorKind.AUDITOR)) as server:
        page = server.get(
            PATH,
            state=None if every else state,
            cause=cause,
            as_of=as_of,
            min_position=min_position,
            limit=limit,
        ).body
    if as_json:
        print_json(page)
        return
    rows = [
        {
            **item,
            "place": f"{item['topic']}/{item['partition']}/{item['offset']}",
            "why": " ".join(filter(None, (item["cause"], item["code"]))),
        }
        for item in page["items"]
    ]
    print_table(
        rows,
        {
            "id": "id",
            "set_aside_at": "set aside",
            "why": "why",
            "place": "message",
            "attempts": "tries",
            "state": "state",
        },
        empty="there are no such dead letters",
    )
    if page["next"] is not None:
        typer.echo(f"There are more than {limit}.")


@dead_letters.command()
def totals(*, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Count dead letters by group and cause, and by what became of them."""
    with connect(login_of(ActorKind.AUDITOR)) as server:
        page = server.get(f"{PATH}/totals", as_of=as_of, limit=LARGEST_PAGE).body
    if as_json:
        print_json(page)
        return
    columns = ("group", "cause", "open", "replayed", "settled", "oldest_open_at")
    print_table(
        page["items"],
        {name: name.replace("_", " ") for name in columns},
        empty="there are no dead letters",
    )


@dead_letters.command()
def show(
    letter: LetterId,
    *,
    content: Annotated[
        bool,
        typer.Option(
            "--content",
            help="What was in it, from Kafka: it may be a person's values.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter; with ``--content``, what was in it too."""
    with connect(login_of(ActorKind.AUDITOR)) as server:
        told = server.get(f"{PATH}/{letter}").body
    if content:
        with letter_box(LedgerSettings.load()) as box:
            told |= _shown(box.content(_place(told)))
    if as_json:
        print_json(told)
    else:
        print_facts(told)


@dead_letters.command()
def settle(
    letter: LetterId,
    *,
    reason: Annotated[SettledBecause, typer.Option(help="Why.")],
    as_json: AsJson = False,
) -> None:
    """Say that nothing more comes of a dead letter; recorded as an act."""
    with connect(login_of(ActorKind.ADMINISTRATOR)) as server:
        seen = server.get(f"{PATH}/{letter}")
        answer = server.post(
            f"{PATH}/{letter}/settlement",
            {"reason": reason.value},
            command_id=new_id(datetime.now(UTC)),
            if_match=seen.etag,
        )
    if as_json:
        print_json(answer.body)
    else:
        print_facts(answer.body)


@dead_letters.command()
def replay(
    letter: Annotated[UUID | None, typer.Argument(help="The dead letter's id.")] = None,
    *,
    all_of: Annotated[
        DeadBecause | None,
        typer.Option(help="Instead of one: every open one of this cause."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also one that was sent again before.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send a message again to where it came from, as it came; recorded as an act.

    Ended in between, it goes on where it was: a message is sent once for a replay.
    """
    if (letter is None) is (all_of is None):
        raise Failure(
            "it is not clear what is to be sent again",
            why="either an id is wanted, or a cause with --all-of",
            exit_code=COULD_NOT_ASK,
        )
    with (
        connect(login_of(ActorKind.ADMINISTRATOR)) as server,
        letter_box(LedgerSettings.load()) as box,
    ):
        if letter is None:
            told, left = _replay_all(server, box, _open_of(server, all_of))
        else:
            told, left = [_replay(server, box, str(letter), again=again)], []
    _print_sent(told, as_json=as_json)
    for sentence in left:
        typer.echo(f"sijil: {sentence}", err=True)
    if left:
        raise typer.Exit(NO)


def _print_sent(told: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json({"items": told})
        return
    print_table(
        told,
        {
            "id": "id",
            "topic": "topic",
            "replayed_partition": "partition",
            "replayed_offset": "offset",
            "replays": "times",
        },
        empty="nothing was sent again",
    )


def _replay_all(
    server: RunningServer, box: LetterBox, ids: list[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """What was sent again, and why others could not be: one holds up no other."""
    told, left = [], []
    for letter_id in ids:
        try:
            told.append(_replay(server, box, letter_id, again=False))
        except (Failure, OperatorError) as error:
            if error.exit_code != NO:
                raise
            left.append(f"{letter_id}: {error}")
    return told, left


def _replay(
    server: RunningServer, box: LetterBox, letter_id: str, *, again: bool
) -> dict[str, Any]:
    """One message sent again, and that recorded; the dead letter after it."""
    seen = server.get(f"{PATH}/{letter_id}")
    state = seen.body["state"]
    if state == LetterState.SETTLED:
        raise Failure(
            f"{letter_id} is not sent again",
            why=f"it was settled: {seen.body['settled_because']}",
        )
    if state == LetterState.REPLAYED and not again:
        raise Failure(
            f"{letter_id} was sent again before",
            why=f"it stands at offset {seen.body['replayed_offset']}",
            then="say --again where it is to be sent once more",
        )
    number = seen.body["replays"] + 1
    sent = box.send_again(_place(seen.body), replay=number)
    answer = server.post(
        f"{PATH}/{letter_id}/replays",
        {"partition": sent.partition, "offset": sent.offset},
        # The same replay, recorded twice, is one act.
        command_id=derived_id(
            f"replay/{letter_id}/{number}",
            time_at(sent.sent_ms),
        ),
        if_match=seen.etag,
    )
    told: dict[str, Any] = answer.body
    return told


def _open_of(server: RunningServer, cause: DeadBecause | None) -> list[str]:
    """The ids of every open dead letter of a cause, the oldest first."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = server.get(
            PATH,
            state=LetterState.OPEN,
            cause=cause,
            sort="set_aside_at",
            limit=LARGEST_PAGE,
            cursor=cursor,
        ).body
        found += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            return found


def _place(told: dict[str, Any]) -> LetterPlace:
    return LetterPlace(
        id=UUID(told["id"]),
        **{name: told[name] for name in LetterPlace.__slots__ if name != "id"},
    )


def _shown(content: LetterContent) -> dict[str, Any]:
    """A message's parts as texts; what is no UTF-8 as base64."""
    return {
        "detail": content.detail or None,
        "key": _text(content.key),
        "value": _text(content.value),
        "headers": [f"{name}: {_text(text)}" for name, text in content.headers],
    }


def _text(part: bytes | None) -> str | None:
    """A part as a text that a terminal can only show: others wrote it."""
    if part is None:
        return None
    try:
        text = part.decode()
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(part).decode()}"
    return "".join(
        letter if letter.isprintable() or letter == "\n" else f"\\u{ord(letter):04x}"
        for letter in text
    )
