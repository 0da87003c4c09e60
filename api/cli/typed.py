"""What is typed about persons: asked at a prompt, or read from a pipe.

Never from the command line, which shows in lists of processes and stays in the shell's
history. What was typed is in no message: nonsense is refused without repeating it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import typer

from api.cli.failures import COULD_NOT_ASK, Failure
from api.v1.bodies import Person

LONGEST_LINE = 4_000
"""Bytes of a line: longer than any value, shorter than a file sent by mistake."""
LONGEST_DOCUMENT = 60_000
"""Bytes of JSON about two persons; every field of both at its longest fits in."""
_HIDDEN = frozenset({"national_number", "other_identifier", "phone"})
"""Numbers are not shown while they are typed: somebody stands behind the desk."""


def value_of(name: str) -> str:
    """What is typed at a prompt that shows nothing, or the first line of a pipe."""
    if sys.stdin.isatty():
        return str(typer.prompt(name, hide_input=True))
    line = _text(sys.stdin.buffer.readline(LONGEST_LINE + 1), LONGEST_LINE).strip()
    if not line:
        raise Failure(
            f"there is no {name} on standard input",
            then="type it at the prompt, or send it through a pipe",
            exit_code=COULD_NOT_ASK,
        )
    return line


def persons(roles: Iterable[str], *, needed: str) -> dict[str, Any]:
    """The persons by their roles, as an interface's body has them.

    A pipe holds one JSON object with an object for each role. Raises Failure, which
    names fields of ours only, for whatever else it holds.
    """
    known = tuple(roles)
    if sys.stdin.isatty():
        return {
            role: _prompted(role)
            for role in known
            if role == needed or typer.confirm(f"Is there a person {role}?")
        }
    found = _document()
    if needed not in found or not found.keys() <= set(known):
        raise _nonsense(f"an object with {needed}, and no other key than", known)
    fields = tuple(Person.model_fields)
    for role, person in found.items():
        if person is None and role != needed:
            continue
        if not isinstance(person, Mapping) or not person.keys() <= set(fields):
            raise _nonsense(f"as {role} an object with no other key than", fields)
        if not all(isinstance(value, str | None) for value in person.values()):
            raise _nonsense(f"as {role} a text, or null, for each of", fields)
    return found


def _prompted(role: str) -> dict[str, str]:
    typer.echo(f"The person {role}; an empty line leaves a field out.", err=True)
    asked = {
        name: typer.prompt(
            name.replace("_", " "),
            default=None if field.is_required() else "",
            show_default=False,
            hide_input=name in _HIDDEN,
            err=True,
        )
        for name, field in Person.model_fields.items()
    }
    return {name: value.strip() for name, value in asked.items() if value.strip()}


def _document() -> dict[str, Any]:
    try:
        told = sys.stdin.buffer.read(LONGEST_DOCUMENT + 1)
        found = json.loads(_text(told, LONGEST_DOCUMENT))
        # An escaped half of a letter is JSON, and no text that can be sent.
        json.dumps(found, ensure_ascii=False).encode()
    # Brackets without end are a RecursionError.
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _nonsense("one JSON object", ())
    return found


def _text(told: bytes, longest: int) -> str:
    """The text of at most ``longest`` bytes, which must be UTF-8."""
    if len(told) > longest:
        raise _nonsense(f"at most {longest} bytes", ())
    try:
        return told.decode()
    except UnicodeDecodeError:
        # Without its cause, which holds the bytes.
        raise _nonsense("UTF-8", ()) from None


def _nonsense(wanted: str, names: Iterable[str]) -> Failure:
    told = ", ".join(names)
    return Failure(
        "what stands on standard input cannot be sent",
        why=f"it must be {wanted} {told}".rstrip(),
        then="see `sijil request submit` in the commands reference",
        exit_code=COULD_NOT_ASK,
    )
