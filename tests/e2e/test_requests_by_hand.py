"""Requests lived by commands alone, against a server started as a user starts it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli import command_line
from api.cli.failures import Failure
from tests.running import Running

RUNNER = CliRunner()
DIGEST = "1f6d0c0e5a3b7c9d1e2f30415263748596a7b8c9d0e1f2031425364758697a8b"
STAMP = "ختم-DI-000001"
ITEM, OTHER_ITEM = "RA473124829GB", "RR123456785SY"
NAME, NUMBER, PHONE = "علامة فارقة الاختبار", "01000099887", "+963933123498"
PERSON = {"full_name": NAME, "national_number": NUMBER, "phone": PHONE}
COUNTER = [
    "submit",
    *("--service", "CIV-01", "--channel", "counter", "--relationship", "self"),
    *("--delivery", "home", "--documents", "id-card"),
]
TIMEOUT_S = 30.0
PHONE_WRONG = (
    *("--field", "phone"),
    *("--reason", "typing_error", "--party", "applicant"),
)


@pytest.fixture(scope="module")
def run() -> Iterator[Running]:
    made = Running()
    try:
        made.start()
        made.wait_until_ready()
        yield made
    finally:
        made.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a command said, and how it ended."""

    code: int
    said: str
    failure: str

    @property
    def document(self) -> Any:
        assert self.code == 0, self.failure + self.said
        return json.loads(self.said)


class Hand:
    """``sijil request`` as somebody types it. No answer may hold a person."""

    def __call__(self, *arguments: str, typed: str = "") -> Told:
        done = RUNNER.invoke(
            command_line(only="request"), ["request", *arguments], typed
        )
        failure = done.exception
        if failure is not None and not isinstance(failure, Failure | SystemExit):
            raise failure
        told = Told(
            code=failure.exit_code if isinstance(failure, Failure) else done.exit_code,
            said=done.output,
            failure=str(failure or ""),
        )
        for value in (NAME, NUMBER, PHONE, PHONE[-9:]):
            assert value not in told.said + told.failure
        return told

    def done(self, *arguments: str, typed: str = "") -> dict[str, Any]:
        """What an act that must succeed answered."""
        found: dict[str, Any] = self(*arguments, "--json", typed=typed).document
        return found

    def submitted(self, *more: str, arguments: list[str] = COUNTER) -> str:
        """A new request that somebody has: its id."""
        people = json.dumps({"applicant": PERSON}, ensure_ascii=False)
        made = self.done(*arguments, *more, typed=people)
        request = str(made["request"]["id"])
        deadline = time.monotonic() + TIMEOUT_S
        while self.done("show", request)["request"]["clerk"] is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return request


@pytest.fixture
def hand(run: Running, monkeypatch: pytest.MonkeyPatch) -> Hand:
    for name, value in run.environment.items():
        monkeypatch.setenv(name, value)
    return Hand()


def queued(run: Running, request: str, waiting_for: str, position: int) -> Any:
    done = run.sijil(
        *("queue", "--waiting-for", waiting_for, "--json"),
        *("--min-position", str(position)),
    )
    items = json.loads(done.stdout)["items"]
    return next((item for item in items if item["request_id"] == request), None)


