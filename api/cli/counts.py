"""``sijil counts``: how many requests stand where, or moved on which days."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from api.cli.logins import connect, login_of
from api.cli.options import AsJson, AsOf, MinPosition
from api.cli.tables import NOT_MEASURED, print_json, print_table
from domain.acts import ActorKind
from projections.turnaround import TurnaroundBy

_STAGES = {
    "submitted": "submitted",
    "waiting": "waiting",
    "not_accepted": "not accepted",
    "in_progress": "in progress",
    "completed_issued": "issued",
    "completed_refused": "refused",
    "withdrawn": "withdrawn",
    "expired": "expired",
}


def counts(
    *,
    by: Annotated[
        list[TurnaroundBy] | None,
        typer.Option(help="What to group by; may be repeated."),
    ] = None,
    first: Annotated[
        str | None,
        typer.Option("--from", help="The first day of what moved, as 2026-11-01."),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="The last day of what moved.")
    ] = None,
    times: Annotated[
        bool,
        typer.Option("--times", help="How long what was completed took instead."),
    ] = False,
    effective_at: Annotated[
        str | None,
        typer.Option(
            "--effective-at", help="What had happened by the end of a day, or a time."
        ),
    ] = None,
    as_of: AsOf = None,
    min_position: MinPosition = None,
    as_json: AsJson = False,
) -> None:
    """Show how many requests stand at each stage; with days, how many entered it.

    With --times, how long those took that were completed on the days.
    """
    is_flow = first is not None or last is not None or TurnaroundBy.DAY in (by or ())
    with connect(login_of(ActorKind.ADMINISTRATOR)) as server:
        path = "/v1/counts/flows" if is_flow else "/v1/counts"
        answer = server.get(
            "/v1/turnaround" if times else path,
            by=[each.value for each in by] if by else None,
            first=first,
            last=last,
            effective_at=effective_at,
            as_of=as_of,
            min_position=min_position,
        ).body
    if as_json:
        print_json(answer)
        return
    if times:
        _print_times(answer, [str(each) for each in by or ()] or ["governorate"])
        return
    groups = [str(each) for each in by or ()] or (
        ["day"] if is_flow else ["governorate"]
    )
    rows = [
        {
            **item["group"],
            **{
                stage: NOT_MEASURED if item[stage] is None else item[stage]
                for stage in _STAGES
            },
        }
        for item in answer["items"]
    ]
    print_table(
        rows,
        {**{name: name for name in groups}, **_stages_of(answer["items"])},
        empty="nothing was counted",
    )
    typer.echo(f"As of position {answer['position']}.")


_PARTS = {
    "whole": "whole",
    "centre": "at the centre",
    "agency": "at the agency",
    "post": "in the post",
    "first_answer": "first answer",
}


def _print_times(answer: dict[str, Any], groups: list[str]) -> None:
    """Median and nine of ten, in working minutes, and of how many."""
    rows = []
    for item in answer["items"]:
        row = {f"by_{name}": value for name, value in item["group"].items()}
        for part in _PARTS:
            measured = item[part]
            row[part] = (
                f"{measured['median']} / {measured['p90']} of {measured['n']}"
                if measured["n"]
                else NOT_MEASURED
            )
        share = item["inside_limit"]
        row["inside_limit"] = (
            f"{share['inside']} of {share['n']}" if share["n"] else NOT_MEASURED
        )
        oldest = item["oldest_open"]
        row["oldest_open"] = NOT_MEASURED if oldest is None else oldest
        rows.append(row)
    print_table(
        rows,
        {
            **{f"by_{name}": name for name in groups},
            **_PARTS,
            "inside_limit": "inside the limit",
            "oldest_open": "oldest open",
        },
        empty="nothing was completed",
    )
    typer.echo(
        f"Working minutes, median / nine of ten, completed {answer['first']} to"
        f" {answer['last']}. As of position {answer['position']}."
    )


def _stages_of(items: list[dict[str, int | None]]) -> dict[str, str]:
    """The columns that say something: not what nothing has ever left to."""
    rare = {"withdrawn", "expired"}
    return {
        stage: heading
        for stage, heading in _STAGES.items()
        if stage not in rare or any(item[stage] for item in items)
    }
