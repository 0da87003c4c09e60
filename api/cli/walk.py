"""``sijil walk``: one request through its whole life, each step seen in every view."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from api.cli.failures import COULD_NOT_ASK, Failure
from api.cli.journey import Journey, Outcome
from api.cli.options import AsJson
from api.cli.settings import ClientSettings
from api.cli.steps import Step
from api.cli.tables import print_json
from api.settings import ApiSettings


class Ends(StrEnum):
    """Which ends to walk to."""

    ISSUED = "issued"
    REFUSED = "refused"
    BOTH = "both"
    RETURNED = "returned"
    WITHDRAWN = "withdrawn"
    ALL = "all"

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The lives to walk."""
        match self:
            case Ends.BOTH:
                return (Outcome.ISSUED, Outcome.REFUSED)
            case Ends.ALL:
                return tuple(Outcome)
            case _:
                return (Outcome(self.value),)


def walk(
    *,
    outcome: Annotated[Ends, typer.Option(help="How it shall end.")] = Ends.BOTH,
    as_json: AsJson = False,
) -> None:
    """Drive a request through its whole life, and check each step in every view.

    Prints each step with its events, their positions and leaf hashes, and what queue,
    counts, trail and tracking show right after it. The persons are invented. Exit
    code 1 when a view does not show a step.
    """
    settings = ApiSettings.load()
    client = ClientSettings()
    if not settings.is_local or client.token is not None:
        raise Failure(
            "walk needs a token of each role that acts",
            why="it mints them with the development key",
            then="leave SIJIL_TOKEN and SIJIL_JWKS_URL unset, on a trial installation",
            exit_code=COULD_NOT_ASK,
        )
    url = client.url or settings.own_url
    document = [
        _walk(Journey(url, settings, end), quiet=as_json) for end in outcome.outcomes
    ]
    if as_json:
        print_json(document)


def _walk(journey: Journey, *, quiet: bool) -> dict[str, Any]:
    console = Console(highlight=False, quiet=quiet, soft_wrap=True)
    steps: list[dict[str, Any]] = []
    for number, step in enumerate(journey, start=1):
        if number == 1:
            console.print(
                f"\n{journey.service}, to be {journey.outcome}: request "
                f"{journey.request_id}, tracking number {journey.tracking_number}"
            )
        _print(console, number, step)
        steps.append(_as_plain(step))
    tracked = journey.track()
    told = [each["step"] for each in tracked["steps"]]
    console.print(f"  what the citizen sees: {', '.join(told)}")
    _must_have_arrived(journey.outcome, tracked)
    return {
        "outcome": str(journey.outcome),
        "request_id": journey.request_id,
        "tracking_number": journey.tracking_number,
        "steps": steps,
    }


def _print(console: Console, number: int, step: Step) -> None:
    console.print(f"\n{number:2}. [bold]{step.by}[/bold] {step.does}")
    for event in step.events:
        console.print(f"    {event['position']:>8}  {event['topic']}")
        console.print(f"              leaf {event['leaf_hash']}", style="dim")
    seen = "; ".join(f"{seen.view}: {seen.shows}" for seen in step.seen)
    console.print(f"    {seen}")


def _as_plain(step: Step) -> dict[str, Any]:
    return {
        "by": step.by,
        "does": step.does,
        "events": step.events,
        "seen": {seen.view: seen.shows for seen in step.seen},
    }


def _must_have_arrived(outcome: Outcome, tracked: dict[str, Any]) -> None:
    if tracked["stage"] != outcome.stage:
        raise Failure(
            "the citizen's tracking does not show the result",
            why=f"it shows {tracked['stage']} where {outcome.stage} was expected",
        )
