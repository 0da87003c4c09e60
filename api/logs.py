"""Structured logs: one event a line, ids and counts, never a value of a person."""

from __future__ import annotations

import logging
import sys

import structlog


class WithoutTraces(logging.Filter):
    """Takes the trace off a record and leaves the error's type.

    An unforeseen error's own words may repeat what was sent.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, without its trace."""
        if record.exc_info:
            kind = record.exc_info[0]
            record.msg = f"{record.getMessage().strip()} ({kind and kind.__name__})"
            record.args = None
            record.exc_info = record.exc_text = None
        return True


def configure_logs() -> None:
    """Write JSON lines to standard error; libraries only when they warn."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    server = logging.getLogger("uvicorn.error")
    if not any(isinstance(each, WithoutTraces) for each in server.filters):
        server.addFilter(WithoutTraces())
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
