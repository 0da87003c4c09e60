"""Ports of the loopback address for servers that end and come back."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

_FIRST_PORT = 15_000
_KERNELS_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_KERNELS_FIRST = 32_768
"""Where Linux begins unless it was told otherwise."""
_PORTS_TRIED = 100
"""For each: of thousands, few are taken."""


def free_ports(number: int) -> list[int]:
    """Ports that nobody has, all different, and that nobody is given.

    None of the kernel's choosing: it would give the same to any connection that is
    opened while the server is not bound yet, or is between two starts; even to a client
    that asks for the server, which then reaches itself. Raises OSError for want of any.
    """
    first = _KERNELS_FIRST
    if _KERNELS_PORTS.exists():
        first = int(_KERNELS_PORTS.read_text(encoding="ascii").split()[0])
    found: list[int] = []
    with ExitStack() as held:
        for _ in range(_PORTS_TRIED * number):
            if len(found) == number:
                return found
            port = _FIRST_PORT + secrets.randbelow(max(first - _FIRST_PORT, 1))
            probe = held.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
    if len(found) == number:
        return found
    raise OSError("no free port was found")
