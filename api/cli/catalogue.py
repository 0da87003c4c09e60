"""``sijil catalogue``: services, agencies, centres, clerks, stamps, calendars."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from api.cli.failures import COULD_NOT_ASK, NO, Failure
from api.cli.logins import connect, login_of
from api.cli.options import AsJson, AsOf
from api.cli.server import Answer, RefusedError, RunningServer
from api.cli.tables import print_facts, print_json, print_table
from domain.acts import ActorKind
from domain.agencies import AgencyClosedBecause, AgencyScope
from domain.centres import CentreClosedBecause
from domain.clerks import AwayBecause
from domain.ids import new_id
from domain.services import SuspendedBecause
from domain.stamps import LIVE, StampWithdrawnBecause
from office.catalogue_files import CatalogueFileError, Kind, read_file
from office.catalogue_plan import Fate, Known, Planned, plan
from projections.catalogue import NOT_OPEN_YET
from projections.pages import LARGEST_PAGE

catalogue = typer.Typer(
    help="Read and keep what requests rest on; as the administrator.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_LONGEST_VALUE = 120
"""Letters of a value in a difference; the whole is in ``--json``."""
_SERVER_FAILED = 500

Code = Annotated[str, typer.Argument(help="Its code.")]
Day = Annotated[str | None, typer.Option("--on", help="YYYY-MM-DD; today by default.")]
First = Annotated[str | None, typer.Option("--from", help="The first day; today.")]
Last = Annotated[str | None, typer.Option("--to", help="The last day, if known.")]
EffectiveAt = Annotated[
    str | None,
    typer.Option("--effective-at", help="When it happened, if not now (RFC 3339)."),
]
Agencies = Annotated[list[str], typer.Argument(help="Codes of agencies.")]
NameAr = Annotated[str | None, typer.Option(help="Its name in Arabic.")]
NameEn = Annotated[str | None, typer.Option(help="Its name in English.")]


# Files ----------------------------------------------------------------------------


@catalogue.command()
def apply(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="TOML or CSV.")
    ],
    *,
    kind: Annotated[
        Kind | None,
        typer.Option(help="What a CSV holds, where its name does not say it."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the difference, change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the catalogue to what FILE says.

    Shows what is new, what changes field by field, what is refused and why. Exit code
    0: nothing was refused. 1: something was. 2: it could not be asked. Run again at any
    time: what was done is not done twice.
    """
    try:
        wanted = read_file(file, kind)
    except CatalogueFileError as error:
        raise Failure(str(error), exit_code=COULD_NOT_ASK) from error
    with connect(login_of(ActorKind.ADMINISTRATOR)) as server:
        present = {each: _present(server, each) for each in Kind}
        steps = plan(wanted, present, now=datetime.now(UTC))
        if not dry_run:
            steps = tuple(_carried_out(server, step) for step in steps)
    _tell(steps, as_json=as_json, is_dry=dry_run)
    refused = sum(step.fate is Fate.REFUSED for step in steps)
    if refused:
        raise Failure(
            f"{refused} of {len(steps)} things {'would be' if dry_run else 'were'} "
            "refused",
            then="see the reasons above, mend the file and apply it again",
            exit_code=NO,
        )


def _present(server: RunningServer, kind: Kind) -> dict[str, Known]:
    """Everything of a kind as it is now, by code. Failure when it may not be read."""
    found: dict[str, Known] = {}
    cursor = None
    while True:
        try:
            page = server.get(f"/v1/{kind}", limit=LARGEST_PAGE, cursor=cursor).body
        except RefusedError as error:
            raise Failure(str(error), exit_code=COULD_NOT_ASK) from error
        found |= {item["code"]: _known(kind, item) for item in page["items"]}
        cursor = page["next"]
        if cursor is None:
            return found


def _known(kind: Kind, item: Mapping[str, Any]) -> Known:
    if kind is Kind.CLERKS:
        return Known(
            version=item["version"],
            facts={name: item[name] for name in ("code", "centre", "agencies")},
            is_active=item["is_available"],
            is_closed=item["left_on"] is not None,
        )
    return Known(
        version=item["version"],
        facts=item["facts"],
        is_active=item["is_active"],
        is_closed=kind is not Kind.SERVICES
        and any(
            rest["last"] is None and rest["reason"] != NOT_OPEN_YET
            for rest in item["rests"]
        ),
    )


