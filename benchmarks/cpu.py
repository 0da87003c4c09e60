"""What a stretch of work cost in processors' time: here, and in the server's processes.

On a machine that others use too, a wall clock tells of them; this does not.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ledger.persistence.datastore import PostgresDatastore

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def postmaster_of(datastore: PostgresDatastore) -> int:
    """The process id of the server, which MUST run on this machine."""
    with datastore.autocommit() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        row = cursor.fetchone()
    assert row is not None
    return _fields(Path(f"/proc/{row[0]}/stat"))[1]


def _fields(stat: Path) -> list[int]:
    """The fields after the command's name, the state left out as 0."""
    after = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2]
    return [int(field) if field.lstrip("-").isdigit() else 0 for field in after.split()]


def server_s(postmaster: int) -> float:
    """Seconds of processors that the server and all its processes have had."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # One that ends meanwhile is counted with its parent from then on.
            fields = _fields(stat)
            if fields[1] == postmaster:
                ticks += fields[11] + fields[12]
            if stat.parent.name == str(postmaster):
                ticks += sum(fields[11:15])
    return ticks / _TICKS_A_SECOND


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds by the wall, of this process, and of the server."""

    wall_s: float
    python_s: float
    server_s: float

    @classmethod
    def now(cls, postmaster: int) -> Self:
        """What has been spent up to now."""
        return cls(
            wall_s=time.perf_counter(),
            python_s=time.process_time(),
            server_s=server_s(postmaster),
        )

    def since(self, before: Cost) -> Cost:
        """What was spent from then to now."""
        return Cost(
            wall_s=self.wall_s - before.wall_s,
            python_s=self.python_s - before.python_s,
            server_s=self.server_s - before.server_s,
        )
