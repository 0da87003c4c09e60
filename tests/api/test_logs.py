"""Logs: what the server itself writes about an error repeats nothing."""

from __future__ import annotations

import logging

import pytest

from api.logs import configure_logs


def fail() -> None:
    raise ValueError("01000099887")


def test_a_servers_trace_is_told_by_its_type_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    configure_logs()
    configure_logs()
    server = logging.getLogger("uvicorn.error")
    with caplog.at_level(logging.ERROR, logger="uvicorn.error"):
        try:
            fail()
        except ValueError:
            server.exception("Exception in ASGI application\n")
    assert "Exception in ASGI application (ValueError)" in caplog.text
    assert "01000099887" not in caplog.text
    assert "Traceback" not in caplog.text
    assert len(server.filters) == 1