def _carried_out(server: RunningServer, step: Planned) -> Planned:
    """The step after its acts; what the server refuses is said, and nothing more done.

    Raises Failure when it could not be asked at all.
    """
    etag = f'"{step.version}"' if step.version else None
    for act in step.acts:
        try:
            answer = server.post(
                act.path, act.body, command_id=act.command_id, if_match=etag
            )
        except RefusedError as error:
            if error.status in {401, 403} or error.status >= _SERVER_FAILED:
                raise Failure(str(error), exit_code=COULD_NOT_ASK) from error
            return replace(step, fate=Fate.REFUSED, reason=str(error))
        etag = answer.etag
    return step


def _tell(steps: tuple[Planned, ...], *, as_json: bool, is_dry: bool) -> None:
    if as_json:
        print_json(
            {
                "dry_run": is_dry,
                "things": [
                    {
                        "kind": step.kind,
                        "code": step.code,
                        "place": step.place,
                        "fate": step.fate,
                        "changes": {
                            name: {"before": before, "after": after}
                            for name, (before, after) in step.changes.items()
                        },
                        "reason": step.reason,
                    }
                    for step in steps
                ],
            }
        )
        return
    rows: list[dict[str, Any]] = []
    for step in steps:
        row = {"fate": step.fate, "kind": step.kind, "code": step.code}
        if step.fate is Fate.REFUSED:
            rows.append({**row, "field": step.place, "after": _short(step.reason)})
        elif step.fate is Fate.CHANGES:
            rows += [
                {
                    **row,
                    "field": name,
                    "before": _short(before),
                    "after": _short(after),
                }
                for name, (before, after) in step.changes.items()
            ]
        elif step.fate is Fate.NEW:
            rows.append(row)
    columns = ("fate", "kind", "code", "field", "before", "after")
    print_table(
        rows, {name: name for name in columns}, empty="everything is so already"
    )
    counts = {fate: sum(step.fate is fate for step in steps) for fate in Fate}
    typer.echo(", ".join(f"{number} {fate}" for fate, number in counts.items()))


