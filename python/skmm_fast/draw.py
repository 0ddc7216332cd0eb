"""Fixed-size draws: exactly n distinct rows with given inclusion probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _core, _validate

METHODS = ("pivotal", "systematic", "top")


def draw(s: Any, n: int, method: str = "pivotal", seed: int = 0) -> _validate.Indices:
    """Exactly n distinct rows, ascending int64, row i with probability exactly n s_i.

    Then E[Σ̃_S] = Zᵀ diag(s) Z, which weighted choice without replacement does not give.

    Parameters
    ----------
    s : (N,) float32 or float64, 0 <= s_i <= 1/n, Σ s_i = 1 (both to 1e-6)
    n : an int in [1, N]
    method : "pivotal" (sequential pivotal method, Deville and Tillé 1998), "systematic" (Madow
        1949), or "top": the n largest s, ties to the lowest row, nothing random
    seed : of the draw

    Raises
    ------
    TypeError, ValueError : s that is no such vector, n out of range, an unknown method.
    """
    _validate.choice("method", method, METHODS)
    n_rows = len(_validate.dense("s", s, ndim=1))
    n = _validate.integer("n", n, 1, n_rows)
    pi = _validate.inclusion_probabilities("s", s, n)
    seed = _validate.seed(seed)
    if method == "top":
        return np.sort(np.argsort(-pi, kind="stable")[:n])
    drawn = (_core.draw_pivotal if method == "pivotal" else _core.draw_systematic)(pi, n, seed)
    return np.sort(drawn)
