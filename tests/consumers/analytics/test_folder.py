"""A folder of Parquet has each position once, whatever happened to its writer."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from consumers.analytics import folder as folders
from consumers.analytics.folder import (
    KEPT_FOR,
    MANIFEST,
    MOST_SMALL_FILES,
    Folder,
    FolderBrokenError,
    FolderTakenError,
    manifest_of,
)
from tests.consumers.analytics.writing import (
    ORIGIN,
    append,
    rows_of,
    whole,
    write_for_ever,
)
from tests.forks import forks

KILLS = 6
_FORKED = forks("tests.consumers.analytics.writing")
NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)


def parquet(place: Path) -> set[str]:
    return {str(each.relative_to(place)) for each in place.rglob("*.parquet")}


def test_a_row_says_when_it_happened_by_the_office_and_proves_its_entry(
    place: Path,
) -> None:
    with Folder.opened(place) as folder:
        append(folder, 3)
    (path,) = parquet(place)
    row = pq.read_table(place / path).to_pylist()[2]
    # Half past ten in the evening, UTC, is tomorrow in Damascus.
    assert row["effective_day"] == date(2026, 11, 24)
    assert row["effective_hour"] == datetime(2026, 11, 24, 1)  # noqa: DTZ001
    assert row["leaf_hash"] == rows_of([3]).last_leaf_hash
    assert path == "recorded_day=2026-11-23/000000000001-000000000003.parquet"


def test_the_days_that_are_over_become_one_file_each(place: Path) -> None:
    with Folder.opened(place) as folder:
        for _ in range(12):
            append(folder, 50)
        before = whole(place)
        assert before is not None
        assert len(before.files) > 12
        while folder.merge(NOW):
            after = whole(place)
            assert after is not None
            assert after.position == 600
        days = [each.day for each in folder.manifest.files]  # type: ignore[union-attr]
    # The last day is not over: it keeps its files.
    assert days.count(days[-1]) > 1
    assert {days.count(day) for day in set(days) - {days[-1]}} == {1}


def test_many_small_files_of_today_become_one(place: Path) -> None:
    with Folder.opened(place) as folder:
        for _ in range(MOST_SMALL_FILES - 1):
            append(folder, 2, a_day=10_000)
        assert not folder.merge(NOW)
        append(folder, 2, a_day=10_000)
        assert folder.merge(NOW)
        assert not folder.merge(NOW)
    manifest = whole(place)
    assert manifest is not None
    assert [each.rows for each in manifest.files] == [2 * MOST_SMALL_FILES]


def test_large_files_of_today_are_left_alone(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "LARGEST_GROUP_ROWS", 5)
    with Folder.opened(place) as folder:
        for number in (5, *[1] * MOST_SMALL_FILES, 9):
            append(folder, number, a_day=10_000)
        assert folder.merge(NOW)
        rows = [each.rows for each in folder.manifest.files]  # type: ignore[union-attr]
    assert rows == [5, MOST_SMALL_FILES, 9]
    assert whole(place) is not None


def test_what_was_replaced_stays_for_a_while_for_who_reads_it(place: Path) -> None:
    with Folder.opened(place) as folder:
        append(folder, 100)
        append(folder, 100)
        append(folder, 100)
        old = manifest_of(place)
        assert old is not None
        assert folder.merge(NOW)
        folder.sweep(NOW + KEPT_FOR - timedelta(seconds=1))
        assert {each.path for each in old.files} <= parquet(place)
        folder.sweep(NOW + KEPT_FOR)
        left = manifest_of(place)
        assert left is not None
        assert left.retired == ()
        assert parquet(place) == {each.path for each in left.files}


class StoppedError(Exception):
    pass


class Stopping(Folder):
    """Ends before the manifest is replaced, as a power cut might."""

    def _replace(self, manifest: Any) -> None:
        raise StoppedError


def test_what_a_crash_left_counts_for_nobody_and_is_removed(place: Path) -> None:
    with Folder.opened(place) as folder:
        append(folder, 10)
    with pytest.raises(StoppedError), Stopping.opened(place) as stopping:
        append(stopping, 5)
    (place / "recorded_day=2026-11-23" / ".x.parquet.part").write_bytes(b"half")
    assert len(parquet(place)) == 2
    manifest = whole(place)
    assert manifest is not None
    assert manifest.position == 10
    with Folder.opened(place) as folder:
        assert len(parquet(place)) == 1
        assert not list(place.rglob("*.part"))
        append(folder, 7)
    manifest = whole(place)
    assert manifest is not None
    assert manifest.position == 17


def test_a_crash_in_the_middle_of_a_merge_leaves_what_there_was(place: Path) -> None:
    with Folder.opened(place) as folder:
        append(folder, 150)
        append(folder, 150)
    before = whole(place)
    with pytest.raises(StoppedError), Stopping.opened(place) as stopping:
        stopping.merge(NOW)
    assert whole(place) == before
    with Folder.opened(place) as folder:
        assert folder.merge(NOW)
    assert whole(place) != before


def test_a_second_writer_is_refused(place: Path) -> None:
    with (
        Folder.opened(place),
        pytest.raises(FolderTakenError),
        Folder.opened(place),
    ):
        pass


def test_rows_that_do_not_follow_are_refused(place: Path) -> None:
    with Folder.opened(place) as folder:
        append(folder, 3)
        for wrong in ([5], [3]):
            with pytest.raises(FolderBrokenError):
                folder.append(rows_of(wrong), origin=ORIGIN, offsets={})
        # Refused before anything is written: a hole inside would be found too.
        with pytest.raises(FolderBrokenError, match="rows"):
            folder.append(rows_of([4, 6]), origin=ORIGIN, offsets={})
    manifest = whole(place)
    assert manifest is not None
    assert manifest.position == 3


def _without_a_file(place: Path, said: dict[str, Any]) -> None:
    (place / said["files"][1]["path"]).unlink()


def _with_a_shorter_file(place: Path, said: dict[str, Any]) -> None:
    path = place / said["files"][1]["path"]
    path.write_bytes(path.read_bytes()[:-1])


def _with_a_hole(place: Path, said: dict[str, Any]) -> None:
    del said["files"][1]


def _cut_off(place: Path, said: dict[str, Any]) -> None:
    said["position"] += 1


def _of_another_form(place: Path, said: dict[str, Any]) -> None:
    said["form"] = 2


def _without_offsets(place: Path, said: dict[str, Any]) -> None:
    del said["offsets"]


@pytest.mark.parametrize(
    "damage",
    [
        _without_a_file,
        _with_a_shorter_file,
        _with_a_hole,
        _cut_off,
        _of_another_form,
        _without_offsets,
    ],
)
def test_a_damaged_folder_is_not_written_to(place: Path, damage: Any) -> None:
    with Folder.opened(place) as folder:
        for _ in range(3):
            append(folder, 5)
    said = orjson.loads((place / MANIFEST).read_bytes())
    damage(place, said)
    (place / MANIFEST).write_bytes(orjson.dumps(said))
    with pytest.raises(FolderBrokenError), Folder.opened(place):
        pass


def test_killed_at_any_moment_each_position_is_there_once(place: Path) -> None:
    moments = Random(10)  # noqa: S311 -- moments of a test
    reached, is_merged = 0, False
    for seed in range(KILLS):
        writer = _FORKED.Process(target=write_for_ever, args=(place, seed))
        writer.start()
        strikes_at = reached + moments.randrange(1, 250)
        deadline = time.monotonic() + 60
        while (manifest := manifest_of(place)) is None or (
            manifest.position < strikes_at
        ):
            assert writer.is_alive()
            assert time.monotonic() < deadline
        # A reader in the middle of it, and then the blow.
        whole(place)
        time.sleep(moments.uniform(0, 0.01))
        writer.kill()
        writer.join()
        manifest = whole(place)
        assert manifest is not None
        assert manifest.position > reached
        reached = manifest.position
        is_merged |= any(each.rows > 40 for each in manifest.files)
    assert is_merged
    with Folder.opened(place) as folder:
        assert parquet(place) == {
            *(each.path for each in folder.manifest.files),  # type: ignore[union-attr]
            *(each.path for each in folder.manifest.retired),  # type: ignore[union-attr]
        }
