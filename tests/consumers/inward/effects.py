"""What replies that were sent twice have to have come to, and what did not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from ledger.bodies import read_body
from ledger.entries import Entry

Place = tuple[int, int]
"""Partition and offset."""
_RESPONDED = "sijil.request.agency-responded.v1"
_REFUSED = "sijil.attempt.refused.v1"


def faults(
    entries: Sequence[Entry], *, topic: str, sent: Mapping[Place, UUID]
) -> list[str]:
    """What is wrong; nothing where every message had its one effect, in its order.

    ``entries`` are the ledger's, in order; ``sent`` says which request each message
    was for. The first of a request is its answer, and each later one an attempt that
    was refused.
    """
    found: list[str] = []
    firsts: dict[UUID, Place] = {}
    for place, request_id in sorted(sent.items()):
        firsts.setdefault(request_id, place)
    effects: dict[Place, list[str]] = defaultdict(list)
    last: dict[int, int] = {}
    for entry in entries:
        cause = read_body(entry.body).get("causation_id", "")
        if not cause.startswith(f"kafka/{topic}/"):
            continue
        partition, offset = map(int, cause.split("/")[-2:])
        effects[partition, offset].append(entry.topic)
        if offset <= last.get(partition, -1):
            found.append(f"out of order: {partition}/{offset} at {entry.position}")
        last[partition] = offset
    for place, request_id in sent.items():
        wanted = _RESPONDED if firsts[request_id] == place else _REFUSED
        if effects.pop(place, []) != [wanted]:
            found.append(f"not {wanted} once: {place[0]}/{place[1]}")
    found += [f"nobody sent it: {place[0]}/{place[1]}" for place in effects]
    answered = Counter(e.aggregate_id for e in entries if e.topic == _RESPONDED)
    found += [
        f"answered {answered[each]} times: {each}"
        for each in firsts
        if answered[each] != 1
    ]
    return found
