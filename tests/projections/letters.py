"""Dead letters for the views: of several groups and causes, dealt with or not."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from uuid import UUID

from domain.acts import Act, Actor, ActorKind
from domain.dead_letters import DeadBecause, DeadLetter, SettledBecause
from domain.ids import derived_id, time_at
from ledger.persistence.recorders import PostgresProcessRecorder
from tests.domain.office import NINE
from tests.projections.histories import store

TOPICS = ("sijil.agency-replies.v1", "sijil.postal-scans.v1")
SENDERS = (None, "CIV", "post-1")
NINE_MS = 1_792_735_200_000
"""In October: before anything that the tests do with it."""


class Letters:
    """Letters that come one after the other; ``happen`` does what comes next."""

    def __init__(self, recorder: PostgresProcessRecorder, *, seed: int = 3) -> None:
        self._recorder = recorder
        self._random = Random(seed)  # noqa: S311 -- reproducible test data
        self._acts = 0
        self.made: list[DeadLetter] = []

    def happen(self) -> None:
        """Set another message aside, send one again, or settle one."""
        open_ = [each for each in self.made if each.settled_because is None]
        choice = self._random.random()
        if choice < 0.5 or not open_:
            self.made.append(self._set_aside())
            store(self._recorder, self.made[-1])
            return
        letter = self._random.choice(open_)
        if choice < 0.75:
            letter.replay(self._act(letter), partition=letter.partition, offset=9000)
        else:
            reason = self._random.choice(list(SettledBecause))
            letter.settle(self._act(letter), reason=reason)
        store(self._recorder, letter)

    def _act(self, letter: DeadLetter | None) -> Act:
        """An act of the administrator; of a worker on what is not there yet."""
        self._acts += 1
        at = NINE + timedelta(minutes=self._acts)
        named = derived_id(f"letter/{self._acts}", NINE)
        kind = ActorKind.SYSTEM if letter is None else ActorKind.ADMINISTRATOR
        return Act(
            command_id=named,
            actor=Actor(kind=kind, id="inward", place="ministry"),
            correlation_id=named if letter is None else letter.id,
            effective_at=time_at(NINE_MS + self._acts) if letter is None else at,
        )

    def _set_aside(self) -> DeadLetter:
        number, random = len(self.made), self._random
        place = {
            "group": random.choice(("inward", "other")),
            "topic": random.choice(TOPICS),
            "partition": random.randint(0, 3),
            "offset": number,
        }
        cause = random.choice(list(DeadBecause))
        act = self._act(None)
        return DeadLetter.set_aside(
            act,
            letter_id=DeadLetter.id_of(**place, sent_ms=NINE_MS + self._acts),
            **place,
            cause=cause,
            code="wrong-state" if cause is DeadBecause.REFUSED else None,
            attempts=random.randint(1, 5),
            kept_partition=0,
            kept_offset=number,
            sender=random.choice(SENDERS),
            replay_of=self._earlier(),
        )

    def _earlier(self) -> UUID | None:
        is_replay = self.made and self._random.random() < 0.3
        return self._random.choice(self.made).id if is_replay else None
