"""``sijil serve``: the HTTP server."""

from __future__ import annotations

from contextlib import suppress
from socket import socket

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.cli.failures import COULD_NOT_ASK, Failure
from api.cli.options import EndWithParent
from api.cli.ports import why_not_free
from api.settings import ApiSettings
from api.streams import Streams
from ledger.settings import LedgerSettings
from office.house import House
from office.keeping import must_not_have_returned
from office.processes import STOP_TIMEOUT_S
from office.processes import end_with_parent as follow_parent

GRACE_S = int(STOP_TIMEOUT_S / 2)
"""How long open requests may take at the end; the supervisor waits twice as long."""


def serve(*, end_with_parent: EndWithParent = False) -> None:
    """Answer HTTP until stopped; open requests are finished first."""
    if end_with_parent:
        follow_parent()
    settings = ApiSettings.load()
    _must_be_free(settings)
    ledger = LedgerSettings.load()
    must_not_have_returned(ledger)
    # The application closes the house when it ends.
    app = create_app(House(ledger), settings)
    # Every question is held against it: it would be the first one's to wait for.
    app.openapi()
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = Server(config, app)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise Failure(
            "the server did not start",
            then="what it said before says why",
            exit_code=COULD_NOT_ASK,
        )


def _must_be_free(settings: ApiSettings) -> None:
    """Raise Failure where somebody listens already, before anything is opened."""
    error = why_not_free(settings)
    if error is not None:
        raise Failure(
            f"{settings.host}:{settings.port} cannot be listened on",
            why=error.strerror or str(error),
            then="stop what listens there, or set SIJIL_HOST and SIJIL_PORT",
            exit_code=COULD_NOT_ASK,
        )


class Server(uvicorn.Server):
    """The server; at its end it ends the streams first, which would never end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._streams: Streams = app.state.live.streams

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Finish what is open."""
        self._streams.end()
        await super().shutdown(sockets)
