"""Draws from a relaxed selection that spread over classes and along the first principal direction:
the moments of the rows drawn are closer to those of the relaxation than independent draws are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import _core
from .._support.checks import Floats, Indices
from ..pool.pool import Pool
from .constraints import Quotas
from .sampling import group_seed, largest, walk_order

DRAWS: dict[str, Callable[[Floats, int, int], Indices]] = {
    "systematic": _core.draw_systematic,
    "pivotal": _core.draw_pivotal,
    "top": lambda pi, n, seed: largest(pi, n),
}


def draw_along(
    pool: Pool,
    s: Floats,
    allowed: Quotas,
    seed: int,
    classes: Indices | None,
    threads: int,
    method: str = "systematic",
) -> Indices:
    """n rows, ascending, row i with probability n s_i ("top": the largest s): exactly the counts of
    `allowed`. In each group along `classes` (N,) and the first eigenvector of Σ̃."""
    direction = pool.moments.eigenvectors[:, 0] / np.sqrt(pool.moments.eigenvalues[0])
    along = pool.Z.dots(direction, threads).astype(np.float32)
    order, groups = allowed.free()
    drawn, first = [allowed.include], 0
    for g, (size, count) in enumerate(groups):
        rows = order[first : first + size]
        first += size
        if count == 0:
            continue
        rows = rows[walk_order(along[rows], None if classes is None else classes[rows])]
        pi = np.minimum(s[rows] * allowed.n, 1.0)
        drawn.append(rows[DRAWS[method](pi, count, group_seed(seed, g))])
    return np.sort(np.concatenate(drawn))
