"""Events at rest: the append-only store on PostgreSQL, its entries, and the vault.

``persistence`` is a persistence module of ``eventsourcing`` on psycopg2 and imports
nothing else of ours. Around it: the body and the entry that the contract freezes, the
one reader that everything follows the ledger with, migrations and roles, the embedded
server, and the vault that keeps what may never enter an event.
"""
