"""Mean matching: rows whose weighted mean gradient is that of the pool, found by exchanges inside
cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import _core
from .._support import arrays, checks
from .._support.progress import bar
from .._support.types import Array, DenseMatrix, Floats, Indices, VectorLike
from ..pool.mean_metric import MeanMetric, mean_metric
from ..pool.row_matrix import RowMatrix, row_matrix
from ..pool.spectrum import second_moment
from .groups import SUBSETS
from .spherical_cells import split_by

SWEEPS = 4  # over the rows chosen; the last ones change little
CANDIDATES = 16  # rows drawn for each slot of a cell that has more, in each sweep
BLOCK = 1 << 15  # candidates whose products are held at a time
WHOLE = 1 << 28  # bytes of the products of all rows, up to which they are made once


@dataclass(frozen=True)
class Slots:
    """The rows chosen, cell after cell, and where each may move: a slot of cell c holds one of the
    rows members[begins[c] : begins[c + 1]]."""

    members: Indices  # ascending within a cell
    begins: Indices  # (cells + 1,)
    first: Indices  # (cells + 1,) Cell c has the slots first[c], ..., first[c + 1] - 1.
    rows: Indices  # (slots,)
    weights: Floats  # (slots,)

    @property
    def several(self) -> Indices:
        """(cells,) The candidates that a cell has in a sweep, but for rows that its slots hold."""
        most: Indices = np.minimum(np.diff(self.begins), CANDIDATES * np.diff(self.first))
        return most


def match_mean(
    Z: DenseMatrix,
    start: VectorLike,
    *,
    cells: VectorLike | None = None,
    weights: VectorLike | None = None,
    ridge: float = 1.0,
    sweeps: int = SWEEPS,
    seed: int = 0,
    n_threads: int | None = None,
    progress: bool = False,
) -> Indices:
    """Exchange rows for others of their cell until their weighted mean is near that of all rows.

    What falls is Φ(S) = n ‖n⁻¹ Σ_S ω_i b_i‖² with b_i = Rᵀ(z_i - z̄), R Rᵀ = (Σ_c + ridge λ̄ I)⁻¹,
    where z̄ and Σ_c are mean and centred second moment of all rows, and λ̄ the mean of its
    eigenvalues. A sweep puts in the place of each row in turn the best row of its cell; where a
    cell is large, the best of 16 rows drawn anew for each place that it has. So the time of a sweep
    does not depend on N.

    Parameters
    ----------
    Z : (N, m) array or tensor
        float32 or float64: gradients, with labels, best at a head that has seen a first draw. A
        tensor on a CUDA device stays there.
    start : (n,) row numbers
        The distinct rows to begin with.
    cells : (N,) integers, optional
        The cell of each row, as `cells` makes them. Default: all rows are one cell.
    weights : (n,) numbers, optional
        ω of the rows of start, positive; only their ratios count. Default: all are equal.
    ridge : float, default 1.0
        Of the metric, in units of λ̄.
    sweeps : int, default 4
        Sweeps at most; they end with one that changes nothing, where no candidates are drawn.
    seed : int, default 0
        The seed of drawn candidates.
    n_threads : int, optional
        Threads of the core. The result does not depend on it.
    progress : bool, default False
        Show a bar (needs tqdm).

    Returns
    -------
    (n,) array of int64
        Distinct rows: row t took the place of start[t], and is of its cell.

    Raises
    ------
    TypeError, ValueError
        An argument of a wrong type, shape or value, NaN or Inf in Z. The message names the
        argument, what was expected and what came.

    Notes
    -----
    The mean is what SkMM (arXiv 2407.06120) leaves to noise, its second moment the metric.

    Examples
    --------
    >>> import numpy as np
    >>> import skmm_fast as skmm
    >>> Z = np.random.default_rng(0).standard_normal((500, 8))
    >>> rows = skmm.match_mean(Z, np.arange(50))
    >>> error = np.linalg.norm(Z[rows].mean(axis=0) - Z.mean(axis=0))
    >>> bool(error < 0.1 * np.linalg.norm(Z[:50].mean(axis=0) - Z.mean(axis=0)))
    True
    """
    z = row_matrix("Z", Z)
    N = len(z)
    given = arrays.vector("start", start)
    arrays.rows("start", given, N)
    begin, n = given.astype(np.int64), len(given)  # a small type would not hold other rows
    if n == 0:
        raise ValueError("start: expected at least one row, got none")
    ridge = checks.real("ridge", ridge, above=0.0)
    sweeps, seed = checks.integer("sweeps", sweeps, 0), checks.seed(seed)
    threads = checks.threads(n_threads)
    number = np.zeros(N, np.int64) if cells is None else _numbers(cells, N)
    omega = arrays.weights("weights", weights, n)
    metric = mean_metric(z, second_moment(z, "Z", threads), None, ridge)
    n_cells = int(number.max()) + 1
    members = np.concatenate(split_by(number, n_cells))
    begins, first = (
        np.append(0, np.cumsum(np.bincount(of, minlength=n_cells)))
        for of in (number, number[begin])
    )
    order = np.argsort(number[begin], kind="stable")
    slots = Slots(members, begins, first, begin[order], omega[order])
    out = np.empty(n, np.int64)
    checks.boolean("progress", progress)
    out[order] = exchange(z, metric, slots, sweeps, seed, threads, progress=progress)
    return out


def exchange(
    Z: RowMatrix,
    metric: MeanMetric,
    slots: Slots,
    sweeps: int,
    seed: int,
    threads: int,
    *,
    fixed: tuple[Indices, Floats] | None = None,
    progress: bool = False,
) -> Indices:
    """The rows that the slots hold after at most this many sweeps of exchanges, which bring
    Σ ω_i z_i over them and over the fixed rows (with their weights) near Σ ω_i times the goal of
    the metric."""
    products = _Products(Z, metric, threads)
    target = metric.goal @ metric.R
    rows = slots.rows.copy()
    if len(rows) == 0:
        return rows
    drawn = bool((slots.several < np.diff(slots.begins) * (np.diff(slots.first) > 0)).any())
    blocks = _blocks(slots.several)
    with bar("match the mean", sweeps, progress, "sweeps") as tick:
        for sweep in range(sweeps):
            r = products.sum(rows, slots.weights) - slots.weights.sum() * target
            if fixed is not None:
                r += products.sum(fixed[0], fixed[1]) - fixed[1].sum() * target
            exchanges = 0
            for begin, end in blocks:
                own = slice(slots.first[begin], slots.first[end])
                which = SUBSETS + (sweep + 1) * (len(slots.begins) - 1) + begin
                first_slot = slots.first[begin : end + 1] - slots.first[begin]
                first, candidates, held = _core.draw_candidates(
                    slots.begins[begin : end + 1] - slots.begins[begin], first_slot,
                    slots.members[slots.begins[begin] : slots.begins[end]], rows[own], CANDIDATES,
                    seed, which % 2**32,
                )  # fmt: skip
                b, at = products.of(candidates)
                held, r, made = _core.exchange_in_cells(
                    b, first, first_slot, at, slots.weights[own], held, r
                )
                rows[own] = candidates[held]
                exchanges += made
            if tick is not None:
                tick(sweep + 1)
            if exchanges == 0 and not drawn:
                break
    return rows


def _blocks(several: Indices) -> list[tuple[int, int]]:
    """Consecutive cells [begin, end) of BLOCK candidates together, or one cell that has more."""
    ends, blocks, begin = np.cumsum(several), [], 0
    while begin < len(several):
        done = ends[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + BLOCK, "right")))
        blocks.append((begin, end))
        begin = end
    return blocks


class _Products:
    """Rows of Z R, made once where they fit, else when they are asked for."""

    def __init__(self, Z: RowMatrix, metric: MeanMetric, threads: int) -> None:
        R = metric.R
        times = Z.times if metric.ill_conditioned else Z.times_rounded
        whole = len(Z) * R.shape[1] * Z.dtype.itemsize <= WHOLE
        self._all = times(R, None, threads) if whole else None
        self._width = R.shape[1]
        self._make: Callable[[Indices], RowMatrix] = lambda rows: times(R, rows, threads)

    def of(self, rows: Indices) -> tuple[Array, Indices]:
        """A host array that has these rows of Z R, and where."""
        if self._all is None:
            return self._make(rows).array(slice(None)), np.arange(len(rows))
        if isinstance(self._all.core, np.ndarray):
            return self._all.core, rows
        return self._all.array(rows), np.arange(len(rows))

    def sum(self, rows: Indices, weights: Floats) -> Floats:
        total = np.zeros(self._width)
        for i in range(0, len(rows), BLOCK):
            b, at = self.of(rows[i : i + BLOCK])
            total += weights[i : i + BLOCK] @ b[at].astype(np.float64)
        return total


def _numbers(cells: VectorLike, N: int) -> Indices:
    array = arrays.vector("cells", cells)
    if array.shape != (N,):
        raise ValueError(f"cells: expected shape ({N},), got {array.shape}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"cells: expected integers, got {array.dtype}")
    return np.unique(array, return_inverse=True)[1].astype(np.int64)
