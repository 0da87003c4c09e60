"""Stepping through one request: what each event made of it, and of each view's rows."""

from __future__ import annotations

import json
import sys
from typing import Any
from uuid import UUID

import typer
from eventsourcing.persistence import StoredEvent

from api.cli.failures import COULD_NOT_ASK, Failure
from domain.requests import ServiceRequest
from ledger.bodies import BodyMapper
from ledger.reader import LedgerReader
from projections.facts import Fact
from projections.replay import Replay, Until, steps_of
from projections.words import WORDS

_MAPPER = BodyMapper()


def step_through(
    made: Replay, reader: LedgerReader, request: UUID, until: Until, *, is_json: bool
) -> None:
    """Show each event of a request with its state and the rows it made and ended.

    At a terminal it waits for Enter between two steps, unless JSON lines are wanted.
    """
    waits = sys.stdin.isatty() and sys.stdout.isatty() and not is_json
    state: ServiceRequest | None = None
    number = 0
    for batch in steps_of(reader, request, until):
        if number and waits:
            typer.prompt("Enter for the next", default="", show_default=False)
        number += 1
        made.take(batch)
        fact = batch.facts[-1]
        state = _after(state, fact)
        rows = [
            {
                "view": row.view,
                "table": row.table,
                "sign": row.sign,
                "row": json.loads(row.row),
            }
            for row in made.touched_at(fact.position)
        ]
        told = {"step": number, **_told(fact), "state": _state(state), "rows": rows}
        if is_json:
            typer.echo(json.dumps(told, ensure_ascii=False))
        else:
            _print(told)
    if not number:
        raise Failure(
            "there is no such request, or not yet then", exit_code=COULD_NOT_ASK
        )


def _after(state: ServiceRequest | None, fact: Fact) -> ServiceRequest | None:
    entry = fact.entry
    event: Any = _MAPPER.to_domain_event(
        StoredEvent(
            originator_id=entry.aggregate_id,
            originator_version=entry.version,
            topic=entry.topic,
            state=entry.body,
        )
    )
    changed: ServiceRequest | None = event.mutate(state)
    return changed


def _told(fact: Fact) -> dict[str, Any]:
    actor = fact.body["actor"]
    return {
        "position": fact.position,
        "version": fact.version,
        "topic": fact.topic,
        "words": list(WORDS.get(fact.topic, ())),
        "actor": f"{actor['kind']} {actor['id']} {actor['place']}",
        "effective_at": fact.effective_text,
        "leaf_hash": fact.entry.leaf_hash().hex(),
    }


def _state(request: ServiceRequest | None) -> dict[str, Any]:
    if request is None:
        return {}
    standing = request.standing
    return {
        "stage": str(request.stage),
        "next_act": str(standing.next_act),
        "waiting_for": str(standing.waiting_for),
        "clerk": request.clerk,
        "etag_version": request.etag_version,
    }


def _print(told: dict[str, Any]) -> None:
    words = " | ".join(told["words"]) or told["topic"]
    typer.echo(f"\n{told['step']}. {words}")
    for name in ("position", "actor", "effective_at", "leaf_hash"):
        typer.echo(f"   {name}: {told[name]}")
    for name, value in told["state"].items():
        typer.echo(f"   {name}: {'-' if value is None else value}")
    for row in told["rows"]:
        shown = json.dumps(row["row"], ensure_ascii=False)
        typer.echo(f"   {row['sign']} {row['table']} {shown}")
