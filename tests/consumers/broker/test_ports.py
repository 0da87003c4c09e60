"""A server that comes back finds its port where it was."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from consumers.broker import ports
from consumers.broker.ports import free_ports


@pytest.fixture
def given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the kernel says that it gives away."""
    file = tmp_path / "range"
    monkeypatch.setattr(ports, "_KERNELS_PORTS", file)
    return file


@pytest.mark.parametrize(
    ("told", "first", "last"),
    [
        ("32768\t60999\n", 15_000, 32_767),
        ("49152\t65535\n", 15_000, 49_151),
        ("15000 30000", 30_001, 65_535),
        # Nothing is left: better any port than none.
        ("1024 65535", 15_000, 65_535),
    ],
)
def test_ports_are_those_that_no_connection_is_given(
    given_away: Path, told: str, first: int, last: int
) -> None:
    given_away.write_text(told)
    assert all(first <= port <= last for port in free_ports(20))


def test_where_nothing_tells_it_is_what_linux_begins_with(given_away: Path) -> None:
    assert not given_away.exists()
    assert max(free_ports(20)) < 32_768


def test_processes_that_draw_at_once_share_the_ports_out(
    given_away: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_away.write_text("32768 60999")
    monkeypatch.setattr(ports, "_share", (0, 1))
    every = set(ports._candidates())
    shares = []
    for number in range(3):
        ports.keep_to_share(number, of=3)
        shares.append(set(ports._candidates()))
        assert set(free_ports(20)) <= shares[-1]
    assert set.union(*shares) == every
    assert sum(map(len, shares)) == len(every)


def test_all_are_different_and_nobody_has_them() -> None:
    found = free_ports(30)
    assert len(set(found)) == 30
    for port in found:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_where_all_are_taken_it_says_so(
    given_away: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_away.write_text("32768 60999")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(ports, "_candidates", lambda: [taken.getsockname()[1]])
        with pytest.raises(OSError, match="no free port"):
            free_ports(1)
