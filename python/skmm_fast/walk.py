"""Draws from a relaxed selection that spread over classes and along the first principal direction:
the moments of the rows drawn are closer to those of the relaxation than independent draws are."""

from __future__ import annotations

import numpy as np

from . import _core, _validate
from ._quotas import Quotas
from ._validate import Floats, Indices
from .draw import walk_order
from .pool import Pool


def draw_along(
    pool: Pool, s: Floats, allowed: Quotas, seed: int, classes: Indices | None = None
) -> Indices:
    """n rows, ascending, row i with probability n s_i: exactly the counts of `allowed`.

    Systematic draws, in each group along `classes` (N,) and the first eigenvector of Σ̃.
    """
    along = np.empty(len(pool.Z), np.float32)
    direction = pool.moments.eigenvectors[:, 0] / np.sqrt(pool.moments.eigenvalues[0])
    for rows in _validate.row_blocks(pool.Z):
        along[rows] = pool.Z[rows].astype(np.float64) @ direction
    order, groups = allowed.free()
    drawn, first = [allowed.include], 0
    for size, count in groups:
        rows = order[first : first + size]
        first += size
        if count == 0:
            continue
        rows = rows[walk_order(along[rows], None if classes is None else classes[rows])]
        pi = np.minimum(s[rows] * allowed.n, 1.0)
        drawn.append(rows[_core.draw_systematic(pi, count, seed)])
    return np.sort(np.concatenate(drawn))
