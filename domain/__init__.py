"""The rules of the office: what a request, a clerk, a centre and a service can do.

Pure: no SQL, no HTTP, no Kafka, no clock and no I/O. Time, ids and the actor are
arguments. Imports the standard library, ``eventsourcing`` and ``pydantic`` only.
"""