def test_the_longest_life_is_lived_by_commands(run: Running, hand: Hand) -> None:
    request = hand.submitted("--accept")
    asked = hand.done("request-information", request, "--missing", "birth_place")
    assert asked["happened"] == ["Missing information requested: place of birth"]
    waits = queued(run, request, "citizen", asked["position"])
    assert (waits["next_act"], waits["until"]) == ("record_information", None)
    hand.done("supply-information", request, "--supplied", "birth_place")
    hand.done("claim", request)
    paid = hand.done("pay", request, "--channel", "cash")
    assert paid["request"]["lease_until"] is not None
    hand.done("respond", request, "--outcome", "issued")
    hand.done("stamp", request, "--serial", STAMP, "--stamped-digest", DIGEST)
    hand.done("mail", request, "--item", ITEM, "--to", "home")
    back = hand.done(
        "bring-back", request, "--item", ITEM, "--reason", "receiver_absent"
    )
    work = queued(run, request, "clerk", back["position"])
    assert work["next_act"] == "deal_with_return"
    hand.done("correct", request, *PHONE_WRONG, typed=PHONE)
    mailed = hand.done("mail", request, "--item", OTHER_ITEM, "--to", "post_office")
    on_its_way = queued(run, request, "post", mailed["position"])
    assert on_its_way["next_act"] == "nothing"
    got = hand.done("collect", request, "--item", OTHER_ITEM, "--capacity", "self")
    assert queued(run, request, "post", got["position"]) is None
    hand.done("inform", request, "--message", "ready", "--means", "sms")
    assert hand.done("show", request)["request"]["stage"] == "completed_issued"


def test_a_refusal_by_reply_is_lived_by_commands(hand: Hand) -> None:
    online = [
        *COUNTER,
        *("--service", "CIV-06", "--channel", "online", "--centre", "SY-DI-01"),
    ]
    request = hand.submitted(
        "--as", f"citizen:{secrets.token_hex(8)}", arguments=online
    )
    hand.done("accept", request, "--documents", "id-card")
    bank = ("--channel", "bank", "--bank-reference", "B-2026-1", "--as", "bank")
    paid = hand.done("pay", request, *bank)
    assert paid["happened"] == ["Fee paid: 30.00 new Syrian pounds through the bank"]
    hand.done("forward", request, "--agency-reference", "CIV/2026/1")
    refused = ("--outcome", "refused", "--reason", "record-not-found")
    hand.done("respond", request, *refused, "--as", "agency")
    told = hand.done("tell-result", request, "--means", "phone")
    assert told["request"]["stage"] == "completed_refused"
    refund = ("--kinds", "state_fee", "--reason", "refused", "--channel", "cash")
    assert hand.done("refund", request, *refund)["happened"] == [
        "Fee refunded: 30.00 new Syrian pounds in cash (the request was refused)"
    ]


@pytest.mark.parametrize(
    ("end", "stage"),
    [
        (lambda r: ("withdraw", r, "--reason", "not_needed"), "withdrawn"),
        (lambda r: ("decline", r, "--reason", "ineligible"), "not_accepted"),
    ],
)
def test_other_ends_are_reached_by_commands(
    hand: Hand, end: Callable[[str], tuple[str, ...]], stage: str
) -> None:
    request = hand.submitted()
    assert hand.done(*end(request))["request"]["stage"] == stage
    listed = hand.done("list", "--stage", stage)["items"]
    assert request in [item["id"] for item in listed]
    again = hand(*end(request))
    assert again.code == 1
    assert "409 wrong-state" in again.failure
    assert f"stage {stage}" in again.failure


def test_a_refusal_tells_who_has_it_and_a_supervisor_moves_it(hand: Hand) -> None:
    request = hand.submitted("--accept")
    other = hand("claim", request, "--as", "clerk:clk-DI-2")
    assert other.code == 1
    assert "409 held-by-another" in other.failure
    assert "clk-DI-1 has it now" in other.failure
    assert "--as clerk:clk-DI-2@SY-DI-01 --key" in other.said
    hand.done("assign", request, "--clerk", "clk-DI-2")
    late = hand(
        *("pay", request, "--channel", "cash", "--token", "1"),
        *("--as", "clerk:clk-DI-1"),
    )
    assert "409 stale-claim" in late.failure
    assert "clk-DI-2 has it now" in late.failure
    stale = hand("release", request, "--if-match", '"1"', "--as", "supervisor")
    assert "412 stale-version" in stale.failure
    hand.done("release", request, "--as", "supervisor")
    unpaid = hand("respond", request, "--outcome", "issued", "--as", "supervisor")
    assert "409 fee-unpaid" in unpaid.failure
    assert "hundredths of SYP.new are due" in unpaid.failure


