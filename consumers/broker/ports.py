"""Ports of the loopback address for servers that end and come back."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

_FIRST_PORT = 15_000
_LAST_PORT = 65_535
_FEWEST = 200
"""With fewer to choose from, two that choose at once would meet."""
_KERNELS_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_KERNELS_OWN = (32_768, 60_999)
"""What Linux gives away unless it was told otherwise."""
_PORTS_TRIED = 100
"""For each: of hundreds or thousands, few are taken."""
_share = (0, 1)
"""Which of how many processes that draw at once this one is."""


def keep_to_share(number: int, *, of: int) -> None:
    """Let this process draw no port that one with another number draws.

    Nobody holds a drawn port until its server is bound, nor between two starts of it.
    """
    global _share  # noqa: PLW0603 -- it is the process's own
    _share = (number, of)


def free_ports(number: int) -> list[int]:
    """Ports that nobody has, all different, and that nobody is given.

    None of the kernel's choosing: it would give the same to any connection that is
    opened while the server is not bound yet, or is between two starts; even to a client
    that asks for the server, which then reaches itself. Where the kernel gives away
    nearly all there are, any will do. Raises OSError for want of any.
    """
    ports = _candidates()
    with ExitStack() as held:
        found: list[int] = []
        for _ in range(_PORTS_TRIED * number):
            probe = socket.socket()
            try:
                probe.bind(("127.0.0.1", secrets.choice(ports)))
            except OSError:
                probe.close()
                continue
            held.callback(probe.close)
            found.append(probe.getsockname()[1])
            if len(found) == number:
                return found
    raise OSError("no free port was found")


def _candidates() -> Sequence[int]:
    first, last = _KERNELS_OWN
    if _KERNELS_PORTS.exists():
        told = _KERNELS_PORTS.read_text(encoding="ascii").split()
        first, last = int(told[0]), int(told[1])
    below = range(_FIRST_PORT, first)
    above = range(last + 1, _LAST_PORT + 1)
    every = range(_FIRST_PORT, _LAST_PORT + 1)
    ports = next((each for each in (below, above) if len(each) >= _FEWEST), every)
    number, of = _share
    return ports[number::of]
