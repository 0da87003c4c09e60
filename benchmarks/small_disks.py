"""Disks of a fixed size, to be filled up; only root may have one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SIZE = "2g"
"""What hundreds of rounds write fits in several times, and seconds of ballast fill up.
On one of 256 MB a node ended by itself after some hundred rounds: it was full."""


def mounted(folder: Path) -> bool:
    """Whether a file system of fixed size stands at ``folder`` now."""
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        return False
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    return done.returncode == 0


def unmounted(folder: Path) -> None:
    """Take it away again, with all that is in it."""
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S607 -- as above
