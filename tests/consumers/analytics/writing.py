"""A writer of a folder that may be killed: entries of our own making, no broker."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

import duckdb

from consumers.analytics.asking import _quoted
from consumers.analytics.columns import Rows
from consumers.analytics.folder import Folder, Manifest, Origin, manifest_of
from consumers.envelope import Enveloped
from ledger.bodies import rfc3339
from ledger.entries import leaf_hash_of

ORIGIN = Origin(topic="t", topic_id="i", source="urn:uuid:s", incarnation=1)
BEGUN = datetime(2026, 11, 23, 21, tzinfo=UTC)


def entry(position: int, *, a_day: int = 200) -> Enveloped:
    """An entry; so many of them make a day."""
    topic = "sijil.request.informed.v1"
    recorded_at = rfc3339(BEGUN + timedelta(seconds=86_400 // a_day) * position)
    aggregate_id = str(UUID(int=position % 7))
    body = b'{"data":{},"effective_at":"2026-11-23T22:30:00.000000Z"}'
    return Enveloped(
        position=position,
        recorded_at=recorded_at,
        aggregate_id=aggregate_id,
        version=position,
        topic=topic,
        body=body,
        leaf_hash=leaf_hash_of(
            position, recorded_at, aggregate_id, position, topic, body
        ),
        source=ORIGIN.source,
    )


def rows_of(positions: Iterable[int], *, a_day: int = 200) -> Rows:
    """Rows as a follower makes them."""
    rows = Rows()
    for position in positions:
        rows.add(entry(position, a_day=a_day))
    return rows


def append(folder: Folder, number: int, *, a_day: int = 200) -> None:
    """Append so many entries, and end a file where a day ends."""
    rows = Rows()
    begun = folder.position + 1
    for position in range(begun, begun + number):
        told = entry(position, a_day=a_day)
        if not rows.takes(told):
            folder.append(rows, origin=ORIGIN, offsets={0: position})
            rows = Rows()
        rows.add(told)
    folder.append(rows, origin=ORIGIN, offsets={0: begun + number})


def write_for_ever(place: Path, seed: int) -> None:
    """Append, merge and sweep until killed; whoever started it dies, it ends."""
    random = Random(seed)  # noqa: S311 -- moments of a test
    parent = os.getppid()
    with Folder.opened(place) as folder:
        # As if an hour had passed since the one before: nobody reads its files.
        folder.sweep(datetime.now(UTC) + timedelta(hours=2))
        while os.getppid() == parent:
            append(folder, random.randrange(1, 40), a_day=50)
            folder.merge(datetime.now(UTC))


def whole(place: Path) -> Manifest | None:
    """The manifest, once its files were found to have each position once."""
    manifest = manifest_of(place)
    if manifest is None or not manifest.files:
        return manifest
    paths = [_quoted(place / each.path) for each in manifest.files]
    found = duckdb.sql(
        "SELECT count(*), count(DISTINCT position), min(position), max(position)"
        f" FROM read_parquet([{', '.join(paths)}])"
    ).fetchall()
    at = manifest.position
    assert found == [(at, at, 1, at)]
    return manifest
