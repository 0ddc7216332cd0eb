"""Draws: rows with given inclusion probabilities, rows of a relaxed selection, uniform rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from .. import _core
from .._support import arrays, checks
from .._support.types import Array, DenseMatrix, Floats, Indices, VectorLike
from .groups import draw_uniformly, each_group, group_seed
from .problem import Chosen, Problem

DrawMethod = Literal["pivotal", "systematic", "top"]


def draw(
    s: DenseMatrix,
    n: int,
    *,
    method: DrawMethod = "pivotal",
    order: VectorLike | None = None,
    seed: int = 0,
) -> Indices:
    """Draw exactly n distinct rows; by the random methods, row i with probability exactly n s_i.

    Then E[Σ̃_S] = Zᵀ diag(s) Z, which weighted choice without replacement does not give. The random
    methods walk once along the rows and spread the draw evenly over neighbours in this walk: an
    `order` in which neighbours are alike makes Σ̃_S vary less, and changes no probability.

    Parameters
    ----------
    s : (N,) array
        float32 or float64, 0 <= s_i <= (1 + 1e-6)/n, Σ s_i = 1 to min(1e-6, 0.1/n).
    n : int
        A count in [1, N].
    method : {"pivotal", "systematic", "top"}
        The sequential pivotal method (Deville and Tillé 1998), systematic sampling (Madow 1949), or
        the n largest s, ties to the lowest row, in which nothing is random.
    order : (N,) array of int64, optional
        The rows as "pivotal" and "systematic" walk along them. Default: 0, 1, ...
    seed : int, default 0
        The seed of the draw.

    Returns
    -------
    (n,) array of int64
        The rows, ascending.

    Raises
    ------
    TypeError, ValueError
        s that is no such vector, n out of range, an unknown method, an order that is no permutation
        or comes with "top".

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> skmm.draw(np.array([0.5, 0.25, 0.25, 0.0]), 2, method="top")
    array([0, 1])
    >>> len(skmm.draw(np.full(100, 0.01), 10))
    10
    """
    checks.choice("method", method, get_args(DrawMethod))
    n_rows = len(arrays.dense("s", s, ndim=1))
    n = checks.integer("n", n, 1, n_rows)
    seed = checks.seed(seed)
    if order is not None:
        if method == "top":
            raise ValueError("order: expected None with method 'top', got an array")
        order = _permutation("order", order, n_rows)
    pi = inclusion_probabilities("s", s, n)
    if method == "top":
        return largest(pi, n)
    walk = _core.draw_pivotal if method == "pivotal" else _core.draw_systematic
    return np.sort(walk(pi, n, seed, order))


def draw_along(problem: Problem, s: Floats, method: DrawMethod = "systematic") -> Indices:
    """A selection, ascending, that has row i with probability n s_i ("top": the rows of largest s).

    In each group the draw walks along the classes and the first eigenvector of Σ̃, so that the
    moments of the rows drawn are closer to those of s than independent draws would make them.
    """
    mom, threads = problem.pool.moments, problem.n_threads
    direction = mom.eigenvectors[:, 0] / np.sqrt(mom.eigenvalues[0])
    along = problem.pool.Z.dots(direction, threads).astype(np.float32)
    labels, n = problem.labels, problem.n
    if problem.constraints.ranks is not None:
        return _draw_on_ranks(problem, s, along, method)

    def choose(rows: Indices, count: int, g: int) -> Indices:
        if method == "top":
            return rows[largest(s[rows], count)]
        walk = rows[walk_order(along[rows], None if labels is None else labels.number[rows])]
        pi = np.minimum(s[walk] * n, 1.0)
        return walk[_WALKS[method](pi, count, group_seed(problem.seed, g))]

    return each_group(problem.constraints, choose)


def _draw_on_ranks(problem: Problem, s: Floats, along: Array, method: DrawMethod) -> Indices:
    """What `draw_along` draws, where rows are on several ranks."""
    constraints, labels, n = problem.constraints, problem.labels, problem.n
    here, drawn = constraints.here, [constraints.include]
    for g, group in enumerate(constraints.groups):
        if group.count == 0:
            continue
        rows = constraints.free[group.part]
        pi = np.minimum(s[rows] * n, 1.0) if method == "systematic" else s[rows]
        if method == "systematic":
            key = walk_key(along[rows], None if labels is None else labels.number[rows])
            seed = group_seed(problem.seed, g)
            chosen = _core.draw_systematic_on_ranks(pi, key, group.count, seed, here.strips)
        else:
            least = here.nth_largest([(pi, group.count)])[0]
            above, ties = np.flatnonzero(pi > least), np.flatnonzero(pi == least)
            found = np.array([len(above), len(ties)], np.float64)
            missing = group.count - here.summed(found)[0] - here.before(found)[1]
            chosen = np.append(above, ties[: max(0, int(missing))])
        drawn.append(here.concatenated(here.first + rows[chosen]))
    return np.sort(np.concatenate(drawn))


def uniform(problem: Problem) -> Chosen:
    """Uniform draws without replacement in each group."""

    def choose(rows: Indices, count: int, g: int) -> Indices:
        return draw_uniformly(rows, count, problem.seed, g)

    return Chosen(each_group(problem.constraints, choose))


def class_balanced(problem: Problem) -> Chosen:
    """Uniform draws of equally many rows of each class; small classes give all they have."""
    if problem.labels is None:
        raise ValueError("y: expected labels with method 'class-balanced', got None")
    if problem.per_class is not None:
        raise ValueError("per_class: expected None with method 'class-balanced', which sets it")
    return uniform(problem.balanced())


def inclusion_probabilities(name: str, s: Any, n: int, n_rows: int | None = None) -> Floats:
    """π = n s as float64 in [0, 1] with sum n to rounding; s may be off by 1e-6 (a tenth of 1/n).

    Raises where s is not a float vector (of length n_rows), leaves [0, 1/n] or does not sum to 1.
    """
    s = arrays.dense(name, s, ndim=1)
    if n_rows is not None and len(s) != n_rows:
        raise ValueError(f"{name}: expected shape ({n_rows},), got {s.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(s.sum(dtype=np.float64))
    if not np.isfinite(total):
        arrays.raise_not_finite(name, np.isfinite(s))
    if not abs(total - 1) <= min(1e-6, 0.1 / n):
        raise ValueError(f"{name}: expected entries that sum to 1, got sum {total:.9g}")
    if s.min() < 0 or s.max() * n > 1 + 1e-6:
        outside = np.flatnonzero((s < 0) | (s * n > 1 + 1e-6))
        raise ValueError(
            f"{name}: expected entries in [0, 1/n = {1 / n:.6g}], got {s[outside[0]]:.6g} in row "
            f"{outside[0]} ({len(outside)} such rows)"
        )
    pi: Floats = np.multiply(s, n, dtype=np.float64)
    np.minimum(pi, 1, out=pi)
    for _ in range(2):  # to the last bits: the rows strictly inside carry the rest
        full = pi == 1
        inside = pi[(pi > 0) & ~full].sum()
        if inside > 0:
            pi *= (n - np.count_nonzero(full)) / inside
            pi[full] = 1
            np.minimum(pi, 1, out=pi)
    if abs(pi.sum() - n) > 1e-6:
        raise ValueError(f"{name}: expected entries that sum to 1 with none above 1/n, n = {n}")
    return pi


def largest(x: Floats, n: int) -> Indices:
    """The rows of the n largest x, ascending; ties go to the lowest row."""
    least = np.partition(x, len(x) - n)[len(x) - n]
    chosen = x > least
    ties = np.flatnonzero(x == least)
    chosen[ties[: n - np.count_nonzero(chosen)]] = True
    return np.flatnonzero(chosen)


def walk_order(values: Array, classes: Array | None = None) -> Indices:
    """(N,) int64: the rows by class, within a class by value, ties to the lowest row.

    Values rise in classes of even number and fall in those of odd number, so that the neighbours
    at the border of two classes are close. values (N,), finite; classes (N,), numbers from 0 on.
    """
    if classes is None:
        return np.argsort(values, kind="stable")
    order = np.argsort(np.where(classes % 2, -values, values), kind="stable")
    few_bits = classes.astype(np.min_scalar_type(classes.max()))  # up to 16: a radix sort
    return order[np.argsort(few_bits[order], kind="stable")]


def walk_key(values: npt.NDArray[np.float32], classes: Array | None = None) -> Indices:
    """(N,) int64 numbers by which rows are sorted as `walk_order` sorts them, within 2⁵³."""
    directed = values if classes is None else np.where(classes % 2, -values, values)
    bits = (directed + np.float32(0)).view(np.int32).astype(np.int64)  # + 0: no -0.0
    ordered = np.where(bits < 0, -(2**31) - bits, bits)
    return ordered if classes is None else (classes.astype(np.int64) << 32) + ordered


def _permutation(name: str, order: object, n_rows: int) -> Indices:
    """An int64 array in which each of 0..N-1 occurs once."""
    x = arrays.dense(name, order, ndim=1, types=(np.int64,))
    if x.shape != (n_rows,):
        raise ValueError(f"{name}: expected shape ({n_rows},), got {x.shape}")
    if x.min() < 0 or x.max() >= n_rows:
        bad = x[(x < 0) | (x >= n_rows)][0]
        raise ValueError(f"{name}: expected rows in [0, {n_rows - 1}], got {bad}")
    missing = np.ones(n_rows, np.bool_)
    missing[x] = False
    if missing.any():
        raise ValueError(
            f"{name}: expected each row once, got {missing.sum()} of {n_rows} rows not at all, "
            f"first row {missing.argmax()}"
        )
    return x


_WALKS: dict[str, Callable[[Floats, int, int], Indices]] = {
    "systematic": _core.draw_systematic,
    "pivotal": _core.draw_pivotal,
}
