"""Claim: an import killed at any moment, hundreds of times, equals one left alone.

A generated history of some thousand cases, in several sources (among its rows some
that are refused, unmapped, doubled or too early) is imported by a process that is
killed while it writes; after each kill it is started again. At the end the report must
add up and say what it says of an import that was left alone, every row must be in the
ledger exactly once, and the views, folded by a process that was killed too, must equal
a clean fold. After it a simulated history comes in under kills in the same way.

``python -m benchmarks.import_under_kills [KILLS]``
"""

from __future__ import annotations

import contextlib
import csv
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from benchmarks import simulation_under_kills
from benchmarks.append import installation
from benchmarks.cutting import Cutting, fold
from benchmarks.machine import machine
from ledger.bodies import parse_body
from ledger.settings import LedgerSettings
from office.house import House, migrate
from office.importing import Importer, ImportReport, RowFate, read_mapping
from office.seeding import seed
from office.simulating.history import Options
from tests.forks import forks
from tests.projections.examining import Examination

KILLS = 220
"""Of imports, while they write."""
CASES = 450
"""Of a source: a restart reads its file from the start."""
KILLS_A_SOURCE = 12
ROWS_A_BATCH = 25
"""Small batches: there are many moments to be killed at."""
LONGEST_S = 0.12
"""After the first write of a life; some batches come in it."""
SIMULATED = ((Options(completed=300), 25, 30), (Options(completed=4_000), 1_000, 30))
"""Histories, acts of a batch, kills: with many moments, then of the true size."""
SEED = 4
RESULTS = Path(__file__).parent / "results"
HEADER = ("case", "step", "at", "channel", "who", "office", "outcome")
_FORKS = forks("benchmarks.import_under_kills")

MAPPING = """
source = "SOURCE"
[columns]
case = "case"
activity = "step"
time = "at"
clerk = "who"
[governorate]
code = "NL-01"
name_ar = "بلدية"
name_en = "A municipality"
[[centres]]
code = "NL-01-01"
name_ar = "مكتب الشمال"
name_en = "North"
opened_on = 2010-01-01
[[centres]]
code = "NL-01-02"
name_ar = "مكتب الجنوب"
name_en = "South"
opened_on = 2010-01-01
[agency]
code = "DESK"
name_ar = "جهة"
name_en = "An agency"
[service]
code = "DESK-01"
name_ar = "خدمة"
name_en = "A service"
completion_days = 10
is_direct = true
paper = false
live_stamp = false
post = false
basis = "made up for a measurement"
[chosen.centre]
column = "office"
values = { N = "NL-01-01", S = "NL-01-02" }
[clerks]
responsible = "who"
prefix = "desk/{centre}/"
[channels]
column = "channel"
values = { web = "online", desk = "counter" }
[activities.in]
act = "submitted"
facts = { relationship = "other", delivery = "counter" }
[activities.ok]
act = "accepted"
[activities.answer]
act = "agency-responded"
facts = { reason = "no-permit" }
columns = { outcome = "outcome" }
values = { outcome = { no = "refused" } }
[activities.told]
act = "result-told"
facts = { means = "post" }
[activities.back]
act = "withdrawn"
facts = { reason = "not_needed" }
[unmapped]
check = "an inner check"
"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it; ``wrong`` is empty when all is well."""

    rows: int
    kills: int
    while_writing: int
    fates: dict[str, int]
    wrong: list[str]
    took_s: float


