"""Live answers: what changed in a list or in counts, as server-sent events.

``shared`` has the feeds that all streams are told from, ``items`` what streams of lists
tell; a file for each thing that can be followed.
"""

from api.v1.events import counts, desk, inbox, queue
from api.v1.events.shared import Live

ROUTERS = (queue.router, counts.router, desk.router, inbox.router)

__all__ = ["ROUTERS", "Live"]
