"""Whether the server can listen where it shall, asked before anything is opened."""

from __future__ import annotations

import socket

from api.settings import ApiSettings


def why_not_free(door: ApiSettings) -> OSError | None:
    """What speaks against listening at the host and port; None where nothing does.

    A name may stand for several addresses, of both families: the server takes all.
    """
    try:
        found = socket.getaddrinfo(
            door.host, door.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as probe:
                # As the server itself does: what has only just ended is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family is socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as error:
        return error
    return None
