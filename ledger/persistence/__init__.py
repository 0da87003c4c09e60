"""A persistence module for ``eventsourcing`` 9.5 on psycopg2.

It imports nothing else of Sijil, so that it can be published on its own one day, and
passes the library's shipped contract unmodified (tests/conformance). Positions are
dense from 1 and become visible in order: who has seen *n* will never see anything at
or below *n* appear.
"""

from ledger.persistence.factory import Factory

__all__ = ["Factory"]
