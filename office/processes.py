"""A process that some supervisor started: it must not outlive whoever watches it."""

from __future__ import annotations

import os
import signal
import threading
import time

STOP_TIMEOUT_S = 20.0
"""How long a child may take to end by itself: longer than any open request."""


def end_with_parent(*, grace_s: float = STOP_TIMEOUT_S) -> None:
    """End this process when its standard input closes: its supervisor is gone.

    It is asked to end as by the supervisor itself, and made to after ``grace_s``.
    """

    def watch() -> None:
        # os.read takes no lock of sys.stdin, which would block the interpreter's end.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
