"""A ledger of wild lives with the views of the desks, and plain facts to recount."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

import pytest

from domain.access import Scope
from ledger.names import VIEWS_SCHEMA
from ledger.persistence.recorders import PostgresProcessRecorder
from ledger.reader import LedgerReader
from projections.pages import Page
from projections.runner import ViewRunner
from projections.views import View
from tests.conftest import Database
from tests.projections.wild_lives import wild_history

EVERYTHING = Scope()


@dataclass(frozen=True, kw_only=True)
class Happened:
    """One event as anybody reads it from the ledger, without any code of the views."""

    position: int
    recorded_at: datetime
    key: str
    name: str
    body: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.body["data"]
        return data

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.body["effective_at"])


class Desks:
    """One history, folded by the views of a test."""

    def __init__(self, database: Database, views: tuple[View, ...]) -> None:
        self.database = database
        self.views = views
        self.recorder = PostgresProcessRecorder(database.datastore("app"))
        self.reader = LedgerReader(database.datastore("runner"))
        self.written = database.datastore("runner", schema=VIEWS_SCHEMA)
        self.read = database.datastore("app", schema=VIEWS_SCHEMA)
        self.runner = ViewRunner(self.written, self.reader, views)
        self.told: list[Happened] = []

    def live(self, *, requests: int = 60, seed: int = 1) -> None:
        wild_history(self.recorder, requests=requests, seed=seed)
        self.runner.catch_up()
        self.told = [
            Happened(
                position=entry.position,
                recorded_at=entry.recorded_at,
                key=str(entry.aggregate_id),
                name=entry.topic.removeprefix("sijil.").removesuffix(".v1"),
                body=json.loads(entry.body),
            )
            for entry in self.reader.stream()
        ]

    @property
    def head(self) -> int:
        return len(self.told)

    def until(self, position: int) -> list[Happened]:
        return self.told[:position]

    def positions(self, count: int = 12) -> list[int | None]:
        """Some positions at random, and now."""
        random = Random(self.head)  # noqa: S311 -- reproducible
        return [None, 0, *random.sample(range(self.head + 1), count)]

    def contents(self) -> dict[str, list[Any]]:
        found = {}
        with self.written.transaction(commit=False) as cursor:
            for view in self.views:
                for table in view.tables:
                    cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
                    found[table] = cursor.fetchall()
        return found

    def start_over(self) -> None:
        with self.written.transaction() as cursor:
            for view in self.views:
                for table in view.tables:
                    cursor.execute(f"TRUNCATE {table}")
            cursor.execute("UPDATE progress SET position = 0, ledger_id = NULL")

    def is_same_in_batches(self, size: int, monkeypatch: pytest.MonkeyPatch) -> bool:
        """Whether batches of this size make the rows that one batch made."""
        whole = self.contents()
        self.start_over()
        monkeypatch.setattr("projections.runner.BATCH_SIZE", size)
        self.runner.catch_up()
        return self.contents() == whole


def everything(page: Callable[..., Page[Any]], **asked: Any) -> list[Any]:
    """All items of a list, by pages of seven; no page is larger."""
    items: list[Any] = []
    after = None
    while True:
        found = page(after=after, limit=7, **asked)
        assert len(found.items) <= 7
        items += found.items
        if found.next is None:
            return items
        after = found.next


def submissions(told: list[Happened]) -> dict[str, dict[str, Any]]:
    return {each.key: each.data for each in told if each.name == "request.submitted"}


def of_requests(told: list[Happened], name: str) -> Iterator[Happened]:
    return (each for each in told if each.name == f"request.{name}")
