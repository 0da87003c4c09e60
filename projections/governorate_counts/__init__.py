"""GovernorateCounts: how many requests stand where, and how many moved on which day."""

from projections.governorate_counts.folding import GovernorateCounts
from projections.governorate_counts.queries import (
    Count,
    CountBy,
    GovernorateCountsQueries,
)

__all__ = ["Count", "CountBy", "GovernorateCounts", "GovernorateCountsQueries"]
