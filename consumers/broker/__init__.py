"""A Kafka of one's own: Apache's jars from Maven, nodes in KRaft mode, loopback only.

For ``make run KAFKA=1`` and for the tests. Nobody has to log in, nothing is encrypted,
and there is one copy of everything: it is for trying things, not for keeping them.
"""
