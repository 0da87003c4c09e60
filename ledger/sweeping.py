"""What of the vault is looked at for sweeping: how old it is, and how much at once."""

from __future__ import annotations

from datetime import timedelta

SWEEP_AFTER = timedelta(days=1)
"""A party younger than this may still be named by an act under way."""
SWEEP_BATCH = 1_000
"""Parties looked at together: one short transaction."""