def rows_of(cases: int) -> Iterator[tuple[str, ...]]:
    """The rows of a history, cases side by side, in the order of their times."""
    chance = Random(SEED)  # noqa: S311 -- made-up history
    start = datetime(2011, 3, 1, 8, tzinfo=UTC)
    rows: list[tuple[datetime, tuple[str, ...]]] = []
    for number in range(cases):
        at = start + timedelta(minutes=number)
        steps = ["in", "check", "ok", "answer", "told"]
        kind = chance.random()
        if kind < 0.1:
            steps = ["ok", *steps]
        elif kind < 0.2:
            steps = [*steps[:3], "in", "ok", *steps[3:]]
        elif kind < 0.4:
            steps = ["in", "ok", "back", "told"]
        channel = "pigeon" if kind > 0.97 else "web"
        for step in steps:
            at += timedelta(minutes=chance.randint(1, 600))
            outcome = "no" if step == "answer" else ""
            cells = (
                f"c{number}",
                step,
                at.isoformat(),
                channel,
                f"R{number % 7}",
                "NS"[number % 2],
                outcome,
            )
            rows.append((at, cells))
    rows.sort(key=lambda each: each[0])
    return (cells for _, cells in rows)


def _import(settings: LedgerSettings, folder: str) -> None:
    with House(settings) as house:
        run(house, Path(folder))


def run(house: House, folder: Path) -> ImportReport:
    """One import, in small batches."""
    mapping = read_mapping(folder / "killed.toml")
    importer = Importer(house, mapping, rows_a_batch=ROWS_A_BATCH)
    return importer.run(folder / "killed.csv")


