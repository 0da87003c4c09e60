"""Every published number counted a second time, in plain SQL over the stored bodies.

It imports nothing of the product: neither its rules nor its views. What is asked of it
is a connection to the ledger's database that may make temporary tables, a position and
a time. ``docs/reference/contract.md`` is all it rests on.
"""

from tests.recount.whole import Numbers, recount

__all__ = ["Numbers", "recount"]
