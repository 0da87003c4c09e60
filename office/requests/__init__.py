"""The acts on requests: one method a command, each ending in one append.

Grouped as the rules are (domain/requests).
"""

from office.requests.desk import secret_code
from office.requests.ending import Ending
from office.requests.holding import Holding
from office.requests.leaving import Leaving
from office.requests.taking_in import TakingIn
from office.requests.working import Working

__all__ = ["Requests", "secret_code"]


class Requests(TakingIn, Holding, Working, Leaving, Ending):
    """What can be done with requests. Raises the errors of domain and office."""