def drive(
    settings: LedgerSettings,
    folder: Path,
    *,
    cases: int = CASES,
    kills: int = KILLS_A_SOURCE,
    source: str = "killed",
    is_last: bool = True,
) -> Outcome:
    """Import and fold, killed again and again, then to the end."""
    began = time.monotonic()
    (folder / "killed.toml").write_text(
        MAPPING.replace("SOURCE", source), encoding="utf-8"
    )
    with (folder / "killed.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(rows_of(cases))
    with House(settings) as house:
        cutting = Cutting(
            reader=house.ledger.reader,
            begin=lambda: (
                _FORKS.Process(target=_import, args=(settings, str(folder))),
                _FORKS.Process(target=fold, args=(settings,)),
            ),
            moments=Random(f"{SEED}-{source}"),  # noqa: S311 -- moments of a test
            longest_s=LONGEST_S,
        )
        cutting.cut(kills)
        report = run(house, folder)
        again = run(house, folder)
        wrong = faults(house, folder, report, again)
        if is_last:
            with Examination(settings) as examined:
                wrong += examined.faults()
        return Outcome(
            rows=report.rows_read,
            kills=len(cutting.heads),
            while_writing=cutting.while_writing(),
            fates={str(fate): count for fate, count in again.fates.items()},
            wrong=wrong,
            took_s=time.monotonic() - began,
        )


def faults(
    house: House,
    folder: Path,
    report: ImportReport,
    again: ImportReport,
) -> list[str]:
    """What is not as it has to be."""
    wrong = []
    for name, each in (("report", report), ("second report", again)):
        if not each.adds_up:
            wrong.append(f"the {name} does not add up")
    with (folder / "killed.csv").open(encoding="utf-8", newline="") as file:
        rows = sum(1 for _ in csv.DictReader(file))
    if {report.rows_read, again.rows_read} != {rows}:
        wrong.append("rows were not read")
    if again.fates[RowFate.WRITTEN] or again.fates[RowFate.CHANGED]:
        wrong.append("the second run wrote or changed something")
    taken = report.fates[RowFate.WRITTEN] + report.fates[RowFate.REPEATED]
    if again.fates[RowFate.REPEATED] != taken:
        wrong.append("the second run repeats another number of rows")
    expected = recount(folder)
    stored, is_double = taken_over(house, report.source)
    if stored != expected:
        wrong.append(f"stored {dict(stored)}, a plain recount gives {dict(expected)}")
    if is_double:
        wrong.append("a row is in the ledger twice")
    return wrong


def taken_over(house: House, source: str) -> tuple[Counter[str], bool]:
    """The events of a source by kind, and whether a row is there twice."""
    stored: Counter[str] = Counter()
    lines: Counter[tuple[str, int]] = Counter()
    for entry in house.ledger.reader.stream():
        if entry.topic.startswith("sijil.request."):
            told = parse_body(entry.body)["provenance"]
            if told["source"] == source:
                kind = entry.topic.split(".")[2]
                stored[kind] += 1
                lines[kind, told["line"]] += 1
    return stored, any(count > 1 for count in lines.values())


def recount(folder: Path) -> Counter[str]:
    """The events that the rules allow, recounted from the file without our code."""
    counts: Counter[str] = Counter()
    where: dict[str, str] = {}
    after = {
        ("in", ""): "waiting",
        ("ok", "waiting"): "accepted",
        ("answer", "accepted"): "answered",
        ("told", "answered"): "ended",
        ("back", "waiting"): "ended",
        ("back", "accepted"): "ended",
    }
    topics = {
        "in": "submitted",
        "ok": "accepted",
        "answer": "agency-responded",
        "told": "result-told",
        "back": "withdrawn",
    }
    with (folder / "killed.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            case, step = row["case"], row["step"]
            then = after.get((step, where.get(case, "")))
            if then is None or row["channel"] == "pigeon":
                continue
            where[case] = then
            counts[topics[step]] += 1
            if step == "in":
                counts["assigned"] += 1
    return counts


def imported(kills: int) -> list[Outcome]:
    """Sources one after the other into one ledger, until there were so many kills."""
    done: list[Outcome] = []
    with installation() as settings, tempfile.TemporaryDirectory() as folder:
        migrate(settings)
        while (left := kills - sum(each.while_writing for each in done)) > 0:
            done.append(
                drive(
                    settings,
                    Path(folder),
                    source=f"killed-{len(done)}",
                    is_last=left <= KILLS_A_SOURCE,
                )
            )
    return done


def simulated() -> list[simulation_under_kills.Outcome]:
    """Each simulated history, into ledgers of its own."""
    done = []
    for options, batch, kills in SIMULATED:
        with installation() as settings:
            alone = settings.model_copy(
                update={"database_name": "alone", "vault_database_name": "alone_vault"}
            )
            for each in (settings, alone):
                migrate(each)
                with House(each) as house:
                    seed(house.catalogue)
            outcome = simulation_under_kills.drive(
                settings, alone, options, kills=kills, batch=batch
            )
            done.append(outcome)
    return done


def main() -> None:
    """Drive it, print and keep the result."""
    done = imported(int(sys.argv[1]) if len(sys.argv) > 1 else KILLS)
    histories = simulated()
    fates: Counter[str] = Counter()
    for each in done:
        fates.update(each.fates)
    wrong = [fault for each in (*done, *histories) for fault in each.wrong]
    seconds = sum(each.took_s for each in (*done, *histories))
    lines = [
        f"# An import under kills, {datetime.now(UTC).date()}",
        "",
        f"{machine()}, embedded server.",
        "While writing: after the first write of a process, with more left to write.",
        "",
        "| | |",
        "|---|---|",
        f"| sources, one after the other | {len(done)} |",
        f"| rows of their files | {sum(each.rows for each in done):,} |",
        f"| kills | {sum(each.kills for each in done)} |",
        f"| of these while it was writing | {sum(e.while_writing for e in done)} |",
        *(f"| {fate} by the last runs | {n:,} |" for fate, n in fates.items()),
        *(
            f"| simulated: {each.events:,} events of {each.acts:,} acts, in batches of "
            f"{batch}: kills, of these while writing "
            f"| {each.kills}, {each.while_writing} |"
            for each, (_, batch, _) in zip(histories, SIMULATED, strict=True)
        ),
        f"| wrong | {len(wrong)} |",
        f"| seconds | {seconds:,.0f} |",
    ]
    text = "\n".join([*lines, *wrong]) + "\n"
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / f"import-under-kills-{datetime.now(UTC).date()}.md"
    kept.write_text(text, encoding="utf-8")
    print(text)
    with contextlib.suppress(ValueError):
        print(f"kept in {kept.relative_to(Path.cwd())}")
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
