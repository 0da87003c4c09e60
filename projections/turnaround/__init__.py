"""Turnaround: how long requests took at centre, agency and post, in working time."""

from projections.turnaround.folding import Turnaround
from projections.turnaround.queries import (
    Part,
    Share,
    Times,
    TurnaroundBy,
    TurnaroundQueries,
)

__all__ = ["Part", "Share", "Times", "Turnaround", "TurnaroundBy", "TurnaroundQueries"]
