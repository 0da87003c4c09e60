"""The streams: the relay outward to Kafka, and the workers inward.

The room is kept: nothing is relayed yet. What comes here follows the ledger by
position (``ledger.reader``), calls ``office`` for acts, and knows nothing of ``api``.
Names of topics are in docs/reference/contract.md.
"""