def test_an_act_sent_twice_with_its_key_has_one_outcome(hand: Hand) -> None:
    request = hand.submitted("--accept")
    first = hand.done("pay", request, "--channel", "cash")
    due = ("--amount", "3000", "--unit", "SYP.new", "--token", "1")
    again = hand.done("pay", request, "--channel", "cash", *due, "--key", first["key"])
    assert (first["is_repeat"], again["is_repeat"]) == (False, True)
    assert again["position"] == first["position"]
    assert again["happened"] == ["Fee paid: 30.00 new Syrian pounds in cash"]
    shown = hand("pay", request, "--channel", "cash")
    assert "no fee is due" in shown.failure


def test_a_supervisors_word_lets_a_name_be_corrected(hand: Hand) -> None:
    request = hand.submitted()
    wrong = ("--field", "full_name", "--reason", "read_wrongly", "--party", "applicant")
    alone = hand("correct", request, *wrong, typed=NAME)
    assert "409 approval-required" in alone.failure
    key = alone.said.rpartition("--key ")[2].split()[0]
    given = hand.done("approve", key, "--on", request)
    assert f"--key {key} --approval " in hand("approve", key, "--on", request).said
    approval = ("--key", key, "--approval", given["approval"])
    done = hand.done("correct", request, *wrong, *approval, typed=NAME)
    assert done["happened"] == [
        "Request corrected: full name, applicant (read wrongly)"
    ]


def test_conditions_are_told_of_a_service_and_of_a_request(hand: Hand) -> None:
    request = hand.submitted()
    of_service = hand.done("conditions", "CIV-01")
    of_request = hand.done("conditions", request)
    assert [document["is_shown"] for document in of_service["documents"]] == [None]
    assert [document["is_shown"] for document in of_request["documents"]] == [True]
    shown = hand("show", request)
    assert "may receive" in shown.said
    assert "id-card" in shown.said
    assert "404 not-found" in hand("conditions", "../entries").failure


def test_nonsense_is_one_sentence(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    request = hand.submitted()
    for asked, code, said in (
        (("--as", "system"), 2, "no tokens for system"),
        (("--as", "clerk:x@SY-HL-01"), 1, "404 not-found"),
        (("--as", "agency:o@CIV/SY-DI"), 1, "40"),
        (("--token", "99999999999"), 1, "token is too large"),
        (("--effective-at", "yesterday"), 1, "effective_at is not written"),
        (("--effective-at", "2020-01-01T00:00:00+03:00"), 1, "needs-approval"),
        (("--if-match", "nonsense"), 1, "not-a-strong-etag"),
        (("--documents", "\udcff"), 2, "not UTF-8"),
    ):
        told = hand("accept", request, *asked)
        assert (told.code, said in told.failure) == (code, True), told
    short = json.dumps({"applicant": {**PERSON, "national_number": "12345zz"}})
    told = hand(*COUNTER, typed=short)
    assert "national_number has not eleven digits" in told.failure
    assert "12345zz" not in told.failure + told.said
    monkeypatch.setenv("SIJIL_TOKEN", "nonsense")
    assert "401 unauthenticated" in hand("show", request).failure
    assert hand("show", request, "--as", "clerk").code == 2


def test_the_less_usual_lives_are_walked_and_every_view_shows_each_step(
    run: Running,
) -> None:
    for outcome, steps, ending in (
        ("returned", 11, "delivered"),
        ("withdrawn", 5, "fee-refunded"),
    ):
        done = run.sijil("walk", "--outcome", outcome, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        (life,) = json.loads(done.stdout)
        assert len(life["steps"]) == steps
        last = life["steps"][-1]["events"][-1]
        assert last["topic"] == f"sijil.request.{ending}.v1"
