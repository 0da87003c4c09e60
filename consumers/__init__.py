"""The streams: the relay outward to Kafka, and what proves that it left out nothing.

What is here follows the ledger by position (``ledger.reader``) and knows nothing of
``api``. The topics are in ``consumers.topics``, the form of a record in
``consumers.envelope``.
"""
