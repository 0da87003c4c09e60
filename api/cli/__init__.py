"""The command line: one program, whose commands the packages contribute.

A command is an entry point of the group ``sijil.commands``: a function, or a
``typer.Typer`` that groups several. Exit codes: 0 done, 1 the answer is no,
2 it could not be asked.
"""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points

import typer
from eventsourcing.persistence import PersistenceError
from pydantic import ValidationError
from rich.console import Console

from api.cli.failures import COULD_NOT_ASK, NO, Failure
from api.logs import configure_logs
from domain.errors import SijilError
from ledger.embedded import EmbeddedServerError
from ledger.migrations import MigrationError
from ledger.roles import ServerTooOldError
from ledger.settings import SettingMissingError
from office.errors import OperatorError

GROUP = "sijil.commands"
_SAYS_IT_ALL = (
    EmbeddedServerError,
    MigrationError,
    ServerTooOldError,
    SettingMissingError,
)
"""Errors whose message is a sentence for the operator already."""


def commands() -> dict[str, EntryPoint]:
    """Every command that an installed package contributes, by name."""
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return {point.name: point for point in points}


def command_line(*, only: str | None = None) -> typer.Typer:
    """The program with all its commands, or with ``only`` one, which loads faster."""
    program = typer.Typer(
        name="sijil",
        help="The ledger of a country's citizen service centres.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    # Without a callback typer would run a single command without its name.
    program.callback()(_nothing)
    for name, point in commands().items():
        if only is None or name == only:
            _contribute(program, name, point)
    return program


def _nothing() -> None:
    """The ledger of a country's citizen service centres."""


def _contribute(program: typer.Typer, name: str, point: EntryPoint) -> None:
    command = point.load()
    if isinstance(command, typer.Typer):
        program.add_typer(command, name=name)
    else:
        program.command(name)(command)


def main() -> None:
    """Run the command that was typed; errors are one sentence, not a traceback."""
    configure_logs()
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        command_line(only=asked if asked in commands() else None)()
    except Failure as failure:
        _end(str(failure), failure.exit_code)
    except OperatorError as error:
        _end(str(error), error.exit_code)
    except _SAYS_IT_ALL as error:
        _end(str(error), COULD_NOT_ASK)
    except ValidationError as error:
        wrong = ", ".join(
            f"SIJIL_{'.'.join(map(str, fault['loc'])).upper()} ({fault['msg']})"
            for fault in error.errors(include_input=False, include_url=False)
        )
        _end(f"a setting is wrong: {wrong}; see the settings reference", COULD_NOT_ASK)
    except PersistenceError as error:
        _end(
            f"the database does not answer as it should, because {error}; is it "
            "running, and may it be reached? `make run` starts the embedded one",
            COULD_NOT_ASK,
        )
    except SijilError as error:
        _end(str(error), NO)
    except OSError as error:
        named = "" if error.filename is None else f"{error.filename}: "
        _end(f"{named}{error.strerror or error}", COULD_NOT_ASK)


def _end(sentence: str, code: int) -> None:
    Console(stderr=True).print(f"sijil: {sentence}", markup=False, highlight=False)
    sys.exit(code)
