"""The acts on one request: each a route, each with the version it was made on.

Grouped as the rules are (domain/requests).
"""

from api.v1.acts import ending, holding, leaving, taking_in, working

ROUTERS = tuple(
    group.router for group in (taking_in, holding, working, leaving, ending)
)
