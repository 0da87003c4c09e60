"""What the ledger promises of order, and a checker that judges what was seen of it."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg2

Acknowledged = tuple[str, int, int]
"""The act's command id, and the first and last position that its sender was told."""

NOT_DENSE = "positions are not dense from 1"
TIME_FALLS = "recorded time does not rise with position"
VERSIONS = "an aggregate's versions have a hole or a double"
ACT_IN_PIECES = "an act is stored in part, twice, or not side by side"
COMMANDS = "commands and acts do not agree"
LOST = "an acknowledged act is lost or elsewhere"
REFUSED_STORED = "an act that was refused is stored"
NEVER_SENT = "an act is stored that nobody sent"
HEAD = "the head is not at the last entry"
PASSED_OVER = "a reader saw entries out of order, or passed one over"


@dataclass
class Observed:
    """What was seen from outside: rows, commands, what senders and readers were told.

    ``sent`` and ``head`` are None where nobody kept them.
    """

    rows: Sequence[tuple[int, datetime, str, int, bytes]]
    commands: Sequence[tuple[str, int | None, int | None]]
    acknowledged: Iterable[Acknowledged] = ()
    tails: Sequence[Sequence[int]] = field(default_factory=list)
    refused: Collection[str] = ()
    sent: Collection[str] | None = None
    head: int | None = None


def violations(seen: Observed) -> list[str]:
    """Everything that breaks the promise of the ledger, in words, each once."""
    found = []
    positions = [row[0] for row in seen.rows]
    if positions != list(range(1, len(positions) + 1)):
        found.append(NOT_DENSE)
    times = [row[1] for row in seen.rows]
    if any(a >= b for a, b in itertools.pairwise(times)):
        found.append(TIME_FALLS)
    versions: dict[str, list[int]] = {}
    for _, _, aggregate, version, _ in seen.rows:
        versions.setdefault(aggregate, []).append(version)
    if any(v != list(range(1, len(v) + 1)) for v in versions.values()):
        found.append(VERSIONS)
    found += _of_acts(seen)
    if seen.head is not None and seen.head != max(positions, default=0):
        found.append(HEAD)
    # What a reader saw is what stands there, from the first entry on.
    if any(list(tail) != positions[: len(tail)] for tail in seen.tails):
        found.append(PASSED_OVER)
    return list(dict.fromkeys(found))


def _of_acts(seen: Observed) -> list[str]:
    """What is wrong with acts: each body names its own, and how many events it has."""
    found = []
    acts: dict[bytes, list[int]] = {}
    for position, *_, body in seen.rows:
        acts.setdefault(body, []).append(position)
    spans = {}
    for body, at in acts.items():
        name, _, size = body.decode().partition("/")
        if len(at) != int(size) or at != list(range(at[0], at[0] + len(at))):
            found.append(ACT_IN_PIECES)
        spans[name] = (at[0], at[-1])
    if {c: (first, last) for c, first, last in seen.commands} != spans:
        found.append(COMMANDS)
    for command, first, last in seen.acknowledged:
        if spans.get(command) != (first, last):
            found.append(LOST)
    if not spans.keys().isdisjoint(seen.refused):
        found.append(REFUSED_STORED)
    if seen.sent is not None and not spans.keys() <= set(seen.sent):
        found.append(NEVER_SENT)
    return found


def observe(
    dsn: dict[str, Any],
    acknowledged: Iterable[Acknowledged] = (),
    tails: Sequence[Sequence[int]] = (),
    refused: Collection[str] = (),
    sent: Collection[str] | None = None,
) -> Observed:
    """What stands in the ledger, seen by a superuser, beside what was told of it."""
    with closing(psycopg2.connect(**dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT position, recorded_at, aggregate_id::text, version, body"
            " FROM sijil.events ORDER BY position"
        )
        rows = [(*row[:4], bytes(row[4])) for row in cursor.fetchall()]
        cursor.execute(
            "SELECT id::text, first_position, last_position FROM sijil.commands"
        )
        commands = cursor.fetchall()
        cursor.execute("SELECT position FROM sijil.ledger_head")
        (head,) = cursor.fetchone() or (None,)
    return Observed(
        rows,  # type: ignore[arg-type]
        commands,
        acknowledged,
        tails,
        refused,
        sent,
        head,
    )
