"""Fixed-size draws: exactly n distinct rows with given inclusion probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._support import checks
from .._support.checks import Array, Floats, Indices

METHODS = ("pivotal", "systematic", "top")


def draw(s: Any, n: int, method: str = "pivotal", seed: int = 0, *, order: Any = None) -> Indices:
    """Exactly n distinct rows, ascending int64, row i with probability exactly n s_i.

    Then E[Σ̃_S] = Zᵀ diag(s) Z, which weighted choice without replacement does not give. Random
    methods walk once along the rows and spread the draw evenly over neighbours in this walk: an
    `order` in which neighbours are alike makes Σ̃_S vary less, and changes no probability.

    Parameters
    ----------
    s : (N,) float32 or float64, 0 <= s_i <= 1/n, Σ s_i = 1 (both to 1e-6)
    n : an int in [1, N]
    method : "pivotal" (sequential pivotal method, Deville and Tillé 1998), "systematic" (Madow
        1949), or "top": the n largest s, ties to the lowest row, nothing random
    seed : of the draw
    order : (N,) int64, the rows as "pivotal" and "systematic" walk along them; None is 0, 1, ...

    Raises
    ------
    TypeError, ValueError : s that is no such vector, n out of range, an unknown method, an order
        that is no permutation or comes with "top".
    """
    checks.choice("method", method, METHODS)
    n_rows = len(checks.dense("s", s, ndim=1))
    n = checks.integer("n", n, 1, n_rows)
    seed = checks.seed(seed)
    if order is not None:
        if method == "top":
            raise ValueError("order: expected None with method 'top', got an array")
        order = checks.permutation("order", order, n_rows)
    pi = checks.inclusion_probabilities("s", s, n)
    if method == "top":
        return largest(pi, n)
    walk = _core.draw_pivotal if method == "pivotal" else _core.draw_systematic
    return np.sort(walk(pi, n, seed, order))


def group_seed(seed: int, g: int) -> int:
    """A seed for the draw in group g, so that draws in groups are independent."""
    return seed ^ (g * 0x9E3779B97F4A7C15 % 2**64)


def largest(x: Floats, n: int) -> Indices:
    """The rows of the n largest x, ascending; ties go to the lowest row."""
    least = np.partition(x, len(x) - n)[len(x) - n]
    chosen = x > least
    ties = np.flatnonzero(x == least)
    chosen[ties[: n - np.count_nonzero(chosen)]] = True
    return np.flatnonzero(chosen)


def walk_order(values: Array, classes: Indices | None = None) -> Indices:
    """(N,) int64: the rows by class, within a class by value, ties to the lowest row.

    Values rise in classes of even number and fall in those of odd number, so that the neighbours
    at the border of two classes are close. values (N,), finite; classes (N,), numbers from 0 on.
    """
    if classes is None:
        return np.argsort(values, kind="stable")
    order = np.argsort(np.where(classes % 2, -values, values), kind="stable")
    few_bits = classes.astype(np.min_scalar_type(classes.max()))  # up to 16: a radix sort
    return order[np.argsort(few_bits[order], kind="stable")]
