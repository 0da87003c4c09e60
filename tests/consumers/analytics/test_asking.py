"""What a folder answers is what the ledger's own views say as of the same position."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from io import StringIO
from pathlib import Path
from statistics import quantiles
from typing import Any
from uuid import UUID

import duckdb
import pytest
from typer.testing import CliRunner

from api.cli import command_line
from consumers.analytics import cli
from consumers.analytics.asking import (
    NothingThereError,
    NotThatFarError,
    WrongQuestionError,
    about,
    asked,
    questions,
)
from consumers.analytics.columns import stage_of
from consumers.analytics.folder import manifest_of
from domain.access import Scope
from domain.calendars import OFFICE_ZONE
from domain.stages import Stage
from ledger.bodies import read_body
from ledger.names import VIEWS_SCHEMA, Role
from office.errors import OperatorError
from projections.governorate_counts import Count, CountBy, GovernorateCountsQueries
from projections.stages import ENTERED
from tests.consumers.analytics.conftest import Followed
from tests.docs.pages import DOCS, REFERENCE, blocks

STAGES = [str(stage) for stage in Stage]
EVER = (date(2000, 1, 1), date(2100, 1, 1))
FORWARDED = "sijil.request.forwarded.v1"
RESPONDED = "sijil.request.agency-responded.v1"


def ask(followed: Followed, sql: str, as_of: int | None = None) -> list[dict[str, Any]]:
    with asked(followed.place, sql, as_of=as_of, memory_mb=256) as found:
        assert found.position == (as_of or followed.position)
        return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def counted(count: Count) -> dict[str, Any]:
    stages = {stage: getattr(count, stage) for stage in STAGES}
    return {**count.group, "submitted": count.submitted, **stages}


@pytest.fixture(scope="module")
def counts(followed: Followed) -> GovernorateCountsQueries:
    return GovernorateCountsQueries(
        followed.database.datastore(Role.READER, schema=VIEWS_SCHEMA)
    )


EVERYBODY = Scope()


@pytest.mark.parametrize("share", [1.0, 0.9, 0.7])
def test_counts_are_the_ledgers_as_of_the_position(
    followed: Followed, counts: GovernorateCountsQueries, share: float
) -> None:
    as_of = int(followed.position * share)
    theirs = [counted(c) for c in counts.stocks(EVERYBODY, as_of=as_of)]
    ours = ask(followed, questions()["counts"], as_of)
    assert ours == theirs
    assert sum(each["submitted"] for each in ours) > 30
    if share == 1.0:
        for stage in STAGES:
            assert sum(each[stage] for each in ours), stage


def test_each_requests_place_is_the_ledgers(
    followed: Followed, counts: GovernorateCountsQueries
) -> None:
    by = (CountBy.GOVERNORATE, CountBy.CENTRE, CountBy.AGENCY, CountBy.SERVICE)
    names = ", ".join(by)
    theirs = {
        (*c.group.values(), stage): getattr(c, stage)
        for c in counts.stocks(EVERYBODY, by=by)
        for stage in STAGES
        if getattr(c, stage)
    }
    sql = f"SELECT {names}, stage, count(*) FROM requests GROUP BY ALL"
    with asked(followed.place, sql, memory_mb=256) as found:
        ours = {tuple(row[:-1]): row[-1] for row in found.rows}
    assert ours == theirs


def test_days_are_the_ledgers(
    followed: Followed, counts: GovernorateCountsQueries
) -> None:
    theirs = [
        {k: v for k, v in counted(c).items() if k != "waiting"}
        for c in counts.flows(EVERYBODY, first=EVER[0], last=EVER[1])
    ]
    ours = [
        {**row, "day": row["day"].isoformat()}
        for row in ask(followed, questions()["days"])
    ]
    assert ours == theirs
    assert len(ours) > 20


def test_moves_have_the_agency_of_their_moment(
    followed: Followed, counts: GovernorateCountsQueries
) -> None:
    theirs = {
        (c.group["agency"], stage): number
        for c in counts.flows(
            EVERYBODY, first=EVER[0], last=EVER[1], by=(CountBy.AGENCY,)
        )
        for stage in STAGES
        if (number := c.submitted if stage == Stage.WAITING else getattr(c, stage))
    }
    sql = "SELECT agency, stage_entered, count(*) FROM moves GROUP BY ALL"
    with asked(followed.place, sql, memory_mb=256) as found:
        assert {tuple(row[:-1]): row[-1] for row in found.rows} == theirs
    # Some are another agency's by now; without them all this would say nothing.
    assert ask(
        followed,
        "SELECT m.agency, r.agency AS now FROM moves AS m"
        " JOIN requests AS r USING (request_id) WHERE m.agency <> r.agency",
    ) == [{"agency": "CIV", "now": "JUS"}]


def test_every_row_is_the_entry_of_its_position(followed: Followed) -> None:
    rows = ask(
        followed,
        "SELECT position, leaf_hash, body, recorded_at, recorded_day, aggregate_id,"
        " version, type FROM events ORDER BY position",
    )
    assert [row["position"] for row in rows] == list(range(1, followed.position + 1))
    for row, entry in zip(rows, followed.reader.stream(), strict=True):
        assert row["leaf_hash"] == entry.leaf_hash()
        assert row["body"].encode() == entry.body
        assert row["recorded_at"] == entry.recorded_at
        assert row["recorded_day"] == entry.recorded_at.date()
        assert (row["aggregate_id"], row["version"], row["type"]) == (
            str(entry.aggregate_id),
            entry.version,
            entry.topic,
        )


def test_refusals_are_those_of_the_events(followed: Followed) -> None:
    told: Counter[tuple[str, str | None]] = Counter()
    for entry in followed.reader.stream():
        data = read_body(entry.body).get("data", {})
        if entry.topic == "sijil.attempt.refused.v1":
            told["rules", data["code"]] += 1
        elif entry.topic == "sijil.request.not-accepted.v1":
            told["counter", data["reason"]] += 1
        elif data.get("outcome") == "refused" and "by" in data:
            told[f"agency, {data['by']}", data["reason"]] += 1
    ours: Counter[tuple[str, str | None]] = Counter()
    for row in ask(followed, questions()["refusals"]):
        assert row["which"]
        ours[row["refused_by"], row["reason"]] += row["refusals"]
    assert ours == told
    assert len({refused_by for refused_by, _ in ours}) == 4


def test_agencies_add_up(followed: Followed) -> None:
    rows = ask(followed, questions()["agencies"])
    topics = Counter(entry.topic for entry in followed.reader.stream())
    answers = topics["sijil.request.agency-responded.v1"]
    by_outcome = sum(
        row["issued"] + row["refused"] + row["information_needed"] for row in rows
    )
    assert by_outcome == answers
    assert sum(row["forwarded"] for row in rows) == topics["sijil.request.forwarded.v1"]
    assert all(0 <= row["unanswered"] <= row["forwarded"] for row in rows)


@dataclass
class Elapsed:
    """What the events say of times: seconds, by whom they are counted for."""

    in_stage: dict[tuple[str, str], list[float]]
    to_answer: dict[str, list[float]]


def elapsed(followed: Followed) -> Elapsed:
    """The times by the events themselves, one after the other."""
    told = Elapsed(defaultdict(list), defaultdict(list))
    governorates: dict[UUID, str] = {}
    agencies: dict[UUID, str] = {}
    stands: dict[UUID, tuple[str, datetime]] = {}
    sent: dict[UUID, datetime] = {}
    answered: dict[UUID, datetime] = {}
    for entry in followed.reader.stream(topics=[*ENTERED, FORWARDED, RESPONDED]):
        body, request = read_body(entry.body), entry.aggregate_id
        data, at = body["data"], datetime.fromisoformat(body["effective_at"])
        if entry.topic not in ENTERED:
            (sent if entry.topic == FORWARDED else answered).setdefault(request, at)
            continue
        governorates.setdefault(request, data.get("governorate"))
        agency = data.get("terms", data).get("agency")
        agencies[request] = agency or agencies[request]
        stage, since = stands.get(request, ("", at))
        entered = stage_of(entry.topic, data) or ""
        if entered != stage:
            told.in_stage[governorates[request], stage].append(seconds(since, at))
            stands[request] = entered, at
    for request in sent.keys() & answered.keys():
        waited = seconds(sent[request], answered[request])
        told.to_answer[agencies[request]].append(waited)
    return told


def seconds(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds()


def assert_hours(row: dict[str, Any], waited: list[float]) -> None:
    """The median and the ninth decile; DuckDB counts whole seconds, and rounds."""
    if len(waited) < 2:
        waited = waited * 2
    if not waited:
        assert (row["elapsed_hours_median"], row["elapsed_hours_p90"]) == (None, None)
        return
    deciles = quantiles(waited, n=10, method="inclusive")
    assert row["elapsed_hours_median"] == pytest.approx(deciles[4] / 3600, abs=0.006)
    assert row["elapsed_hours_p90"] == pytest.approx(deciles[8] / 3600, abs=0.006)


def test_elapsed_hours_are_those_of_the_events(followed: Followed) -> None:
    told = elapsed(followed)
    rows = ask(followed, questions()["stages"])
    assert len(rows) > 20
    for row in rows:
        waited = told.in_stage[row["governorate"], row["stage"]]
        assert row["left_it"] == len(waited)
        assert_hours(row, waited)
    rows = ask(followed, questions()["agencies"])
    assert any(len(told.to_answer[row["agency"]]) > 5 for row in rows)
    for row in rows:
        assert_hours(row, told.to_answer[row["agency"]])


def test_stages_count_who_stands_there(
    followed: Followed, counts: GovernorateCountsQueries
) -> None:
    rows = ask(followed, questions()["stages"])
    stocks = {c.group["governorate"]: c for c in counts.stocks(EVERYBODY)}
    for row in rows:
        assert row["still_there"] == getattr(stocks[row["governorate"]], row["stage"])


def test_throughput_counts_each_move_in_its_hour(followed: Followed) -> None:
    hours: dict[int, Counter[str]] = defaultdict(Counter)
    days: dict[int, set[date]] = defaultdict(set)
    stands: dict[UUID, str] = {}
    for entry in followed.reader.stream(topics=[*ENTERED]):
        body = read_body(entry.body)
        entered = stage_of(entry.topic, body["data"]) or ""
        if entered == stands.get(entry.aggregate_id):
            continue
        stands[entry.aggregate_id] = entered
        at = datetime.fromisoformat(body["effective_at"]).astimezone(OFFICE_ZONE)
        hours[at.hour][entered] += 1
        days[at.hour].add(at.date())
    rows = ask(followed, questions()["throughput"])
    assert [row["hour"] for row in rows] == sorted(hours)
    for row in rows:
        told = hours[row["hour"]]
        completed = told[Stage.COMPLETED_ISSUED] + told[Stage.COMPLETED_REFUSED]
        assert row["days"] == len(days[row["hour"]])
        assert row["submitted"] == told[Stage.WAITING]
        assert row["accepted"] == told[Stage.IN_PROGRESS]
        assert row["completed"] == completed
        assert row["completed_per_day"] == pytest.approx(
            completed / row["days"], abs=0.006
        )
    assert sum(row["completed"] > 0 for row in rows) > 3
    # Offices are open from eight: an hour of UTC would begin at five.
    busiest = max(rows, key=lambda row: row["submitted"])
    assert 8 <= busiest["hour"] < 15


def test_each_question_says_what_it_asks_and_has_an_answer(followed: Followed) -> None:
    page = (REFERENCE / "analytics.md").read_text(encoding="utf-8")
    for name, sql in questions().items():
        assert about(sql).endswith((".", ").")), name
        assert f"| `{name}` |" in page
        assert ask(followed, sql), name


def test_before_the_first_entry_there_is_nothing(followed: Followed) -> None:
    for sql in questions().values():
        with asked(followed.place, sql, as_of=0, memory_mb=256) as found:
            assert list(found.rows) == []


def test_what_cannot_be_answered_is_said(followed: Followed, place: Path) -> None:
    with pytest.raises(NothingThereError), asked(place, "SELECT 1", memory_mb=64):
        pass
    beyond = followed.position + 1
    with (
        pytest.raises(NotThatFarError),
        asked(followed.place, "SELECT 1", as_of=beyond, memory_mb=64),
    ):
        pass
    with pytest.raises(WrongQuestionError, match="nowhere"):
        ask(followed, "SELECT * FROM nowhere")


def test_what_does_not_fit_into_memory_leaves_nothing_behind(
    followed: Followed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not where the command runs, either: a container may have no right to it."""
    (tmp_path / "here").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    # As many threads as the machine has cores would each want their share of so little.
    sql = (
        "SET threads = 1; SELECT n, repeat('x', 200) AS x"
        " FROM range(800_000) AS r (n) ORDER BY hash(n)"
    )
    with asked(followed.place, sql, memory_mb=64) as found:
        assert next(found.rows)
        assert not list((tmp_path / "here").iterdir())
        assert list((tmp_path / "temporary").rglob("*.tmp"))
    assert not list(tmp_path.rglob("*.*"))


