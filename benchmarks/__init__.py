"""One script per claim of speed, each against its rival in the same run."""
