"""One act's look: one statement, one moment, and never another ledger's things."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import IntegrityError, OperationalError

from domain.acts import Act, Actor, ActorKind
from domain.clerks import Clerk
from domain.reads import Look, Purpose
from ledger.book import Ledger
from ledger.names import Role
from ledger.persistence.append import Command, VersionConflictError
from ledger.persistence.tails import Known, Seen, Tail, Tails
from ledger.settings import LedgerSettings
from tests.conftest import Database
from tests.ledger.test_recent import recounted, shape

THREADS, PROCESSES, CHANGES = 3, 2, 25
CODES = ("clk-1", "clk-2")
BEGAN = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
_SPAWN = multiprocessing.get_context("spawn")


def act(minutes: int = 0) -> Act:
    return Act(
        command_id=uuid4(),
        actor=Actor(kind=ActorKind.ADMINISTRATOR, id="adm-1", place="ministry"),
        correlation_id=uuid4(),
        effective_at=BEGAN + timedelta(minutes=minutes),
    )


def appointed(ledger: Ledger, code: str) -> UUID:
    ledger.append(Clerk.appoint(act(), code=code, centre="SY-DI-01"))
    return Clerk.id_of(code)


def give(ledger: Ledger, code: str, agency: str, *, minutes: int = 0) -> None:
    clerk = found(ledger, code)
    clerk.make_responsible(act(minutes), agency=agency)
    ledger.append(clerk)


def found(ledger: Ledger, code: str) -> Clerk:
    clerk = ledger.find(Clerk, Clerk.id_of(code))
    assert clerk is not None
    return clerk


class Asked:
    """Counts what a ledger asks its database; while it is broken, nothing answers."""

    def __init__(
        self, ledger: Ledger, *, broken: threading.Event | None = None
    ) -> None:
        self._autocommit = ledger.datastore.autocommit
        self._broken = broken
        self.times = 0
        ledger.datastore.autocommit = self._counted  # type: ignore[method-assign]

    @contextmanager
    def _counted(self) -> Iterator[Any]:
        self.times += 1
        if self._broken is not None and self._broken.is_set():
            raise OperationalError("away")
        with self._autocommit() as cursor:
            yield cursor


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    made = Ledger(database.settings)
    yield made
    made.close()


@pytest.fixture
def other(database: Database) -> Iterator[Ledger]:
    """The ledger of another process: it shares no memory with the first."""
    made = Ledger(database.settings)
    yield made
    made.close()


def test_a_glance_asks_once_for_all_things_and_the_command(ledger: Ledger) -> None:
    ids = [appointed(ledger, f"clk-{number}") for number in range(5)]
    command = Command(id=uuid4(), actor="adm", digest=b"digest")
    ledger.append(command=command)
    asked = Asked(ledger)
    with ledger.glance(*ids, Clerk.id_of("nobody"), command_id=command.id):
        known = ledger.find_command(command.id)
        assert known is not None
        assert (known.actor, known.digest) == ("adm", b"digest")
        assert all(ledger.find(Clerk, thing_id) is not None for thing_id in ids)
        assert ledger.find(Clerk, Clerk.id_of("nobody")) is None
    assert asked.times == 1


def test_inside_a_glance_a_thing_stays_as_seen_and_after_it_is_as_it_is(
    ledger: Ledger, other: Ledger
) -> None:
    thing_id = appointed(ledger, "clk-1")
    with ledger.glance(thing_id):
        give(other, "clk-1", "CIV")
        assert found(ledger, "clk-1").agencies == ()
        with ledger.glance(thing_id, anew=True):
            assert found(ledger, "clk-1").agencies == ("CIV",)
        assert found(ledger, "clk-1").agencies == ()
        # Whoever names a version has heard of it elsewhere.
        at_two = ledger.find(Clerk, thing_id, version=2)
        assert at_two is not None
        assert at_two.agencies == ("CIV",)
    assert found(ledger, "clk-1").agencies == ("CIV",)


def test_after_an_append_a_glance_looks_anew(ledger: Ledger, other: Ledger) -> None:
    thing_id = appointed(ledger, "clk-1")
    with ledger.glance(thing_id):
        stale = found(ledger, "clk-1")
        give(other, "clk-1", "CIV")
        stale.make_responsible(act(), agency="EMP")
        with pytest.raises(VersionConflictError):
            ledger.append(stale)
        assert found(ledger, "clk-1").agencies == ("CIV",)


def test_a_command_stored_after_the_glance_is_seen_only_when_asked_anew(
    ledger: Ledger, other: Ledger
) -> None:
    command = Command(id=uuid4(), actor="adm", digest=b"digest")
    with ledger.glance(command_id=command.id):
        other.append(command=command)
        assert ledger.find_command(command.id) is None
        assert ledger.find_command(command.id, anew=True) is not None


def test_what_was_appended_here_is_known_without_being_read_again(
    ledger: Ledger,
) -> None:
    appointed(ledger, "clk-1")
    give(ledger, "clk-1", "CIV")
    clerk = found(ledger, "clk-1")
    clerk.make_responsible(act(), agency="EMP")
    appended = ledger.append(clerk)
    asked = Asked(ledger)
    left = ledger.left_by(Clerk, appended.last_position, clerk.id)
    assert asked.times == 0
    assert shape(left) == shape(recounted(ledger, clerk.id, 3))


def test_a_late_answer_tells_what_the_act_left_whatever_happened_since(
    ledger: Ledger, other: Ledger
) -> None:
    appointed(ledger, "clk-1")
    clerk = found(ledger, "clk-1")
    clerk.make_responsible(act(), agency="CIV")
    appended = ledger.append(clerk)
    give(other, "clk-1", "EMP")
    assert found(ledger, "clk-1").agencies == ("CIV", "EMP")
    left = ledger.left_by(Clerk, appended.last_position, clerk.id)
    assert shape(left) == shape(recounted(ledger, clerk.id, 2))
    assert ledger.outcome_of(appended.last_position, clerk.id) == (clerk.id, 2)


def test_only_the_tail_of_a_thing_is_read(ledger: Ledger, other: Ledger) -> None:
    thing_id = appointed(ledger, "clk-1")
    for agency in ("CIV", "CRM", "EMP"):
        give(ledger, "clk-1", agency)
    entries = ledger.reader.aggregate(thing_id)
    last = Known(id=thing_id, version=4, recorded_at=entries[-1].recorded_at)
    tails = Tails(ledger.datastore)
    assert tails.read([last]) == Seen(None, [Tail([])])
    give(other, "clk-1", "EDU")
    (tail,) = tails.read([last]).tails
    assert [event.originator_version for event in tail.events] == [5]
    assert (tail.position, tail.is_other) == (5, False)
    assert found(ledger, "clk-1").agencies == ("CIV", "CRM", "EMP", "EDU")


def test_a_thing_whose_known_entry_is_not_there_is_read_whole(ledger: Ledger) -> None:
    thing_id = appointed(ledger, "clk-1")
    give(ledger, "clk-1", "CIV")
    at = ledger.reader.aggregate(thing_id)[-1].recorded_at
    tails = Tails(ledger.datastore)
    for other in (
        Known(id=thing_id, version=2, recorded_at=at - timedelta(microseconds=1)),
        Known(id=thing_id, version=3, recorded_at=at),
    ):
        (tail,) = tails.read([other]).tails
        assert tail.is_other
        assert [event.originator_version for event in tail.events] == [1, 2]


def test_callers_who_come_together_are_answered_together_each_with_its_own(
    ledger: Ledger,
) -> None:
    ids = [appointed(ledger, f"clk-{number}") for number in range(40)]
    asked = Asked(ledger)
    tails = Tails(ledger.datastore)
    start = threading.Barrier(len(ids))
    told: dict[UUID, list[UUID | str]] = {}

    def ask(thing_id: UUID) -> None:
        start.wait()
        for _ in range(20):
            (tail,) = tails.read([Known(id=thing_id)], command_id=thing_id).tails
            told[thing_id] = [event.originator_id for event in tail.events]

    in_threads(ids, ask)
    assert told == {thing_id: [thing_id] for thing_id in ids}
    assert asked.times < 20 * len(ids) / 2


def test_when_the_server_is_away_all_who_asked_are_told_and_nobody_waits(
    ledger: Ledger,
) -> None:
    broken = threading.Event()
    broken.set()
    asked = Asked(ledger, broken=broken)
    tails = Tails(ledger.datastore)
    errors: list[OperationalError] = []

    def ask(_: UUID) -> None:
        with pytest.raises(OperationalError) as raised:
            tails.read([Known(id=uuid4())])
        errors.append(raised.value)

    in_threads([uuid4() for _ in range(20)], ask)
    assert len({id(error) for error in errors}) == 20
    broken.clear()
    assert tails.read([Known(id=uuid4())]).tails == [Tail([])]
    assert asked.times > 0


def in_threads(ids: list[UUID], work: Callable[[UUID], None]) -> None:
    threads = [threading.Thread(target=work, args=(each,)) for each in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_the_past_in_memory_ends_where_the_thing_in_memory_does(
    ledger: Ledger, other: Ledger
) -> None:
    """A past that was read before somebody wrote tells nothing of what was written."""
    thing_id = appointed(ledger, "clk-1")

    def as_of(minutes: int) -> tuple[str, ...]:
        at = BEGAN + timedelta(minutes=minutes)
        then = ledger.find(Clerk, thing_id, effective_at=at)
        assert then is not None
        return then.agencies

    give(ledger, "clk-1", "CIV", minutes=10)
    give(ledger, "clk-1", "CRM", minutes=20)
    assert as_of(15) == ("CIV",)
    give(other, "clk-1", "EMP", minutes=30)
    give(other, "clk-1", "EDU", minutes=40)
    assert as_of(35) == ("CIV", "CRM", "EMP")
    assert as_of(15) == ("CIV",)
    assert len(list(ledger.history(thing_id))) == 5
    asked = Asked(ledger)
    with ledger.glance(thing_id):
        assert [as_of(minutes) for minutes in (5, 25)] == [(), ("CIV", "CRM")]
    assert asked.times == 1


def test_nothing_is_kept_of_what_is_written_once(ledger: Ledger) -> None:
    look = Look.look(
        act(),
        look_id=uuid4(),
        party=uuid4(),
        request=uuid4(),
        purpose=Purpose.COUNTER,
    )
    ledger.append(look)
    assert ledger.peek(Look, look.id) is None


def test_a_ledger_brought_back_from_a_backup_is_read_anew(
    database: Database, ledger: Ledger
) -> None:
    """The same versions at the same positions may hold other events now."""
    thing_id = appointed(ledger, "clk-1")
    give(ledger, "clk-1", "CIV")
    assert found(ledger, "clk-1").agencies == ("CIV",)
    with database.datastore(Role.OWNER).transaction() as cursor:
        cursor.execute("ALTER TABLE events DISABLE TRIGGER events_are_append_only")
        cursor.execute("DELETE FROM events WHERE position = 2")
        cursor.execute("UPDATE ledger_head SET position = 1")
    assert found(ledger, "clk-1").agencies == ()
    give(ledger, "clk-1", "EMP")
    assert found(ledger, "clk-1").agencies == ("EMP",)
    with database.datastore(Role.OWNER).transaction() as cursor:
        cursor.execute("DELETE FROM events WHERE position = 2")
        cursor.execute("UPDATE ledger_head SET position = 1")
    fork = Ledger(database.settings)
    give(fork, "clk-1", "CRM")
    fork.close()
    assert found(ledger, "clk-1").agencies == ("CRM",)
    past = ledger.find(Clerk, thing_id, version=1)
    assert past is not None
    assert past.agencies == ()


def work(settings: LedgerSettings) -> None:
    """Give and take agencies from several threads, until each has done its changes."""
    ledger = Ledger(settings)
    failures: list[BaseException] = []

    def change(number: int) -> None:
        agency = f"A{number}-{uuid4().hex[:6]}"
        for turn in range(CHANGES):
            code = CODES[turn % len(CODES)]
            while True:
                with ledger.glance(*map(Clerk.id_of, CODES)):
                    clerk = found(ledger, code)
                before = clerk.version
                if agency in clerk.agencies:
                    clerk.relieve(act(), agency=agency)
                else:
                    clerk.make_responsible(act(), agency=agency)
                try:
                    ledger.append(clerk)
                except IntegrityError:
                    continue
                # What this thread has written it sees from now on.
                assert found(ledger, code).version > before
                break

    def watched(number: int) -> None:
        try:
            change(number)
        except BaseException as error:  # noqa: BLE001 -- told by the main thread
            failures.append(error)

    threads = [
        threading.Thread(target=watched, args=(number,)) for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for code in CODES:
        thing_id = Clerk.id_of(code)
        clerk = found(ledger, code)
        assert shape(clerk) == shape(recounted(ledger, thing_id, clerk.version))
    ledger.close()
    if failures:
        raise failures[0]


def test_many_threads_of_many_processes_lose_nothing_and_read_what_is_stored(
    database: Database, ledger: Ledger
) -> None:
    for code in CODES:
        appointed(ledger, code)
    children = [
        _SPAWN.Process(target=work, args=(database.settings,)) for _ in range(PROCESSES)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0] * PROCESSES
    versions = [found(ledger, code).version for code in CODES]
    assert sum(versions) - len(CODES) == PROCESSES * THREADS * CHANGES