def _short(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


# Reading --------------------------------------------------------------------------


@catalogue.command()
def show(
    kind: Annotated[Kind, typer.Argument(help="Which kind of thing.")],
    code: Annotated[str | None, typer.Argument(help="One of them.")] = None,
    *,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Show the things of a KIND, or the one with CODE."""
    with connect(login_of(ActorKind.ADMINISTRATOR)) as server:
        if code is not None:
            found = server.get(_path(kind, code), as_of=as_of).body
            if as_json:
                print_json(found)
            else:
                print_facts(_flat(found))
            return
        items: list[dict[str, Any]] = []
        cursor = None
        while cursor is not None or not items:
            page = server.get(
                f"/v1/{kind}", limit=LARGEST_PAGE, cursor=cursor, as_of=as_of
            ).body
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
    if as_json:
        print_json(items)
        return
    columns = _CLERK_COLUMNS if kind is Kind.CLERKS else _COLUMNS
    rows = [_flat(item) for item in items]
    told = {key: name for key, name in columns.items() if any(key in r for r in rows)}
    print_table(rows, told, empty=f"there are no {kind}")


_COLUMNS = {
    "code": "code",
    "name_ar": "name",
    "agency": "agency",
    "governorate": "governorate",
    "centre": "centre",
    "is_active": "active",
    "rests": "rests",
    "version": "version",
}
_CLERK_COLUMNS = {
    "code": "code",
    "centre": "centre",
    "agencies": "agencies",
    "is_available": "available",
    "absences": "away",
    "left_on": "left",
    "version": "version",
}


def _flat(item: Mapping[str, Any]) -> dict[str, Any]:
    """A thing with its facts beside its code, and its days as text."""
    shown = {**item.get("facts", {}), **item}
    shown.pop("facts", None)
    for name in ("rests", "absences"):
        if name in shown:
            shown[name] = [
                f"{rest['first']} to {rest['last'] or '…'}"
                + (f" ({rest['reason']})" if "reason" in rest else "")
                for rest in shown[name]
            ]
    for name, value in shown.items():
        if isinstance(value, list) and any(isinstance(each, dict) for each in value):
            shown[name] = json.dumps(value, ensure_ascii=False)
    return shown


# Acts -----------------------------------------------------------------------------


def _path(kind: Kind, code: str) -> str:
    return f"/v1/{kind}/{quote(code, safe='')}"


def _act(
    kind: Kind, code: str, noun: str, body: Mapping[str, Any], *, at: str | None
) -> None:
    """One act on a thing that is there, at the version it has now."""
    with connect(login_of(ActorKind.ADMINISTRATOR)) as server:
        page = server.get(_path(kind, code))
        answer = _post(server, f"{_path(kind, code)}/{noun}", body, page.etag, at=at)
    _said(answer)


def _post(
    server: RunningServer,
    path: str,
    body: Mapping[str, Any],
    etag: str | None,
    *,
    at: str | None,
) -> Answer:
    sent = {**body, "effective_at": at}
    return server.post(
        path,
        {name: value for name, value in sent.items() if value is not None},
        command_id=new_id(datetime.now(UTC)),
        if_match=etag,
    )


def _said(answer: Answer) -> None:
    print_facts({**_flat(answer.body), "position": answer.position})


def _there(server: RunningServer, kind: Kind, code: str) -> Answer | None:
    """The thing as it is, or None."""
    try:
        return server.get(_path(kind, code))
    except RefusedError as error:
        if error.code == "not-found":
            return None
        raise


def _whole(
    kind: Kind, code: str, said: Mapping[str, Any], *, at: str | None, also: str = ""
) -> None:
    """Publish a thing: what is not said stays, and is needed for a new one."""
    with connect(login_of(ActorKind.ADMINISTRATOR)) as server:
        page = _there(server, kind, code)
        facts = {} if page is None else page.body["facts"]
        body = {name: value or facts.get(name) for name, value in said.items()}
        missing = [n for n, value in body.items() if value is None and n != also]
        if missing:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
            raise Failure(
                f"{code} is new", then=f"say {options}", exit_code=COULD_NOT_ASK
            )
        if also:
            body[also] = said[also]
        etag = None if page is None else page.etag
        answer = _post(server, f"/v1/{kind}", {"code": code, **body}, etag, at=at)
    _said(answer)


@catalogue.command("suspend-service")
def suspend_service(
    code: Code,
    *,
    reason: Annotated[SuspendedBecause, typer.Option(help="Why.")],
    first: First = None,
    last: Last = None,
    effective_at: EffectiveAt = None,
) -> None:
    """Offer a service no more for a while; requests already made go on."""
    body = {"reason": reason.value, "first": first, "last": last}
    _act(Kind.SERVICES, code, "suspension", body, at=effective_at)


@catalogue.command("resume-service")
def resume_service(
    code: Code, *, on: Day = None, effective_at: EffectiveAt = None
) -> None:
    """Offer a service again; on its first day a suspension is called off."""
    _act(Kind.SERVICES, code, "resumption", {"on": on}, at=effective_at)


@catalogue.command("publish-agency")
def publish_agency(
    code: Code,
    *,
    name_ar: NameAr = None,
    name_en: NameEn = None,
    scope: Annotated[
        AgencyScope | None, typer.Option(help="Once, or once per governorate.")
    ] = None,
    effective_at: EffectiveAt = None,
) -> None:
    """Publish an agency, or publish it anew, which opens a closed one."""
    said = {
        "name_ar": name_ar,
        "name_en": name_en,
        "scope": None if scope is None else scope.value,
    }
    _whole(Kind.AGENCIES, code, said, at=effective_at)


@catalogue.command("close-agency")
def close_agency(
    code: Code,
    *,
    reason: Annotated[AgencyClosedBecause, typer.Option(help="Why.")],
    on: Day = None,
    effective_at: EffectiveAt = None,
) -> None:
    """Close an agency: nothing new is asked of it."""
    body = {"reason": reason.value, "on": on}
    _act(Kind.AGENCIES, code, "closing", body, at=effective_at)


@catalogue.command("open-centre")
def open_centre(
    code: Code,
    *,
    governorate: Annotated[
        str | None, typer.Option(help="Its governorate, as SY-DI.")
    ] = None,
    name_ar: NameAr = None,
    name_en: NameEn = None,
    opens_on: Day = None,
    effective_at: EffectiveAt = None,
) -> None:
    """Open a centre, or a closed one again; an open one gets other names."""
    said = {
        "governorate": governorate,
        "name_ar": name_ar,
        "name_en": name_en,
        "opens_on": opens_on,
    }
    _whole(Kind.CENTRES, code, said, at=effective_at, also="opens_on")


@catalogue.command("close-centre")
def close_centre(
    code: Code,
    *,
    reason: Annotated[CentreClosedBecause, typer.Option(help="Why.")],
    on: Day = None,
    effective_at: EffectiveAt = None,
) -> None:
    """Close a centre: it takes nothing new."""
    body = {"reason": reason.value, "on": on}
    _act(Kind.CENTRES, code, "closing", body, at=effective_at)


@catalogue.command("appoint-clerk")
def appoint_clerk(
    code: Code,
    *,
    centre: Annotated[str, typer.Option(help="The centre's code.")],
    effective_at: EffectiveAt = None,
) -> None:
    """Appoint a clerk: new, come again, or moved from another centre."""
    with connect(login_of(ActorKind.ADMINISTRATOR)) as server:
        page = _there(server, Kind.CLERKS, code)
        body = {"code": code, "centre": centre}
        etag = None if page is None else page.etag
        answer = _post(server, "/v1/clerks", body, etag, at=effective_at)
    _said(answer)


@catalogue.command("make-responsible")
def make_responsible(
    code: Code, agencies: Agencies, *, effective_at: EffectiveAt = None
) -> None:
    """Give a clerk agencies."""
    body = {"agencies": agencies}
    _act(Kind.CLERKS, code, "responsibility", body, at=effective_at)


@catalogue.command("relieve-clerk")
def relieve_clerk(
    code: Code, agencies: Agencies, *, effective_at: EffectiveAt = None
) -> None:
    """Take agencies from a clerk; what the clerk was given stays."""
    _act(Kind.CLERKS, code, "relief", {"agencies": agencies}, at=effective_at)


@catalogue.command("report-away")
def report_away(
    code: Code,
    *,
    reason: Annotated[AwayBecause, typer.Option(help="Why.")],
    first: First = None,
    last: Last = None,
    effective_at: EffectiveAt = None,
) -> None:
    """Record that a clerk is away: nothing new comes on these days."""
    body = {"reason": reason.value, "first": first, "last": last}
    _act(Kind.CLERKS, code, "absence", body, at=effective_at)


@catalogue.command("report-back")
def report_back(
    code: Code, *, on: Day = None, effective_at: EffectiveAt = None
) -> None:
    """Record that a clerk works again; on its first day an absence is called off."""
    _act(Kind.CLERKS, code, "return", {"on": on}, at=effective_at)


@catalogue.command("record-departure")
def record_departure(
    code: Code, *, on: Day = None, effective_at: EffectiveAt = None
) -> None:
    """Record that a clerk works here no more."""
    _act(Kind.CLERKS, code, "departure", {"on": on}, at=effective_at)


@catalogue.command("issue-stamp")
def issue_stamp(
    serial: Annotated[str, typer.Argument(help="Its serial, never used before.")],
    *,
    centre: Annotated[str, typer.Option(help="The centre's code.")],
    kind: Annotated[str, typer.Option(help="The kind of stamp.")] = LIVE,
    effective_at: EffectiveAt = None,
) -> None:
    """Give a stamp to a centre; a serial is issued once."""
    with connect(login_of(ActorKind.ADMINISTRATOR)) as server:
        page = _there(server, Kind.STAMPS, serial)
        body = {"serial": serial, "centre": centre, "kind": kind}
        etag = None if page is None else page.etag
        answer = _post(server, "/v1/stamps", body, etag, at=effective_at)
    _said(answer)


@catalogue.command("withdraw-stamp")
def withdraw_stamp(
    serial: Annotated[str, typer.Argument(help="Its serial.")],
    *,
    reason: Annotated[StampWithdrawnBecause, typer.Option(help="Why.")],
    on: Day = None,
    effective_at: EffectiveAt = None,
) -> None:
    """Take a stamp out of use, for ever."""
    body = {"reason": reason.value, "on": on}
    _act(Kind.STAMPS, serial, "withdrawal", body, at=effective_at)


@catalogue.command("publish-calendar")
def publish_calendar(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="TOML, or holidays.csv.")
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the difference, change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish years, or correct them before the day: ``apply`` for calendars only."""
    try:
        wanted = read_file(file, Kind.CALENDARS)
    except CatalogueFileError as error:
        raise Failure(str(error), exit_code=COULD_NOT_ASK) from error
    if any(each.kind is not Kind.CALENDARS for each in wanted):
        raise Failure(
            f"{file.name} holds more than calendars",
            then="use `sijil catalogue apply`",
            exit_code=COULD_NOT_ASK,
        )
    apply(file, kind=Kind.CALENDARS, dry_run=dry_run, as_json=as_json)