class TestTheCommands:
    @pytest.fixture(autouse=True)
    def _at(self, followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SIJIL_ANALYTICS", str(followed.place))

    def said(self, *arguments: str) -> str:
        done = CliRunner().invoke(
            command_line(only="analytics"),
            ["analytics", *arguments],
            catch_exceptions=False,
        )
        assert done.exit_code == 0, done.output
        return done.stdout

    def test_an_answer_is_a_table_csv_or_json(self, followed: Followed) -> None:
        ours = ask(followed, questions()["counts"])
        told = json.loads(self.said("query", "counts", "--json"))
        assert told == {"position": followed.position, "rows": ours}
        rows = list(csv.DictReader(StringIO(self.said("query", "counts", "--csv"))))
        assert [int(row["submitted"]) for row in rows] == [
            row["submitted"] for row in ours
        ]
        table = self.said("query", "counts")
        assert ours[0]["governorate"] in table
        assert f"As of position {followed.position}." in table

    def test_any_sql_is_answered_whatever_it_selects(
        self, followed: Followed, tmp_path: Path
    ) -> None:
        file = tmp_path / "mine.sql"
        file.write_text(
            "SELECT position, leaf_hash, recorded_at, effective_day, service, body,"
            " [position] AS many, {'a': position} AS one, 1.5::DECIMAL(4,1) AS half"
            " FROM events ORDER BY position"
        )
        told = json.loads(self.said("query", "--sql", str(file), "--json"))
        assert len(told["rows"]) == followed.position
        first = told["rows"][0]
        assert first["leaf_hash"] == followed.reader.entry(1).leaf_hash().hex()  # type: ignore[union-attr]
        assert (first["many"], first["one"]) == ([1], {"a": 1})
        assert "The first 1000 rows" in self.said("query", "--sql", str(file))
        assert len(self.said("query", "--sql", str(file), "--csv").splitlines()) > 1_000

    def test_the_questions_are_listed(self) -> None:
        told = self.said("query")
        assert all(name in told for name in questions())

    def test_the_files_that_count_are_listed(self, followed: Followed) -> None:
        manifest = manifest_of(followed.place)
        assert manifest is not None
        assert self.said("files").splitlines() == [
            str(followed.place / each.path) for each in manifest.files
        ]

    def test_how_far_topic_and_folder_are_is_said_and_too_far_is_a_no(
        self,
        followed: Followed,
        options: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        settings = followed.database.settings
        monkeypatch.setenv("SIJIL_KAFKA", options["bootstrap_servers"][0])
        monkeypatch.setenv("SIJIL_HOME", str(settings.home))
        monkeypatch.setenv("SIJIL_DATABASE_NAME", settings.database_name)
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
            monkeypatch.setenv("SIJIL_DATABASE_URL", url)
        head = followed.position
        assert f": {head} of {head}\n" in self.said("check")
        # Nobody has published to the catalogue's own topic here.
        relay = command_line(only="relay")
        done = CliRunner().invoke(relay, ["relay", "--check"])
        assert (done.exit_code, done.stdout) == (0, f"sijil.events.v1: 0 of {head}\n")
        monkeypatch.setattr("consumers.cli.LARGEST_LAG", head - 1)
        assert CliRunner().invoke(relay, ["relay", "--check"]).exit_code == 1
        self.said("check")
        monkeypatch.setattr("consumers.cli.LARGEST_LAG", -1)
        done = CliRunner().invoke(
            command_line(only="analytics"), ["analytics", "check"]
        )
        assert done.exit_code == 1

    def test_a_question_that_is_none_is_said(self) -> None:
        with pytest.raises(OperatorError, match="counts, days"):
            self.said("query", "cuonts")
        with pytest.raises(OperatorError, match="not both"):
            self.said("query", "counts", "--sql", "pyproject.toml")

    def test_without_the_extra_a_sentence_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cli, "_NEEDED", ("nothing_of_this_name",))
        for command in (["query", "counts"], ["files"], ["follow"]):
            with pytest.raises(OperatorError, match="not installed"):
                self.said(*command)


def test_duckdb_itself_reads_what_the_manifest_names(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = DOCS / "how-to" / "analyse-with-duckdb.md"
    (block,) = [each for each in blocks(page) if each.language == "sql"]
    monkeypatch.chdir(followed.place)
    told = dict(duckdb.execute(block.code).fetchall())
    assert told == Counter(entry.topic for entry in followed.reader.stream())


def test_sql_of_the_page_is_answered(followed: Followed) -> None:
    page = DOCS / "how-to" / "analyse-with-duckdb.md"
    (block,) = [each for each in blocks(page) if "<<'SQL'" in each.code]
    sql = block.code.split("<<'SQL'\n")[1].split("\nSQL\n")[0]
    assert ask(followed, sql)
