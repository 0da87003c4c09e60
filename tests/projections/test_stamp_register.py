"""The stamp register says of every paper what the events say, as of any position."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from domain.access import Scope
from domain.calendars import OFFICE_ZONE
from projections.stamp_register import (
    StampDoubt,
    StampingFilter,
    StampRegister,
    StampRegisterQueries,
)
from tests.conftest import Database
from tests.projections.desks import (
    EVERYTHING,
    Desks,
    Happened,
    everything,
    of_requests,
    submissions,
)


@pytest.fixture
def desks(database: Database) -> Desks:
    desks = Desks(database, (StampRegister(),))
    desks.live(seed=21)
    return desks


def stamps_of(told: list[Happened]) -> dict[str, dict[str, Any]]:
    """The stamps by serial: where, since when, until which day."""
    serials = {}
    stamps: dict[str, dict[str, Any]] = {}
    for each in told:
        if each.name == "stamp.issued":
            serials[each.key] = each.data["serial"]
            stamps[each.data["serial"]] = {
                "centre": each.data["centre"],
                "issued_at": each.at,
                "withdrawn_on": None,
            }
        elif each.name == "stamp.withdrawn":
            stamp = stamps[serials[each.key]]
            stamp["withdrawn_on"] = date.fromisoformat(each.data["on"])
    return stamps


def recount(told: list[Happened]) -> list[tuple[Any, ...]]:
    """Every stamping with its doubts, the newest first."""
    stamps, requests = stamps_of(told), submissions(told)
    superseding = {
        (each.key, each.position)
        for each in of_requests(told, "agency-responded")
        if each.data.get("supersedes") is not None
    }
    found = []
    for each in of_requests(told, "stamped"):
        stamp = stamps.get(each.data["serial"])
        doubts = set()
        if stamp is None:
            doubts.add(StampDoubt.UNKNOWN_STAMP)
        else:
            if stamp["centre"] != requests[each.key]["centre"]:
                doubts.add(StampDoubt.OTHER_CENTRE)
            if each.at < stamp["issued_at"]:
                doubts.add(StampDoubt.BEFORE_ISSUE)
            last = stamp["withdrawn_on"]
            if last is not None and each.at.astimezone(OFFICE_ZONE).date() >= last:
                doubts.add(StampDoubt.AFTER_WITHDRAWAL)
        if any(k == each.key and p > each.position for k, p in superseding):
            doubts.add(StampDoubt.SUPERSEDED)
        found.append(
            (
                each.at,
                each.position,
                each.key,
                requests[each.key]["centre"],
                requests[each.key]["tracking_number"],
                each.data["serial"],
                each.data["officer"],
                each.data["stamped_digest"],
                frozenset(doubts),
            )
        )
    return sorted(found, key=lambda row: row[:2], reverse=True)


def shown(row: Any) -> tuple[Any, ...]:
    return (
        row.stamped_at,
        row.position,
        str(row.request_id),
        row.centre,
        row.tracking_number,
        row.serial,
        row.officer,
        row.digest,
        frozenset(row.doubts),
    )


def test_stampings_are_those_of_the_events_as_of_any_position(desks: Desks) -> None:
    queries = StampRegisterQueries(desks.read)
    doubts: set[StampDoubt] = set()
    for position in desks.positions():
        told = desks.until(desks.head if position is None else position)
        rows = everything(queries.stampings, scope=EVERYTHING, as_of=position)
        assert [shown(row) for row in rows] == recount(told)
        doubts |= {doubt for row in rows for doubt in row.doubts}
    assert {StampDoubt.SUPERSEDED, StampDoubt.AFTER_WITHDRAWAL} <= doubts


def test_a_paper_is_found_by_its_digest_at_any_centre(desks: Desks) -> None:
    queries = StampRegisterQueries(desks.read)
    told = recount(desks.told)
    for digest in {row[7] for row in told}:
        found = queries.on_paper(digest)
        assert [shown(row) for row in found] == [r for r in told if r[7] == digest]
    assert queries.on_paper("0" * 63 + "f") == ()


def test_filters_and_scope_narrow_the_list(desks: Desks) -> None:
    queries = StampRegisterQueries(desks.read)
    told = recount(desks.told)
    middle = told[len(told) // 2][0]
    for only, keeps in (
        (StampingFilter(centre="SY-HL-01"), lambda r: r[3] == "SY-HL-01"),
        (StampingFilter(serial=told[0][5]), lambda r: r[5] == told[0][5]),
        (StampingFilter(officer="clk-1"), lambda r: r[6] == "clk-1"),
        (StampingFilter(since=middle), lambda r: r[0] >= middle),
        (StampingFilter(until=middle), lambda r: r[0] < middle),
        (StampingFilter(is_doubtful=True), lambda r: r[8]),
    ):
        rows = everything(queries.stampings, scope=EVERYTHING, only=only)
        assert [shown(row) for row in rows] == [row for row in told if keeps(row)]
    rows = everything(queries.stampings, scope=Scope(centre="SY-DI-01"))
    assert {row.centre for row in rows} == {"SY-DI-01"}


def test_the_register_has_every_stamp_and_its_last_use(desks: Desks) -> None:
    queries = StampRegisterQueries(desks.read)
    for position in desks.positions(6):
        told = desks.until(desks.head if position is None else position)
        stamps = stamps_of(told)
        rows = everything(queries.stamps, scope=EVERYTHING, as_of=position)
        assert [row.serial for row in rows] == sorted(stamps)
        for row in rows:
            stamp = stamps[row.serial]
            uses = [each for each in recount(told) if each[5] == row.serial]
            assert row.withdrawn_on == stamp["withdrawn_on"]
            assert row.last_stamped_at == (uses[0][0] if uses else None)
            assert row.is_used_after_withdrawal is any(
                StampDoubt.AFTER_WITHDRAWAL in each[8] for each in uses
            )
    withdrawn = queries.stamps(EVERYTHING, is_withdrawn=True).items
    assert withdrawn
    assert all(row.withdrawn_because for row in withdrawn)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_batches_of_any_size_make_the_same_register(
    desks: Desks, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desks.is_same_in_batches(size, monkeypatch)
