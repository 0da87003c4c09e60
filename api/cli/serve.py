"""``sijil serve``: the HTTP server."""

from __future__ import annotations

import sys
from contextlib import suppress
from socket import socket

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.cli.options import EndWithParent
from api.cli.supervisor import STOP_TIMEOUT_S
from api.cli.supervisor import end_with_parent as follow_parent
from api.settings import ApiSettings
from api.streams import Streams
from ledger.settings import LedgerSettings
from office.house import House

GRACE_S = int(STOP_TIMEOUT_S / 2)
"""How long open requests may take at the end; the supervisor waits twice as long."""


NOT_STARTED = 3
"""What uvicorn's own program ends with when its server could not start."""


def serve(*, end_with_parent: EndWithParent = False) -> None:
    """Answer HTTP until stopped; open requests are finished first."""
    if end_with_parent:
        follow_parent()
    settings = ApiSettings.load()
    # The application closes the house when it ends.
    app = create_app(House(LedgerSettings.load()), settings)
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
        sys.exit(NOT_STARTED)


class Server(uvicorn.Server):
    """The server; at its end it ends the streams first, which would never end."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._streams: Streams = app.state.live.streams

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Finish what is open."""
        self._streams.end()
        await super().shutdown(sockets)
