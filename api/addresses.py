"""Which methods an address takes: all of them, wherever their routes stand."""

from __future__ import annotations

import re
from functools import cached_property

from fastapi import FastAPI
from starlette.routing import compile_path


class Addresses:
    """The addresses of an application, as its description has them.

    The framework knows one route at a time: of an address with two it would name the
    methods of the first.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def methods(self, path: str) -> frozenset[str]:
        """The methods that a path takes; none where nothing is."""
        return frozenset(
            method
            for pattern, methods in self._known
            if pattern.match(path)
            for method in methods
        )

    @cached_property
    def _known(self) -> tuple[tuple[re.Pattern[str], frozenset[str]], ...]:
        # Not before the first call: all routes are there by then.
        return tuple(
            (compile_path(path)[0], frozenset(map(str.upper, methods)))
            for path, methods in self._app.openapi()["paths"].items()
        )
