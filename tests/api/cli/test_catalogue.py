"""``sijil catalogue`` against a server that listens: files, diffs, single acts."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
import uvicorn

from api.cli import main
from tests.api.door import SUBMISSION, Door

TIMEOUT_S = 60.0
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def url(door: Door) -> Iterator[str]:
    """The door's application on a port of this machine."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(door.app, lifespan="off", log_config=None, ws="none")
    )
    thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + TIMEOUT_S
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(TIMEOUT_S)
    listening.close()


@pytest.fixture
def run(
    door: Door,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Run:
    """Runs ``sijil catalogue`` as the administrator; the exit code and the words."""
    monkeypatch.setenv("SIJIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SIJIL_URL", url)
    monkeypatch.setenv("SIJIL_TOKEN", door.token("administrator"))

    def run(*arguments: str) -> tuple[int, str]:
        door.scene.level()
        monkeypatch.setattr("sys.argv", ["sijil", "catalogue", *arguments])
        capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        told = capsys.readouterr()
        door.scene.level()
        # The server is in this process too, and its log is on standard error.
        return int(code), told.out if "--json" in arguments else told.out + told.err

    return run


def service(code: str, **changes: Any) -> str:
    facts = {
        "agency": "CIV",
        "name_ar": "بيان مفقود",
        "name_en": "Statement of a missing person",
        "direct_in": ["*"],
        "completion_days": 2,
        "applicants": ["self", "representative"],
        "documents": [],
        "fee_lines": [],
        "paper": True,
        "live_stamp": True,
        "post": True,
        "basis": "known",
        **changes,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in facts.items()]
    return "\n".join(["[[services]]", f'code = "{code}"', *lines, ""])


def fates(said: str) -> dict[str, str]:
    return {f"{t['kind']}/{t['code']}": t["fate"] for t in json.loads(said)["things"]}


def test_a_48th_service_is_added_without_code_and_can_be_asked_for(
    door: Door, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "new.toml"
    code = f"NEW-{uuid4().hex[:6]}"
    file.write_text(service(code), encoding="utf-8")
    head = door.scene.house.ledger.reader.head().position

    assert run("apply", str(file), "--dry-run", "--json")[0] == 0
    assert door.scene.house.ledger.reader.head().position == head

    ended, said = run("apply", str(file), "--json")
    assert (ended, fates(said)) == (0, {f"services/{code}": "new"})
    ended, said = run("apply", str(file), "--json")
    assert (ended, fates(said)) == (0, {f"services/{code}": "stays"})
    assert door.scene.house.ledger.reader.head().position == head + 1

    asked = door.post(
        "clerk", "/v1/requests", {**SUBMISSION, "service": code, "documents": []}
    )
    assert asked.status_code == 201, asked.text
    door.scene.level()
    queue = door.get("supervisor", "/v1/queue").json()["items"]
    assert code in {item["service"] for item in queue}


def test_the_same_acts_sent_twice_are_stored_once(
    door: Door, run: Run, tmp_path: Path
) -> None:
    """What the plan was made from may be old: the ids repeat and so do the outcomes."""
    from datetime import UTC, datetime

    from api.cli.catalogue import _carried_out
    from api.cli.logins import connect, login_of
    from domain.acts import ActorKind
    from office.catalogue_files import Kind, read_file
    from office.catalogue_plan import Fate, plan

    file = tmp_path / "clerks.toml"
    code = f"clk-{uuid4().hex[:6]}"
    file.write_text(
        f'[[clerks]]\ncode = "{code}"\ncentre = "SY-DI-01"\nagencies = ["CIV"]\n',
        encoding="utf-8",
    )
    present: dict[Kind, Any] = {
        Kind.AGENCIES: {},
        Kind.CENTRES: {},
    }
    wanted = [each for each in read_file(file) if each.kind is Kind.CLERKS]
    assert plan(wanted, present, now=datetime.now(UTC))[0].fate is Fate.REFUSED
    run("show", "clerks")
    with connect(login_of(ActorKind.ADMINISTRATOR)) as server:
        from api.cli.catalogue import _present

        present = {kind: _present(server, kind) for kind in Kind}
        (step,) = plan(wanted, present, now=datetime.now(UTC))
        assert [act.path for act in step.acts] == [
            "/v1/clerks",
            f"/v1/clerks/{code}/responsibility",
        ]
        head = door.scene.house.ledger.reader.head().position
        for _ in range(2):
            assert _carried_out(server, step).fate is Fate.NEW
    assert door.scene.house.ledger.reader.head().position == head + 2


def test_a_difference_is_told_field_by_field(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "change.toml"
    code = f"CHG-{uuid4().hex[:6]}"
    file.write_text(service(code), encoding="utf-8")
    run("apply", str(file))
    file.write_text(
        service(code, completion_days=9, acceptance_days=12), encoding="utf-8"
    )
    ended, said = run("apply", str(file), "--dry-run", "--json")
    assert ended == 0
    (thing,) = json.loads(said)["things"]
    assert thing["changes"] == {
        "acceptance_days": {"before": None, "after": 12},
        "completion_days": {"before": 2, "after": 9},
    }
    ended, said = run("apply", str(file))
    assert ended == 0
    assert "completion_days" in said
    assert "1 changes" in said


def test_the_reference_data_is_what_its_own_tables_say(run: Run) -> None:
    from importlib.resources import files

    tables = files("domain") / "catalogue"
    for name, kind in (("agencies", "agencies"), ("services", "services")):
        ended, said = run("apply", str(tables / f"{name}.csv"), "--json")
        assert ended == 0
        assert set(fates(said).values()) == {"stays"}, kind


def test_tables_of_places_and_people(run: Run, tmp_path: Path) -> None:
    made = uuid4().hex[:6]
    (tmp_path / "centres.csv").write_text(
        f"code,governorate,name_ar,name_en,opens_on\nC-{made},SY-DI,مركز,Centre,\n",
        encoding="utf-8",
    )
    (tmp_path / "people.csv").write_text(
        f"code,centre,agencies\nclk-{made},C-{made},CIV;CRM\n", encoding="utf-8"
    )
    (tmp_path / "stamps.csv").write_text(
        f"serial,centre\nختم-{made},C-{made}\n", encoding="utf-8"
    )
    for name, more in (
        ("centres", ()),
        ("people", ("--kind", "clerks")),
        ("stamps", ()),
    ):
        file = str(tmp_path / f"{name}.csv")
        for fate in ("new", "stays"):
            ended, said = run("apply", file, *more, "--json")
            assert (ended, set(fates(said).values())) == (0, {fate})
    ended, said = run("show", "clerks", f"clk-{made}", "--json")
    assert json.loads(said)["agencies"] == ["CIV", "CRM"]
    # A file is a desired state: an agency that is not in it any more is taken away.
    (tmp_path / "people.csv").write_text(
        f"code,centre,agencies\nclk-{made},C-{made},EMP;CIV\n", encoding="utf-8"
    )
    assert run("apply", str(tmp_path / "people.csv"), "--kind", "clerks")[0] == 0
    ended, said = run("show", "clerks", f"clk-{made}", "--json")
    assert json.loads(said)["agencies"] == ["CIV", "EMP"]


def test_files_undo_no_closing_departure_or_withdrawal(
    run: Run, tmp_path: Path
) -> None:
    made = uuid4().hex[:6]
    file = tmp_path / "things.toml"
    text = f"""
[[agencies]]
code = "A{made}"
name_ar = "جهة"
name_en = "Agency"
scope = "national"
[[centres]]
code = "C-{made}"
governorate = "SY-DI"
name_ar = "مركز"
name_en = "Centre"
[[clerks]]
code = "clk-{made}"
centre = "SY-DI-01"
[[stamps]]
serial = "ختم-{made}"
centre = "SY-DI-01"
"""
    file.write_text(text, encoding="utf-8")
    assert run("apply", str(file))[0] == 0
    for arguments in (
        ("close-agency", f"A{made}", "--reason", "merged"),
        ("close-centre", f"C-{made}", "--reason", "works"),
        ("record-departure", f"clk-{made}"),
        ("withdraw-stamp", f"ختم-{made}", "--reason", "lost"),
    ):
        assert run(*arguments)[0] == 0
    ended, said = run("apply", str(file), "--json")
    assert (ended, set(fates(said).values())) == (0, {"stays"})
    file.write_text(
        text.replace("Agency", "Other")
        .replace('"Centre"', '"Other"')
        .replace("SY-DI-01", "SY-HL-01"),
        encoding="utf-8",
    )
    ended, said = run("apply", str(file))
    assert ended == 1
    assert "0 changes, 0 stays, 4 refused" in said
    for arguments in (
        ("publish-agency", f"A{made}"),
        ("open-centre", f"C-{made}"),
        ("appoint-clerk", f"clk-{made}", "--centre", "SY-DI-01"),
    ):
        assert run(*arguments)[0] == 0
    assert run("issue-stamp", f"ختم-{made}", "--centre", "SY-DI-01")[0] == 1


def test_the_acts_one_by_one(run: Run) -> None:
    code = f"clk-{uuid4().hex[:6]}"
    for arguments, expected in (
        (("appoint-clerk", code, "--centre", "SY-DI-01"), 0),
        (("make-responsible", code, "CIV", "CRM"), 0),
        (("relieve-clerk", code, "CRM"), 0),
        (("relieve-clerk", code, "CRM"), 1),
        (("report-away", code, "--reason", "leave", "--to", "2999-01-01"), 0),
        (("report-away", code, "--reason", "leave"), 1),
        (("report-back", code), 0),
        (("report-back", code), 1),
        (("record-departure", code, "--on", "nonsense"), 1),
        (("record-departure", code), 0),
        (("record-departure", "nobody"), 1),
        (("suspend-service", "CIV-02", "--reason", "other"), 0),
        (("resume-service", "CIV-02"), 0),
        (("resume-service", "CIV-02", "--on", "2020-01-01"), 1),
        (("open-centre", f"C-{code}"), 2),
        (("suspend-service", "CIV-02", "--reason", "nonsense"), 2),
        (("suspend-service", "../CIV-02", "--reason", "other"), 1),
        (("show", "everything"), 2),
        (("show", "services", "NOTHING"), 1),
    ):
        assert run(*arguments)[0] == expected, arguments


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "[[x", "is not TOML"),
        ("a.toml", "", "wants nothing"),
        ("a.toml", "[[things]]\n", "there are [[agencies]]"),
        ("a.toml", 'services = "CIV-01"\n', "there are [[agencies]]"),
        ("a.csv", "code\nA\n", "does not say what it holds"),
        (
            "holidays.csv",
            "start,days,name_ar,name_en,certainty\nsoon,1,a,b,c\n",
            "soon",
        ),
        ("holidays.csv", "start,days\n2026-01-01,999\n", "1 to 60 days"),
        ("a.txt", "code", "neither TOML nor CSV"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(
    run: Run, tmp_path: Path, name: str, text: str, said: str
) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    ended, words = run("apply", str(file), "--dry-run")
    assert ended == 2
    assert said in " ".join(words.split())


def test_who_may_not_administer_could_not_ask(
    door: Door, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "new.toml"
    file.write_text(service("NEW-99"), encoding="utf-8")
    for who in ("clerk", "supervisor"):
        monkeypatch.setenv("SIJIL_TOKEN", door.token(who))
        ended, said = run("apply", str(file))
        assert ended == 2
        assert "role-forbidden" in said
    assert door.get("auditor", "/v1/services/NEW-99").status_code == 404


def test_what_is_wrong_in_a_line_is_told_there_and_the_rest_is_done(
    run: Run, tmp_path: Path
) -> None:
    made = uuid4().hex[:6]
    file = tmp_path / "agencies.csv"
    file.write_text(
        "code,name_ar,name_en,scope\n"
        f"A{made},جهة,Agency,national\n"
        f"B{made},جهة,Agency,galactic\n"
        f"C{made},جهة\n"
        f"A{made},جهة,Twice,national\n"
        "two words,جهة,Agency,national\n",
        encoding="utf-8",
    )
    ended, said = run("apply", str(file), "--json")
    assert ended == 1
    document, _ = json.JSONDecoder().raw_decode(said)
    told = {t["place"]: (t["fate"], t["reason"] or "") for t in document["things"]}
    assert told["line 2"] == ("new", "")
    assert "scope" in told["line 3"][1]
    assert "columns" in told["line 4"][1]
    assert "line 2 already" in told["line 5"][1]
    assert told["line 6"][0] == "refused"


def test_a_calendar_is_published_from_toml_and_corrected_before_the_day(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "2033.toml"
    text = """
[[calendars]]
year = 2033
holidays = [
  { start = 2033-01-01, days = 2, name_ar = "عيد", name_en = "Feast", certainty = "-" },
]
hours = [{ first = 2033-01-10, last = 2033-02-08, opens = "09:00", closes = "14:00" }]
"""
    file.write_text(text, encoding="utf-8")
    assert run("publish-calendar", str(file))[0] == 0
    file.write_text(text.replace("days = 2", "days = 3"), encoding="utf-8")
    ended, said = run("publish-calendar", str(file), "--dry-run", "--json")
    (thing,) = json.loads(said)["things"]
    assert thing["changes"]["holidays"]["before"] == []
    assert [d["day"] for d in thing["changes"]["holidays"]["after"]] == ["2033-01-03"]
    holidays = tmp_path / "holidays.csv"
    holidays.write_text(
        "start,days,name_en,name_ar,certainty\n٢٠٣٣-٠١-٠١,٢,Feast,عيد,-\n",
        encoding="utf-8",
    )
    # A table of holidays has no hours: those of the year stay.
    ended, said = run("apply", str(holidays), "--json")
    assert (ended, fates(said)) == (0, {"calendars/2033": "stays"})
    past = tmp_path / "past.csv"
    past.write_text(
        "start,days,name_en,name_ar,certainty\n2026-01-04,1,Late,متأخر,none\n",
        encoding="utf-8",
    )
    ended, said = run("apply", str(past), "--kind", "calendars", "--dry-run")
    assert ended == 1
    assert "day-begun" in said
