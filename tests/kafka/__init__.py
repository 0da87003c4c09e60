"""A real Apache Kafka on this machine: its jars from Maven, KRaft, loopback only."""
