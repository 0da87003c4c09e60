"""Asking the interface over HTTP, and holding what it says against the count apart."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.recount.moment import Asked, Asker, Moment, Row
from tests.recount.register import RECOUNTS, Recount

LARGEST_PAGE = 200
MOST_PAGED = 2_000
"""A longer list is read as a file alone: its pages are the same rows again."""
_NOT_FOUND = 404
SHOWN = 40
"""Differences that are told; more would only be the same again."""
_Params = Sequence[tuple[str, str]]
_Read = tuple[list[Row], bool]
"""Items, and whether they are all that there is: a stream begins with some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the interface said. ``text`` of a stream is its beginning."""

    status: int
    headers: dict[str, str]
    text: str


Ask = Callable[[Asker, str, _Params], Heard]
"""Asks a path with parameters as somebody."""


@dataclass(slots=True)
class Tally:
    """How many numbers were compared, how many other values, and what differs."""

    questions: int = 0
    numbers: int = 0
    others: int = 0
    differing: int = 0
    told: list[str] = field(default_factory=list)
    by_operation: dict[str, int] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)

    def take_in(self, other: Tally) -> None:
        """Add what another has counted."""
        self.questions += other.questions
        self.numbers += other.numbers
        self.others += other.others
        self.differing += other.differing
        self.wrong |= other.wrong
        self.told += other.told[: max(0, SHOWN - len(self.told))]
        for operation, counted in other.by_operation.items():
            before = self.by_operation.get(operation, 0)
            self.by_operation[operation] = before + counted

    def add(
        self, operation: str, *, is_number: bool, is_same: bool, words: str
    ) -> None:
        """Take one comparison in."""
        if is_number:
            self.numbers += 1
            counted = self.by_operation.get(operation, 0)
            self.by_operation[operation] = counted + 1
        else:
            self.others += 1
        if not is_same:
            self.differing += 1
            self.wrong.add(operation)
            if len(self.told) < SHOWN:
                self.told.append(f"{operation}: {words}")


def compare(
    ask: Ask,
    asked: Asked,
    moment: Moment,
    tally: Tally,
    *,
    when: Sequence[tuple[str, str]] = (),
    is_live: bool = False,
    forms: Iterable[str] = ("json", "csv"),
) -> None:
    """Ask one question in each form and hold the answers against the count apart.

    ``when`` are the parameters that say as of when; the answer is told for
    ``asked.now``. Where it ``is_live`` it is told for a time from then until now, and
    each of its numbers must lie between those of both.
    """
    recount = RECOUNTS[asked.operation]
    path = recount.path.format(thing=asked.thing)
    wanted = recount.made(moment, asked)
    if len(wanted) > MOST_PAGED and "csv" in forms:
        forms = ("csv",)
    for form in forms:
        params = [*_params(asked.params), *when]
        items, is_all = _READERS[form](ask, asked.asker, path, params, recount)
        words = f"{asked.asker.role} {path} {dict(params)} {form}"
        held = Tally(questions=1)
        _hold(items, (wanted, wanted), asked, is_all, (held, words, form == "csv"))
        if held.differing and is_live:
            later = replace(asked, now=datetime.now(UTC))
            wants = (wanted, recount.made(moment, later))
            held = Tally(questions=1)
            _hold(items, wants, asked, is_all, (held, words, form == "csv"))
        tally.take_in(held)


def _params(params: Row) -> list[tuple[str, str]]:
    told = []
    for name, value in params.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, bool):
                told.append((name, "true" if each else "false"))
            elif isinstance(each, datetime):
                told.append((name, each.isoformat()))
            else:
                told.append((name, str(each)))
    return told


def _must(heard: Heard, path: str, params: _Params) -> Heard:
    if heard.status != 200:
        raise AssertionError(f"{path} {params}: {heard.status} {heard.text[:400]}")
    return heard


def _pages(
    ask: Ask, asker: Asker, path: str, params: _Params, recount: Recount
) -> _Read:
    """Every item, page by page; a thing by itself is one item."""
    if recount.items is None:
        heard = ask(asker, path, params)
        if heard.status == _NOT_FOUND:
            return [], True
        answer = json.loads(_must(heard, path, params).text)
        if "stamps" in answer:
            answer["stamps"] = len(answer["stamps"])
        return [answer], True
    if path.endswith("/events"):
        heard = _must(ask(asker, path, params), path, params)
        return _picture(heard.text, recount.items)
    items: list[Row] = []
    size = [("limit", str(LARGEST_PAGE))] if _has_pages(path) else []
    cursor: list[tuple[str, str]] = []
    while True:
        heard = ask(asker, path, [*params, *size, *cursor])
        if heard.status == _NOT_FOUND and recount.things is not None:
            # What was not known then has no list either.
            return [], True
        answer = json.loads(_must(heard, path, params).text)
        items += answer[recount.items]
        if answer.get("next") is None:
            return items, True
        cursor = [("cursor", answer["next"])]


def _has_pages(path: str) -> bool:
    whole = ("/v1/counts", "/v1/turnaround", "/v1/payments/sums", "/v1/governorates")
    return not path.startswith(whole)


def _picture(text: str, items: str) -> _Read:
    """The items of the first event of a stream, and whether they are all.

    A stream of several lists says of each whether it is whole.
    """
    for block in text.split("\n\n"):
        told = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if told.get("event") == "reset":
            data = json.loads(told["data"])
            is_complete = data.get("is_complete", True)
            if isinstance(is_complete, dict):
                is_complete = is_complete[items]
            return data[items], is_complete
    raise AssertionError(f"no picture in {text[:200]!r}")


def _file(
    ask: Ask, asker: Asker, path: str, params: _Params, recount: Recount
) -> _Read:
    """Every row of the list as CSV, from as many files as it takes."""
    rows: list[Row] = []
    asked: _Params = [*params, ("format", "csv")]
    while True:
        heard = ask(asker, path, asked)
        if heard.status == _NOT_FOUND and recount.things is not None:
            return [], True
        _must(heard, path, params)
        text = heard.text.removeprefix("\ufeff")
        rows += csv.DictReader(StringIO(text, newline=""))
        if heard.headers.get("list-complete") == "true":
            return rows, True
        link = heard.headers["link"].partition("<")[2].partition(">")[0]
        asked = parse_qsl(urlsplit(link).query)


_READERS: dict[str, Callable[[Ask, Asker, str, _Params, Recount], _Read]] = {
    "json": _pages,
    "csv": _file,
}


def _hold(
    items: list[Row],
    wanted: tuple[list[Row], list[Row]],
    asked: Asked,
    is_all: bool,
    to: tuple[Tally, str, bool],
) -> None:
    tally, words, is_csv = to
    recount = RECOUNTS[asked.operation]
    names = [
        *(f"group.{name}" for name in asked.by(*recount.usual)),
        *recount.key,
    ]
    now, then = ({_key(row, names): row for row in rows} for rows in wanted)
    heard = {_key(item, names): item for item in items}

    def said(is_number: bool, is_same: bool, what: str) -> None:
        tally.add(
            asked.operation,
            is_number=is_number,
            is_same=is_same,
            words=f"{words}: {what}",
        )

    lengths = sorted({len(now), len(then)})
    is_long = lengths[0] <= len(items) <= lengths[-1]
    if not is_all:
        # The first of them: fewer than there are.
        is_long = 0 < len(items) < lengths[0]
        now = {key: row for key, row in now.items() if key in heard}
    is_long &= len(items) == len(heard)
    said(True, is_long, f"{len(items)} items, counted {lengths}")
    for key in heard.keys() | now.keys():
        if key not in heard:
            # In a list for a time between, what came or went meanwhile may lack.
            said(False, key not in then, f"{key} lacks")
        elif key not in now and key not in then:
            said(False, False, f"{key} was not counted")
        else:
            one, other = (
                each.get(key) or now.get(key) or then[key] for each in (now, then)
            )
            for name, want in _columns(one, heard[key], is_csv=is_csv):
                got = _read(_value(heard[key], name), want, is_csv=is_csv)
                is_same = got == want or _is_between(got, want, other.get(name))
                said(
                    _is_number(got) or _is_number(want),
                    is_same,
                    f"{key} {name}: {got!r}, counted {want!r}",
                )


def _columns(row: Row, heard: Row, *, is_csv: bool) -> Iterable[tuple[str, Any]]:
    """What was counted, by the columns that a file has for what is inside objects."""
    for name, value in row.items():
        if is_csv and isinstance(value, dict) and name not in heard:
            inner = [each for each in heard if each.startswith(f"{name}.")]
            assert inner, f"no column for {name}"
            yield from ((each, value.get(each[len(name) + 1 :])) for each in inner)
        else:
            yield name, value


def _key(row: Row, names: Sequence[str]) -> tuple[Any, ...]:
    """What tells an item from others, in one shape for JSON, CSV and rows of SQL."""
    return tuple(_text(_value(row, name)) for name in names)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)


def _value(row: Row, name: str) -> Any:
    """A value by its name; in JSON one inside an object is ``object.name``."""
    if name in row:
        return row[name]
    outer, _, inner = name.partition(".")
    found = row.get(outer)
    if not inner:
        return None if name in row else _MISSING
    return found.get(inner) if isinstance(found, dict) else None


_MISSING = "no such field"


def _read(got: Any, want: Any, *, is_csv: bool) -> Any:
    """What was heard, as the kind of value that was counted."""
    if is_csv:
        got = _cell(got, want)
    if isinstance(want, datetime) and isinstance(got, str) and got != _MISSING:
        return datetime.fromisoformat(got)
    return got


def _cell(cell: Any, want: Any) -> Any:
    if not isinstance(cell, str) or cell == _MISSING:
        return cell
    if cell == "":
        return None
    if isinstance(want, bool | int | float | list | dict) or (
        want is None and cell.lstrip("-").isdecimal()
    ):
        return json.loads(cell)
    return cell.removeprefix("'")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_between(got: Any, one: Any, other: Any) -> bool:
    if _is_number(got) and _is_number(one) and _is_number(other):
        return bool(min(one, other) <= got <= max(one, other))
    return bool(got == other)
