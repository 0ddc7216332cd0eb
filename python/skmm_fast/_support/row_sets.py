"""Sets of rows of a matrix that are treated at once, each with centres of its own."""

from __future__ import annotations

from dataclasses import dataclass

from .types import Indices


@dataclass(frozen=True)
class RowSets:
    """Sets of rows and the centres of each: set g has the rows[first[g] : first[g + 1]] and the
    centres first_centre[g], ..., first_centre[g + 1] - 1, at least one of both."""

    rows: Indices
    first: Indices  # (sets + 1,)
    first_centre: Indices  # (sets + 1,)
