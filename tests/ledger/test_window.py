"""A window shows what is stored, also after others have stored something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import psycopg2
import pytest

from domain.acts import ActorKind
from domain.clerks import Clerk
from ledger import window as window_module
from ledger.book import Ledger
from ledger.window import LedgerWindow
from tests.conftest import Database
from tests.domain.office import NINE, act

ONE, OTHER = "clk-DI-1", "clk-DI-2"
_LOSE_THE_LAST = """
SET LOCAL search_path = sijil;
ALTER TABLE events DISABLE TRIGGER USER;
DELETE FROM events WHERE position = (SELECT max(position) FROM events);
ALTER TABLE events ENABLE TRIGGER USER;
UPDATE ledger_head SET
    position = position - 1,
    recorded_at = (SELECT max(recorded_at) FROM events),
    incarnation = incarnation + %(incarnations)s
"""


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    with closing(Ledger(database.settings)) as ledger:
        for code in (ONE, OTHER):
            appointed = act(f"appoint {code}", ActorKind.ADMINISTRATOR)
            ledger.append(Clerk.appoint(appointed, code=code, centre="SY-DI-01"))
        yield ledger


def answers_for(ledger: Ledger, code: str, agency: str) -> None:
    """Somebody else writes on a clerk."""
    clerk = ledger.find(Clerk, Clerk.id_of(code))
    assert clerk is not None
    clerk.make_responsible(act(agency, ActorKind.ADMINISTRATOR), agency=agency)
    ledger.append(clerk)


def agencies(window: LedgerWindow, code: str) -> tuple[str, ...]:
    clerk = window.find(Clerk, Clerk.id_of(code))
    assert clerk is not None
    return clerk.agencies


@pytest.mark.parametrize("most", [0, 5_000])
def test_what_others_wrote_is_seen_once_it_catches_up(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(window_module, "MOST_CAUGHT_UP", most)
    window = LedgerWindow(ledger)
    assert [agencies(window, code) for code in (ONE, OTHER)] == [(), ()]
    answers_for(ledger, ONE, "CIV")
    # As seen: what is decided on it would lose.
    assert agencies(window, ONE) == ()
    window.catch_up()
    # Only what others have written is read anew, unless that is very much.
    assert window.peek(Clerk, Clerk.id_of(ONE)) is None
    assert (window.peek(Clerk, Clerk.id_of(OTHER)) is None) == (most == 0)
    assert [agencies(window, code) for code in (ONE, OTHER)] == [("CIV",), ()]


def test_what_an_act_moved_and_was_refused_is_read_anew(ledger: Ledger) -> None:
    window = LedgerWindow(ledger)
    moved = window.find(Clerk, Clerk.id_of(ONE))
    left = window.find(Clerk, Clerk.id_of(OTHER))
    assert moved is not None
    moved.make_responsible(act("CIV", ActorKind.ADMINISTRATOR), agency="CIV")
    window.drop_decided()
    assert agencies(window, ONE) == ()
    assert window.peek(Clerk, Clerk.id_of(OTHER)) is left


def test_what_was_taken_in_is_not_dropped_with_what_was_refused(
    ledger: Ledger,
) -> None:
    window = LedgerWindow(ledger)
    taken = window.find(Clerk, Clerk.id_of(ONE))
    assert taken is not None
    taken.make_responsible(act("CIV", ActorKind.ADMINISTRATOR), agency="CIV")
    window.append(taken)
    refused = window.find(Clerk, Clerk.id_of(ONE))
    assert refused is not None
    refused.make_responsible(act("CRM", ActorKind.ADMINISTRATOR), agency="CRM")
    window.drop_decided()
    assert agencies(window, ONE) == ("CIV",)
    assert window.waiting == 1


def test_what_others_wrote_beside_it_is_seen_once_it_has_appended(
    ledger: Ledger,
) -> None:
    window = LedgerWindow(ledger)
    own, others = window.find(Clerk, Clerk.id_of(ONE)), agencies(window, OTHER)
    assert own is not None
    own.make_responsible(act("CIV", ActorKind.ADMINISTRATOR), agency="CIV")
    window.append(own)
    acts = window.take()
    answers_for(ledger, OTHER, "CRM")
    window.settle(acts, ledger.process_recorder.append(acts))
    assert (others, agencies(window, OTHER)) == ((), ("CRM",))
    assert window.peek(Clerk, Clerk.id_of(ONE)) is own
    assert window._unsettled == {}
    # And what comes after it.
    answers_for(ledger, ONE, "CRM")
    window.catch_up()
    assert agencies(window, ONE) == ("CIV", "CRM")


def test_a_past_that_others_went_on_with_is_read_anew(ledger: Ledger) -> None:
    window = LedgerWindow(ledger)
    later = NINE + timedelta(days=1)

    def known() -> tuple[str, ...]:
        clerk = window.find(Clerk, Clerk.id_of(ONE), effective_at=later)
        assert clerk is not None
        return clerk.agencies

    assert known() == ()
    answers_for(ledger, ONE, "CIV")
    window.catch_up()
    assert known() == ("CIV",)


@pytest.mark.parametrize("is_resumed", [True, False])
def test_a_ledger_that_was_brought_back_is_read_anew(
    ledger: Ledger, database: Database, *, is_resumed: bool
) -> None:
    answers_for(ledger, ONE, "CIV")
    window = LedgerWindow(ledger)
    assert agencies(window, ONE) == ("CIV",)
    # The last entry is lost, and another is stored in its place.
    with (
        closing(psycopg2.connect(**database.superuser_dsn())) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(_LOSE_THE_LAST, {"incarnations": int(is_resumed)})
    answers_for(ledger, ONE, "CRM")
    assert ledger.reader.head().position == window._head.position
    window.catch_up()
    assert agencies(window, ONE) == ("CRM",)


def test_what_has_no_place_in_the_ledger_leaves_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise RuntimeError

    window = LedgerWindow(ledger)
    moved = window.find(Clerk, Clerk.id_of(ONE))
    assert moved is not None
    moved.make_responsible(act("CIV", ActorKind.ADMINISTRATOR), agency="CIV")
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(ledger.mapper, "to_stored_event", fails)
        window.append(moved)
    assert agencies(window, ONE) == ()
    assert window.waiting == 0
