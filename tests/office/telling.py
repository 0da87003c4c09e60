"""A scene that tells its citizens, and a courier that keeps what it is given."""

from __future__ import annotations

from datetime import timedelta
from threading import Event
from typing import Any
from uuid import UUID

from domain.requests import Means
from ledger.entries import Entry
from ledger.names import Role
from office.couriers import Courier, Letter
from office.house import House
from office.telling import NAME, Telling
from tests.office.scene import Scene

INFORMED = "sijil.request.informed.v1"
MARKED_EMAIL = "marked.citizen@example.org"
FAST = 60_000
NO_PAUSE = (timedelta(0), timedelta(0))


class Box:
    """A courier that keeps its letters, and fails as it is told to."""

    name = "box"

    def __init__(self, *carries: Means) -> None:
        self.carries = carries or (Means.SMS, Means.EMAIL, Means.POST)
        self.letters: list[Letter] = []
        self.troubles: list[Exception] = []
        self.attempts = 0

    def send(self, letter: Letter) -> None:
        self.attempts += 1
        if self.troubles:
            raise self.troubles.pop(0)
        self.letters.append(letter)

    def sweep(self) -> int:
        return 0

    @property
    def messages(self) -> list[str]:
        return [letter.message for letter in self.letters]


class Office:
    """A scene that tells its citizens by hand."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.box = Box()
        self._tellings: list[Telling] = []
        self.telling = self.another(self.box)
        self.tell()

    def another(
        self,
        *couriers: Courier,
        house: House | None = None,
        pauses: tuple[timedelta, ...] = NO_PAUSE,
    ) -> Telling:
        house = house or self.scene.house
        made = Telling(
            house.ledger,
            house.requests,
            vault=house.vault,
            outbox=house.outbox,
            couriers=couriers,
            clock=self.scene.clock,
            per_minute=FAST,
            pauses=pauses,
        )
        self._tellings.append(made)
        return made

    def tell(self) -> None:
        self.telling.catch_up(Event())

    def begin_anew(self, *couriers: Courier, **more: Any) -> Telling:
        """End this process manager and begin another, as a restart does."""
        self.telling.close()
        self.telling = self.another(*(couriers or (self.box,)), **more)
        return self.telling

    def informed(self, request_id: UUID | None = None) -> list[Entry]:
        return [e for e in self.scene.entries(request_id) if e.topic == INFORMED]

    def states(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in self.scene.house.outbox.tally():
            found[each.state] = found.get(each.state, 0) + each.count
        return found

    def execute(self, statement: str) -> None:
        with self.scene.database.datastore(Role.VAULT).transaction() as cursor:
            cursor.execute(statement)

    def forget_what_was_followed(self) -> None:
        """As if the tracking came from a backup, at the ledger's beginning."""
        with self.scene.database.datastore(Role.OWNER).transaction() as cursor:
            cursor.execute("UPDATE tracking SET position = 1 WHERE name = %s", (NAME,))

    def close(self) -> None:
        for telling in self._tellings:
            telling.close()
