"""The streams: the relay outward to Kafka, its proof, what comes in, analytics.

The relay follows the ledger by position (``ledger.reader``); nothing here knows of
``api``. The topics are in ``consumers.topics``, the form of a record in
``consumers.envelope``.
"""
