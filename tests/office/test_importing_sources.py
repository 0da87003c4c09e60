"""Sources as they come: packed, piped, broken, hostile. A row's fault is that row's."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from office.importing import (
    STDIN,
    Importer,
    ImportReport,
    RowFate,
    SourceError,
    SourceFormat,
    open_source,
    read_mapping,
)
from office.importing.report import UNKNOWN_ACTIVITY
from office.importing.sources import LONGEST_LINE
from tests.conftest import Database
from tests.office.scene import scene_in
from tests.office.test_importing import HEADER, ROWS, Desk, row

MARK = "04130977215"
"""The shape of a person's number."""


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Iterator[Desk]:
    with scene_in(database) as scene:
        yield Desk(scene, tmp_path)


def run(desk: Desk, path: Path | str, **more: SourceFormat) -> ImportReport:
    mapping = read_mapping(desk.toml)
    source = open_source(path, mapping.file, mapping.needed_columns(), **more)
    report = Importer(desk.scene.house, mapping).run(source)
    assert report.adds_up
    return report


def as_json_lines(rows: list[list[str]]) -> str:
    return "".join(
        json.dumps(dict(zip(HEADER, each, strict=True)), ensure_ascii=False) + "\n"
        for each in rows
    )


class TestFormats:
    def test_gzip_is_seen_by_its_bytes_and_repeats_the_plain_file(
        self, desk: Desk, tmp_path: Path
    ) -> None:
        plain = desk.run()
        packed = tmp_path / "no-suffix-at-all"
        packed.write_bytes(gzip.compress(desk.csv.read_bytes()))
        again = run(desk, packed)
        assert again.fates[RowFate.REPEATED] == plain.fates[RowFate.WRITTEN]
        assert again.fates[RowFate.WRITTEN] == 0

    def test_json_lines_tell_what_the_csv_tells(
        self, desk: Desk, tmp_path: Path
    ) -> None:
        lines = tmp_path / "desk.jsonl.gz"
        # An empty first line, so that the rows stand where they stand in the CSV.
        text = "\n" + as_json_lines(ROWS)
        lines.write_bytes(gzip.compress(text.encode()))
        first = run(desk, lines)
        assert first.fates[RowFate.WRITTEN] == 7
        again = desk.run()
        assert (again.fates[RowFate.REPEATED], again.fates[RowFate.WRITTEN]) == (7, 0)

    def test_numbers_of_json_keep_their_digits(
        self, desk: Desk, tmp_path: Path
    ) -> None:
        lines = tmp_path / "desk.ndjson"
        cell = {**dict(zip(HEADER, row("c1", "in", 1), strict=True))}
        text = json.dumps(cell).replace('"c1"', "12345678901234567890123")
        lines.write_text(text + "\n", encoding="utf-8")
        assert run(desk, lines).fates == {RowFate.WRITTEN: 1}
        assert desk.bodies()[0]["provenance"]["case"] == "12345678901234567890123"

    def test_the_standard_input_is_a_source(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for written, raw in (
            (SourceFormat.CSV, gzip.compress(desk.csv.read_bytes())),
            (SourceFormat.JSON_LINES, ("\n" + as_json_lines(ROWS)).encode()),
        ):
            piped = io.TextIOWrapper(io.BytesIO(raw))
            monkeypatch.setattr(sys, "stdin", piped)
            report = run(desk, STDIN, written=written)
            taken = report.fates[RowFate.WRITTEN] + report.fates[RowFate.REPEATED]
            assert taken == 7

    def test_an_encoding_and_a_delimiter_are_the_mappings(self, desk: Desk) -> None:
        desk.map("[columns]", '[file]\nencoding = "cp1256"\ndelimiter = ";"\n[columns]')
        text = desk.toml.read_text(encoding="utf-8").replace(
            "[activities.ok]", '[activities."قبول"]'
        )
        desk.toml.write_text(text, encoding="utf-8")
        lines = [";".join(each) for each in (HEADER, row("c1", "in", 1))]
        lines.append(";".join(row("c1", "قبول", 2)))
        desk.csv.write_bytes("\r\n".join(lines).encode("cp1256"))
        assert desk.run().fates == {RowFate.WRITTEN: 2}


class TestHostile:
    def test_an_endless_line_is_one_refused_row_in_bounded_memory(
        self, desk: Desk
    ) -> None:
        with desk.csv.open("w", encoding="utf-8", newline="") as file:
            file.write(",".join(HEADER) + "\n")
            for _ in range(30):
                file.write("x" * LONGEST_LINE)
            file.write("\n" + ",".join(row("c1", "in", 1)) + "\n")
        tracemalloc.start()
        report = desk.run()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert report.fates == {RowFate.REFUSED: 1, RowFate.WRITTEN: 1}
        assert report.notes[0].reason == "line-too-long"
        assert peak < 15 * LONGEST_LINE

    def test_an_open_quote_swallows_no_more_than_its_limit(self, desk: Desk) -> None:
        lines = [",".join(HEADER), '"open,in,2011-10-11']
        lines += [",".join(row(f"c{n}", "in", n % 60)) for n in range(6_000)]
        desk.csv.write_text("\n".join(lines) + "\n", encoding="utf-8")
        report = desk.run()
        assert report.by_reason[RowFate.REFUSED, "not-csv"] == 1
        assert report.fates[RowFate.WRITTEN] > 2_000

    @pytest.mark.parametrize(
        "line",
        [
            "[1, 2]",
            '{"case": {"a": 1}}',
            "nonsense",
            "[" * 100_000,
            '{"case": "c9", "step": "in", "at": "x\\u0000y"}',
            '{"case": "c9", "at": "2011-10-11 10:00"}',
            "\ufffe",
        ],
    )
    def test_a_bad_json_line_is_refused_and_the_next_is_read(
        self, desk: Desk, tmp_path: Path, line: str
    ) -> None:
        lines = tmp_path / "desk.jsonl"
        good = as_json_lines([row("c1", "in", 1)])
        lines.write_text(line + "\n" + good, encoding="utf-8")
        assert run(desk, lines).fates == {RowFate.REFUSED: 1, RowFate.WRITTEN: 1}

    def test_bytes_of_no_encoding_reach_no_event(self, desk: Desk) -> None:
        with desk.csv.open("wb") as file:
            file.write((",".join(HEADER) + "\n").encode())
            for case, step in (("c\xff1", "in"), ("c1", "in"), ("c1", "\xff")):
                file.write(",".join(row(case, step, 1)).encode("latin-1") + b"\n")
        report = desk.run()
        assert report.fates == {
            RowFate.REFUSED: 1,
            RowFate.WRITTEN: 1,
            RowFate.UNMAPPED: 1,
        }
        assert not any("\ufffd" in str(body) for body in desk.bodies())

    def test_a_file_that_breaks_off_is_reported_as_far_as_it_goes(
        self, desk: Desk, tmp_path: Path
    ) -> None:
        desk.write([row(f"c{n}", "in", n % 60) for n in range(3_000)])
        whole = gzip.compress(desk.csv.read_bytes())
        broken = tmp_path / "desk.csv.gz"
        broken.write_bytes(whole[: len(whole) // 2])
        importer = Importer(desk.scene.house, read_mapping(desk.toml))
        with pytest.raises(SourceError, match="breaks off"):
            importer.run(broken)
        assert importer.report.stopped == "source"
        assert importer.report.adds_up
        assert not importer.report.is_clean
        broken.write_bytes(whole)
        report = run(desk, broken)
        assert report.fates[RowFate.WRITTEN] + report.fates[RowFate.REPEATED] == 3_000

    def test_a_step_of_the_future_is_refused(self, desk: Desk) -> None:
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        desk.write([row("c1", "in", 1), row("c1", "ok", 2, at=tomorrow)])
        report = desk.run()
        assert [note.reason for note in report.notes] == [
            "effective-time: in-the-future"
        ]

    def test_a_step_before_the_centre_opened_is_refused(self, desk: Desk) -> None:
        desk.write([row("c1", "in", 1, at="2009-12-31 12:00"), row("c1", "ok", 2)])
        report = desk.run()
        assert [note.reason for note in report.notes] == [
            "before-the-centre-opened",
            "case-not-submitted",
        ]

    def test_a_submission_that_comes_late_takes_nothing_back(self, desk: Desk) -> None:
        desk.write([row("c1", "ok", 5), row("c1", "in", 1), row("c1", "answer", 6)])
        first, again = desk.run(), desk.run()
        for report in (first, again):
            assert report.fates[RowFate.REFUSED] == 2
            assert report.notes[0].reason == "case-not-submitted"
        assert again.fates[RowFate.REPEATED] == 1

    def test_a_case_begins_once(self, desk: Desk) -> None:
        twice = [row("c1", "in", 1), row("c1", "ok", 2), row("c1", "in", 3)]
        desk.write([*twice, row("c1", "in", 3), *twice])
        first, again = desk.run(), desk.run()
        assert first.fates == {RowFate.WRITTEN: 2, RowFate.REFUSED: 5}
        assert again.fates == {RowFate.REPEATED: 2, RowFate.REFUSED: 5}
        assert [(n.line, n.reason) for n in first.notes] == [
            (4, "case-submitted-before"),
            (5, "case-submitted-before"),
            (6, "case-submitted-before"),
            (7, "wrong-state: not-waiting"),
            (8, "case-submitted-before"),
        ]

    @pytest.mark.parametrize("rows_a_batch", [1, 2, 3, 100])
    def test_a_case_whose_first_beginning_was_refused_may_begin_again(
        self, desk: Desk, rows_a_batch: int
    ) -> None:
        """Whatever the batches, the fates are the same."""
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        desk.write(
            [
                row("c1", "in", 1, at=tomorrow),
                row("c1", "ok", 2),
                row("c1", "in", 3),
                row("c1", "ok", 4),
            ]
        )
        importer = Importer(
            desk.scene.house, read_mapping(desk.toml), rows_a_batch=rows_a_batch
        )
        report = importer.run(desk.csv)
        assert [(note.line, note.reason) for note in report.notes] == [
            (2, "effective-time: in-the-future"),
            (3, "case-not-submitted"),
        ]
        assert report.fates[RowFate.WRITTEN] == 2

    @pytest.mark.parametrize("column", ["step", "who", "channel", "outcome", "reason"])
    def test_a_persons_number_in_any_column_is_in_no_event_and_no_report(
        self, desk: Desk, column: str
    ) -> None:
        steps = [("in", 1), ("ok", 2), ("answer", 3), ("told", 4)]
        cells = []
        for step, minute in steps:
            cell = dict(zip(HEADER, row("c1", step, minute), strict=True))
            if step == "answer":
                cell |= {"outcome": "refused", "reason": "no-permit"}
            cell[column] = MARK
            cells.append(list(cell.values()))
        desk.write(cells)
        report = desk.run()
        assert MARK not in json.dumps(report.to_json())
        assert not any(MARK in str(body) for body in desk.bodies())
        if column == "step":
            assert report.by_activity.keys() == {UNKNOWN_ACTIVITY}
