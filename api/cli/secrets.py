"""``sijil secrets``: the passwords and keys of an installation, as files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ledger.embedded import SUPERUSER, secret
from ledger.settings import GENERATED_SECRETS

_URL_FILE = "sijil_database_url"


def secrets(
    home: Annotated[
        Path, typer.Argument(help="The folder to make secrets/ in.")
    ] = Path(),
    *,
    host: Annotated[
        str | None,
        typer.Option(help="Also make the administrator's login to a new server there."),
    ] = None,
    port: Annotated[int, typer.Option(help="The server's port.")] = 5432,
) -> None:
    """Make the secrets that are missing in HOME/secrets, each a file of mode 0600.

    What is there already is kept. Keep a copy apart from the databases: without the
    vault's master key no value of a person can ever be read again.
    """
    for name in GENERATED_SECRETS:
        secret(home, name)
    if host is not None:
        password = secret(home, "superuser_password")
        _write_once(
            home / "secrets" / _URL_FILE,
            f"postgresql://{SUPERUSER}:{password}@{host}:{port}/{SUPERUSER}",
        )
    folder = home / "secrets"
    count = sum(1 for path in folder.iterdir() if not path.name.startswith("."))
    Console().print(f"{count} secrets in {folder}", markup=False, highlight=False)


def _write_once(path: Path, text: str) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w") as file:
        file.write(text)
