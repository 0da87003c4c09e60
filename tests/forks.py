"""Processes that are there in milliseconds: forked from one that imported everything.

All who want such processes share the one server of forks that Python keeps, so what it
imports beforehand is what any of them needs. It starts with the first process.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext

_CONTEXT = multiprocessing.get_context("forkserver")
_modules: list[str] = []


def forks(*modules: str) -> ForkServerContext:
    """The context for processes that need these modules; for a module's top."""
    _modules.extend(each for each in modules if each not in _modules)
    _CONTEXT.set_forkserver_preload(_modules)
    return _CONTEXT
