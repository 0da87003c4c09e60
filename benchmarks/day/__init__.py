"""The people of a working day, for ``benchmarks.people_at_work``: who does what."""
