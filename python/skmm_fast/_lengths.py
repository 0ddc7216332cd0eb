"""How long the samples are that a selection has, beside those of the pool: texts, in tokens."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ._support import arrays
from ._support.rows_here import RowsHere
from ._support.types import Floats, Indices

# A selection is warned of where its mean length is less than this of the pool's, or more than the
# inverse, and farther from it than this many standard deviations of a uniform draw.
RATIO, DEVIATIONS = 0.8, 4.0


class Lengths(NamedTuple):
    """The mean length of the rows chosen, and of all."""

    chosen: float
    pool: float
    warning: str | None


def checked(name: str, given: Any, n_rows: int, here: RowsHere | None = None) -> Floats | None:
    """Those of (N,) float64 numbers of at least 0 that are for the rows here; None for None."""
    if given is None:
        return None
    x = arrays.vector(name, given)
    if x.shape != (n_rows,):
        raise ValueError(
            f"{name}: expected {n_rows} numbers, one for each row, got shape {x.shape}"
        )
    if here is not None:
        x = x[here.first : here.last]
    if x.dtype.kind not in "iuf":
        raise TypeError(f"{name}: expected numbers, got {x.dtype}")
    lengths = x.astype(np.float64)
    bad = np.flatnonzero(~((lengths >= 0) & (lengths < np.inf)))
    if len(bad):
        raise ValueError(
            f"{name}: expected lengths of at least 0, got {lengths[bad[0]]} in {bad[0]}"
        )
    return lengths


def of_selection(lengths: Floats, S: Indices, here: RowsHere) -> Lengths:
    """The mean lengths of the rows S and of all, from the lengths of the rows here."""
    mine = lengths[here.of(S)]
    moments = [mine.sum(), lengths.sum(), np.square(lengths).sum()]
    of_chosen, total, squares = here.summed(np.array(moments, np.float64)).tolist()
    chosen, pool = of_chosen / len(S), total / here.n_rows
    deviation = np.sqrt(max(squares / here.n_rows - pool**2, 0.0))
    off = abs(chosen - pool) > DEVIATIONS * deviation / np.sqrt(len(S))
    if not off or RATIO * pool <= chosen <= pool / RATIO:
        return Lengths(chosen, pool, None)
    how = "short" if chosen < pool else "long"
    return Lengths(
        chosen,
        pool,
        f"the choice is one by length: the mean sample chosen is {how}, {chosen:.3g} tokens, and "
        f"that of the pool {pool:.3g}; docs/explanation/lengths.md says which gradients avoid this",
    )
