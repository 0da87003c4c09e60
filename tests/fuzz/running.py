"""Schemathesis over the whole interface: its generated calls, its checks and ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import schemathesis
from schemathesis import Case
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.hooks import GLOBAL_HOOK_DISPATCHER
from starlette.types import ASGIApp

from tests.api.door import WHO, Door
from tests.api.test_marked_ways import WHOLE
from tests.fuzz.asking import Asker
from tests.fuzz.witness import NOBODY, Fault, Witness, state_of

__all__ = ["NOBODY", "PHASES", "Found", "Ground", "ground_of"]

REFUSED = [*map(str, (400, 401, 403, 404, 405, 406, 409, 412, 415, 422, 428, 429, 503))]
CHECKS: dict[str, Any] = {
    # A view that is behind says so, and when to come again: that is no failure.
    "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]},
    # What is wrong may be refused for something else first: of a thing that is not
    # there no version is current.
    "negative_data_rejection": {"expected-statuses": REFUSED},
    # Whoever asks changes from call to call, and most of what is in order is still
    # refused: for the state of the thing, the day, the role, the scope.
    "positive_data_acceptance": {"enabled": False},
    "ensure_resource_availability": {"enabled": False},
    # They send a call again without its login; ours is put on after that. The
    # witness has the rule: nobody without a login gets in.
    "ignored_auth": {"enabled": False},
    "missing_required_header": {"enabled": False},
    "object_level_authorization": {"enabled": False},
}
_MENDED = "Invalid component: positive test case"
"""A call that was made to be wrong, until the asker put in what is there."""
PHASES = ("examples", "coverage", "fuzzing", "stateful")


@dataclass(slots=True)
class Found:
    """What a run found, and what it had asked for."""

    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    calls: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    cases: Counter[str] = field(default_factory=Counter)
    """Generated calls by phase; a case of the stateful phase follows from others."""

    def told(self) -> str:
        """Every kind of failure once, with how to do it again."""
        lines = [f"{key}: {how}" for key, how in sorted(self.failures.items())]
        return "\n\n".join([*lines, *sorted({str(fault) for fault in self.faults})])

    def summary(self) -> str:
        """How much was asked, and what came of it."""
        statuses = ", ".join(
            f"{status} {number}x" for status, number in sorted(self.statuses().items())
        )
        phases = ", ".join(f"{name} {n}" for name, n in sorted(self.cases.items()))
        return f"{sum(self.calls.values())} calls: {statuses}; cases: {phases}"

    def statuses(self) -> Counter[int]:
        made: Counter[int] = Counter()
        for (_, _, status), number in self.calls.items():
            made[status] += number
        return made

    def askers(self) -> Counter[str]:
        made: Counter[str] = Counter()
        for (_, who, _), number in self.calls.items():
            made[who] += number
        return made


class MarkedDoor(Door):
    """A door whose requests are of the person whose values are looked for."""

    def submitted(self, who: str = "clerk", **changes: Any) -> str:
        return super().submitted(who, **{"applicant": WHOLE, **changes})


@dataclass(slots=True)
class Ground:
    """An office with requests at every stage, asked through a witness."""

    door: Door
    witness: Witness
    asker: Asker

    def fuzzed(
        self,
        *,
        seed: int,
        seconds: int | None = None,
        examples: int = 3,
        boundaries: float = 1.0,
        only_operation: str | None = None,
        who: str | None = None,
        phases: tuple[str, ...] = PHASES,
    ) -> Found:
        """Let Schemathesis ask, and tell what was wrong.

        Of the calls with boundary values the share ``boundaries`` is made, drawn by the
        seed. With ``seconds`` it is the machine that decides how much is asked, and of
        what; without them the same is asked each time.
        """
        load_all_checks()
        config = SchemathesisConfig.from_dict(
            {
                "seed": seed,
                **({} if seconds is None else {"max-time": seconds}),
                "continue-on-failure": True,
                "generation": {
                    "mode": "all",
                    "max-examples": examples,
                    "database": "none",
                    "no-shrink": True,
                    "deterministic": True,
                },
                "phases": {name: {"enabled": name in phases} for name in PHASES},
                "checks": CHECKS,
            }
        )
        schema = schemathesis.openapi.from_asgi(
            "/openapi.json", self.witness, config=config
        )
        if only_operation is not None:
            schema = schema.include(operation_id=only_operation)
        asker = self.asker
        asker.only = who

        def before_call(context: Any, case: Case, kwargs: Any) -> None:
            asker.make(case)

        chance = Random(seed)  # noqa: S311 -- to be drawn the same again

        def filter_case(context: Any, case: Case) -> bool:
            is_boundary = (
                case.meta is not None and case.meta.phase.name.name == "COVERAGE"
            )
            return not is_boundary or chance.random() < boundaries

        hooks = (before_call, filter_case)
        self.witness.calls.clear()
        self.witness.faults.clear()
        found = Found()
        # Known to all schemas or to none: so it is taken away again.
        for hook in hooks:
            GLOBAL_HOOK_DISPATCHER.register_hook_with_name(hook, hook.__name__)
        try:
            for event in from_schema(schema).execute():
                _take(event, found)
        finally:
            for hook in hooks:
                GLOBAL_HOOK_DISPATCHER.unregister(hook)
        found.faults = list(self.witness.faults)
        found.calls = self.witness.calls.copy()
        return found


def _take(event: events.EngineEvent, found: Found) -> None:
    if isinstance(event, events.FatalError):
        raise event.exception
    if isinstance(event, events.NonFatalError):
        found.failures["the run itself", event.label] = repr(event.value)
    if not isinstance(event, events.ScenarioFinished):
        return
    found.cases[str(event.phase)] += len(event.recorder.cases)
    for nodes in event.recorder.checks.values():
        for node in nodes:
            if node.failure_info is not None:
                failure = node.failure_info.failure
                if _MENDED in failure.message:
                    continue
                key = (failure.title, failure.operation)
                found.failures.setdefault(
                    key, f"{failure.message}\n{node.failure_info.code_sample}"
                )


@contextmanager
def ground_of(
    door: Door, seed: int, between: Callable[[ASGIApp], ASGIApp] = lambda app: app
) -> Iterator[Ground]:
    """The office of a door, made ready; ``between`` puts a layer into its answers."""
    marked = MarkedDoor(door.scene, door.app, door.client)
    with state_of(door.scene.database) as state:
        witness = Witness(
            door.app,
            state,
            {who: marked.token(who) for who in WHO},
            between(door.app),
        )
        asker = Asker(marked, seed, witness.look)
        asker.level()
        yield Ground(marked, witness, asker)
