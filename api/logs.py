"""Structured logs: one event a line, ids and counts, never a value of a person."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs() -> None:
    """Write JSON lines to standard error; libraries only when they warn."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        # Looked up at each line: whoever replaces standard error gets what follows.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
