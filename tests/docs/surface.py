"""What the packages show to the outside, found by importing all of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic_settings import BaseSettings

PACKAGES = ("domain", "ledger", "projections", "office", "api", "consumers")
NOT_FIELDS = {"SIJIL_SECRETS_DIR"}
"""Read before there are settings, because it says where they are."""
_PROGRAMS = {"api.cli.__main__"}


@cache
def import_everything() -> None:
    """Import every module of ours, so that every class is known."""
    for package in PACKAGES:
        root = importlib.import_module(package)
        for module in pkgutil.walk_packages(root.__path__, f"{package}."):
            if module.name not in _PROGRAMS:
                importlib.import_module(module.name)


def subclasses(base: type[Any]) -> Iterator[type[Any]]:
    """Every class of ours below ``base``."""
    import_everything()
    for made in base.__subclasses__():
        if made.__module__.partition(".")[0] in PACKAGES:
            yield made
        yield from subclasses(made)


def settings_fields() -> dict[str, str]:
    """Every setting's name in the environment and the class that reads it."""
    return {
        f"SIJIL_{name.upper()}": made.__name__
        for made in subclasses(BaseSettings)
        for name in made.model_fields
    }
