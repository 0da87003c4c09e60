"""An import again: after an upgrade, after kills, with rows that came late."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from pydantic import SecretStr

from benchmarks.import_under_kills import drive
from ledger.names import Role
from office.importing import Importer, RowFate, read_mapping
from tests.conftest import Database
from tests.office.scene import scene_in
from tests.office.test_importing import ROWS, Desk, row

GOLDEN = Path(__file__).parents[1] / "golden" / "histories" / "first-import.json"
"""Commands and entries of ``ROWS`` as the first version with an import stored them.

Never computed anew. Its command key was 32 times the byte 0x6b.
"""


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Iterator[Desk]:
    database.settings = database.settings.model_copy(
        update={"command_key": SecretStr("6b" * 32)}
    )
    with scene_in(database) as scene:
        yield Desk(scene, tmp_path)


def commands_of(desk: Desk) -> list[list[str]]:
    with (
        closing(psycopg2.connect(**desk.scene.database.dsn(Role.OWNER))) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT id::text, actor, encode(digest, 'hex') FROM sijil.commands"
        )
        return [list(each) for each in cursor.fetchall()]


def forget_cases(desk: Desk) -> None:
    """Leave of the commands what the first version kept: cases were not remembered."""
    golden = {each[0] for each in json.loads(GOLDEN.read_text("utf-8"))["commands"]}
    with (
        closing(psycopg2.connect(**desk.scene.database.superuser_dsn())) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "DELETE FROM sijil.commands WHERE NOT id::text = ANY(%s)", (list(golden),)
        )


class TestUpgrade:
    def test_ids_digests_and_bodies_are_those_of_the_first_version(
        self, desk: Desk
    ) -> None:
        golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
        desk.run()
        kept = commands_of(desk)
        assert [each for each in golden["commands"] if each not in kept] == []
        stored = {
            (str(e.aggregate_id), e.version): (e.topic, e.body.decode())
            for e in desk.scene.entries()
        }
        assert stored == {
            (e["aggregate_id"], e["version"]): (e["topic"], e["body"])
            for e in golden["entries"]
        }

    def test_what_the_first_version_imported_is_repeated_and_continued(
        self, desk: Desk
    ) -> None:
        desk.run()
        forget_cases(desk)
        head = desk.head()
        again = desk.run()
        assert (again.fates[RowFate.REPEATED], again.fates[RowFate.WRITTEN]) == (7, 0)
        assert desk.head() == head
        forget_cases(desk)
        desk.write([*ROWS, row("c5", "ok", 20)])
        assert desk.run().fates[RowFate.WRITTEN] == 1


class TestAgain:
    def test_a_refused_row_stays_refused_when_its_time_has_come(
        self, desk: Desk
    ) -> None:
        """Told before it was accepted; by the second run it has been."""
        desk.write(
            [
                row("c1", "in", 1),
                row("c1", "told", 2),
                row("c1", "ok", 3),
                row("c1", "answer", 4, outcome="issued"),
            ]
        )
        first = desk.run()
        assert first.fates == {RowFate.WRITTEN: 3, RowFate.REFUSED: 1}
        again = desk.run()
        assert again.fates == {RowFate.REPEATED: 3, RowFate.REFUSED: 1}
        assert again.notes[0].reason == "later-steps-taken-before"

    def test_cases_that_memory_forgot_are_found_in_the_ledger(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for each in ("importer", "cases"):
            monkeypatch.setattr(f"office.importing.{each}.MOST_CASES", 20)
        desk.write(
            [row(f"c{n}", "in", n % 60) for n in range(100)]
            + [row(f"c{n}", "ok", n % 60) for n in range(100)]
        )
        mapping = read_mapping(desk.toml)
        for fate in (RowFate.WRITTEN, RowFate.REPEATED):
            importer = Importer(desk.scene.house, mapping, rows_a_batch=7)
            assert importer.run(desk.csv).fates == {fate: 200}
            assert len(importer._cases) <= 20

    def test_memory_does_not_grow_with_the_cases(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for each in ("importer", "cases"):
            monkeypatch.setattr(f"office.importing.{each}.MOST_CASES", 500)
        monkeypatch.setattr("ledger.window.MOST_KEPT", 500)
        mapping = read_mapping(desk.toml)

        def peak_of(cases: int) -> int:
            desk.write([row(f"c{cases}-{n}", "in", n % 60) for n in range(cases)])
            tracemalloc.start()
            Importer(desk.scene.house, mapping, rows_a_batch=100).run(desk.csv)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return peak

        few, many = peak_of(2_000), peak_of(6_000)
        assert many < 1.3 * few


def test_killed_at_random_moments_it_equals_an_uninterrupted_run(
    database: Database, tmp_path: Path
) -> None:
    outcome = drive(database.settings, tmp_path, cases=200, kills=6)
    assert outcome.wrong == []
    assert outcome.while_writing > 1
