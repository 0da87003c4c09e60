"""``sijil serve``: the HTTP server."""

from __future__ import annotations

import uvicorn

from api.app import create_app
from api.cli.options import EndWithParent
from api.cli.supervisor import STOP_TIMEOUT_S
from api.cli.supervisor import end_with_parent as follow_parent
from api.settings import ApiSettings
from ledger.settings import LedgerSettings
from office.house import House

GRACE_S = int(STOP_TIMEOUT_S / 2)
"""How long open requests may take at the end; the supervisor waits twice as long."""


def serve(*, end_with_parent: EndWithParent = False) -> None:
    """Answer HTTP until stopped; open requests are finished first."""
    if end_with_parent:
        follow_parent()
    settings = ApiSettings.load()
    # The application closes the house when it ends.
    house = House(LedgerSettings.load())
    uvicorn.run(
        create_app(house, settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
